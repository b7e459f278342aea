"""One process that is recorded from outside, and its run."""

from __future__ import annotations

import errno
from _thread import RLock
from time import monotonic

import psutil

from pprofplus.control.request_handler import RequestHandler
from pprofplus.errors import UnsafeDirectoryError
from pprofplus.log.identity import header
from pprofplus.probes.foreign_process import all_metric_names, sources_of
from pprofplus.probes.probe_set import ProbeSet
from pprofplus.recording.run_actions import ACTIONS
from pprofplus.recording.run_recorder import open_recorder, read_first
from pprofplus.system.processes import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.settings import Settings

_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class WatchedProcess:
    """One process and its run.

    Attributes:
        process: the process.
        service: its service's name.
        recorder: records its run.
        hidden: its metrics that this user may not read.
        announced: the user was informed where it is recorded.
        due_s: monotonic time of the next sample.
    """

    def __init__(self, process: psutil.Process, service: str, settings: Settings) -> None:
        """Begin its run with a first sample. Raises psutil.Error if it cannot be inspected."""
        self.process = process
        self.service = service
        process.memory_info()
        argv = process.cmdline() or [""]
        probe_set = ProbeSet(settings.interval_s, settings.budget, sources_of(process))
        self.recorder = open_recorder(
            probe_set,
            read_first(probe_set),
            settings,
            RLock(),
            lambda start_ms, metrics: header(
                service, process.pid, start_ms, settings.interval_s, metrics, argv=argv
            ),
            make_request_handler=lambda: RequestHandler(ACTIONS, own_process=False),
        )
        listed = {name for name, _, _ in probe_set.metrics}
        self.hidden = tuple(name for name in all_metric_names() if name not in listed)
        self.announced = False
        self.due_s = monotonic() + settings.interval_s

    @property
    def is_alive(self) -> bool:
        """Whether it is still the same process, and is alive."""
        return is_alive(self.process)

    @property
    def forbidden(self) -> BaseException | None:
        """Why this user may not write the log, or None if it is written or may be later."""
        write_error = self.recorder.writer.write_error
        if isinstance(write_error, UnsafeDirectoryError) or (
            isinstance(write_error, OSError) and write_error.errno in _FORBIDDEN
        ):
            return write_error
        return None

    def step(self, now_s: float) -> bool:
        """Do what is due; False, with the log closed, when the process has ended."""
        if not self.is_alive:
            return self._end()
        self.recorder.handle_requests()
        interval_s = self.recorder.interval_s
        if now_s >= self.due_s or self.recorder.resumed:
            self.recorder.sample()
        if now_s >= self.due_s:
            self.due_s += interval_s * max(1, int((now_s - self.due_s) / interval_s) + 1)
        self.due_s = min(self.due_s, now_s + interval_s)
        if self.recorder.probe_set.failures and not is_alive(self.process):
            # it ended during the sample: that is not a failure of a probe
            self.recorder.probe_set.failures.clear()
            return self._end()
        self.recorder.emit_warnings()
        return True

    def _end(self) -> bool:
        self.recorder.close("the process ended, seen from outside")
        return False
