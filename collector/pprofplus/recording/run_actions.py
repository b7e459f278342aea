"""The actions on a run: pause, resume, interval and mark, and the registry of all actions."""

from __future__ import annotations

from pprofplus.control.actions import Action, ActionRegistry, Argument
from pprofplus.settings import check_interval_s

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Any

    from pprofplus.recording.run_recorder import RunRecorder

ACTIONS = ActionRegistry()


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
