"""What the whole log directory may take, and which ended runs are removed for that.

`start()` never scans the runs: it reserves in the ledger. If the ledger says that there is no
room, it removes a few of those runs that ended first, as far as a scan knows them, within
milliseconds. Everything else is done by `tend` in slices of milliseconds between two samples, by
any collector of the log directory: to scan the runs, once a minute where they are few, to correct
the ledger, to remove what is too old, and to keep some room free.
"""

# pathlib costs each service 5 ms, and has no openat

from __future__ import annotations

import errno
import os
from sys import modules
from time import monotonic, time

from pprofplus.errors import UnsafePlaceError
from pprofplus.log.ledger import IDLE, LISTING, VISITING, Ledger, LedgerBusyError
from pprofplus.log.log_directory import LEDGER_NAME, open_private
from pprofplus.system.descriptor import close_descriptor

DEFAULT_MAX_TOTAL_BYTES = 1 << 30
DEFAULT_MAX_AGE_DAYS = 14.0

SWEEP_PERIOD_S = 3600.0

_DAY_S = 86_400.0
_LOOK_S = 60.0
_LEAST_AGE_S = 1e-3
# Near the cap the runs are scanned again after a second, or 20 times what the last scan took.
_NEAR_PAUSE_S = 1.0
_NEAR_SHARE = 20
# Else after a minute, or so many times what the last scan took: less often if hardly anything was
# reserved since.
_SHARE, _QUIET_SHARE = 1000, 10_000
_MUCH = 64
# what is freed when the cap is near, so that not every segment needs a removal: two 16ths
_SLACK = 16
# Time limits hold whatever the disk; the counts make progress certain on a machine that stalls.
_SLICE_S, _SLICE_LEAST = 0.002, 16
_NEAR_SLICE_S, _NEAR_SLICES = 0.004, 3
_PAUSE_S = 0.25
_ROOM_S, _ROOM_LEAST = 0.004, 24

_next_look_s: dict[str, float] = {}  # by log directory, for all runs that this process records


def make_home_room(
    ledger: Ledger, home_fd: int, new_bytes: int, enough_bytes: int, max_total_bytes: int
) -> tuple[int, bool]:
    """Return how many of `new_bytes` there is room for, and whether more cannot be had.

    If there is no room, ended runs are removed until there is for `enough_bytes`: those that ended
    first, as far as that is known within milliseconds. The ledger is not written. Raises OSError.

    Without a ledger, as in a copy of a log directory, nobody knows how much there is. No run is
    removed for that: there is room for `enough_bytes` until a scan is finished.
    """
    bound = ledger.bound_bytes
    if bound is not None and bound + new_bytes <= max_total_bytes:
        return new_bytes, True
    from pprofplus.log.ledger_scan import Scan  # noqa: PLC0415 - most services never need it

    until_s = monotonic() + _ROOM_S
    scan, freed = Scan(home_fd, ledger), 0

    def missing_bytes() -> int:
        return enough_bytes - _room(ledger, freed, max_total_bytes)

    def over_bytes() -> int:
        return (ledger.bound_bytes or 0) + enough_bytes - max_total_bytes

    try:
        if bound is not None:
            freed = scan.remove_oldest(over_bytes(), until_s, _ROOM_LEAST, sure=True)
        if missing_bytes() > 0:
            if ledger.scan.phase != VISITING:
                scan.begin()
            scan.go_on(until_s, _ROOM_LEAST)
        if ledger.bound_bytes is None:
            scan.settle(keep=True)
            return min(enough_bytes, new_bytes), True
        if missing_bytes() > 0:
            freed += scan.remove_oldest(over_bytes(), until_s, _ROOM_LEAST, sure=False)
        if missing_bytes() > 0 and not scan.finished:
            freed += scan.remove_one_of_many(missing_bytes())
        scan.settle(keep=True)
    finally:
        scan.close()
    certain = scan.finished or ledger.scan.full
    return min(_room(ledger, freed, max_total_bytes), new_bytes), certain


def is_ready(ledger: Ledger, home_fd: int, max_total_bytes: int) -> bool:
    """Tell whether all is loaded that `make_home_room` needs: that is not done under the lock.

    A log directory that is new needs nothing. Raises OSError.
    """
    if ledger.bound_bytes is None and os.listdir(home_fd) == [LEDGER_NAME]:
        ledger.bound_bytes = 0
        ledger.scan.finished_s = time()
    return "pprofplus.log.ledger_scan" in modules or not ledger.near_cap(max_total_bytes)


def load() -> None:
    """Load what `make_home_room` needs. Raises OSError if it cannot be loaded."""
    try:
        import pprofplus.log.ledger_scan  # noqa: F401, PLC0415 - most services never need it
    except ImportError as error:  # a server that was root may not read the library any more
        raise OSError(errno.EACCES, f"{error}: its file may not be read") from error


def _room(ledger: Ledger, freed: int, max_total_bytes: int) -> int:
    """Return the bytes that may be taken: below the cap, or in the place of what was `freed`."""
    bound = ledger.bound_bytes
    return freed if bound is None else max(freed, max_total_bytes - bound, 0)


