"""Other processes recorded from outside: which ones, and a log for each."""

from __future__ import annotations

import re
from _thread import RLock
from time import monotonic

import psutil

from pprofplus.identity import header
from pprofplus.probes.other import names_of_all, sources_of
from pprofplus.probes.panel import Panel
from pprofplus.program import call_of, service_of_script
from pprofplus.recording import open_recording, read_first
from pprofplus.retention import SWEEP_PERIOD_S, sweep_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pprofplus.settings import Settings

# a process may become another program soon after its fork; later it is looked at now and then
_YOUNG_S = 10.0
_ANEW_S = 30.0
_LOOK_S = 2.0


class Choice:
    """Which processes are watched.

    Attributes:
        pids: these.
        pattern: those whose name or command line it finds, and new ones as they come; or None.
        above: the processes whose descendants are watched, and new ones as they come.
    """

    def __init__(
        self, pids: tuple[int, ...], pattern: re.Pattern[str] | None, above: tuple[int, ...]
    ) -> None:
        self.pids = pids
        self.pattern = pattern
        self.above = above


class Watched:
    """One process and its log."""

    def __init__(self, process: psutil.Process, service: str, settings: Settings) -> None:
        """Begin its log with a first sample. Raises psutil.Error if it cannot be seen."""
        self.process = process
        self.service = service
        process.memory_info()
        argv = process.cmdline() or [""]
        panel = Panel(settings.interval_s, settings.budget, sources_of(process))
        self.recording = open_recording(
            panel,
            read_first(panel),
            settings,
            RLock(),
            lambda start_ms, metrics: header(
                service, process.pid, start_ms, settings.interval_s, metrics, argv=argv
            ),
        )
        listed = {name for name, _, _ in panel.metrics}
        self.hidden = tuple(name for name in names_of_all() if name not in listed)
        self.due_s = monotonic() + settings.interval_s

    @property
    def lives(self) -> bool:
        """Whether it is still the same process, and runs."""
        return _lives(self.process)

    def step(self, now_s: float) -> bool:
        """Take what is due; False, with the log closed, when the process has ended."""
        if not self.lives:
            self.recording.close("the process ended, seen from outside")
            return False
        self.recording.obey()
        interval_s = self.recording.interval_s
        if now_s >= self.due_s or self.recording.resumed:
            self.recording.sample()
        if now_s >= self.due_s:
            self.due_s += interval_s * max(1, int((now_s - self.due_s) / interval_s) + 1)
        self.due_s = min(self.due_s, now_s + interval_s)
        self.recording.speak()
        return True


class Watch:
    """All processes that are watched.

    Attributes:
        watched: by pid.
        begun: how many there have been.
    """

    def __init__(
        self,
        choice: Choice,
        settings: Settings,
        service: str | None,
        tell: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        """Prepare; `tell` and `complain` are called with lines for the user."""
        self.watched: dict[int, Watched] = {}
        self.begun = 0
        self._tell = tell
        self._complain = complain
        self._refused: set[tuple[int, float]] = set()
        self._choice = choice
        self._settings = settings
        self._service = service
        self._left = set(choice.pids)  # not yet found
        self._roots = [process for pid in choice.above if (process := _process(pid)) is not None]
        self._seen: dict[int, tuple[float, float]] = {}  # pid: first and last look
        self._ours = _ancestors()
        self._look_s = self._sweep_s = 0.0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to watch, and nothing more to wait for."""
        waiting = self._choice.pattern is not None or any(map(_lives, self._roots))
        return not self.watched and not waiting and not self._left

    def step(self) -> float:
        """Do what is due now; return the seconds until there is more to do."""
        now_s = monotonic()
        if now_s >= self._look_s:
            self._look_s = now_s + _LOOK_S
            self._look(now_s)
        for pid, watched in tuple(self.watched.items()):
            if not watched.step(now_s):
                del self.watched[pid]
                self._tell(f"{watched.service} {pid}: ended")
        if now_s >= self._sweep_s:
            self._sweep_s = now_s + SWEEP_PERIOD_S
            sweep_home(self._settings.home, self._settings.max_age_days)
        due_s = min((one.due_s for one in self.watched.values()), default=self._look_s)
        return max(0.0, min(due_s, self._look_s) - monotonic())

    def close(self) -> None:
        """End all logs in order."""
        for watched in self.watched.values():
            watched.recording.close("the watch ended")
        self.watched = {}

    def _look(self, now_s: float) -> None:
        """Begin with each process that is to be watched and is not."""
        for pid in sorted(self._left):
            self._left.discard(pid)
            process = _process(pid)
            if process is None:
                self._complain(f"{pid}: no such process")
            else:
                self._begin(process)
        for root in self._roots:
            for process in _descendants(root):
                if process.pid not in self._ours:
                    self._begin(process)
        if self._choice.pattern is not None:
            for process in self._unseen(now_s):
                if _matches(process, self._choice.pattern):
                    self._begin(process)

    def _unseen(self, now_s: float) -> list[psutil.Process]:
        """Return the processes that may have become another since they were looked at."""
        pids = set(psutil.pids()) - self._ours - self.watched.keys()
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in pids}
        found = []
        for pid in sorted(pids):
            first_s, last_s = self._seen.get(pid, (now_s, 0.0))
            if pid not in self._seen or now_s - first_s < _YOUNG_S or now_s - last_s >= _ANEW_S:
                self._seen[pid] = (first_s, now_s)
                process = _process(pid)
                if process is not None:
                    found.append(process)
        return found

    def _begin(self, process: psutil.Process) -> None:
        if process.pid in self.watched or not _lives(process):
            return
        try:
            key = (process.pid, process.create_time())
            if key in self._refused:
                return
            service = self._service or service_of(process)
            watched = Watched(process, service, self._settings)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied:
            self._refused.add((process.pid, process.create_time()))
            self._complain(
                f"{process.pid}: its memory is not for this user: try as its own or root"
            )
            return
        self.begun += 1
        self.watched[process.pid] = watched
        self._tell(f"{service} {process.pid}: recorded to {watched.recording.writer.directory}")
        if watched.hidden:
            self._complain(
                f"{service} {process.pid}: without {', '.join(watched.hidden)}, which are not for"
                " this user: try as its own or root"
            )


def service_of(process: psutil.Process) -> str:
    """Return a service's name for a process: its script's under Python, else its program's."""
    words = process.cmdline()
    call = call_of(words)
    if call is not None:
        return call.service
    return service_of_script(words[0] if words and "/" in words[0] else process.name())


def _matches(process: psutil.Process, pattern: re.Pattern[str]) -> bool:
    try:
        return bool(pattern.search(process.name()) or pattern.search(" ".join(process.cmdline())))
    except psutil.Error:
        return False


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except (psutil.Error, ValueError, OverflowError):
        return None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return found


def _ancestors() -> set[int]:
    """Return our pid and those above us: their command lines hold the pattern, too."""
    me = psutil.Process()
    return {me.pid, *(process.pid for process in me.parents())}
