"""Takes the profiles of triggers that have fired, on a thread of its own."""

from __future__ import annotations

import os
from collections import deque

from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.profiles.capture import CaptureRequest, ProfileRefusedError
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.switch_interval import ShortSwitchInterval
from pprofplus.recording.capture_turn import CaptureTurn
from pprofplus.recording.profile_action import load_modules, take_in_run
from pprofplus.system.background import BackgroundThread, WakeEvent
from pprofplus.warn import describe, warn_throttled

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from pprofplus.recording.run_recorder import RunRecorder
    from pprofplus.recording.trigger_watch import FiredTrigger

# in the order of what they tell for what they cost
TRIGGERED_KINDS = ("threads", "heap", "maps")
# A trigger may stop the interpreter for longer than a request that is not forced: each full garbage
# collection of a heap that takes so long stops it longer, and there may be no other time.
_MAX_HOLD_MS = 1000.0


class _CaptureTask:
    """The task of one capture: it has no progress, and can be cancelled."""

    __slots__ = ("_cancelled", "_pid", "_wake_event")

    def __init__(self) -> None:
        self._cancelled = False
        self._pid = os.getpid()
        self._wake_event = WakeEvent()

    def cancel(self) -> None:
        """Request its end. Safe from any thread."""
        self._cancelled = True
        self._wake_event.set()

    def check(self) -> None:
        """Raise ActionCancelledError if it must end."""
        if self._cancelled or os.getpid() != self._pid:
            raise ActionCancelledError

    def wait(self, timeout_s: float) -> None:
        """Sleep for `timeout_s`. Raises ActionCancelledError as soon as it must end."""
        self.check()
        self._wake_event.wait(timeout_s)
        self.check()

    @property
    def window_over(self) -> bool:
        """Whether a window of time ends before its time: the kinds have none."""
        return False

    def report(self, share: float, text: str = "") -> None:
        """Do nothing: nobody waits for it."""


class TriggeredCaptures:
    """The captures of one process, one after another.

    The collector's thread calls `begin` and `keep_going`; any thread may call the rest.
    """

    __slots__ = ("_missing", "_pending", "_pid", "_task", "_thread", "_turn")

    def __init__(self, missing: dict[str, str]) -> None:
        """`missing` are the kinds that cannot be taken here, and why."""
        self._missing = missing
        self._pending: deque[tuple[FiredTrigger, RunRecorder]] = deque()
        self._pid = os.getpid()
        self._task = _CaptureTask()
        self._thread: BackgroundThread | None = None
        self._turn: CaptureTurn | None = None

    def begin(self, fired: FiredTrigger, recorder: RunRecorder) -> None:
        """Take the profiles of a trigger soon, unless those of the same one are waiting."""
        if all(fired.why != waiting.why for waiting, _ in list(self._pending)):
            self._pending.append((fired, recorder))
        self.keep_going()

    def keep_going(self) -> None:
        """Start the thread, if something is waiting and it does not run."""
        if not self._pending or (self._thread is not None and self._thread.alive):
            return
        self._thread = BackgroundThread(self._run)
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:
            self._thread = None
            self._pending.clear()
            warn_throttled("trigger", f"no profiles were taken: no thread can be started: {error}")

    def cancel(self) -> None:
        """End the capture, as at the end of the run. Does not wait, and uses no file."""
        self._pending.clear()
        self._task.cancel()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the capture, at most `timeout_s`."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def abandon(self) -> None:
        """In a forked child: leave the capture and its lock to the parent."""
        self._pending.clear()
        self._thread = None
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.abandon()

    def _run(self) -> None:
        with ShortSwitchInterval():
            while self._pending and os.getpid() == self._pid:
                try:
                    fired, recorder = self._pending.popleft()
                except IndexError:  # cancelled
                    return
                self._capture(fired, recorder)

    def _capture(self, fired: FiredTrigger, recorder: RunRecorder) -> None:
        """Take the profiles of one trigger. Never raises."""
        problems: list[str] = []
        turn = self._turn = CaptureTurn()
        try:
            if turn.take(fired.directory, fired.used_bytes, self._task):
                self._take(fired, recorder, problems)
        except ActionCancelledError:
            return
        except Exception as error:  # noqa: BLE001 - outer boundary: no exception reaches the host
            problems.append(str(error) if isinstance(error, ValueError) else describe(error))
        finally:
            if os.getpid() == self._pid:
                turn.release()
                self._turn = None
        if problems and os.getpid() == self._pid and not recorder.closed:
            warn_throttled(f"trigger {fired.why}", f"profiles of {fired.why}: {problems[0]}")

    def _take(self, fired: FiredTrigger, recorder: RunRecorder, problems: list[str]) -> None:
        """Take what is not refused; append what could not be stored to `problems`."""
        task, comments = self._task, [fired.comment]
        kinds = []
        for name in TRIGGERED_KINDS:
            task.check()
            if name in self._missing:
                comments.append(f"without {name}: {self._missing[name]}")
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
                kinds.append(name)
        if kinds:
            taken = take_in_run(
                recorder,
                tuple(kinds),
                task,
                why=fired.why,
                comments=comments,
                force=True,
                beside=True,
                # the next trigger matters more than what is left of this one
                hurried=lambda: bool(self._pending),
            )
            problems += taken.problems


def _check(name: str, why: str) -> None:
    """Raise ProfileRefusedError if a kind is refused now."""
    kind, request = KINDS[name], CaptureRequest((name,), 0.0, force=True, why=why)
    hold_ms = kind.expected_hold_ms(request)
    if hold_ms > _MAX_HOLD_MS:
        raise ProfileRefusedError(
            f"it would stop all Python threads for {hold_ms:.0f} ms at a time"
        )
    kind.check(request)


def load_captures() -> TriggeredCaptures:
    """Load the modules of the kinds that triggers take; return the captures of this process.

    Call it with the lock that a fork waits for: a child forked during an import would wait for the
    import forever.
    """
    missing = {}
    with ShortSwitchInterval():  # each file that is opened releases the GIL
        for name in TRIGGERED_KINDS:
            try:
                load_modules((name,))
            except ValueError as error:
                missing[name] = str(error)
    return TriggeredCaptures(missing)
