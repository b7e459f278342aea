"""The triggers of a process: watched on the collector's thread, captured on another one."""

from __future__ import annotations

import sys

from pprofplus.recording.trigger_watch import TriggerWatch
from pprofplus.warn import describe, warn_throttled

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from _thread import RLock

    from pprofplus.profiles.trigger_expression import TriggerExpression
    from pprofplus.recording.run_recorder import RunRecorder
    from pprofplus.recording.triggered_capture import TriggeredCaptures

_CAPTURE_MODULE = "pprofplus.recording.triggered_capture"


class Triggers:
    """Polls, and begins captures. Only the collector's thread calls it, except `cancel`."""

    __slots__ = ("_captures", "_lock", "_warnings", "_watch")

    def __init__(self, expression: TriggerExpression | None, lock: RLock) -> None:
        """Watch the limits, and the expression if there is one.

        `lock` is the one that a fork waits for; it is held while modules are loaded.
        """
        self._warnings: dict[str, str] = {}
        self._watch = TriggerWatch(expression, self._warnings.setdefault)
        self._lock = lock
        self._captures: TriggeredCaptures | None = None

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
        captures = self._load() if fired else self._captures
        if captures is None:
            return
        for each in fired:
            captures.begin(each, recorder)
        captures.keep_going()

    def emit_warnings(self) -> None:
        """Log new problems. Hold no lock: the host's log handlers run here."""
        while self._warnings:
            kind, line = self._warnings.popitem()
            warn_throttled(f"trigger {kind}", line)

    def cancel(self) -> None:
        """End a capture that runs. Does not wait, and uses no file; safe from any thread."""
        if self._captures is not None:
            self._captures.cancel()

    def close(self, timeout_s: float) -> None:
        """End a capture that runs, wait for its end at most `timeout_s`, and close all files."""
        if self._captures is not None:
            self._captures.cancel()
            self._captures.join(timeout_s)
        self._watch.close()

    def abandon(self) -> None:
        """In a forked child: close our copies of the parent's descriptors."""
        if self._captures is not None:
            self._captures.abandon()
        self._watch.close()

    def _load(self) -> TriggeredCaptures | None:
        """Return the captures; None if the modules that take profiles cannot be loaded."""
        if self._captures is not None:
            return self._captures
        from pprofplus.system.release import check_release

        try:
            with self._lock:
                if _CAPTURE_MODULE not in sys.modules:
                    check_release()
                from pprofplus.recording.triggered_capture import load_captures

                self._captures = load_captures()
        except (ValueError, ImportError, OSError) as error:
            text = str(error) if isinstance(error, ValueError) else describe(error)
            self._warnings["load"] = f"no profiles are taken: {text}"
        return self._captures
