"""The captures of triggers that have fired: their thread, its turn, and its end.

A process loads what takes profiles only when it is its turn: that takes some MB, and hundreds of
workers that loaded it at 90 % of their limit at once would exceed the limit.
"""

from __future__ import annotations

import os
import sys
from collections import deque

from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.recording.capture_turn import CaptureTurn, is_main
from pprofplus.system.background import BackgroundThread, WakeEvent
from pprofplus.system.release import check_release
from pprofplus.warn import describe, warn_throttled

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable

    from pprofplus.recording.run_recorder import RunRecorder
    from pprofplus.recording.trigger_watch import FiredTrigger

# in the order of what they tell for what they cost
TRIGGERED_KINDS = ("threads", "heap", "maps")
_CAPTURE_MODULE = "pprofplus.recording.triggered_capture"


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


class TriggerCaptures:
    """The captures of one process, one after another.

    The collector's thread calls `begin` and `keep_going`; any thread may call the rest.
    """

    __slots__ = (
        "_lock",
        "_pending",
        "_pid",
        "_prepared",
        "_task",
        "_thread",
        "_turn",
        "_urgent",
    )

    def __init__(self, lock: RLock) -> None:
        """`lock` is the one that a fork waits for; it is held while modules are loaded."""
        self._lock = lock
        self._pending: deque[_Capture] = deque()
        self._pid = os.getpid()
        self._task = _CaptureTask()
        self._thread: BackgroundThread | None = None
        self._urgent: BackgroundThread | None = None
        self._turn: CaptureTurn | None = None  # during a capture
        self._prepared = False

    def begin(self, fired: FiredTrigger, recorder: RunRecorder) -> None:
        """Take the profiles of a trigger soon; what still waits for its turn is left out."""
        self._pending.clear()
        kinds = TRIGGERED_KINDS
        if self._turn is not None:
            # a census of many objects takes seconds: do not wait for it with the threads
            urgent = _Capture(fired, recorder, kinds[:1])
            self._urgent = self._started(lambda: self._capture(urgent))
            self._pending.append(_Capture(fired, recorder, kinds[1:]))
        else:
            self._pending.append(_Capture(fired, recorder, kinds))
        self.keep_going()

    def prepare(self, used_bytes: int) -> None:
        """Load what takes profiles, if this process uses much of the memory in use.

        On a busy machine that takes longer than the last tenth of a limit may last.
        """
        if not self._prepared:
            self._prepared = True
            if not self._pending and is_main(used_bytes):
                self._thread = self._started(self._load_early)

    def keep_going(self) -> None:
        """Start the thread, if something is waiting and it does not run."""
        if self._pending and (self._thread is None or not self._thread.alive):
            self._thread = self._started(self._run)

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

    def _run(self) -> None:
        """Take turns until nothing is waiting."""
        while self._pending and os.getpid() == self._pid:
            turn = CaptureTurn()
            try:
                fired = self._pending[0].fired
                loaded = _CAPTURE_MODULE in sys.modules
                left_bytes = None if loaded else fired.left_bytes
                if turn.take(fired.directory, fired.used_bytes, self._task, left_bytes):
                    self._turn = turn
                    self._capture(self._pending.popleft())
                else:
                    self._pending.popleft()
            except (IndexError, ActionCancelledError):
                return  # cancelled
            finally:
                if os.getpid() == self._pid:
                    self._turn = None
                    turn.release()

    def _capture(self, capture: _Capture) -> None:
        """Take the profiles of one trigger. Never raises."""
        fired = capture.fired
        try:
            self._load()
            from pprofplus.recording.triggered_capture import take_for_trigger

            # the next trigger matters more than what is left of this one
            problems = take_for_trigger(
                fired, capture.kinds, capture.recorder, self._task, lambda: bool(self._pending)
            )
        except ActionCancelledError:
            return
        except Exception as error:  # noqa: BLE001 - outer boundary: no exception reaches the host
            problems = [str(error) if isinstance(error, ValueError) else describe(error)]
        if problems and os.getpid() == self._pid and not capture.recorder.closed:
            warn_throttled(f"trigger {fired.why}", f"profiles of {fired.why}: {problems[0]}")

    def _load_early(self) -> None:
        try:
            self._load()
        except Exception:  # noqa: BLE001, S110 - the capture tries again, and reports it
            pass
        self._run()  # what has fired meanwhile

    def _load(self) -> None:
        """Load what takes profiles. Raises ValueError, ImportError, OSError."""
        with self._lock:
            if _CAPTURE_MODULE not in sys.modules:
                check_release()
            from pprofplus.recording.triggered_capture import load_kinds

            load_kinds(TRIGGERED_KINDS)
