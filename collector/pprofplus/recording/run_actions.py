"""The actions on a run: pause, resume, interval, mark and profile; the registry of all actions."""

from __future__ import annotations

import sys

from pprofplus.control.actions import Action, ActionRegistry, Argument
from pprofplus.settings import check_interval_s
from pprofplus.system.release import check_release

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Any

    from pprofplus.profiles.capture import Task
    from pprofplus.recording.run_recorder import RunRecorder

ACTIONS = ActionRegistry()
_PROFILE_MODULE = "pprofplus.recording.profile_action"


def _pause(recorder: RunRecorder, _: dict[str, Any]) -> str:
    return "paused" if recorder.pause() else "it was paused already"


def _resume(recorder: RunRecorder, _: dict[str, Any]) -> str:
    return "resumed" if recorder.resume() else "it was not paused"


def _set_interval(recorder: RunRecorder, arguments: dict[str, Any]) -> str:
    changed = recorder.set_interval(arguments["interval_s"])
    text = f"every {recorder.interval_s:g} s"
    return text if changed else f"{text}, as before"


def _mark(recorder: RunRecorder, arguments: dict[str, Any]) -> str:
    recorder.add_mark(arguments["text"])
    return "marked"


def _check_kinds(kinds: list[object]) -> tuple[str, ...]:
    """Return the kinds of a profile, after their modules are loaded. Raises ValueError.

    It is called with the lock that a fork waits for: a child forked during an import would wait for
    the import forever.
    """
    _check_modules()
    from pprofplus.profiles.taking import check_kinds
    from pprofplus.recording.profile_action import load_modules

    names = check_kinds(kinds)
    load_modules(names)
    return names


def _check_modules() -> None:
    """Raise ValueError if the modules of profiles cannot be loaded, or are of another release."""
    if _PROFILE_MODULE not in sys.modules:
        check_release()
        try:
            __import__(_PROFILE_MODULE)
        except (OSError, ImportError) as error:
            raise ValueError(f"profiles cannot be loaded: {error}") from error


def _profile(recorder: RunRecorder, arguments: dict[str, Any], task: Task) -> str:
    from pprofplus.recording.profile_action import carry_out

    return carry_out(recorder, arguments, task)


def _profile_duration_s(arguments: dict[str, Any]) -> float:
    from pprofplus.profiles.taking import duration_s

    return duration_s(arguments["kinds"], arguments["seconds"])


ACTIONS.register(Action("pause", _pause, help="take no more samples"))
ACTIONS.register(Action("resume", _resume, help="take samples again"))
ACTIONS.register(
    Action(
        "interval",
        _set_interval,
        Argument("interval_s", "SECONDS", (int, float), check=check_interval_s),
        help="take one every SECONDS, 0.05 to 3600",
    )
)
ACTIONS.register(
    Action("mark", _mark, Argument("text", "TEXT", (str,)), help="note TEXT: a line on every chart")
)
PROFILE = ACTIONS.register(
    Action(
        "profile",
        _profile,
        Argument("kinds", "KIND", (list,), check=_check_kinds, help="what to take"),
        # 0 stands for the default of each kind
        Argument("seconds", "SECONDS", (int, float), default=0.0, help="length of the window"),
        Argument("hz", "HZ", (int,), default=0, help="ticks a second"),
        Argument("force", "", (bool,), default=False, help="even if it costs much"),
        help="take profiles: CPU, wall, locks, threads, heap and others",
        long=True,
        duration_s=_profile_duration_s,
        own_process_only=True,
    )
)
