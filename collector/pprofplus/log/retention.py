"""The cap on the log directory, and the eviction of ended runs that enforces it.

`start()` never scans the runs: it reserves in the ledger. If the ledger shows no room, it removes a
few of the runs that ended first, as far as a scan has found them, within milliseconds. `maintain`
does everything else, in slices of milliseconds between two samples, in any collector of the log
directory: it scans the runs (once a minute if they are few), corrects the ledger, removes runs that
are too old, and keeps some space free.
"""

# pathlib costs each service 5 ms, and has no openat

from __future__ import annotations

import errno
import os
from sys import modules
from time import monotonic, time

from pprofplus.errors import UnsafeDirectoryError
from pprofplus.log.ledger import IDLE, LISTING, VISITING, Ledger, LedgerBusyError
from pprofplus.log.log_directory import LEDGER_NAME, open_private
from pprofplus.system.descriptor import close_descriptor

DEFAULT_MAX_TOTAL_BYTES = 1 << 30
DEFAULT_MAX_AGE_DAYS = 14.0

NO_ROOM = (
    "live and pinned runs take all of max_total_bytes: raise it, or unpin runs that you do not need"
)

EXPIRY_PERIOD_S = 3600.0

_DAY_S = 86_400.0
_MAINTENANCE_S = 60.0
_MIN_AGE_S = 1e-3
# Near the cap the runs are scanned again after a second, or 20 times the duration of the last scan.
_NEAR_PAUSE_S = 1.0
_NEAR_SHARE = 20
# Otherwise after a minute, or a multiple of the duration of the last scan: a larger multiple if
# little was reserved since.
_SHARE, _QUIET_SHARE = 1000, 10_000
_MUCH = 64
# near the cap, free two 16ths, so that not every segment needs a removal
_SLACK = 16
# The time limits hold on a slow disk; the minimum counts guarantee progress on a machine that
# stalls.
_SLICE_S, _SLICE_MIN_RUNS = 0.002, 16
_NEAR_SLICE_S, _NEAR_SLICES = 0.004, 3
_PAUSE_S = 0.25
_ROOM_S, _ROOM_MIN_RUNS = 0.004, 24

_next_due_s: dict[str, float] = {}  # by log directory, for all runs that this process records


def find_room(
    ledger: Ledger, log_directory_fd: int, new_bytes: int, enough_bytes: int, max_total_bytes: int
) -> tuple[int, bool]:
    """Return how many of `new_bytes` fit, and whether that answer is final.

    If there is no room, ended runs are removed until `enough_bytes` fit: those that ended first, as
    far as that is known within milliseconds. The ledger is not written. Raises OSError.

    Without a ledger, as in a copy of a log directory, the total is unknown. No run is removed then:
    `enough_bytes` fit until a scan is finished.
    """
    bound = ledger.bound_bytes
    if bound is not None and bound + new_bytes <= max_total_bytes:
        return new_bytes, True
    from pprofplus.log.ledger_scan import Scan

    until_s = monotonic() + _ROOM_S
    scan, freed = Scan(log_directory_fd, ledger), 0

    def missing_bytes() -> int:
        return enough_bytes - _room(ledger, freed, max_total_bytes)

    def over_bytes() -> int:
        return (ledger.bound_bytes or 0) + enough_bytes - max_total_bytes

    try:
        if bound is not None:
            freed = scan.remove_oldest(over_bytes(), until_s, _ROOM_MIN_RUNS, certain_only=True)
        if missing_bytes() > 0:
            if ledger.scan.phase != VISITING:
                scan.begin()
            scan.advance(until_s, _ROOM_MIN_RUNS)
        if ledger.bound_bytes is None:
            scan.end_slice(keep=True)
            return min(enough_bytes, new_bytes), True
        if missing_bytes() > 0:
            freed += scan.remove_oldest(over_bytes(), until_s, _ROOM_MIN_RUNS, certain_only=False)
        if missing_bytes() > 0 and not scan.finished:
            freed += scan.remove_one_of_many(missing_bytes())
        scan.end_slice(keep=True)
    finally:
        scan.close()
    certain = scan.finished or ledger.scan.full
    return min(_room(ledger, freed, max_total_bytes), new_bytes), certain


def is_ready(ledger: Ledger, log_directory_fd: int, max_total_bytes: int) -> bool:
    """Return whether all is loaded that `find_room` needs: loading must not happen under the lock.

    A new log directory needs nothing. Raises OSError.
    """
    if ledger.bound_bytes is None and os.listdir(log_directory_fd) == [LEDGER_NAME]:
        ledger.bound_bytes = 0
        ledger.scan.finished_s = time()
    return "pprofplus.log.ledger_scan" in modules or not ledger.near_cap(max_total_bytes)


def load() -> None:
    """Load what `find_room` needs. Raises OSError if it cannot be loaded."""
    try:
        import pprofplus.log.ledger_scan  # noqa: F401 - it only has to be loaded
    except ImportError as error:  # a server that was root may not read the library any more
        raise OSError(errno.EACCES, f"{error}: its file may not be read") from error


def _room(ledger: Ledger, freed: int, max_total_bytes: int) -> int:
    """Return the bytes that may be taken: below the cap, or in place of what was `freed`."""
    bound = ledger.bound_bytes
    return freed if bound is None else max(freed, max_total_bytes - bound, 0)


