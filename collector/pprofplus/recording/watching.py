"""Which processes are recorded from outside: found, begun with, and given up when they end."""

from __future__ import annotations

from time import monotonic

import psutil

from pprofplus.log.retention import SWEEP_PERIOD_S, sweep_home
from pprofplus.recording.watched_process import WatchedProcess
from pprofplus.system.open_files import NO_DESCRIPTOR, descriptor_limit, descriptors_left
from pprofplus.system.processes import (
    ancestors,
    descendants,
    lives,
    matches,
    process_of,
    service_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from pprofplus.settings import Settings

# a process may become another program soon after its fork; later it is looked at now and then
_YOUNG_S = 10.0
_ANEW_S = 30.0
_LOOK_S = 2.0
# Descriptors that must be free to begin with another process: what a look at a process, a segment
# that follows another and the ledger take for a moment. Without them, those that are recorded
# would lose samples for one more.
_SPARE_DESCRIPTORS = 16


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
        self.watched: dict[int, WatchedProcess] = {}
        self.begun = 0
        self._tell = tell
        self._complain = complain
        self._refused: set[tuple[int, float]] = set()
        self._choice = choice
        self._settings = settings
        self._service = service
        self._left = set(choice.pids)  # not yet found
        self._roots = [process for pid in choice.above if (process := process_of(pid)) is not None]
        self._seen: dict[int, tuple[float, float]] = {}  # pid: first and last look
        self._ours = ancestors()
        self._look_s = self._sweep_s = 0.0
        self._short = False  # of descriptors: others wait to be recorded
        self._complaints: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether there is nothing more to watch, and nothing more to wait for."""
        if self._short and not self.watched:
            return True  # no process will end and make room for another
        waiting = self._choice.pattern is not None or any(map(lives, self._roots))
        return not self.watched and not waiting and not self._left

    def step(self) -> float:
        """Do what is due now; return the seconds until there is more to do."""
        now_s = monotonic()
        if now_s >= self._look_s:
            self._look_s = now_s + _LOOK_S
            self._look(now_s)
        for pid, watched in tuple(self.watched.items()):
            lives = watched.step(now_s)
            self._announce(watched)
            if not lives:
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
        self._short = False
        try:
            self._look_at_pids()
            self._look_below()
            self._look_for_names(now_s)
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:
                self._note_shortage()
            else:
                self._complain_once(f"cannot list processes: {error}")

    def _look_at_pids(self) -> None:
        for pid in sorted(self._left):
            process = process_of(pid)
            if process is None:
                self._complain(f"{pid}: no such process")
            else:
                self._begin(process)
            if self._short:
                return
            self._left.discard(pid)

    def _look_below(self) -> None:
        for root in self._roots:
            for process in descendants(root):
                if process.pid not in self._ours:
                    self._begin(process)
                if self._short:
                    return

    def _look_for_names(self, now_s: float) -> None:
        pattern = self._choice.pattern
        if pattern is None:
            return
        for process in self._unseen(now_s):
            if matches(process, pattern):
                self._begin(process)
            if self._short:
                # this one and those after it are looked at the next time
                self._seen.clear()
                return

    def _note_shortage(self) -> None:
        """Say once that others wait until descriptors are free."""
        self._short = True
        limit = descriptor_limit()
        self._complain_once(
            f"no file descriptor is left (limit {limit}): {len(self.watched)} processes are"
            " recorded, others wait until one of them ends; raise the limit (ulimit -n, or"
            " LimitNOFILE= of systemd)"
        )

    def _complain_once(self, line: str) -> None:
        kind = line.partition(" (")[0].partition(": ")[0]
        if kind not in self._complaints:
            self._complaints.add(kind)
            self._complain(line)

    def _announce(self, watched: WatchedProcess) -> None:
        """Tell once where a process is recorded, when it is: the disk may be full until later."""
        if watched.announced or watched.recording.writer.trouble is not None:
            return
        watched.announced = True
        pid = watched.process.pid
        self._tell(f"{watched.service} {pid}: recorded to {watched.recording.writer.directory}")

    def _unseen(self, now_s: float) -> list[psutil.Process]:
        """Return the processes that may have become another since they were looked at."""
        pids = set(psutil.pids()) - self._ours - self.watched.keys()
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in pids}
        found = []
        for pid in sorted(pids):
            first_s, last_s = self._seen.get(pid, (now_s, 0.0))
            if pid not in self._seen or now_s - first_s < _YOUNG_S or now_s - last_s >= _ANEW_S:
                self._seen[pid] = (first_s, now_s)
                process = process_of(pid)
                if process is not None:
                    found.append(process)
        return found

    def _begin(self, process: psutil.Process) -> None:
        if process.pid in self.watched or not lives(process):
            return
        if not descriptors_left(_SPARE_DESCRIPTORS):
            self._note_shortage()
            return
        try:
            key = (process.pid, process.create_time())
            if key in self._refused:
                return
            service = self._service or service_of(process)
            watched = WatchedProcess(process, service, self._settings)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied:
            self._refuse(process, "its memory is not for this user: try as its own or root")
            return
        forbidden = watched.forbidden
        if forbidden is not None:
            watched.recording.close()
            self._refuse(process, f"cannot record to {self._settings.home}: {forbidden}")
            return
        self.begun += 1
        self.watched[process.pid] = watched
        self._announce(watched)
        watched.recording.emit_warnings()
        if watched.hidden:
            self._complain(
                f"{service} {process.pid}: without {', '.join(watched.hidden)}, which are not for"
                " this user: try as its own or root"
            )

    def _refuse(self, process: psutil.Process, why: str) -> None:
        self._refused.add((process.pid, process.create_time()))
        self._complain(f"{process.pid}: {why}")
