"""Watch other processes: find those to record, begin their runs, and end them."""

from __future__ import annotations

from time import monotonic

import psutil

from pprofplus.log.retention import EXPIRY_PERIOD_S, request_expiry
from pprofplus.recording.watched_process import WatchedProcess
from pprofplus.system.open_files import NO_DESCRIPTOR, descriptor_limit, descriptors_left
from pprofplus.system.processes import (
    ancestors,
    descendants,
    find_process,
    is_alive,
    matches,
    service_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from pprofplus.settings import Settings

# a process may execute another program soon after its fork; later it is checked less often
_YOUNG_S = 10.0
_RECHECK_S = 30.0
_SEARCH_S = 2.0
# Descriptors that must be free before another process is recorded: checking a process, opening the
# next segment and the ledger need them for a moment. Without them, the processes that are recorded
# would lose samples.
_SPARE_DESCRIPTORS = 16


class WatchSelection:
    """The processes to watch.

    Attributes:
        pids: these processes.
        pattern: processes whose name or command line it matches, and new ones later; or None.
        parents: processes whose descendants are watched, and new descendants later.
    """

    def __init__(
        self, pids: tuple[int, ...], pattern: re.Pattern[str] | None, parents: tuple[int, ...]
    ) -> None:
        self.pids = pids
        self.pattern = pattern
        self.parents = parents


class Watch:
    """All watched processes.

    Attributes:
        watched: by pid.
        begun: number of processes recorded so far.
    """

    def __init__(
        self,
        selection: WatchSelection,
        settings: Settings,
        service: str | None,
        report: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """Prepare; `report` and `warn` are called with lines for the user."""
        self.watched: dict[int, WatchedProcess] = {}
        self.begun = 0
        self._report = report
        self._warn = warn
        self._refused: set[tuple[int, float]] = set()
        self._selection = selection
        self._settings = settings
        self._service = service
        self._not_found = set(selection.pids)
        self._roots = [
            process for pid in selection.parents if (process := find_process(pid)) is not None
        ]
        self._seen: dict[int, tuple[float, float]] = {}  # pid: time of the first and last check
        self._own_pids = ancestors()
        self._next_search_s = self._next_expiry_s = 0.0
        self._out_of_descriptors = False  # other processes wait to be recorded
        self._warned: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether nothing is left to watch or to wait for."""
        if self._out_of_descriptors and not self.watched:
            return True  # no process will end and free descriptors
        waiting = self._selection.pattern is not None or any(map(is_alive, self._roots))
        return not self.watched and not waiting and not self._not_found

    def step(self) -> float:
        """Do what is due now; return the seconds until the next step is due."""
        now_s = monotonic()
        if now_s >= self._next_search_s:
            self._next_search_s = now_s + _SEARCH_S
            self._search(now_s)
        for pid, watched in tuple(self.watched.items()):
            is_alive = watched.step(now_s)
            self._announce(watched)
            if not is_alive:
                del self.watched[pid]
                self._report(f"{watched.service} {pid}: ended")
        if now_s >= self._next_expiry_s:
            self._next_expiry_s = now_s + EXPIRY_PERIOD_S
            request_expiry(self._settings.log_directory, self._settings.max_age_days)
        due_s = min((one.due_s for one in self.watched.values()), default=self._next_search_s)
        return max(0.0, min(due_s, self._next_search_s) - monotonic())

    def close(self) -> None:
        """End all logs with a stop event."""
        for watched in self.watched.values():
            watched.recorder.close("the watch ended")
        self.watched = {}

    def _search(self, now_s: float) -> None:
        """Begin a run for each process to be watched that has none."""
        self._out_of_descriptors = False
        try:
            self._find_pids()
            self._find_descendants()
            self._find_by_name(now_s)
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:
                self._note_shortage()
            else:
                self._warn_once(f"cannot list processes: {error}")

    def _find_pids(self) -> None:
        for pid in sorted(self._not_found):
            process = find_process(pid)
            if process is None:
                self._warn(f"{pid}: no such process")
            else:
                self._begin(process)
            if self._out_of_descriptors:
                return
            self._not_found.discard(pid)

    def _find_descendants(self) -> None:
        for root in self._roots:
            for process in descendants(root):
                if process.pid not in self._own_pids:
                    self._begin(process)
                if self._out_of_descriptors:
                    return

    def _find_by_name(self, now_s: float) -> None:
        pattern = self._selection.pattern
        if pattern is None:
            return
        for process in self._unseen(now_s):
            if matches(process, pattern):
                self._begin(process)
            if self._out_of_descriptors:
                # this process and the following ones are checked again the next time
                self._seen.clear()
                return

    def _note_shortage(self) -> None:
        """Warn once that other processes wait until descriptors are free."""
        self._out_of_descriptors = True
        limit = descriptor_limit()
        self._warn_once(
            f"no file descriptor is left (limit {limit}): {len(self.watched)} processes are"
            " recorded, others wait until one of them ends; raise the limit (ulimit -n, or"
            " LimitNOFILE= of systemd)"
        )

    def _warn_once(self, line: str) -> None:
        kind = line.partition(" (")[0].partition(": ")[0]
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(line)

    def _announce(self, watched: WatchedProcess) -> None:
        """Report once where a process is recorded, after its first successful write."""
        if watched.announced or watched.recorder.writer.write_error is not None:
            return
        watched.announced = True
        pid = watched.process.pid
        self._report(f"{watched.service} {pid}: recorded to {watched.recorder.writer.directory}")

    def _unseen(self, now_s: float) -> list[psutil.Process]:
        """Return the processes that may have executed another program since the last check."""
        pids = set(psutil.pids()) - self._own_pids - self.watched.keys()
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in pids}
        found = []
        for pid in sorted(pids):
            first_s, last_s = self._seen.get(pid, (now_s, 0.0))
            if pid not in self._seen or now_s - first_s < _YOUNG_S or now_s - last_s >= _RECHECK_S:
                self._seen[pid] = (first_s, now_s)
                process = find_process(pid)
                if process is not None:
                    found.append(process)
        return found

    def _begin(self, process: psutil.Process) -> None:
        if process.pid in self.watched or not is_alive(process):
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
            self._refuse(process, "this user may not read its memory: run as its user or as root")
            return
        forbidden = watched.forbidden
        if forbidden is not None:
            watched.recorder.close()
            self._refuse(process, f"cannot record to {self._settings.log_directory}: {forbidden}")
            return
        self.begun += 1
        self.watched[process.pid] = watched
        self._announce(watched)
        watched.recorder.emit_warnings()
        if watched.hidden:
            self._warn(
                f"{service} {process.pid}: recorded without {', '.join(watched.hidden)}, which this"
                " user may not read: run as the process's user or as root"
            )

    def _refuse(self, process: psutil.Process, why: str) -> None:
        self._refused.add((process.pid, process.create_time()))
        self._warn(f"{process.pid}: {why}")
