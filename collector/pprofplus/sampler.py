"""The thread that samples: on a fixed grid, from the start of a run to its end."""

from __future__ import annotations

import os
import threading
from time import monotonic_ns, time_ns

from pprofplus.format import FORK, START, STOP, Event
from pprofplus.identity import header
from pprofplus.notices import say_once
from pprofplus.probes.panel import Panel
from pprofplus.settings import Settings
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


def next_due_ns(due_ns: int, interval_ns: int, now_ns: int) -> int:
    """Return the point of the grid to come: after the one just served, and after now.

    Points that a stall or a suspend has passed over are left out.
    """
    return due_ns + interval_ns * max(1, (now_ns - due_ns) // interval_ns + 1)


class Collector:
    """Records this process until `stop()` or its end; made by `pprofplus.start()`.

    A forked child records itself with the same object: `pid`, `directory` and `samples` are then
    the child's.

    Attributes:
        service: the service's name.
        pid: the process recorded.
    """

    def __init__(self, settings: Settings, version: str) -> None:
        self.service = settings.service
        self.pid = os.getpid()
        self._settings = settings
        self._version = version
        self._parent_pid = 0
        self._panel: Panel | None = None
        self._writer: Writer | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        # held while the log's files change; a fork waits for it. Reentrant, for the garbage
        # collector may run a finalizer that forks in the middle of anything
        self.lock = threading.RLock()
        self._closed = False
        self._grid_ns = 0

    def __repr__(self) -> str:
        """Return what is recorded and whether it is."""
        state = "running" if self.running else "stopped"
        return f"<pprofplus.Collector {self.service} {self.pid} {state}>"

    @property
    def interval_s(self) -> float:
        """Seconds from one sample to the next."""
        return self._settings.interval_s

    @property
    def running(self) -> bool:
        """Whether it samples."""
        thread = self._thread
        return thread is not None and thread.is_alive() and not self._stopping.is_set()

    @property
    def directory(self) -> str | None:
        """The run's directory; None until a forked child takes its first sample."""
        return None if self._writer is None else self._writer.directory

    @property
    def samples(self) -> int:
        """Samples on disk: a SIGKILL does not undo them."""
        return 0 if self._writer is None else self._writer.samples

    def begin(self) -> None:
        """Take the first sample, and start the thread for the others. Never raises."""
        if self._guard(self._open):
            self._start_thread(0.0)
        else:
            self._guard(self._close)

    def stop(self) -> None:
        """Take a last sample, write a stop event, and close the log. Idempotent; never raises."""
        self.finish(_PATIENCE_S)

    def finish(self, patience_s: float) -> None:
        """As `stop()`, but wait no longer than twice `patience_s`."""
        self._stopping.set()
        thread = self._thread
        if thread is threading.current_thread():
            return  # stopped from within a sample: the thread closes the log when it is done
        if thread is not None:
            thread.join(patience_s)
        # a probe may be held up: then the log ends without its last sample
        if not self._closed and self.lock.acquire(timeout=patience_s):
            try:
                self._guard(self._close_log)
            finally:
                self.lock.release()

    def follow_fork(self) -> None:
        """In a forked child: leave the parent's log alone, and begin one of our own."""
        self.lock = threading.RLock()
        if self._writer is not None:
            self._writer.abandon()
        if self._panel is not None:
            self._panel.close()
        self._writer = self._panel = self._thread = None
        self._closed = self._closed or self._stopping.is_set()
        self._parent_pid, self.pid = self.pid, os.getpid()
        if not self._closed:
            self._stopping = threading.Event()
            self._start_thread(min(_GRACE_S, self.interval_s))

    def speak(self) -> None:
        """Warn of troubles, one of each kind. Holds no lock: the host's log handlers run here."""
        panel, writer = self._panel, self._writer
        if panel is not None:
            while panel.troubles:
                name, error = panel.troubles.popitem()
                say_once(f"probe {name}", f"{name} failed, its figures are not kept up: {error!r}")
        error_now = None if writer is None else writer.trouble
        if error_now is not None and writer is not None:
            kind = getattr(error_now, "errno", None) or type(error_now).__name__
            say_once(
                f"write {kind}", f"cannot write to {writer.directory}, will try again: {error_now}"
            )

    def _guard(self, action: Callable[[], None]) -> bool:
        """Run one step; False, after a warning, if it failed in a way that nobody foresaw."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - the outer edge: nothing leaves for the host
            say_once(f"step {type(error).__name__}", f"pprofplus stumbled: {error!r}")
            return False
        return True

    def _start_thread(self, grace_s: float) -> None:
        thread = threading.Thread(target=self._run, args=(grace_s,), name="pprofplus", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no threads left, or the interpreter is ending
            say_once("thread", f"nothing is recorded: {error}")
            self._guard(self._close)
            return
        self._thread = thread

    def _run(self, grace_s: float) -> None:
        stopping = self._stopping
        if grace_s:
            stopping.wait(grace_s)
            if not self._guard(self._open):
                self._guard(self._close)
                return
        interval_ns = round(self.interval_s * 1e9)
        due_ns = self._grid_ns
        while True:
            self.speak()
            now_ns = monotonic_ns()
            due_ns = next_due_ns(due_ns, interval_ns, now_ns)
            if stopping.wait((due_ns - now_ns) / 1e9):
                break
            self._guard(self._sample)
        self._guard(self._sample)
        self._guard(self._close)
        self.speak()

    def _open(self) -> None:
        """Open probes and log; write the first events and the first sample."""
        with self.lock:
            settings = self._settings
            self._panel = panel = Panel(settings.interval_s, settings.budget)
            now_ns, unix_ms = monotonic_ns(), time_ns() // _NS_PER_MS
            mono_ms = now_ns // _NS_PER_MS
            self._grid_ns = mono_ms * _NS_PER_MS + _INTO_MS_NS
            panel.read(now_ns)
            values = panel.relist(now_ns)
            self._writer = writer = Writer(
                settings.home,
                header(
                    self._version,
                    self.service,
                    self.pid,
                    unix_ms,
                    settings.interval_s,
                    panel.metrics,
                ),
                max_bytes=settings.max_bytes,
                group_readable=settings.group_readable,
            )
            writer.add_event(Event(START, mono_ms, unix_ms))
            if self._parent_pid:
                writer.add_event(Event(FORK, mono_ms, unix_ms, self._parent_pid))
            writer.add(mono_ms, unix_ms, values)

    def _sample(self) -> None:
        """Take one sample and write it."""
        panel, writer = self._panel, self._writer
        if panel is None or writer is None:
            return
        now_ns, unix_ms = monotonic_ns(), time_ns() // _NS_PER_MS
        values = panel.read(now_ns)  # without the lock: a fork need not wait for a slow probe
        with self.lock:
            if self._closed:
                return
            if panel.outdated:
                values = panel.relist(now_ns)
                writer.change_metrics(panel.metrics, values)
            writer.add(now_ns // _NS_PER_MS, unix_ms, values)

    def _close(self) -> None:
        """Close log and probes; the thread that reads the probes does it, if there is one."""
        self._close_log()
        if self._panel is not None:
            self._panel.close()

    def _close_log(self) -> None:
        """Write the stop event, and close the log."""
        with self.lock:
            if self._closed:
                return
            self._closed = True
            if self._writer is not None:
                mono_ms, unix_ms = monotonic_ns() // _NS_PER_MS, time_ns() // _NS_PER_MS
                self._writer.add_event(Event(STOP, mono_ms, unix_ms))
                self._writer.close()
