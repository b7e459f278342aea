"""The triggers of a process: watched on the collector's thread, captured on another one."""

from __future__ import annotations

from pprofplus.recording.trigger_captures import TriggerCaptures
from pprofplus.recording.trigger_watch import TriggerWatch
from pprofplus.warn import warn_throttled

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from _thread import RLock

    from pprofplus.profiles.trigger_expression import TriggerExpression
    from pprofplus.recording.run_recorder import RunRecorder


class Triggers:
    """Polls, and begins captures. Only the collector's thread calls it, except `cancel`."""

    __slots__ = ("_captures", "_warnings", "_watch")

    def __init__(self, expression: TriggerExpression | None, lock: RLock) -> None:
        """Watch the limits, and the expression if there is one.

        `lock` is the one that a fork waits for; it is held while modules are loaded.
        """
        self._warnings: dict[str, str] = {}
        self._watch = TriggerWatch(expression, self._warnings.setdefault)
        self._captures = TriggerCaptures(lock)

    @property
    def due_ns(self) -> int:
        """Monotonic time of the next `poll`."""
        return self._watch.due_ns

    def poll(self, recorder: RunRecorder, *, sampled: bool) -> None:
        """Read what is watched, and begin the captures of triggers that fire.

        `sampled` says that a sample was just taken. While recording is paused, nothing fires.
        """
        if recorder.paused:
            self._watch.postpone()
            return
        fired = self._watch.poll(recorder.probe_set, recorder.interval_s, sampled=sampled)
        for each in fired:
            self._captures.begin(each, recorder)
        if self._watch.approached_bytes:
            self._captures.prepare(self._watch.approached_bytes)
        self._captures.keep_going()

    def emit_warnings(self) -> None:
        """Log new problems. Hold no lock: the host's log handlers run here."""
        while self._warnings:
            kind, line = self._warnings.popitem()
            warn_throttled(f"trigger {kind}", line)

    def cancel(self) -> None:
        """End a capture that runs. Does not wait, and uses no file; safe from any thread."""
        self._captures.cancel()

    def close(self, timeout_s: float) -> None:
        """End a capture that runs, wait for its end at most `timeout_s`, and close all files."""
        self._captures.cancel()
        self._captures.join(timeout_s)
        self._watch.close()

    def abandon(self) -> None:
        """In a forked child: close our copies of the parent's descriptors."""
        self._captures.abandon()
        self._watch.close()
