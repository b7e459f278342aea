"""The scan that corrects the ledger and finds the runs that ended first; any process does slices.

Everything is done under the ledger's lock, except for making a long list. So a change that a run
records in the ledger comes either before its visit or after it, and the total is exact.
"""

from __future__ import annotations

import os
from time import monotonic, time

from pprofplus.log.inventory import FoundRun, remove_run, visit
from pprofplus.log.ledger import IDLE, LISTING, VISITING, Account, Ledger, LedgerBusyError
from pprofplus.log.scan_list import (
    MAX_OLDEST,
    MAX_RUNS,
    ScanList,
    end_and_index,
    install,
    is_being_listed,
    list_runs,
    new_file,
    oldest_entry,
    sorted_by_start,
)
from pprofplus.system.descriptor import DIRECTORY, close_descriptor
from pprofplus.system.locks import lock

_BATCH = 64
_LIST_TIMEOUT_S = 1.0  # a list takes too much work to discard it
# up to this many names are listed within a slice; a longer list is made without the lock
_FEW_RUNS = 1000
_SAMPLED = 32


class Scan:
    """A scan, continued by one process while it holds the ledger.

    Attributes:
        finished: this process has finished the scan, so the ledger is right.
    """

    def __init__(self, log_directory_fd: int, ledger: Ledger) -> None:
        """Open the list of the scan in progress, or of the last one; call `close` afterwards."""
        self.finished = False
        self._log_directory_fd = log_directory_fd
        self._ledger = ledger
        self._seen: list[bytes] = []  # a part of a list that was too long
        self._services: list[str] = []
        self._oldest: list[int] | None = None  # those not removed yet, if they have been read
        progress = ledger.scan
        self._runs: ScanList | None = None
        if progress.count:
            self._runs = ScanList.open(log_directory_fd, progress.list_number, progress.count)
        if self._runs is None and progress.count:
            self._abandon()

    def close(self) -> None:
        """Close the list; never raises."""
        if self._runs is not None:
            self._runs.close()

    def begin(self) -> bool:
        """Begin a scan, unless another process is listing; False if there are too many runs.

        In that case call `begin_long_list`. Raises OSError.
        """
        progress = self._ledger.scan
        if progress.phase == LISTING and is_being_listed(self._log_directory_fd):
            return True
        began_s = monotonic()
        services, entries, whole = list_runs(self._log_directory_fd, _FEW_RUNS)
        if not whole:
            self._services, self._seen = services, entries
            return False
        self._start()
        self._use_list(ScanList(progress.number, services, sorted_by_start(entries)))
        progress.cost_s += monotonic() - began_s
        return True

    def begin_long_list(self) -> tuple[int, int]:
        """Begin a scan of many runs; return its number, and the descriptor of its new list file.

        Raises OSError.
        """
        self._start()
        fd = new_file(self._log_directory_fd)
        lock(fd)  # other processes see from the lock that this one is still running
        self._ledger.scan.phase = LISTING
        return self._ledger.scan.number, fd

    def advance(self, until_s: float, min_runs: int) -> None:
        """Visit runs until monotonic time `until_s`, at least `min_runs`; finish after the last.

        The ledger is not written. If the progress cannot be saved, the scan is abandoned.
        """
        progress, runs = self._ledger.scan, self._runs
        if progress.phase != VISITING or runs is None:
            return
        began_s = monotonic()
        try:
            ended = self._visit(runs, until_s, min_runs)
            done, was_saved = progress.visited >= progress.count, runs.saved
            if not done:
                ((last_ms, *_), (next_ms, *_)) = runs.runs(progress.visited - 1, 2)
                progress.next_start_ms, progress.tied = next_ms, last_ms == next_ms
                runs.save(self._log_directory_fd)
            self._update_oldest(runs, ended, new_table=not was_saved)
        except ValueError:
            self._abandon()
            return
        except OSError:
            self._abandon(finished_s=time())  # the disk is full: do not try again immediately
            return
        progress.cost_s += monotonic() - began_s
        if done:
            self._finish()

    def remove_oldest(
        self, wanted_bytes: int, until_s: float, min_runs: int, *, certain_only: bool
    ) -> int:
        """Remove the runs that ended first, as far as known, until `wanted_bytes` are free.

        It stops at monotonic time `until_s`, but not before it has tried `min_runs` runs. If
        `certain_only`, it removes a run only if no other run of the log directory can have ended
        earlier. Returns the bytes freed.
        """
        progress, runs = self._ledger.scan, self._runs
        if runs is None or progress.oldest_gone >= progress.oldest:
            return 0
        limit_ms = progress.next_start_ms if certain_only and progress.phase == VISITING else None
        freed = tried = 0
        try:
            entries = self._read_oldest(runs)
            for entry in entries:
                ended_ms, index = end_and_index(entry)
                if freed >= wanted_bytes or (limit_ms is not None and ended_ms > limit_ms):
                    break
                if tried >= min_runs and monotonic() >= until_s:
                    break
                ((start_ms, service, name),) = runs.runs(index, 1)
                freed += self._remove(start_ms, service, name)
                tried += 1
        except (ValueError, OSError):
            self._abandon()
            return freed
        progress.oldest_gone += tried
        self._oldest = entries[tried:]
        return freed

    def remove_one_of_many(self, wanted_bytes: int) -> int:
        """Remove runs without a scan: out of a sample of early runs, those that ended first.

        Returns the bytes freed, which may be less than wanted.
        """
        if not self._seen:
            self._services, self._seen, _ = list_runs(self._log_directory_fd, _FEW_RUNS)
        some = ScanList(0, self._services, sorted_by_start(self._seen)[:_SAMPLED])
        visits = _Visits(self._log_directory_fd)
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

    def end_slice(self, *, keep: bool) -> None:
        """End this process's slice of the scan.

        If `keep`, the runs that ended first are saved for the next process that needs room; a list
        that was finished within one slice has no file yet.
        """
        runs, progress = self._runs, self._ledger.scan
        if runs is None or runs.saved or progress.list_number != runs.number:
            return
        if keep and self._oldest:
            try:
                runs.save(self._log_directory_fd)
                self._update_oldest(runs, [], new_table=True)
            except OSError:
                self._abandon(finished_s=progress.finished_s)
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

    def _use_list(self, runs: ScanList) -> None:
        """Continue with another list."""
        if self._runs is not None:
            self._runs.close()
        self._runs, self._oldest = runs, []
        record_list(self._ledger, runs)

    def _abandon(self, finished_s: float = 0.0) -> None:
        """Discard a list that is unusable; the next scan is due now, or as if `finished_s`."""
        progress = self._ledger.scan
        progress.phase = IDLE
        progress.count = progress.visited = progress.oldest = progress.oldest_gone = 0
        progress.finished_s = finished_s
        progress.wanted_age_s = progress.max_age_s or progress.wanted_age_s

    def _visit(self, runs: ScanList, until_s: float, min_runs: int) -> list[int]:
        """Count runs; return entries of those that may be removed. Raises ValueError, OSError."""
        progress = self._ledger.scan
        now_s, goal = time(), progress.visited + min_runs
        ended, last_ms = [], -1
        visits = _Visits(self._log_directory_fd)
        try:
            while progress.visited < progress.count:
                for start_ms, service, name in runs.runs(progress.visited, _BATCH):
                    if start_ms < max(last_ms, progress.next_start_ms):
                        raise ValueError("the list of runs is damaged")
                    last_ms = start_ms
                    found = visits.visit(service, name)
                    if found is not None and not self._remove_expired(found, now_s, service, name):
                        progress.total += found.size_bytes
                        if found.removable:
                            ended.append(oldest_entry(found.ended_s, progress.visited))
                    progress.visited += 1
                    if progress.visited >= goal and monotonic() >= until_s:
                        return ended
        finally:
            visits.close()
        return ended

    def _remove_expired(self, found: FoundRun, now_s: float, service: str, name: str) -> bool:
        """Remove a run that is too old or an empty directory; return whether it is gone."""
        max_age_s = self._ledger.scan.max_age_s
        old = max_age_s and found.removable and now_s - found.ended_s > max_age_s
        if not (old or found.empty):
            return False
        freed = remove_run(service, name, self._log_directory_fd)
        bound = self._ledger.bound_bytes
        if bound is not None:
            self._ledger.bound_bytes = max(0, bound - freed)
        found.size_bytes = max(0, found.size_bytes - freed)
        return not found.size_bytes

    def _update_oldest(self, runs: ScanList, ended: list[int], *, new_table: bool) -> None:
        """Add to the table of the runs that ended first; `new_table` if the file has no table yet.

        Raises ValueError, OSError.
        """
        progress = self._ledger.scan
        oldest = self._read_oldest(runs)
        if ended:
            self._oldest = oldest = sorted(oldest + ended)[:MAX_OLDEST]
        if ended or new_table:
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
        freed = remove_run(service, name, self._log_directory_fd)
        # the run existed before the scan began
        self._ledger.release(freed, Account(start_ms, -1))
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
    """Visits runs, and keeps the directory of the current service open."""

    def __init__(self, log_directory_fd: int) -> None:
        self._log_directory_fd = log_directory_fd
        self._service = ""
        self._fd = -1

    def visit(self, service: str, name: str) -> FoundRun | None:
        if service != self._service or self._fd < 0:
            self.close()
            try:
                self._fd = os.open(service, DIRECTORY, dir_fd=self._log_directory_fd)
            except OSError:
                return None
            self._service = service
        return visit(name, self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            close_descriptor(self._fd)
            self._fd = -1


def record_list(ledger: Ledger, runs: ScanList) -> None:
    """Record in the ledger that the scan's list is complete, so that the visits may begin."""
    progress = ledger.scan
    progress.phase = VISITING
    progress.list_number = runs.number
    progress.count = runs.count
    progress.visited = progress.oldest = progress.oldest_gone = 0
    progress.next_start_ms, progress.tied = -1, False


def make_long_list(log_directory_fd: int, number: int, fd: int) -> None:
    """List all runs without holding the ledger; then record it there. Closes `fd`.

    Raises LedgerBusyError, UnsafeDirectoryError, OSError.
    """
    began_s = monotonic()
    try:
        services, entries, whole = list_runs(log_directory_fd, MAX_RUNS)
        runs = ScanList(number, services, sorted_by_start(entries))
        runs.write(fd)
        ledger = Ledger.acquire(log_directory_fd, _LIST_TIMEOUT_S)
        try:
            if (ledger.scan.phase, ledger.scan.number) != (LISTING, number):
                raise LedgerBusyError("another process has begun another scan")
            install(log_directory_fd)
            record_list(ledger, runs)
            ledger.scan.partial = not whole
            ledger.scan.cost_s += monotonic() - began_s
            ledger.save()
        finally:
            ledger.unlock()
    finally:
        close_descriptor(fd)
