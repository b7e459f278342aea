"""One process that is recorded from outside, and its log."""

from __future__ import annotations

import errno
from _thread import RLock
from time import monotonic

import psutil

from pprofplus.control.request_handler import RequestHandler
from pprofplus.errors import UnsafePlaceError
from pprofplus.log.identity import header
from pprofplus.probes.foreign_process import names_of_all, sources_of
from pprofplus.probes.probe_set import ProbeSet
from pprofplus.recording.run_actions import ACTIONS
from pprofplus.recording.run_recorder import open_recorder, read_first
from pprofplus.system.processes import lives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.settings import Settings

_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class WatchedProcess:
    """One process and its log.

    Attributes:
        process: the process.
        service: its service's name.
        recording: its run.
        hidden: metrics that this user may not read of it.
        announced: the user was told where it is recorded.
        due_s: monotonic time of the next sample.
    """

    def __init__(self, process: psutil.Process, service: str, settings: Settings) -> None:
        """Begin its log with a first sample. Raises psutil.Error if it cannot be seen."""
        self.process = process
        self.service = service
        process.memory_info()
        argv = process.cmdline() or [""]
        panel = ProbeSet(settings.interval_s, settings.budget, sources_of(process))
        self.recording = open_recorder(
            panel,
            read_first(panel),
            settings,
            RLock(),
            lambda start_ms, metrics: header(
                service, process.pid, start_ms, settings.interval_s, metrics, argv=argv
            ),
            requests=RequestHandler(ACTIONS, own_process=False),
        )
        listed = {name for name, _, _ in panel.metrics}
        self.hidden = tuple(name for name in names_of_all() if name not in listed)
        self.announced = False
        self.due_s = monotonic() + settings.interval_s

    @property
    def lives(self) -> bool:
        """Whether it is still the same process, and runs."""
        return lives(self.process)

    @property
    def forbidden(self) -> BaseException | None:
        """Why this user may not write the log, or None if it is written or may be later."""
        trouble = self.recording.writer.trouble
        if isinstance(trouble, UnsafePlaceError) or (
            isinstance(trouble, OSError) and trouble.errno in _FORBIDDEN
        ):
            return trouble
        return None

    def step(self, now_s: float) -> bool:
        """Take what is due; False, with the log closed, when the process has ended."""
        if not self.lives:
            return self._end()
        self.recording.handle_requests()
        interval_s = self.recording.interval_s
        if now_s >= self.due_s or self.recording.resumed:
            self.recording.sample()
        if now_s >= self.due_s:
            self.due_s += interval_s * max(1, int((now_s - self.due_s) / interval_s) + 1)
        self.due_s = min(self.due_s, now_s + interval_s)
        if self.recording.panel.troubles and not lives(self.process):
            # it ended in the middle of the sample: that is no trouble of a probe's
            self.recording.panel.troubles.clear()
            return self._end()
        self.recording.emit_warnings()
        return True

    def _end(self) -> bool:
        self.recording.close("the process ended, seen from outside")
        return False