def schedule_maintenance(log_directory: str, ledger: Ledger, max_total_bytes: int) -> None:
    """Let `maintain` run soon, if the ledger shows that there is something to do."""
    if (
        ledger.scan.phase != IDLE
        or ledger.near_cap(max_total_bytes)
        or _scan_due_in_s(ledger, max_total_bytes) <= 0
    ):
        _next_due_s[log_directory] = 0.0
    else:
        _next_due_s.setdefault(log_directory, monotonic() + _MAINTENANCE_S)


def maintain(log_directory: str, max_total_bytes: int) -> None:
    """Do what is due for the log directory, for some milliseconds; never raises OSError.

    It is cheap when nothing is due.
    """
    if monotonic() < _next_due_s.get(log_directory, 0.0):
        return
    wait_s = _MAINTENANCE_S
    try:
        log_directory_fd = open_private(log_directory, make=False)
        try:
            for _ in range(_NEAR_SLICES):
                wait_s = _maintain_once(log_directory_fd, max_total_bytes)
                if wait_s > 0:
                    break
        finally:
            close_descriptor(log_directory_fd)
    except LedgerBusyError:
        wait_s = _PAUSE_S
    except (OSError, UnsafeDirectoryError):
        # the writer meets the same error, and warns about it
        pass
    _next_due_s[log_directory] = monotonic() + wait_s


def _maintain_once(log_directory_fd: int, max_total_bytes: int) -> float:
    """Do one slice; return the seconds until the next. Raises OSError, UnsafeDirectoryError."""
    ledger = Ledger.acquire(log_directory_fd, timeout_s=0)
    try:
        rest_s = 0.0 if ledger.scan.phase != IDLE else _scan_due_in_s(ledger, max_total_bytes)
        if rest_s > 0 and not ledger.near_cap(max_total_bytes):
            return min(rest_s, _MAINTENANCE_S)
        wait_s, long_list = _slice(ledger, log_directory_fd, max_total_bytes, due=rest_s <= 0)
        ledger.save()
    finally:
        ledger.unlock()
    if long_list is not None:
        from pprofplus.log.ledger_scan import make_long_list

        make_long_list(log_directory_fd, *long_list)
    return wait_s


def _slice(
    ledger: Ledger, log_directory_fd: int, max_total_bytes: int, *, due: bool
) -> tuple[float, tuple[int, int] | None]:
    """Continue the scan, begin one if it is `due`, or remove runs if the cap is near.

    Returns the seconds until the next slice, and the arguments for `make_long_list`. Raises
    OSError.
    """
    from pprofplus.log.ledger_scan import Scan

    progress, near = ledger.scan, ledger.near_cap(max_total_bytes)
    until_s = monotonic() + (_NEAR_SLICE_S if near else _SLICE_S)
    scan = Scan(log_directory_fd, ledger)
    try:
        if not due:
            goal = max_total_bytes - 2 * (max_total_bytes // _SLACK)
            over = (ledger.bound_bytes or 0) - goal
            freed = scan.remove_oldest(over, until_s, _SLICE_MIN_RUNS, certain_only=False)
            more = freed and ledger.near_cap(max_total_bytes)
            return (0.0 if more else _NEAR_PAUSE_S if near else _MAINTENANCE_S), None
        if progress.phase != VISITING:
            if not scan.begin():
                return 0.0, scan.begin_long_list()
            if progress.phase == LISTING:  # another process makes the list
                return _PAUSE_S, None
        scan.advance(until_s, _SLICE_MIN_RUNS)
        near = ledger.near_cap(max_total_bytes)
        scan.end_slice(keep=near)
        progress.full = near and progress.phase == IDLE and not progress.oldest
    finally:
        scan.close()
    if progress.phase == IDLE:
        return (0.0 if near and not progress.full else _MAINTENANCE_S), None
    return (0.0 if near else _PAUSE_S), None


def _scan_due_in_s(ledger: Ledger, max_total_bytes: int) -> float:
    """Return the seconds until the next scan is due, 0 or less if it is due."""
    progress = ledger.scan
    near = ledger.near_cap(max_total_bytes) and not progress.full
    if near or progress.wanted_age_s:
        pause_s = max(_NEAR_PAUSE_S if near else 0.0, _NEAR_SHARE * progress.last_cost_s)
    else:
        much = (ledger.bound_bytes or 0) - progress.total > max_total_bytes // _MUCH
        pause_s = max(_MAINTENANCE_S, (_SHARE if much else _QUIET_SHARE) * progress.last_cost_s)
    passed_s = time() - progress.finished_s
    return pause_s - passed_s if passed_s >= 0 else 0.0  # the clock was set back


def request_expiry(log_directory: str, max_age_days: float) -> None:
    """Request that the next scan removes expired runs, once an hour; never raises OSError.

    After a long pause or a step of the clock, ages may be wrong: then the next call decides.
    """
    try:
        log_directory_fd = open_private(log_directory, make=False)
        try:
            ledger = Ledger.acquire(log_directory_fd, timeout_s=0)
            try:
                now_s, before_s = time(), ledger.expiry_checked_s
                if 0 <= now_s - before_s < EXPIRY_PERIOD_S:
                    return
                ledger.expiry_checked_s = now_s
                if 0 <= now_s - before_s < _DAY_S:
                    ledger.scan.wanted_age_s = max(_MIN_AGE_S, max_age_days * _DAY_S)
                    _next_due_s[log_directory] = 0.0
                ledger.save()
            finally:
                ledger.unlock()
        finally:
            close_descriptor(log_directory_fd)
    except (OSError, UnsafeDirectoryError):
        # the writer meets the same error, and warns about it
        return
