"""The sampling thread: takes samples on a fixed grid from the start of a run to its end.

Only this thread reads or writes files. Other threads queue requests, wake it, and wait for a
limited time, so that a disk that hangs cannot block the host.
"""

from __future__ import annotations

import os
from _thread import RLock
from collections import deque
from time import monotonic, monotonic_ns

from pprofplus.log.identity import header
from pprofplus.log.retention import EXPIRY_PERIOD_S, load, request_expiry
from pprofplus.probes.gauge_registry import REGISTRY
from pprofplus.probes.probe_set import ProbeSet
from pprofplus.recording.inherited import Inherited
from pprofplus.recording.run_recorder import RunRecorder, open_recorder, read_first
from pprofplus.recording.schedule import next_due_ns, on_grid_ns
from pprofplus.recording.termination import Termination
from pprofplus.settings import Settings, check_interval_s
from pprofplus.system.background import BackgroundThread, Gate, WakeEvent
from pprofplus.system.user import User, current_ids
from pprofplus.warn import describe, warn_once, warn_throttled

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from pprofplus.control.request_handler import RequestHandler
    from pprofplus.log.format import RunHeader
    from pprofplus.probes.probe_set import Schema

if current_ids()[1] == 0:
    # a server may drop root before start(), and then may not read the files of these modules
    import pprofplus.control.request_handler
    import pprofplus.recording.run_actions  # noqa: F401 - it only has to be loaded

# a forked child that soon calls exec or exits needs no run
_GRACE_S = 0.1
# How long callers wait for the thread: start() for the first sample; mark(), pause() and resume()
# wait less, because the caller may hold a lock that a gauge needs, and the request is not lost.
_OPEN_TIMEOUT_S = 5.0
_REQUEST_TIMEOUT_S = 0.05
# stop() waits for a last sample; both stop() and exit wait for the end of the log
_SAMPLE_TIMEOUT_S = 2.0
_END_TIMEOUT_S = 4.0
_EARLY_MARKS = 100
# with a longer interval it still checks for requests this often
_REQUEST_CHECK_NS = 2_000_000_000
_EXPIRY_NS = round(EXPIRY_PERIOD_S * 1e9)


def _make_request_handler(wake: Callable[[], None]) -> RequestHandler:
    """Return the handler of requests; the import of the package does not load its modules."""
    from pprofplus.control.request_handler import RequestHandler
    from pprofplus.recording.run_actions import ACTIONS

    return RequestHandler(ACTIONS, wake)


