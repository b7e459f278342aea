"""The scan that corrects the ledger and finds the runs that ended first: in slices, by anyone.

All of it is done under the ledger's lock, but the making of a long list. So what a run books in
the ledger comes either before its visit or after it, and the total is exact.
"""

from __future__ import annotations

import os
from time import monotonic, time

from pprofplus.log.inventory import FoundRun, remove_run, visit
from pprofplus.log.ledger import IDLE, LISTING, VISITING, Account, Ledger, LedgerBusyError
from pprofplus.log.scan_list import (
    MOST_OLDEST,
    MOST_RUNS,
    ScanList,
    end_and_index,
    in_order_of_start,
    install,
    is_being_listed,
    list_runs,
    new_file,
    oldest_entry,
)
from pprofplus.system.descriptor import DIRECTORY, close_descriptor
from pprofplus.system.locks import lock

_AT_ONCE = 64
_LIST_PATIENCE_S = 1.0  # a list is too much work to be thrown away
# so many names are listed within a slice; a longer list is made without the lock
_FEW_RUNS = 1000
_SAMPLED = 32


class Scan:
    """A scan as one process goes on with it, while it holds the ledger.

    Attributes:
        finished: this process has finished it, so the ledger is right.
    """

    def __init__(self, home_fd: int, ledger: Ledger) -> None:
        """Look at the list of the scan in progress, or of the last one; `close` it."""
        self.finished = False
        self._home_fd = home_fd
        self._ledger = ledger
        self._seen: list[bytes] = []  # a part of a list that was too long
        self._services: list[str] = []
        self._oldest: list[int] | None = None  # those not removed yet, if they are in memory
        progress = ledger.scan
        self._runs: ScanList | None = None
        if progress.count:
            self._runs = ScanList.open(home_fd, progress.list_number, progress.count)
        if self._runs is None and progress.count:
            self._give_up()

    def close(self) -> None:
        """Close the list; never raises."""
        if self._runs is not None:
            self._runs.close()

    def begin(self) -> bool:
        """Begin a scan, unless another process is at that; False if there are too many runs.

        Then it is `begin_long` that lists them. Raises OSError.
        """
        progress = self._ledger.scan
        if progress.phase == LISTING and is_being_listed(self._home_fd):
            return True
        began_s = monotonic()
        services, entries, whole = list_runs(self._home_fd, _FEW_RUNS)
        if not whole:
            self._services, self._seen = services, entries
            return False
        self._start()
        self._take(ScanList(progress.number, services, in_order_of_start(entries)))
        progress.cost_s += monotonic() - began_s
        return True

    def begin_long(self) -> tuple[int, int]:
        """Begin a scan of many runs; return its number, and the descriptor of its new list file.

        Raises OSError.
        """
        self._start()
        fd = new_file(self._home_fd)
        lock(fd)  # that tells others that we live
        self._ledger.scan.phase = LISTING
        return self._ledger.scan.number, fd

    def go_on(self, until_s: float, least: int) -> None:
        """Visit runs until monotonic time `until_s`, but `least` of them; finish after the last.

        The ledger is not written. If the progress cannot be saved, the scan is given up.
        """
        progress, runs = self._ledger.scan, self._runs
        if progress.phase != VISITING or runs is None:
            return
        began_s = monotonic()
        try:
            ended = self._visit(runs, until_s, least)
            done, was_saved = progress.visited >= progress.count, runs.saved
            if not done:
                ((last_ms, *_), (next_ms, *_)) = runs.runs(progress.visited - 1, 2)
                progress.next_start_ms, progress.tied = next_ms, last_ms == next_ms
                runs.save(self._home_fd)
            self._remember(runs, ended, anew=not was_saved)
        except ValueError:
            self._give_up()
            return
        except OSError:
            self._give_up(finished_s=time())  # the disk is full: not again at once
            return
        progress.cost_s += monotonic() - began_s
        if done:
            self._finish()

    def remove_oldest(self, wanted_bytes: int, until_s: float, least: int, *, sure: bool) -> int:
        """Remove those runs that ended first, as far as is known, until `wanted_bytes` are free.

        It ends at monotonic time `until_s`, but not before it has tried `least` runs. If `sure`,
        only those go of which no other run of the log directory can have ended before. Returns the
        bytes freed.
        """
        progress, runs = self._ledger.scan, self._runs
        if runs is None or progress.oldest_gone >= progress.oldest:
            return 0
        limit_ms = progress.next_start_ms if sure and progress.phase == VISITING else None
        freed = tried = 0
        try:
            entries = self._read_oldest(runs)
            for entry in entries:
                ended_ms, index = end_and_index(entry)
                if freed >= wanted_bytes or (limit_ms is not None and ended_ms > limit_ms):
                    break
                if tried >= least and monotonic() >= until_s:
                    break
                ((start_ms, service, name),) = runs.runs(index, 1)
                freed += self._remove(start_ms, service, name)
                tried += 1
        except (ValueError, OSError):
            self._give_up()
            return freed
        progress.oldest_gone += tried
        self._oldest = entries[tried:]
        return freed

    def remove_one_of_many(self, wanted_bytes: int) -> int:
        """Remove runs without a scan: of some runs that started early, those that ended first.

        Returns the bytes freed, which may be less.
        """
        if not self._seen:
            self._services, self._seen, _ = list_runs(self._home_fd, _FEW_RUNS)
        some = ScanList(0, self._services, in_order_of_start(self._seen)[:_SAMPLED])
        visits = _Visits(self._home_fd)
        found = []
        try:
            for start_ms, service, name in some.runs(0, _SAMPLED):
                run = visits.visit(service, name)
                if run is not None and run.removable:
                    found.append((run.ended_s, start_ms, service, name))
        finally:
            visits.close()
        freed = 0
        for _, start_ms, service, name in sorted(found):
            if freed >= wanted_bytes:
                break
            freed += self._remove(start_ms, service, name)
        return freed

    def settle(self, *, keep: bool) -> None:
        """End this process's part in the scan.

        If `keep`, those runs that ended first are saved for the next process that needs room; a
        list that was finished at once has no file yet.
        """
        runs, progress = self._runs, self._ledger.scan
        if runs is None or runs.saved or progress.list_number != runs.number:
            return
        if keep and self._oldest:
            try:
                runs.save(self._home_fd)
                self._remember(runs, [], anew=True)
            except OSError:
                self._give_up(finished_s=progress.finished_s)
        else:
            progress.count = progress.visited = progress.oldest = progress.oldest_gone = 0

    def _start(self) -> None:
        progress = self._ledger.scan
        progress.number += 1
        progress.phase = VISITING
        progress.partial = progress.full = False
        progress.total = 0
        progress.cost_s = 0.0
        progress.next_start_ms, progress.tied = -1, False
        progress.max_age_s, progress.wanted_age_s = progress.wanted_age_s, 0.0

    def _take(self, runs: ScanList) -> None:
        """Go on with another list."""
        if self._runs is not None:
            self._runs.close()
        self._runs, self._oldest = runs, []
        take_list(self._ledger, runs)

    def _give_up(self, finished_s: float = 0.0) -> None:
        """Forget the list, which is of no use; the next scan is due at once, or as if finished."""
        progress = self._ledger.scan
        progress.phase = IDLE
        progress.count = progress.visited = progress.oldest = progress.oldest_gone = 0
        progress.finished_s = finished_s
        progress.wanted_age_s = progress.max_age_s or progress.wanted_age_s

    def _visit(self, runs: ScanList, until_s: float, least: int) -> list[int]:
        """Count runs; return entries of those that may be removed. Raises ValueError, OSError."""
        progress = self._ledger.scan
        now_s, goal = time(), progress.visited + least
        ended, last_ms = [], -1
        visits = _Visits(self._home_fd)
        try:
            while progress.visited < progress.count:
                for start_ms, service, name in runs.runs(progress.visited, _AT_ONCE):
                    if start_ms < max(last_ms, progress.next_start_ms):
                        raise ValueError("the list of runs is damaged")
                    last_ms = start_ms
                    found = visits.visit(service, name)
                    if found is not None and not self._too_old(found, now_s, service, name):
                        progress.total += found.size_bytes
                        if found.removable:
                            ended.append(oldest_entry(found.ended_s, progress.visited))
                    progress.visited += 1
                    if progress.visited >= goal and monotonic() >= until_s:
                        return ended
        finally:
            visits.close()
        return ended

    def _too_old(self, found: FoundRun, now_s: float, service: str, name: str) -> bool:
        """Remove a run that is too old, or is but an empty directory; tell whether it is gone."""
        max_age_s = self._ledger.scan.max_age_s
        old = max_age_s and found.removable and now_s - found.ended_s > max_age_s
        if not (old or found.empty):
            return False
        freed = remove_run(service, name, self._home_fd)
        bound = self._ledger.bound_bytes
        if bound is not None:
            self._ledger.bound_bytes = max(0, bound - freed)
        found.size_bytes = max(0, found.size_bytes - freed)
        return not found.size_bytes

    def _remember(self, runs: ScanList, ended: list[int], *, anew: bool) -> None:
        """Add to the table of those runs that ended first; if `anew`, the file has none yet.

        Raises ValueError, OSError.
        """
        progress = self._ledger.scan
        oldest = self._read_oldest(runs)
        if ended:
            self._oldest = oldest = sorted(oldest + ended)[:MOST_OLDEST]
        if ended or anew:
            progress.oldest, progress.oldest_gone = len(oldest), 0
            if runs.saved:
                runs.write_oldest(oldest)

    def _read_oldest(self, runs: ScanList) -> list[int]:
        progress = self._ledger.scan
        if self._oldest is None:
            left = progress.oldest - progress.oldest_gone
            self._oldest = runs.read_oldest(progress.oldest_gone, left)
        return self._oldest

    def _remove(self, start_ms: int, service: str, name: str) -> int:
        freed = remove_run(service, name, self._home_fd)
        # it has been here for longer than the scan
        self._ledger.give_back(freed, Account(start_ms, -1))
        return freed

    def _finish(self) -> None:
        progress = self._ledger.scan
        if not progress.partial:
            self._ledger.bound_bytes = progress.total
            self.finished = True
        progress.phase = IDLE
        progress.next_start_ms, progress.tied = -1, False
        progress.finished_s = time()
        progress.last_cost_s = progress.cost_s
        progress.max_age_s = 0.0


