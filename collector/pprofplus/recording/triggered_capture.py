"""Takes the profiles of a trigger that has fired; a process loads it with its first capture."""

from __future__ import annotations

from pprofplus.profiles.capture import CaptureRequest, ProfileRefusedError
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.switch_interval import ShortSwitchInterval
from pprofplus.recording.profile_action import load_modules, take_in_run
from pprofplus.warn import describe

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from pprofplus.profiles.capture import Task
    from pprofplus.recording.run_recorder import RunRecorder
    from pprofplus.recording.trigger_watch import FiredTrigger

# A trigger may stop the interpreter for longer than a request that is not forced: each full garbage
# collection of a heap that takes so long stops it longer, and there may be no other time.
_MAX_HOLD_MS = 1000.0

_missing: dict[str, str] = {}  # kinds that cannot be loaded, and why


def load_kinds(kinds: tuple[str, ...]) -> None:
    """Load the modules of kinds that triggers take; note those that cannot be loaded.

    Call it with the lock that a fork waits for: a child forked during an import would wait for the
    import forever.
    """
    with ShortSwitchInterval():  # each file that is opened releases the GIL
        for name in kinds:
            try:
                load_modules((name,))
            except ValueError as error:
                _missing[name] = str(error)
            else:
                _missing.pop(name, None)


def take_for_trigger(
    fired: FiredTrigger,
    kinds: tuple[str, ...],
    recorder: RunRecorder,
    task: Task,
    hurried: Callable[[], bool],
) -> list[str]:
    """Take and store what is not refused; return what could not be taken or stored.

    `hurried` as in `take_profiles`. Raises ActionCancelledError, ValueError.
    """
    problems: list[str] = []
    comments, accepted = [fired.comment], []
    for name in kinds:
        task.check()
        if name in _missing:
            comments.append(f"without {name}: {_missing[name]}")
            problems.append(comments[-1])
            continue
        try:
            _check(name, fired.why)
        except ProfileRefusedError as error:
            comments.append(f"without {name}: {error}")
        except Exception as error:  # noqa: BLE001 - the others are taken nevertheless
            comments.append(f"without {name}: {describe(error)}")
            problems.append(comments[-1])
        else:
            accepted.append(name)
    if accepted:
        with ShortSwitchInterval():
            taken = take_in_run(
                recorder,
                tuple(accepted),
                task,
                why=fired.why,
                comments=comments,
                force=True,
                beside=True,
                hurried=hurried,
            )
        problems += taken.problems
    return problems


def _check(name: str, why: str) -> None:
    """Raise ProfileRefusedError if a kind is refused now."""
    kind, request = KINDS[name], CaptureRequest((name,), 0.0, force=True, why=why)
    hold_ms = kind.expected_hold_ms(request)
    if hold_ms > _MAX_HOLD_MS:
        raise ProfileRefusedError(
            f"it would stop all Python threads for {hold_ms:.0f} ms at a time"
        )
    kind.check(request)
