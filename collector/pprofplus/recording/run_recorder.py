"""One run being recorded: its probes, its log, and the requests to it while it runs.

It owns no thread. The thread that opened it, its owner, calls `sample`, `flush`, `write_artefacts`,
`handle_requests` and `emit_warnings` when they are due, and is the only one that reads or writes
files, so that a disk that hangs blocks no other thread. `mark`, `pause`, `resume`, `set_interval`,
`store_artefact` and `cancel_actions` may be called from any thread.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from time import monotonic_ns, time_ns

from pprofplus.log.format import FORK, INTERVAL, MARK, PAUSE, RESUME, START, STOP, Event
from pprofplus.log.writer import Writer
from pprofplus.recording.artefact_queue import ArtefactQueue, PendingArtefact
from pprofplus.settings import check_interval_s
from pprofplus.system.background import Gate
from pprofplus.warn import describe, log_recovery, warn_once, warn_throttled

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from _thread import RLock
    from collections.abc import Callable
    from typing import TypeVar

    _Any = TypeVar("_Any", str, BaseException)

    from pprofplus.control.request_handler import RequestHandler
    from pprofplus.log.format import RunHeader
    from pprofplus.probes.probe_set import ProbeSet, Schema
    from pprofplus.settings import Settings

_NS_PER_MS = 1_000_000
# Marks are for people: more than a burst of these, and then one a second, would only push the
# run's past out of its log.
_MARKS_AT_ONCE = 100
_NS_PER_MARK = 1_000_000_000
# the caller of mark() waits no longer than this for a disk that hangs; the mark is written later
_TIMEOUT_S = 0.05
# how long the end of a run waits for a long action that is cancelled
_ACTION_TIMEOUT_S = 0.25
_RUN_ENDS = "cancelled: the recording ends"
_QUEUED = 1000


def _taken(found: dict[str, _Any]) -> list[tuple[str, _Any]]:
    """Take everything out of `found`; two threads may do so at once."""
    taken = []
    for key in list(found):
        value = found.pop(key, None)
        if value is not None:
            taken.append((key, value))
    return taken


def read_first(panel: ProbeSet) -> tuple[int, int]:
    """Read the probes for a run's first sample; return its monotonic ns and its unix ms.

    Raises what a probe of the panel raises that may not be caught.
    """
    now_ns, unix_ms = monotonic_ns(), time_ns() // _NS_PER_MS
    panel.read(now_ns)
    return now_ns, unix_ms


def open_recorder(  # noqa: PLR0913 - what a run consists of
    panel: ProbeSet,
    read_at: tuple[int, int],
    settings: Settings,
    lock: RLock,
    identify: Callable[[int, Schema], RunHeader],
    *,
    requests: RequestHandler,
    parent_pid: int = 0,
    wake: Callable[[], None] | None = None,
) -> RunRecorder:
    """Begin a run: write its first events and its first sample; the calling thread is its owner.

    `read_at` is from `read_first`; `identify` makes the header from the start in unix milliseconds
    and the metric table; `requests` carries out requests from outside; `wake` makes the owner call
    `flush` soon, if other threads use the recording.
    """
    now_ns, unix_ms = read_at
    mono_ms = now_ns // _NS_PER_MS
    values = panel.rebuild_schema(now_ns)
    writer = Writer(
        settings.log_directory,
        identify(unix_ms, panel.metrics),
        max_bytes=settings.max_bytes,
        max_total_bytes=settings.max_total_bytes,
        group_readable=settings.group_readable,
    )
    recording = RunRecorder(panel, writer, lock, now_ns, wake, requests=requests)
    writer.add_event(Event(START, mono_ms, unix_ms))
    if parent_pid:
        writer.add_event(Event(FORK, mono_ms, unix_ms, parent_pid))
    writer.add(mono_ms, unix_ms, values)
    return recording


class RunRecorder:
    """One run, from its first sample to its stop event.

    Attributes:
        panel: the probes.
        writer: the log.
        interval_s: seconds from one sample to the next; see `set_interval`.
        paused: no samples are taken; see `pause`.
        began_ns: monotonic time of the first sample.
        resumed: the sample that a resumption wants at once is still to be taken.
        closed: the stop event is written.
    """

    def __init__(  # noqa: PLR0913 - what a run consists of
        self,
        panel: ProbeSet,
        writer: Writer,
        lock: RLock,
        began_ns: int,
        wake: Callable[[], None] | None = None,
        *,
        requests: RequestHandler,
    ) -> None:
        """Take over probes and a log whose tables are the same; see `open_recorder`.

        `lock` is held while the log's files change; a fork waits for it. It is reentrant, because
        the garbage collector may run a finalizer that forks at any point.
        """
        self.panel = panel
        self.writer = writer
        self.began_ns = began_ns
        self.interval_s = panel.interval_s
        self.paused = False
        self.resumed = False
        self.closed = False
        self._lock = lock
        self._owner = get_ident()
        self._wake = wake
        self._requests = requests
        self._artefacts = ArtefactQueue()
        self._warned: set[str] = set()  # kinds of disk errors that last and were warned of
        self._queue: deque[tuple[Event, Gate | None]] = deque(maxlen=_QUEUED)
        self._writing = False
        self._last_mono_ms = 0
        self._marks_free = _MARKS_AT_ONCE
        self._counted_ns = monotonic_ns()
        self._marks_left_out = 0

    def sample(self) -> None:
        """Take one sample and write it, unless paused."""
        self.resumed = False
        if self.paused:
            return
        panel, writer = self.panel, self.writer
        now_ns, unix_ms = monotonic_ns(), time_ns() // _NS_PER_MS
        values = panel.read(now_ns)  # without the lock: a fork need not wait for a slow probe
        with self._lock:
            if self.closed:
                return
            self._writing = True
            try:
                if panel.outdated:
                    values = panel.rebuild_schema(now_ns)
                    writer.change_metrics(panel.metrics, values)
                self._last_mono_ms = now_ns // _NS_PER_MS
                writer.add(self._last_mono_ms, unix_ms, values)
            finally:
                self._writing = False
            if self._queue or self._marks_left_out:
                self._write_queue()
            writer.maintain()

    def maintain(self) -> None:
        """Do what is due for the log directory, for some milliseconds; cheap if nothing is."""
        with self._lock:
            if not self.closed:
                self.writer.maintain()

    def note(self, kind: int, value: int = 0, text: str = "") -> None:
        """Write an event. It is on disk when this returns, unless the disk takes longer than 50 ms.

        The owner writes it at once, or right after what it is writing; others wait for the owner.
        """
        mono_ms, unix_ms = monotonic_ns() // _NS_PER_MS, time_ns() // _NS_PER_MS
        event = Event(kind, mono_ms, unix_ms, value, text)
        if self._wake is None or get_ident() == self._owner:
            self._queue.append((event, None))
            self.flush()
        else:
            written = Gate()
            self._queue.append((event, written))
            self._wake()
            written.wait(_TIMEOUT_S)

    def flush(self) -> None:
        """Write the events that wait; the owner calls it."""
        if not self._queue or self._writing:
            return  # a signal handler or a finalizer may come in the middle of our own writing
        with self._lock:
            if not self.closed:
                self._write_queue()

    def store_artefact(  # noqa: PLR0913 - what an artefact consists of
        self,
        kind: str,
        data: bytes,
        *,
        why: str = "",
        suffix: str = "",
        unix_ms: int = 0,
        check: Callable[[], None] | None = None,
    ) -> str:
        """Write an artefact into the run's directory, by the owner; wait; return its file's name.

        `unix_ms` is when it was taken, 0 for now. `check` is called while another thread waits,
        and may raise to end that. Raises ValueError, OSError, PprofplusError if it cannot be
        written.
        """
        if self.closed:
            raise ValueError(_RUN_ENDS)
        pending = PendingArtefact(kind, data, why, suffix, unix_ms)
        if self._wake is None or get_ident() == self._owner:
            with self._lock:
                pending.write(self._write_artefact)
        else:
            self._artefacts.add(pending)
            self._wake()
        try:
            return pending.wait(check)
        finally:
            self._artefacts.discard(pending)

    def write_artefacts(self) -> None:
        """Write the artefacts that wait; the owner calls it."""
        if self._artefacts:
            with self._lock:
                if not self.closed:
                    self._artefacts.write(self._write_artefact)

    def mark(self, text: str) -> None:
        """Write a mark; more than a burst of them, and then one a second, are only counted."""
        now_ns = monotonic_ns()
        gained = (now_ns - self._counted_ns) // _NS_PER_MARK
        if gained:
            self._marks_free = min(_MARKS_AT_ONCE, self._marks_free + gained)
            self._counted_ns += gained * _NS_PER_MARK
        if self._marks_free > 0:
            self._marks_free -= 1
            self.add_mark(text)
        else:
            self._marks_left_out += 1

    def add_mark(self, text: str) -> None:
        """Write a mark, without a limit to their number."""
        self.note(MARK, 0, text)

    def pause(self) -> bool:
        """Take no more samples; False if it was so already."""
        if self.paused:
            return False
        self.paused = True
        self.note(PAUSE)
        return True

    def resume(self) -> bool:
        """Take samples again; False if it was so already."""
        if not self.paused:
            return False
        self.paused = False
        self.resumed = True
        self.note(RESUME)
        return True

    def set_interval(self, interval_s: float) -> bool:
        """Change the interval; False if it was so already. Raises ValueError."""
        interval_s = check_interval_s(interval_s)
        if interval_s == self.interval_s:
            return False
        self.interval_s = self.panel.interval_s = interval_s
        self.writer.set_interval(round(interval_s * 1000))
        self.note(INTERVAL, round(interval_s * 1_000_000))
        return True

    def handle_requests(self) -> None:
        """Look for requests from outside, carry them out, and answer."""
        requests, writer = self._requests, self.writer
        if self.closed or not requests.due(writer.directory):
            return
        with self._lock:  # no fork while descriptors are open
            if not self.closed:
                requests.handle(writer.directory, self)

    def cancel_actions(self) -> None:
        """Cancel the long action that is running, if any; does not wait, and uses no file."""
        self._requests.cancel(_RUN_ENDS)

    def emit_warnings(self) -> None:
        """Warn of troubles, one of each kind. Holds no lock: the host's log handlers run here."""
        for name, error in _taken(self.panel.failures):
            warn_throttled(
                f"probe {name}", f"{name} in trouble, its figures may be old: {describe(error)}"
            )
        for kind, line in _taken(self.panel.warnings):
            warn_once(kind, line)
        for kind, line in _taken(self.writer.incidents):
            warn_throttled(f"log {kind}", line)
        for kind, line in self._requests.take_troubles():
            warn_throttled(f"control {kind}", line)
        error_now, warned = self.writer.write_error, self._warned
        if error_now is not None:
            kind = str(getattr(error_now, "errno", None) or type(error_now).__name__)
            where = self.writer.directory
            if kind not in warned and warn_throttled(
                f"write {kind}", f"cannot write to {where}, will try again: {error_now}"
            ):
                warned.add(kind)
        elif warned:
            warned.clear()
            log_recovery(f"writing to {self.writer.directory} again")

    def close_log(self, why: str = "") -> None:
        """Write the stop event, with `why` for its text, and close the log."""
        with self._lock:
            if self.closed or self._writing:
                return
            self._write_queue()
            self._artefacts.write(self._write_artefact)
            self._artefacts.fail(ValueError(_RUN_ENDS))
            self.closed = True
            self._requests.end(self.writer.directory, _RUN_ENDS)
            mono_ms, unix_ms = monotonic_ns() // _NS_PER_MS, time_ns() // _NS_PER_MS
            self.writer.add_event(Event(STOP, mono_ms, unix_ms, 0, why))
            self.writer.close()

    def close(self, why: str = "") -> None:
        """Close log and probes; the thread that reads the probes does it.

        A long action that is running is cancelled, and has a moment to end.
        """
        self.cancel_actions()
        self._requests.join(_ACTION_TIMEOUT_S)
        self.close_log(why)
        self.panel.close()

    def abandon(self) -> None:
        """In a forked child: close our copies of the parent's descriptors, and leave its log alone.

        On some file systems a close waits for the disk: only a thread of ours may call it.
        """
        self._requests.abandon()
        self.writer.abandon()
        self.panel.close()

    def _write_artefact(self, pending: PendingArtefact) -> str:
        """Write one artefact; return its name. Raises what `Writer.store_artefact` raises."""
        return self.writer.store_artefact(
            pending.unix_ms, pending.kind, pending.data, why=pending.why, suffix=pending.suffix
        )

    def _write_queue(self) -> None:
        """Write the events that wait; the lock is held."""
        self._writing = True
        try:
            if self._marks_left_out:
                count, self._marks_left_out = self._marks_left_out, 0
                text = f"{count} marks left out: more than one a second"
                now_ns = monotonic_ns()
                event = Event(MARK, now_ns // _NS_PER_MS, time_ns() // _NS_PER_MS, 0, text)
                self._queue.append((event, None))
            while self._queue:
                event, written = self._queue.popleft()
                # one that had to wait is not older than the sample that it waited for
                late_ms = max(0, self._last_mono_ms - event.mono_ms)
                event.mono_ms += late_ms
                event.unix_ms += late_ms
                self._last_mono_ms = event.mono_ms
                self.writer.add_event(event)
                if written is not None:
                    written.open()
        finally:
            self._writing = False
