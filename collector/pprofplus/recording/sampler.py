"""The thread that samples: on a fixed grid, from the start of a run to its end.

It is the only one that reads or writes files. Callers hand over what they want, wake it, and wait
for a limited time, so that a disk that hangs cannot block the host.
"""

from __future__ import annotations

import os
from _thread import RLock
from collections import deque
from time import monotonic, monotonic_ns

from pprofplus.control.request_handler import RequestHandler
from pprofplus.log.identity import header
from pprofplus.log.retention import SWEEP_PERIOD_S, load, sweep_home
from pprofplus.probes.gauge_registry import REGISTRY
from pprofplus.probes.probe_set import ProbeSet
from pprofplus.recording.inherited import Inherited
from pprofplus.recording.run_actions import ACTIONS
from pprofplus.recording.run_recorder import RunRecorder, open_recorder, read_first
from pprofplus.recording.schedule import next_due_ns, on_grid_ns
from pprofplus.recording.termination import Termination
from pprofplus.settings import Settings, check_interval_s
from pprofplus.system.background import BackgroundThread, Gate, WakeEvent
from pprofplus.system.user import User
from pprofplus.warn import describe, say_again, say_once

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from pprofplus.log.format import RunHeader
    from pprofplus.probes.probe_set import Table

# a forked child that execs or exits at once is not worth a run
_GRACE_S = 0.1
# how long callers wait for the thread: start() for the first sample; mark() and its like less, for
# the caller may hold a lock that a gauge needs, and what was said is not lost
_OPEN_PATIENCE_S = 5.0
_SAY_PATIENCE_S = 0.05
# stop() for a last sample, and both stop() and exit for the end of the log
_SAMPLE_PATIENCE_S = 2.0
_END_PATIENCE_S = 4.0
_EARLY_MARKS = 100
# with a longer interval it still looks for requests so often
_LOOK_NS = 2_000_000_000
_SWEEP_NS = round(SWEEP_PERIOD_S * 1e9)