def look_soon(home: str, ledger: Ledger, max_total_bytes: int) -> None:
    """Have `tend` look at once, if the ledger shows that there is something to do."""
    if (
        ledger.scan.phase != IDLE
        or ledger.near_cap(max_total_bytes)
        or _rest_s(ledger, max_total_bytes) <= 0
    ):
        _next_look_s[home] = 0.0
    else:
        _next_look_s.setdefault(home, monotonic() + _LOOK_S)


def tend(home: str, max_total_bytes: int) -> None:
    """Do what is due for the log directory, for some milliseconds; never raises OSError.

    It is cheap when nothing is due.
    """
    if monotonic() < _next_look_s.get(home, 0.0):
        return
    wait_s = _LOOK_S
    try:
        home_fd = open_private(home, make=False)
        try:
            for _ in range(_NEAR_SLICES):
                wait_s = _tend(home_fd, max_total_bytes)
                if wait_s > 0:
                    break
        finally:
            close_descriptor(home_fd)
    except LedgerBusyError:
        wait_s = _PAUSE_S
    except (OSError, UnsafePlaceError):
        # what is in the way is in the writer's way, too, which warns of it
        pass
    _next_look_s[home] = monotonic() + wait_s


def _tend(home_fd: int, max_total_bytes: int) -> float:
    """Do one slice; return the seconds until the next. Raises OSError, UnsafePlaceError."""
    ledger = Ledger.take(home_fd, patience_s=0)
    try:
        rest_s = 0.0 if ledger.scan.phase != IDLE else _rest_s(ledger, max_total_bytes)
        if rest_s > 0 and not ledger.near_cap(max_total_bytes):
            return min(rest_s, _LOOK_S)
        wait_s, long_list = _slice(ledger, home_fd, max_total_bytes, due=rest_s <= 0)
        ledger.note()
    finally:
        ledger.release()
    if long_list is not None:
        from pprofplus.log.ledger_scan import make_long_list  # noqa: PLC0415 - as above

        make_long_list(home_fd, *long_list)
    return wait_s


def _slice(
    ledger: Ledger, home_fd: int, max_total_bytes: int, *, due: bool
) -> tuple[float, tuple[int, int] | None]:
    """Go on with the scan, begin one if it is `due`, or remove runs if the cap is near.

    Returns the seconds until the next slice, and what `make_long_list` is to be given. Raises
    OSError.
    """
    from pprofplus.log.ledger_scan import Scan  # noqa: PLC0415 - as above

    progress, near = ledger.scan, ledger.near_cap(max_total_bytes)
    until_s = monotonic() + (_NEAR_SLICE_S if near else _SLICE_S)
    scan = Scan(home_fd, ledger)
    try:
        if not due:
            goal = max_total_bytes - 2 * (max_total_bytes // _SLACK)
            over = (ledger.bound_bytes or 0) - goal
            freed = scan.remove_oldest(over, until_s, _SLICE_LEAST, sure=False)
            more = freed and ledger.near_cap(max_total_bytes)
            return (0.0 if more else _NEAR_PAUSE_S if near else _LOOK_S), None
        if progress.phase != VISITING:
            if not scan.begin():
                return 0.0, scan.begin_long()
            if progress.phase == LISTING:  # another process is at that
                return _PAUSE_S, None
        scan.go_on(until_s, _SLICE_LEAST)
        near = ledger.near_cap(max_total_bytes)
        scan.settle(keep=near)
        progress.full = near and progress.phase == IDLE and not progress.oldest
    finally:
        scan.close()
    if progress.phase == IDLE:
        return (0.0 if near and not progress.full else _LOOK_S), None
    return (0.0 if near else _PAUSE_S), None


def _rest_s(ledger: Ledger, max_total_bytes: int) -> float:
    """Return the seconds until the next scan is due, 0 or less if it is."""
    progress = ledger.scan
    near = ledger.near_cap(max_total_bytes) and not progress.full
    if near or progress.wanted_age_s:
        pause_s = max(_NEAR_PAUSE_S if near else 0.0, _NEAR_SHARE * progress.last_cost_s)
    else:
        much = (ledger.bound_bytes or 0) - progress.total > max_total_bytes // _MUCH
        pause_s = max(_LOOK_S, (_SHARE if much else _QUIET_SHARE) * progress.last_cost_s)
    passed_s = time() - progress.finished_s
    return pause_s - passed_s if passed_s >= 0 else 0.0  # the clock was set back


def sweep_home(home: str, max_age_days: float) -> None:
    """Have the next scan remove runs that ended too long ago, once an hour; never raises OSError.

    After a long pause or a step of the clock, ages may be wrong: then the next call decides.
    """
    try:
        home_fd = open_private(home, make=False)
        try:
            ledger = Ledger.take(home_fd, patience_s=0)
            try:
                now_s, before_s = time(), ledger.swept_s
                if 0 <= now_s - before_s < SWEEP_PERIOD_S:
                    return
                ledger.swept_s = now_s
                if 0 <= now_s - before_s < _DAY_S:
                    ledger.scan.wanted_age_s = max(_LEAST_AGE_S, max_age_days * _DAY_S)
                    _next_look_s[home] = 0.0
                ledger.note()
            finally:
                ledger.release()
        finally:
            close_descriptor(home_fd)
    except (OSError, UnsafePlaceError):
        # what is in the way is in the writer's way, too, which warns of it
        return