class Collector:
    """Records this process until `stop()` or its end; created by `pprofplus.start()`.

    A forked child records itself with the same object: `pid`, `directory` and `samples` are then
    the child's. Methods do not raise unless their docstring says so, and all are thread-safe.

    Attributes:
        service: the service's name.
        pid: the process recorded.
    """

    def __init__(self, settings: Settings, grace_s: float = 0.0) -> None:
        """Create a collector that opens its log after `grace_s`, or earlier if it is used.

        `open_now()` opens it earlier, as does every other call except `stop()`.
        """
        self.service = settings.service
        self.pid = os.getpid()
        self._settings = settings
        self._parent_pid = 0
        self._interval_s = settings.interval_s
        self._paused = False
        self._recorder: RunRecorder | None = None
        self._thread: BackgroundThread | None = None
        self._ending = False
        self._wake_event = WakeEvent()
        # Held while the log's files change; a fork waits for it. It is reentrant, because the
        # garbage collector may run a finalizer that forks at any point.
        self.lock = RLock()
        self._closed = False
        self._grace_s = grace_s
        self._opened = Gate()
        self._start_timed_out = False  # start() has waited for the first sample and timed out
        self._end_timed_out = False  # stop() has waited for the end of the log and timed out
        self._inherited = Inherited()
        self._termination = Termination()
        self._user = User()
        self._early_marks: deque[str] = deque(maxlen=_EARLY_MARKS)
        self._next_expiry_ns = 0

    def __repr__(self) -> str:
        """Return what is recorded and the state."""
        state = "paused" if self.paused else "running" if self.running else "stopped"
        return f"<pprofplus.Collector {self.service} {self.pid} {state}>"

    @property
    def interval_s(self) -> float:
        """Seconds from one sample to the next; may be set at any time.

        Setting it raises ValueError unless it is 0.05 to 3600.
        """
        recorder = self._recorder
        return self._interval_s if recorder is None else recorder.interval_s

    @interval_s.setter
    def interval_s(self, interval_s: float) -> None:
        self._interval_s = check_interval_s(interval_s)
        self.open_now(_REQUEST_TIMEOUT_S)
        recorder = self._recorder
        if recorder is not None:
            recorder.set_interval(self._interval_s)
            self._wake_event.set()

    @property
    def running(self) -> bool:
        """Whether its thread runs, including while paused."""
        thread = self._thread
        return thread is not None and thread.alive and not self._ending

    @property
    def paused(self) -> bool:
        """Whether sampling is paused."""
        recorder = self._recorder
        return self.running and recorder is not None and recorder.paused

    @property
    def directory(self) -> str | None:
        """The run directory; None until the log is opened."""
        recorder = self._recorder
        return None if recorder is None else recorder.writer.directory

    @property
    def samples(self) -> int:
        """Samples on disk: a SIGKILL does not undo them."""
        recorder = self._recorder
        return 0 if recorder is None else recorder.writer.samples

    def begin(self) -> None:
        """Start the thread, which opens the log immediately if it has no grace time."""
        self._start_thread()

    def open_now(self, timeout_s: float = _OPEN_TIMEOUT_S) -> None:
        """Open the log without grace time, and wait for it, at most `timeout_s`."""
        if self._opened.is_open:
            return
        self._grace_s = 0.0
        self._wake_event.set()
        thread = self._thread
        if thread is None or not thread.alive or thread.is_current() or self._start_timed_out:
            return
        self._opened.wait(timeout_s)
        if timeout_s >= _OPEN_TIMEOUT_S and not self._opened.is_open:
            self._start_timed_out = True  # start() may be called repeatedly: wait only once
            warn_once(
                "hang",
                f"no sample after {timeout_s:g} s: the disk of the log directory, or a gauge, does"
                " not respond; recording begins when it responds",
            )

    def mark(self, text: str) -> None:
        """Write `text`, up to 1,024 bytes, to the log: charts show it as a line."""
        if self.running:
            self._guard(lambda: self._mark(str(text)))

    def pause(self) -> None:
        """Take no more samples until `resume()`; the charts show a gap."""
        if self.running:
            self._paused = True
            self.open_now(_REQUEST_TIMEOUT_S)
            recorder = self._recorder
            if recorder is not None:
                self._guard(recorder.pause)

    def resume(self) -> None:
        """Take samples again, the first one immediately."""
        if self.running:
            self._paused = False
            self.open_now(_REQUEST_TIMEOUT_S)
            recorder = self._recorder
            if recorder is not None:
                self._guard(recorder.resume)
                self._wake_event.set()

    def stop(self) -> None:
        """Take a last sample, write a stop event, and close the log. Idempotent."""
        self.finish(_SAMPLE_TIMEOUT_S)

    def finish(self, sample_timeout_s: float) -> None:
        """As `stop()`, but wait at most `sample_timeout_s` for a last sample.

        It never waits longer than 4 s in total. If the disk hangs for longer, the threads finish
        the log later, or the kernel closes it if the process ends.
        """
        if self.pid != os.getpid():
            return  # C code forked without informing Python: the log belongs to the parent
        self._ending = True
        recorder = self._recorder
        if recorder is not None:
            recorder.cancel_actions()
        self._wake_event.set()
        thread = self._thread
        if thread is None or thread.is_current():
            return  # called during a sample: the thread closes the log after it
        if self._end_timed_out:  # the exit follows a stop() that has timed out
            return
        until_s = monotonic() + _END_TIMEOUT_S
        thread.join(sample_timeout_s)
        if not thread.alive:
            return
        # a probe may be blocked: then the log ends without its last sample
        closer = BackgroundThread(self._close_log)
        try:
            closer.start()
        except (RuntimeError, MemoryError):
            closer = thread  # no more threads can be created
        closer.join(max(until_s - monotonic(), 0.0))
        if closer.alive:
            self._end_timed_out = True
            warn_throttled(
                "hang at end", "the end of the log is not written: its disk does not respond"
            )

    def after_fork_in_child(self, *, record: bool, torn: bool) -> None:
        """In a forked child: do not use the parent's log; if `record`, begin a run for the child.

        `torn` means that the fork came during a change of files. A close may wait for the disk, so
        a thread of the child does it, unless the child is about to execute another program.
        """
        self._termination.detach_from_parent()
        self.lock = RLock()
        recorder, self._recorder, self._thread = self._recorder, None, None
        if recorder is not None:
            self._interval_s = recorder.interval_s
            self._paused = recorder.paused
        self._inherited.add(recorder, torn=torn)
        if recorder is not None or not self._grace_s:  # otherwise it waits as long as its parent
            self._grace_s = min(_GRACE_S, self._interval_s)
        self._opened = Gate()
        self._start_timed_out = self._end_timed_out = False
        self._early_marks.clear()
        self._closed = self._closed or self._ending or not record
        self._parent_pid, self.pid = self.pid, os.getpid()
        self._wake_event = WakeEvent()
        if not record:
            # exec closes them too, and would wait as long
            self._guard(self._close_parents_files)
        elif not self._closed or self._inherited:
            self._start_thread()

    def emit_warnings(self) -> None:
        """Log new problems, one line a kind. Hold no lock: the host's log handlers run here."""
        recorder = self._recorder
        if recorder is not None:
            recorder.emit_warnings()

    def _guard(self, action: Callable[[], object]) -> bool:
        """Run one step; False, after a warning, if it raised an unexpected error."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - outer boundary: no exception reaches the host
            warn_once(
                f"step {type(error).__name__}", f"internal error of pprofplus: {describe(error)}"
            )
            return False
        return True

    def _mark(self, text: str) -> None:
        recorder = self._recorder
        if recorder is not None:
            recorder.mark(text)
            return
        self._early_marks.append(text)
        self.open_now(_REQUEST_TIMEOUT_S)
        # for a mark that came after those that were written when the log was opened
        self._write_early_marks()

    def _write_early_marks(self) -> None:
        recorder = self._recorder
        while recorder is not None and self._early_marks:
            try:
                text = self._early_marks.popleft()
            except IndexError:  # another thread took the last one
                return
            recorder.mark(text)

    def _start_thread(self) -> None:
        self._thread = BackgroundThread(self._run)
        try:
            self._thread.start()
        # no thread can be created, or the interpreter is ending
        except (RuntimeError, MemoryError) as error:
            self._thread = None
            self._closed = True
            warn_once("thread", f"nothing is recorded: cannot start a thread: {error}")
            # Without a thread, close them here: otherwise the parent looks alive as long as this
            # process lives.
            self._guard(self._close_parents_files)

    def _run(self) -> None:
        wake_event, opened = self._wake_event, self._opened
        self._guard(self._close_parents_files)
        if self._closed:
            return
        if not opened.is_open:
            if self._grace_s and wake_event.wait(self._grace_s):
                wake_event.set()  # it may have been meant for the next waiter too: set it again
            if wake_event is not self._wake_event:
                return
            found = self._guard(self._open)
            if self._recorder is not None:
                # before start() returns, so that a handler that the program installs later replaces
                # ours
                self._arm(self._recorder)
            opened.open()
            if not found:
                self._guard(self._close)
                return
            self._guard(self._load_for_later)
        if self._recorder is not None:
            self._record(self._recorder, wake_event)
            if wake_event is not self._wake_event:
                return  # this thread was copied by the fork: gevent copies its threads
            self._guard(self._recorder.sample)
        self._guard(self._close)
        self.emit_warnings()

    def _load_for_later(self) -> None:
        """Load the modules that are needed later, while their files are those of this release.

        A later release may replace the files, and a server that drops root may not read them.
        """
        try:
            with self.lock:  # a child forked during an import would wait for the import forever
                import pprofplus.control.request_handler
                import pprofplus.recording.artefact_queue
                import pprofplus.recording.run_actions

                if self._user.recorded[1] == 0:
                    load()
                    import pprofplus.control.long_actions
                    import pprofplus.log.artefact_writer  # noqa: F401 - it only has to be loaded
        except (OSError, ImportError):
            return  # no descriptor left: loading is tried again when the modules are needed

    def _record(self, recorder: RunRecorder, wake_event: WakeEvent) -> None:
        """Sample on the grid, and check for requests, until the end."""
        interval_s = recorder.interval_s
        interval_ns = round(interval_s * 1e9)
        due_ns = next_due_ns(on_grid_ns(recorder.began_ns), interval_ns, monotonic_ns())
        self._guard(recorder.maintain)  # a short-lived process takes no other sample
        while True:
            recorder.emit_warnings()
            now_ns = monotonic_ns()
            wake_event.wait(min(due_ns - now_ns, _REQUEST_CHECK_NS) / 1e9)
            if self._ending or wake_event is not self._wake_event:
                return
            now_ns = monotonic_ns()
            self._termination.suspend()
            self._guard(recorder.flush)
            self._guard(recorder.write_artefacts)
            self._guard(recorder.handle_requests)
            if now_ns >= due_ns and (uid := self._user.changed_uid()) is not None:
                self._follow_user(uid)
                recorder = self._recorder or recorder
                self._arm(recorder)
            if now_ns >= due_ns or recorder.resumed:
                self._guard(recorder.sample)
            if now_ns >= due_ns:
                due_ns = next_due_ns(due_ns, interval_ns, now_ns)
            if recorder.interval_s != interval_s:
                interval_s = recorder.interval_s
                interval_ns = round(interval_s * 1e9)
                due_ns = on_grid_ns(monotonic_ns()) + interval_ns
            if now_ns >= self._next_expiry_ns:
                self._guard(self._request_expiry)
            self._termination.refresh()

    def _arm(self, recorder: RunRecorder) -> None:
        """Record in the run directory if a SIGTERM without a handler ends the process."""
        self._termination.arm(
            recorder.writer.directory, group_readable=self._settings.group_readable
        )

    def _open(self) -> None:
        """Open probes and log; write the first events and the first sample.

        Do nothing if the process ends within its grace time: it needs no run.
        """
        if self._ending and self._grace_s:
            return

        def keep(recorder: RunRecorder) -> None:
            self._recorder = recorder
            self._write_early_marks()
            if self._paused:
                recorder.pause()

        self._user.accept()
        self._begin_run(self._parent_pid, keep)

    def _begin_run(self, parent_pid: int, keep: Callable[[RunRecorder], None]) -> None:
        """Begin a run, unless the log was closed meanwhile, and pass it to `keep` under the lock.

        Otherwise a fork in between would leave the child a locked segment that no object refers to.
        """
        wake = self._wake_event.set
        with self.lock:
            probe_set = ProbeSet(self._interval_s, self._settings.budget, registry=REGISTRY)
        read_at = read_first(probe_set)  # without the lock: a fork must not wait for a slow gauge
        with self.lock:
            if self._closed:
                probe_set.close()
                return
            recorder = open_recorder(
                probe_set,
                read_at,
                self._settings,
                self.lock,
                self._identify,
                parent_pid=parent_pid,
                wake=wake,
                make_request_handler=lambda: _make_request_handler(wake),
            )
            keep(recorder)

    def _follow_user(self, uid: int) -> None:
        """Begin a run as the user that the process has become.

        If that user may not write there, the old segment is continued until it is full.
        """
        old, write_error = self._recorder, None
        if old is None:
            return
        self._interval_s, self._paused = old.interval_s, old.paused

        def take_over(new: RunRecorder) -> None:
            nonlocal write_error
            write_error = new.writer.write_error
            if write_error is not None:
                new.probe_set.close()
                return
            old.close(f"goes on in another run, as uid {uid}")
            self._recorder = new
            self._user.accept()
            if self._paused:
                new.pause()

        self._guard(lambda: self._begin_run(0, take_over))
        if write_error is not None:
            warn_once(
                f"user {uid}",
                f"this process now runs as uid {uid}, which cannot write to"
                f" {self._settings.log_directory}: recording ends when the current segment is full;"
                f" use a directory that uid {uid} can write to (PPROFPLUS_DIR): {write_error}",
            )

    def _close_parents_files(self) -> None:
        """In a forked child, close our copies of the parent's descriptors."""
        if self._inherited:
            with self.lock:  # a fork of ours waits until they are closed
                self._inherited.close(self._settings.log_directory)

    def _identify(self, start_ms: int, metrics: Schema) -> RunHeader:
        return header(self.service, self.pid, start_ms, self._interval_s, metrics)

    def _request_expiry(self) -> None:
        """Request the removal of runs that ended too long ago."""
        self._next_expiry_ns = monotonic_ns() + _EXPIRY_NS
        with self.lock:  # no fork while descriptors are open
            request_expiry(self._settings.log_directory, self._settings.max_age_days)

    def _close(self) -> None:
        """Close log and probes; the thread that reads the probes does it, if there is one."""
        self._closed = True
        if self._recorder is not None:
            self._recorder.close()
            self._termination.disarm()

    def _close_log(self) -> None:
        """Write the stop event, and close the log, while the thread waits for a probe."""
        with self.lock:
            self._closed = True
            if self._recorder is not None:
                self._guard(self._recorder.close_log)