class Collector:
    """Records this process until `stop()` or its end; made by `pprofplus.start()`.

    A forked child records itself with the same object: `pid`, `directory` and `samples` are then
    the child's. Nothing here raises but what says so, and all is safe from any thread.

    Attributes:
        service: the service's name.
        pid: the process recorded.
    """

    def __init__(self, settings: Settings, grace_s: float = 0.0) -> None:
        """Make one that opens its log when the process has lived for `grace_s`, if it is not asked.

        Asked it is by `hurry()`, and by whatever else is said to it but `stop()`.
        """
        self.service = settings.service
        self.pid = os.getpid()
        self._settings = settings
        self._parent_pid = 0
        self._interval_s = settings.interval_s
        self._paused = False
        self._recording: RunRecorder | None = None
        self._thread: BackgroundThread | None = None
        self._ending = False
        self._bell = WakeEvent()
        # held while the log's files change; a fork waits for it. Reentrant, for the garbage
        # collector may run a finalizer that forks in the middle of anything
        self.lock = RLock()
        self._closed = False
        self._grace_s = grace_s
        self._opened = Gate()
        self._given_up = False  # start() has waited for the first sample in vain
        self._end_given_up = False  # stop() has waited for the end of the log in vain
        self._inherited = Inherited()
        self._termination = Termination()
        self._user = User()
        self._early_marks: deque[str] = deque(maxlen=_EARLY_MARKS)
        self._next_sweep_ns = 0

    def __repr__(self) -> str:
        """Return what is recorded and whether it is."""
        state = "paused" if self.paused else "running" if self.running else "stopped"
        return f"<pprofplus.Collector {self.service} {self.pid} {state}>"

    @property
    def interval_s(self) -> float:
        """Seconds from one sample to the next; may be set at any time.

        Setting it raises ValueError unless it is 0.05 to 3600.
        """
        recording = self._recording
        return self._interval_s if recording is None else recording.interval_s

    @interval_s.setter
    def interval_s(self, interval_s: float) -> None:
        self._interval_s = check_interval_s(interval_s)
        self.hurry(_SAY_PATIENCE_S)
        recording = self._recording
        if recording is not None:
            recording.set_interval(self._interval_s)
            self._bell.ring()

    @property
    def running(self) -> bool:
        """Whether its thread is at work, if only waiting for `resume()`."""
        thread = self._thread
        return thread is not None and thread.alive and not self._ending

    @property
    def paused(self) -> bool:
        """Whether it takes no samples for the time being."""
        recording = self._recording
        return self.running and recording is not None and recording.paused

    @property
    def directory(self) -> str | None:
        """The run's directory; None until it is sure that the process is worth a run."""
        recording = self._recording
        return None if recording is None else recording.writer.directory

    @property
    def samples(self) -> int:
        """Samples on disk: a SIGKILL does not undo them."""
        recording = self._recording
        return 0 if recording is None else recording.writer.samples

    def begin(self) -> None:
        """Start the thread, which opens the log at once if it has no grace time."""
        self._start_thread()

    def hurry(self, patience_s: float = _OPEN_PATIENCE_S) -> None:
        """Have the log opened without grace time, and wait for it, `patience_s` at the most."""
        if self._opened.is_open:
            return
        self._grace_s = 0.0
        self._bell.ring()
        thread = self._thread
        if thread is None or not thread.alive or thread.is_current() or self._given_up:
            return
        self._opened.wait(patience_s)
        if patience_s >= _OPEN_PATIENCE_S and not self._opened.is_open:
            self._given_up = True  # start() may be called again and again
            say_once(
                "hang",
                f"no sample after {patience_s:g} s: the disk of the log directory, or a gauge, does"
                " not answer; recording begins when it does",
            )

    def mark(self, text: str) -> None:
        """Note `text`, up to 1,024 bytes, in the log: it is a line on every chart."""
        if self.running:
            self._guard(lambda: self._mark(str(text)))

    def pause(self) -> None:
        """Take no more samples until `resume()`; the charts show a gap."""
        if self.running:
            self._paused = True
            self.hurry(_SAY_PATIENCE_S)
            recording = self._recording
            if recording is not None:
                self._guard(recording.pause)

    def resume(self) -> None:
        """Take samples again, the first one at once."""
        if self.running:
            self._paused = False
            self.hurry(_SAY_PATIENCE_S)
            recording = self._recording
            if recording is not None:
                self._guard(recording.resume)
                self._bell.ring()

    def stop(self) -> None:
        """Take a last sample, write a stop event, and close the log. Idempotent."""
        self.finish(_SAMPLE_PATIENCE_S)

    def finish(self, sample_patience_s: float) -> None:
        """As `stop()`, but wait no longer than `sample_patience_s` for a last sample.

        In all it waits no longer than 4 s: what a disk that hangs makes of the log is then left to
        the threads, or to the kernel if the process ends.
        """
        if self.pid != os.getpid():
            return  # C code forked, and did not tell Python: the log is the parent's
        self._ending = True
        recording = self._recording
        if recording is not None:
            recording.cancel_actions()
        self._bell.ring()
        thread = self._thread
        if thread is None or thread.is_current():
            return  # in the middle of a sample: the thread closes the log when that is done
        if self._end_given_up:  # the exit comes after a stop() that has waited in vain
            return
        until_s = monotonic() + _END_PATIENCE_S
        thread.join(sample_patience_s)
        if not thread.alive:
            return
        # a probe may be held up: then the log ends without its last sample
        closer = BackgroundThread(self._close_log)
        try:
            closer.start()
        except (RuntimeError, MemoryError):
            closer = thread  # there can be no more threads
        closer.join(max(until_s - monotonic(), 0.0))
        if closer.alive:
            self._end_given_up = True
            say_again("hang at end", "the log has no end yet: its disk does not answer")

    def follow_fork(self, *, record: bool, torn: bool) -> None:
        """In a forked child: leave the parent's log alone; if `record`, begin one of our own.

        `torn` says that the fork came in the middle of a change of files. A close may wait for the
        disk, so a thread of the child's does it, unless the child is on its way to another program.
        """
        self._termination.leave_to_parent()
        self.lock = RLock()
        recording, self._recording, self._thread = self._recording, None, None
        if recording is not None:
            self._interval_s = recording.interval_s
            self._paused = recording.paused
        self._inherited.add(recording, torn=torn)
        if recording is not None or not self._grace_s:  # else it waits as long as its parent
            self._grace_s = min(_GRACE_S, self._interval_s)
        self._opened = Gate()
        self._given_up = self._end_given_up = False
        self._early_marks.clear()
        self._closed = self._closed or self._ending or not record
        self._parent_pid, self.pid = self.pid, os.getpid()
        self._bell = WakeEvent()
        if not record:
            self._guard(self._leave_parents_files)  # its exec would wait as long
        elif not self._closed or self._inherited:
            self._start_thread()

    def emit_warnings(self) -> None:
        """Log the warnings that are due, one of each kind.

        Holds no lock: the log handlers of the host run here.
        """
        recording = self._recording
        if recording is not None:
            recording.emit_warnings()

    def _guard(self, action: Callable[[], object]) -> bool:
        """Run one step; False, after a warning, if it failed in a way that nobody foresaw."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - the outer edge: nothing leaves for the host
            say_once(f"step {type(error).__name__}", f"pprofplus stumbled: {describe(error)}")
            return False
        return True

    def _mark(self, text: str) -> None:
        recording = self._recording
        if recording is not None:
            recording.mark(text)
            return
        self._early_marks.append(text)
        self.hurry(_SAY_PATIENCE_S)
        self._write_early_marks()  # if they came after those that were written at the opening

    def _write_early_marks(self) -> None:
        recording = self._recording
        while recording is not None and self._early_marks:
            try:
                text = self._early_marks.popleft()
            except IndexError:  # another thread took the last one
                return
            recording.mark(text)

    def _start_thread(self) -> None:
        self._thread = BackgroundThread(self._run)
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:  # none left, or the interpreter is ending
            self._thread = None
            self._closed = True
            say_once("thread", f"nothing is recorded: {error}")
            # without a thread it is the only way: the parent would look alive as long as we live
            self._guard(self._leave_parents_files)

    def _run(self) -> None:
        bell, opened = self._bell, self._opened
        self._guard(self._leave_parents_files)
        if self._closed:
            return
        if not opened.is_open:
            if self._grace_s and bell.wait(self._grace_s):
                bell.ring()  # it was meant for whoever waits next, too
            if bell is not self._bell:
                return
            found = self._guard(self._open)
            if self._recording is not None:
                # before start() returns: a handler that the program installs then replaces ours
                self._arm(self._recording)
            opened.open()
            if not found:
                self._guard(self._close)
                return
            self._load_as_root()
        if self._recording is not None:
            self._record(self._recording, bell)
            if bell is not self._bell:
                return  # forked along: gevent's threads are, and any that forks
            self._guard(self._recording.sample)
        self._guard(self._close)
        self.emit_warnings()

    def _load_as_root(self) -> None:
        """Load what is needed later: a server that gives up root's rights may not read it then."""
        if self._user.recorded[1] == 0:
            try:
                load()
            except OSError:
                return  # no descriptor left: it is tried again when it is needed

    def _record(self, recording: RunRecorder, bell: WakeEvent) -> None:
        """Sample on the grid, and look for requests, until it is time to end."""
        interval_s = recording.interval_s
        interval_ns = round(interval_s * 1e9)
        due_ns = next_due_ns(on_grid_ns(recording.began_ns), interval_ns, monotonic_ns())
        self._guard(recording.tend)  # a short-lived process takes no other sample
        while True:
            recording.emit_warnings()
            now_ns = monotonic_ns()
            bell.wait(min(due_ns - now_ns, _LOOK_NS) / 1e9)
            if self._ending or bell is not self._bell:
                return
            now_ns = monotonic_ns()
            self._termination.suspend()
            self._guard(recording.flush)
            self._guard(recording.write_artefacts)
            self._guard(recording.handle_requests)
            if now_ns >= due_ns and (uid := self._user.became()) is not None:
                self._follow_user(uid)
                recording = self._recording or recording
                self._arm(recording)
            if now_ns >= due_ns or recording.resumed:
                self._guard(recording.sample)
            if now_ns >= due_ns:
                due_ns = next_due_ns(due_ns, interval_ns, now_ns)
            if recording.interval_s != interval_s:
                interval_s = recording.interval_s
                interval_ns = round(interval_s * 1e9)
                due_ns = on_grid_ns(monotonic_ns()) + interval_ns
            if now_ns >= self._next_sweep_ns:
                self._guard(self._sweep)
            self._termination.look()

    def _arm(self, recording: RunRecorder) -> None:
        """Have a SIGTERM marked that ends the process by default."""
        self._termination.arm(
            recording.writer.directory, group_readable=self._settings.group_readable
        )

    def _open(self) -> None:
        """Open probes and log; write the first events and the first sample.

        Not if the process ends before anyone asked for that: it is not worth a run.
        """
        if self._ending and self._grace_s:
            return

        def keep(recording: RunRecorder) -> None:
            self._recording = recording
            self._write_early_marks()
            if self._paused:
                recording.pause()

        self._user.settle()
        self._begin_run(self._parent_pid, keep)

    def _begin_run(self, parent_pid: int, keep: Callable[[RunRecorder], None]) -> None:
        """Begin a run, unless the log was closed meanwhile, and hand it to `keep` under the lock.

        A fork in between would otherwise leave the child a locked segment that nobody knows.
        """
        with self.lock:
            panel = ProbeSet(self._interval_s, self._settings.budget, registry=REGISTRY)
        read_at = read_first(panel)  # without the lock: a fork need not wait for a slow gauge
        with self.lock:
            if self._closed:
                panel.close()
                return
            recording = open_recorder(
                panel,
                read_at,
                self._settings,
                self.lock,
                self._identify,
                parent_pid=parent_pid,
                wake=self._bell.ring,
                requests=RequestHandler(ACTIONS, self._bell.ring),
            )
            keep(recording)

    def _follow_user(self, uid: int) -> None:
        """Begin a run as the user that the process has become.

        If that user may not write there, the old segment is written on to its end.
        """
        old, trouble = self._recording, None
        if old is None:
            return
        self._interval_s, self._paused = old.interval_s, old.paused

        def take_over(new: RunRecorder) -> None:
            nonlocal trouble
            trouble = new.writer.trouble
            if trouble is not None:
                new.panel.close()
                return
            old.close(f"goes on in another run, as uid {uid}")
            self._recording = new
            self._user.settle()
            if self._paused:
                new.pause()

        self._guard(lambda: self._begin_run(0, take_over))
        if trouble is not None:
            say_once(
                f"user {uid}",
                f"this process runs as uid {uid} now, which cannot write to {self._settings.home}:"
                f" the log ends with its segment; name another directory ({trouble})",
            )

    def _leave_parents_files(self) -> None:
        """In a forked child, close our copies of the parent's descriptors."""
        if self._inherited:
            with self.lock:  # a fork of ours waits until that is done
                self._inherited.close(self._settings.home)

    def _identify(self, start_ms: int, metrics: Table) -> RunHeader:
        return header(self.service, self.pid, start_ms, self._interval_s, metrics)

    def _sweep(self) -> None:
        """Have the runs removed that ended too long ago."""
        self._next_sweep_ns = monotonic_ns() + _SWEEP_NS
        with self.lock:  # no fork while descriptors are open
            sweep_home(self._settings.home, self._settings.max_age_days)

    def _close(self) -> None:
        """Close log and probes; the thread that reads the probes does it, if there is one."""
        self._closed = True
        if self._recording is not None:
            self._recording.close()
            self._termination.disarm()

    def _close_log(self) -> None:
        """Write the stop event, and close the log, while the thread waits for a probe."""
        with self.lock:
            self._closed = True
            if self._recording is not None:
                self._guard(self._recording.close_log)
