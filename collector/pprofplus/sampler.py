"""The thread that samples: on a fixed grid, from the start of a run to its end."""

from __future__ import annotations

import os
from _thread import RLock, get_ident
from time import monotonic_ns, time_ns

from pprofplus.background import Background, Bell
from pprofplus.format import FORK, START, Event
from pprofplus.gauges import REGISTRY
from pprofplus.identity import header
from pprofplus.notices import describe, say_once
from pprofplus.probes.panel import Panel
from pprofplus.recording import Recording
from pprofplus.retention import SWEEP_PERIOD_S, sweep_home
from pprofplus.settings import Settings, check_interval_s
from pprofplus.writer import Writer

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

_NS_PER_MS = 1_000_000
# the grid's points lie early in their millisecond, so that a punctual sample's time, cut to whole
# milliseconds, keeps the same distance from the one before: that takes no byte in the log
_INTO_MS_NS = 200_000
# a forked child that execs or exits at once is not worth a run
_GRACE_S = 0.1
_PATIENCE_S = 2.0
# with a longer interval it still looks for requests so often
_LOOK_NS = 2_000_000_000
_SWEEP_NS = round(SWEEP_PERIOD_S * 1e9)


def on_grid_ns(now_ns: int) -> int:
    """Return the point that a grid begun now has now."""
    return now_ns // _NS_PER_MS * _NS_PER_MS + _INTO_MS_NS


