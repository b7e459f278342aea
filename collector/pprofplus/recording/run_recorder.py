"""Records one run: reads its probes, writes its log, and handles the requests to it.

It has no thread. The thread that opened it, its owner, calls `sample`, `flush`, `write_artefacts`,
`handle_requests` and `emit_warnings` when they are due. Only the owner reads or writes files, so
that a disk that hangs blocks no other thread. `mark`, `pause`, `resume`, `set_interval`,
`store_artefact` and `cancel_actions` may be called from any thread.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from time import monotonic_ns, time_ns

from pprofplus.log.format import FORK, INTERVAL, MARK, PAUSE, RESUME, START, STOP, Event
from pprofplus.log.writer import Writer
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
    from pprofplus.recording.artefact_queue import PendingArtefact
    from pprofplus.settings import Settings

_NS_PER_MS = 1_000_000
# Marks are for people. After a burst of this size, more than one a second would only evict old
# samples from the log.
_MARK_BURST = 100
_NS_PER_MARK = 1_000_000_000
# mark() waits at most this long for a disk that hangs; the mark is written later
_TIMEOUT_S = 0.05
# the end of a run waits this long for a long action that it has cancelled
_ACTION_TIMEOUT_S = 0.25
_RUN_ENDS = "cancelled: the recording ends"
_MAX_QUEUED = 1000


def _take_all(found: dict[str, _Any]) -> list[tuple[str, _Any]]:
    """Remove all items from `found` and return them; two threads may do so at the same time."""
    taken = []
    for key in list(found):
        value = found.pop(key, None)
        if value is not None:
            taken.append((key, value))
    return taken


def read_first(probe_set: ProbeSet) -> tuple[int, int]:
    """Read the probes for a run's first sample; return its monotonic ns and its unix ms.

    Raises what the probe set does not catch, such as KeyboardInterrupt.
    """
    now_ns, unix_ms = monotonic_ns(), time_ns() // _NS_PER_MS
    probe_set.read(now_ns)
    return now_ns, unix_ms


def open_recorder(
    probe_set: ProbeSet,
    read_at: tuple[int, int],
    settings: Settings,
    lock: RLock,
    identify: Callable[[int, Schema], RunHeader],
    *,
    make_request_handler: Callable[[], RequestHandler],
    parent_pid: int = 0,
    wake: Callable[[], None] | None = None,
) -> RunRecorder:
    """Begin a run: write its first events and its first sample. The calling thread is its owner.

    `read_at` is the result of `read_first`. `identify` returns the header for a start in unix
    milliseconds and a schema. `make_request_handler` returns the handler of requests from outside;
    the owner calls it before it reads the first ones. `wake` makes the owner call `flush` soon; it
    is needed if other threads use the recorder.
    """
    now_ns, unix_ms = read_at
    mono_ms = now_ns // _NS_PER_MS
    values = probe_set.rebuild_schema(now_ns)
    writer = Writer(
        settings.log_directory,
        identify(unix_ms, probe_set.metrics),
        max_bytes=settings.max_bytes,
        max_total_bytes=settings.max_total_bytes,
        group_readable=settings.group_readable,
    )
    recorder = RunRecorder(
        probe_set, writer, lock, now_ns, wake, make_request_handler=make_request_handler
    )
    writer.add_event(Event(START, mono_ms, unix_ms))
    if parent_pid:
        writer.add_event(Event(FORK, mono_ms, unix_ms, parent_pid))
    writer.add(mono_ms, unix_ms, values)
    return recorder


class RunRecorder:
    """One run, from its first sample to its stop event.

    Attributes:
        probe_set: the probes.
        writer: the log.
        interval_s: seconds from one sample to the next; see `set_interval`.
        paused: no samples are taken; see `pause`.
        began_ns: monotonic time of the first sample.
        resumed: a resume requires a sample now, and it is not taken yet.
        closed: the stop event is written.
    """

    def __init__(
        self,
        probe_set: ProbeSet,
        writer: Writer,
        lock: RLock,
        began_ns: int,
        wake: Callable[[], None] | None = None,
        *,
        make_request_handler: Callable[[], RequestHandler],
    ) -> None:
        """Use probes and a log that have the same schema; see `open_recorder`.

        `lock` is held while the log's files change; a fork waits for it. It is reentrant, because
        the garbage collector may run a finalizer that forks at any point.
        """
        self.probe_set = probe_set
        self.writer = writer
        self.began_ns = began_ns
        self.interval_s = probe_set.interval_s
        self.paused = False
        self.resumed = False
        self.closed = False
        self._lock = lock
        self._owner = get_ident()
        self._wake = wake
        self._make_request_handler = make_request_handler
        self._requests: RequestHandler | None = None
        self._artefacts: deque[PendingArtefact] = deque()
        self._warned: set[str] = set()  # kinds of write errors that were logged and persist
        self._queue: deque[tuple[Event, Gate | None]] = deque(maxlen=_MAX_QUEUED)
        self._writing = False
        self._last_mono_ms = 0
        self._marks_free = _MARK_BURST
        self._counted_ns = monotonic_ns()
        self._marks_left_out = 0

    def sample(self) -> None:
        """Take one sample and write it, unless paused."""
        self.resumed = False
        if self.paused:
            return
        probe_set, writer = self.probe_set, self.writer
        now_ns, unix_ms = monotonic_ns(), time_ns() // _NS_PER_MS
        values = probe_set.read(now_ns)  # without the lock: a fork need not wait for a slow probe
        with self._lock:
            if self.closed:
                return
            self._writing = True
            try:
                if probe_set.outdated:
                    values = probe_set.rebuild_schema(now_ns)
                    writer.change_metrics(probe_set.metrics, values)
                self._last_mono_ms = now_ns // _NS_PER_MS
                writer.add(self._last_mono_ms, unix_ms, values)
            finally:
                self._writing = False
            if self._queue or self._marks_left_out:
                self._write_queue()
            writer.maintain()

    def maintain(self) -> None:
        """Do due work on the log directory, for some milliseconds; cheap if nothing is due."""
        with self._lock:
            if not self.closed:
                self.writer.maintain()

    def note(self, kind: int, value: int = 0, text: str = "") -> None:
        """Write an event. It is on disk when this returns, unless the disk takes longer than 50 ms.

        The owner writes it now, or right after its current write. Other threads wait for the owner.
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
        """Write the queued events; only the owner calls this."""
        if not self._queue or self._writing:
            return  # a signal handler or a finalizer may run in the middle of our own write
        with self._lock:
            if not self.closed:
                self._write_queue()

    def store_artefact(
        self,
        kind: str,
        data: bytes,
        *,
        why: str = "",
        suffix: str = "",
        unix_ms: int = 0,
        check: Callable[[], None] | None = None,
    ) -> str:
        """Let the owner write an artefact into the run directory; wait; return its file name.

        `unix_ms` is when it was taken, 0 for now. `check` is called during the wait, and may raise
        to end it. Raises ValueError, OSError or PprofplusError if it cannot be written.
        """
        if self.closed:
            raise ValueError(_RUN_ENDS)
        from pprofplus.recording import artefact_queue

        pending = artefact_queue.PendingArtefact(kind, data, why, suffix, unix_ms)
        if self._wake is None or get_ident() == self._owner:
            with self._lock:
                pending.write(self._write_artefact)
        else:
            self._artefacts.append(pending)
            self._wake()
        try:
            return pending.wait(check)
        finally:
            artefact_queue.discard(self._artefacts, pending)

    def write_artefacts(self) -> None:
        """Write the queued artefacts; only the owner calls this."""
        if self._artefacts:
            with self._lock:
                if not self.closed:
                    self._write_pending_artefacts()

    def mark(self, text: str) -> None:
        """Write a mark; after a burst, marks above one a second are only counted."""
        now_ns = monotonic_ns()
        gained = (now_ns - self._counted_ns) // _NS_PER_MARK
        if gained:
            self._marks_free = min(_MARK_BURST, self._marks_free + gained)
            self._counted_ns += gained * _NS_PER_MARK
        if self._marks_free > 0:
            self._marks_free -= 1
            self.add_mark(text)
        else:
            self._marks_left_out += 1

    def add_mark(self, text: str) -> None:
        """Write a mark, without a limit to the rate."""
        self.note(MARK, 0, text)

    def pause(self) -> bool:
        """Take no more samples; False if it was paused already."""
        if self.paused:
            return False
        self.paused = True
        self.note(PAUSE)
        return True

    def resume(self) -> bool:
        """Take samples again; False if it was not paused."""
        if not self.paused:
            return False
        self.paused = False
        self.resumed = True
        self.note(RESUME)
        return True

    def set_interval(self, interval_s: float) -> bool:
        """Change the interval; False if it is the same. Raises ValueError."""
        interval_s = check_interval_s(interval_s)
        if interval_s == self.interval_s:
            return False
        self.interval_s = self.probe_set.interval_s = interval_s
        self.writer.set_interval(round(interval_s * 1000))
        self.note(INTERVAL, round(interval_s * 1_000_000))
        return True

    def handle_requests(self) -> None:
        """Read requests from outside, carry them out, and answer."""
        requests, writer = self._requests or self._load_request_handler(), self.writer
        if self.closed or requests is None or not requests.due(writer.directory):
            return
        with self._lock:  # no fork while descriptors are open
            if not self.closed:
                requests.handle(writer.directory, self)

    def _load_request_handler(self) -> RequestHandler | None:
        """Return the new handler of requests, None if its modules cannot be loaded now."""
        with self._lock:  # a child forked during an import would wait for the import forever
            try:
                self._requests = self._make_request_handler()
            except (OSError, ImportError):
                return None  # no descriptor is left: the next call tries again
        return self._requests

    def cancel_actions(self) -> None:
        """Cancel the running long action, if any; does not wait, and uses no file."""
        if self._requests is not None:
            self._requests.cancel(_RUN_ENDS)

    def emit_warnings(self) -> None:
        """Log new problems, one line a kind. Hold no lock: the host's log handlers run here."""
        for name, error in _take_all(self.probe_set.failures):
            warn_throttled(
                f"probe {name}", f"{name} fails, its values may be old: {describe(error)}"
            )
        for kind, line in _take_all(self.probe_set.warnings):
            warn_once(kind, line)
        for kind, line in _take_all(self.writer.incidents):
            warn_throttled(f"log {kind}", line)
        if self._requests is not None:
            for kind, line in self._requests.take_warnings():
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
            log_recovery(f"writing to {self.writer.directory} works again")

    def close_log(self, why: str = "") -> None:
        """Write the stop event, with `why` as its text, and close the log."""
        with self._lock:
            if self.closed or self._writing:
                return
            self._write_queue()
            self._write_pending_artefacts()
            while self._artefacts:
                self._artefacts.popleft().fail(ValueError(_RUN_ENDS))
            self.closed = True
            if self._requests is not None:
                self._requests.end(self.writer.directory, _RUN_ENDS)
            mono_ms, unix_ms = monotonic_ns() // _NS_PER_MS, time_ns() // _NS_PER_MS
            self.writer.add_event(Event(STOP, mono_ms, unix_ms, 0, why))
            self.writer.close()

    def close(self, why: str = "") -> None:
        """Close the log and the probes; call it from the thread that reads the probes.

        It cancels a running long action and waits for its end for a short time.
        """
        self.cancel_actions()
        if self._requests is not None:
            self._requests.join(_ACTION_TIMEOUT_S)
        self.close_log(why)
        self.probe_set.close()

    def abandon(self) -> None:
        """In a forked child: close our copies of the parent's descriptors; do not use its log.

        On some file systems a close waits for the disk: only a thread of ours may call this.
        """
        if self._requests is not None:
            self._requests.abandon()
        self.writer.abandon()
        self.probe_set.close()

    def _write_artefact(self, pending: PendingArtefact) -> str:
        """Write one artefact; return its name. Raises as `Writer.store_artefact` does."""
        return self.writer.store_artefact(
            pending.unix_ms, pending.kind, pending.data, why=pending.why, suffix=pending.suffix
        )

    def _write_pending_artefacts(self) -> None:
        """Write the queued artefacts, if the ledger is not busy; the lock is held."""
        if self._artefacts:
            from pprofplus.recording import artefact_queue

            artefact_queue.write_all(self._artefacts, self._write_artefact)

    def _write_queue(self) -> None:
        """Write the queued events; the lock is held."""
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
                # an event that had to wait must not be older than the sample that it waited for
                late_ms = max(0, self._last_mono_ms - event.mono_ms)
                event.mono_ms += late_ms
                event.unix_ms += late_ms
                self._last_mono_ms = event.mono_ms
                self.writer.add_event(event)
                if written is not None:
                    written.open()
        finally:
            self._writing = False
