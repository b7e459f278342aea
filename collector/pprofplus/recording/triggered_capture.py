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
    from collections.abc import Callable

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


class _Capture:
    """The profiles to take of one trigger that has fired."""

    __slots__ = ("fired", "kinds", "recorder")

    def __init__(self, fired: FiredTrigger, recorder: RunRecorder, kinds: tuple[str, ...]) -> None:
        self.fired = fired
        self.recorder = recorder
        self.kinds = kinds


class TriggeredCaptures:
    """The captures of one process, one after another.

    The collector's thread calls `begin` and `keep_going`; any thread may call the rest.
    """

    __slots__ = ("_missing", "_pending", "_pid", "_task", "_thread", "_turn", "_urgent")

    def __init__(self, missing: dict[str, str]) -> None:
        """`missing` are the kinds that cannot be taken here, and why."""
        self._missing = missing
        self._pending: deque[_Capture] = deque()
        self._pid = os.getpid()
        self._task = _CaptureTask()
        self._thread: BackgroundThread | None = None
        self._urgent: BackgroundThread | None = None
        self._turn: CaptureTurn | None = None

    def begin(self, fired: FiredTrigger, recorder: RunRecorder) -> None:
        """Take the profiles of a trigger soon, unless those of the same one are waiting."""
        if any(fired.why == waiting.fired.why for waiting in list(self._pending)):
            return
        kinds: tuple[str, ...] = TRIGGERED_KINDS
        if self._is_busy:
            # a census of many objects takes seconds: do not wait for it with the threads
            urgent = _Capture(fired, recorder, kinds[:1])
            self._urgent = self._started(lambda: self._run_one(urgent))
            kinds = kinds[1:]
        self._pending.append(_Capture(fired, recorder, kinds))
        self.keep_going()

    def keep_going(self) -> None:
        """Start the thread, if something is waiting and it does not run."""
        if self._pending and not self._is_busy:
            self._thread = self._started(self._run)

    @property
    def _is_busy(self) -> bool:
        return self._thread is not None and self._thread.alive

    def _started(self, run: Callable[[], None]) -> BackgroundThread | None:
        """Return a started thread, None after a warning if there can be no more threads."""
        thread = BackgroundThread(run)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            self._pending.clear()
            warn_throttled("trigger", f"no profiles were taken: no thread can be started: {error}")
            return None
        return thread

    def cancel(self) -> None:
        """End the capture, as at the end of the run. Does not wait, and uses no file."""
        self._pending.clear()
        self._task.cancel()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the capture, at most `timeout_s`."""
        for thread in (self._thread, self._urgent):
            if thread is not None:
                thread.join(timeout_s)

    def abandon(self) -> None:
        """In a forked child: leave the capture and its lock to the parent."""
        self._pending.clear()
        self._thread = self._urgent = None
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.abandon()

    def _run(self) -> None:
        with ShortSwitchInterval():
            while self._pending and os.getpid() == self._pid:
                try:
                    capture = self._pending.popleft()
                except IndexError:  # cancelled
                    return
                turn = self._turn = CaptureTurn()
                try:
                    self._capture(capture, turn)
                finally:
                    if os.getpid() == self._pid:
                        turn.release()
                        self._turn = None

    def _run_one(self, capture: _Capture) -> None:
        with ShortSwitchInterval():
            self._capture(capture)

    def _capture(self, capture: _Capture, turn: CaptureTurn | None = None) -> None:
        """Take the profiles of one trigger, perhaps when it is our turn. Never raises."""
        fired, problems = capture.fired, list[str]()
        try:
            if turn is None or turn.take(fired.directory, fired.used_bytes, self._task):
                self._take(capture, problems)
        except ActionCancelledError:
            return
        except Exception as error:  # noqa: BLE001 - outer boundary: no exception reaches the host
            problems.append(str(error) if isinstance(error, ValueError) else describe(error))
        if problems and os.getpid() == self._pid and not capture.recorder.closed:
            warn_throttled(f"trigger {fired.why}", f"profiles of {fired.why}: {problems[0]}")

    def _take(self, capture: _Capture, problems: list[str]) -> None:
        """Take what is not refused; append what could not be stored to `problems`."""
        fired, task = capture.fired, self._task
        comments, kinds = [fired.comment], []
        for name in capture.kinds:
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
                capture.recorder,
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