class _Visits:
    """Visits to runs, with the directories of their services kept open."""

    def __init__(self, home_fd: int) -> None:
        self._home_fd = home_fd
        self._service = ""
        self._fd = -1

    def visit(self, service: str, name: str) -> FoundRun | None:
        if service != self._service or self._fd < 0:
            self.close()
            try:
                self._fd = os.open(service, DIRECTORY, dir_fd=self._home_fd)
            except OSError:
                return None
            self._service = service
        return visit(name, self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            close_descriptor(self._fd)
            self._fd = -1


def take_list(ledger: Ledger, runs: ScanList) -> None:
    """Note in the ledger that the scan's list is made: the visits may begin."""
    progress = ledger.scan
    progress.phase = VISITING
    progress.list_number = runs.number
    progress.count = runs.count
    progress.visited = progress.oldest = progress.oldest_gone = 0
    progress.next_start_ms, progress.tied = -1, False


def make_long_list(home_fd: int, number: int, fd: int) -> None:
    """List all runs, without the ledger; then note that in the ledger. `fd` is taken over.

    Raises LedgerBusyError, UnsafePlaceError, OSError.
    """
    began_s = monotonic()
    try:
        services, entries, whole = list_runs(home_fd, MOST_RUNS)
        runs = ScanList(number, services, in_order_of_start(entries))
        runs.write(fd)
        ledger = Ledger.take(home_fd, _LIST_PATIENCE_S)
        try:
            if (ledger.scan.phase, ledger.scan.number) != (LISTING, number):
                raise LedgerBusyError("another process has begun another scan")
            install(home_fd)
            take_list(ledger, runs)
            ledger.scan.partial = not whole
            ledger.scan.cost_s += monotonic() - began_s
            ledger.note()
        finally:
            ledger.release()
    finally:
        close_descriptor(fd)