def next_due_ns(due_ns: int, interval_ns: int, now_ns: int) -> int:
    """Return the point of the grid to come: after the one just served, and after now.

    Points that a stall or a suspend has passed over are left out.
    """
    return due_ns + interval_ns * max(1, (now_ns - due_ns) // interval_ns + 1)


class Collector:
    """Records this process until `stop()` or its end; made by `pprofplus.start()`.

    A forked child records itself with the same object: `pid`, `directory` and `samples` are then
    the child's. Nothing here raises but what says so, and all is safe from any thread.

    Attributes:
        service: the service's name.
        pid: the process recorded.
    """

    def __init__(self, settings: Settings) -> None:
        self.service = settings.service
        self.pid = os.getpid()
        self._settings = settings
        self._parent_pid = 0
        self._interval_s = settings.interval_s
        self._paused = False
        self._recording: Recording | None = None
        self._thread: Background | None = None
        self._ending = False
        self._bell = Bell()
        # held while the log's files change; a fork waits for it. Reentrant, for the garbage
        # collector may run a finalizer that forks in the middle of anything
        self.lock = RLock()
        self._closed = False
        self._beginner = 0  # the thread that opens the log
        self._grid_ns = 0
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
        """The run's directory; None until a forked child takes its first sample."""
        recording = self._recording
        return None if recording is None else recording.writer.directory

    @property
    def samples(self) -> int:
        """Samples on disk: a SIGKILL does not undo them."""
        recording = self._recording
        return 0 if recording is None else recording.writer.samples

    def begin(self) -> None:
        """Take the first sample, and start the thread for the others."""
        self._beginner = get_ident()
        try:
            if not self._closed and self._guard(self._open):
                self._start_thread(0.0)
            else:
                self._guard(self._close)
        except BaseException:  # a signal handler of the host's raised it in here: leave no lock
            self._guard(self._close)
            raise
        finally:
            self._beginner = 0

    def mark(self, text: str) -> None:
        """Note `text`, up to 1,024 bytes, in the log: it is a line on every chart."""
        recording = self._recording
        if recording is not None and self.running:
            self._guard(lambda: recording.mark(str(text)))

    def pause(self) -> None:
        """Take no more samples until `resume()`; the charts show a gap."""
        recording = self._recording
        if recording is not None and self.running:
            self._guard(recording.pause)

    def resume(self) -> None:
        """Take samples again, the first one at once."""
        recording = self._recording
        if recording is not None and self.running:
            self._guard(recording.resume)
            self._bell.ring()

    def stop(self) -> None:
        """Take a last sample, write a stop event, and close the log. Idempotent."""
        self.finish(_PATIENCE_S)

    def finish(self, patience_s: float) -> None:
        """As `stop()`, but wait no longer than twice `patience_s`."""
        if self.pid != os.getpid():
            return  # C code forked, and did not tell Python: the log is the parent's
        self._ending = True
        self._bell.ring()
        thread = self._thread
        if self._beginner == get_ident() or (thread is not None and thread.is_current()):
            return  # in the middle of a sample: the thread closes the log when that is done
        if thread is not None:
            thread.join(patience_s)
        # a probe may be held up: then the log ends without its last sample
        if not self._closed and self.lock.acquire(timeout=patience_s):
            try:
                self._guard(self._close_log)
            finally:
                self.lock.release()

    def follow_fork(self, *, record: bool) -> None:
        """In a forked child: leave the parent's log alone; if `record`, begin one of our own."""
        self.lock = RLock()
        recording, self._recording, self._thread = self._recording, None, None
        if recording is not None:
            self._interval_s = recording.interval_s
            self._paused = recording.paused
            recording.abandon()
        self._closed = self._closed or self._ending or not record
        self._parent_pid, self.pid = self.pid, os.getpid()
        self._bell = Bell()
        if not self._closed:
            self._start_thread(min(_GRACE_S, self._interval_s))

    def speak(self) -> None:
        """Warn of troubles, one of each kind. Holds no lock: the host's log handlers run here."""
        recording = self._recording
        if recording is not None:
            recording.speak()

    def _guard(self, action: Callable[[], object]) -> bool:
        """Run one step; False, after a warning, if it failed in a way that nobody foresaw."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - the outer edge: nothing leaves for the host
            say_once(f"step {type(error).__name__}", f"pprofplus stumbled: {describe(error)}")
            return False
        return True

    def _start_thread(self, grace_s: float) -> None:
        self._thread = Background(lambda: self._run(grace_s))
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:  # none left, or the interpreter is ending
            self._thread = None
            say_once("thread", f"nothing is recorded: {error}")
            self._guard(self._close)

    def _run(self, grace_s: float) -> None:
        bell = self._bell
        if grace_s:
            bell.wait(grace_s)
            if bell is not self._bell:
                return
            if not self._guard(self._open):
                self._guard(self._close)
                return
        recording = self._recording
        if recording is not None:
            self._record(recording, bell)
            if bell is not self._bell:
                return  # forked along: gevent's threads are, and any that forks
            self._guard(recording.sample)
        self._guard(self._close)
        self.speak()

    def _record(self, recording: Recording, bell: Bell) -> None:
        """Sample on the grid, and look for requests, until it is time to end."""
        interval_s = recording.interval_s
        interval_ns = round(interval_s * 1e9)
        due_ns = next_due_ns(self._grid_ns, interval_ns, monotonic_ns())
        while True:
            recording.speak()
            now_ns = monotonic_ns()
            bell.wait(min(due_ns - now_ns, _LOOK_NS) / 1e9)
            if self._ending or bell is not self._bell:
                return
            now_ns = monotonic_ns()
            self._guard(recording.obey)
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

    def _open(self) -> None:
        """Open probes and log; write the first events and the first sample."""
        with self.lock:
            settings = self._settings
            panel = Panel(self._interval_s, settings.budget, registry=REGISTRY)
            now_ns, unix_ms = monotonic_ns(), time_ns() // _NS_PER_MS
            mono_ms = now_ns // _NS_PER_MS
            self._grid_ns = on_grid_ns(now_ns)
            panel.read(now_ns)
            values = panel.relist(now_ns)
            identity = header(self.service, self.pid, unix_ms, self._interval_s, panel.metrics)
            writer = Writer(
                settings.home,
                identity,
                max_bytes=settings.max_bytes,
                max_total_bytes=settings.max_total_bytes,
                group_readable=settings.group_readable,
            )
            self._recording = recording = Recording(panel, writer, self.lock)
            writer.add_event(Event(START, mono_ms, unix_ms))
            if self._parent_pid:
                writer.add_event(Event(FORK, mono_ms, unix_ms, self._parent_pid))
            writer.add(mono_ms, unix_ms, values)
            if self._paused:
                recording.pause()

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

    def _close_log(self) -> None:
        """Write the stop event, and close the log."""
        self._closed = True
        if self._recording is not None:
            self._recording.close_log()
