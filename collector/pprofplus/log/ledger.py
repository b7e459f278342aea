"""The log directory's ledger: what all segments may take together, and how far a scan has come.

Every writer reserves in the ledger what a segment may grow to, before it opens the segment, under
the ledger's lock. So the sum is never less than what is on disk, the cap holds to the byte however
many processes write at once, and a process that starts reads a few bytes instead of a thousand
directories.

A writer that is killed releases nothing. So the sum drifts upwards until a scan of all runs
corrects it. A scan may take seconds, and a process may live for less than that, so a scan is done
in short slices, by any process, each under the lock; its progress is a second record here, behind
the first, which earlier releases read and write without the second. The sum keeps changing
meanwhile: what changes for a run that the scan has counted already changes the scan's total, too.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import Struct
from time import monotonic, sleep
from zlib import crc32

from pprofplus.errors import UnsafePlaceError
from pprofplus.log.log_directory import LEDGER_NAME, give_mode
from pprofplus.system.descriptor import EITHER, close_descriptor
from pprofplus.system.locks import lock

_BOUND = Struct("<8sqdI")  # magic, bound in bytes, unix seconds of the last sweep, CRC-32
_BOUND_MAGIC = b"PPLEDG1\n"
_SCAN_AT = 64
_SCAN = Struct("<8sqQQBBBB4xIIqqdddddIII")  # see ScanProgress; CRC-32
_SCAN_MAGIC = b"PPSCAN1\n"
_CRC_BYTES = 4
# a slice of a scan, or of a removal of runs, holds the lock for some milliseconds
PATIENCE_S = 0.05
_LEAST_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.004
_UNKNOWN = -1
_NEAR_CAP = 16
_NO_FILE = f"{LEDGER_NAME} in the log directory is no file: remove it"

IDLE = 0  # no scan is in progress
LISTING = 1  # a process lists the runs
VISITING = 2  # the listed runs are visited, in the order of their start


class LedgerBusyError(OSError):
    """Another process has the ledger, or makes room; try again with the next sample."""


class ScanProgress:
    """How far the scan in progress has come, and what the last one found.

    Attributes:
        seen_bound: the ledger's bound when this record was written: an earlier release changes
            that one alone.
        number: of the scan, counted up.
        list_number: number of the scan that the list file belongs to.
        phase: IDLE, LISTING or VISITING.
        partial: the list does not have all runs, so its total says nothing about the bound.
        full: the last scan found the cap near, and no run to remove.
        count: runs in the list.
        visited: how many of them are counted.
        next_start_ms: every listed run that started before this is counted, and no other; -1
            before the first.
        tied: of those that started at this very millisecond, some are counted.
        total: bytes counted.
        finished_s: unix seconds when the last scan was finished; 0 if there was none.
        cost_s: seconds that this scan has taken so far, over all processes.
        last_cost_s: seconds that the last one took.
        max_age_s: this scan removes ended runs that are older; 0 for none.
        wanted_age_s: the same, for the next scan; that one is due if it is not 0.
        oldest: entries of the list file's table of those runs that ended first.
        oldest_gone: how many of these are removed.
    """

    __slots__ = (
        "cost_s",
        "count",
        "finished_s",
        "full",
        "last_cost_s",
        "list_number",
        "max_age_s",
        "next_start_ms",
        "number",
        "oldest",
        "oldest_gone",
        "partial",
        "phase",
        "seen_bound",
        "tied",
        "total",
        "visited",
        "wanted_age_s",
    )

    def __init__(self) -> None:
        self.seen_bound = _UNKNOWN
        self.number = self.list_number = 0
        self.phase = IDLE
        self.partial = self.full = self.tied = False
        self.count = self.visited = 0
        self.next_start_ms = -1
        self.total = 0
        self.finished_s = self.cost_s = self.last_cost_s = 0.0
        self.max_age_s = self.wanted_age_s = 0.0
        self.oldest = self.oldest_gone = 0

    def pack(self) -> bytes:
        """Return the record."""
        start = _SCAN.pack(
            _SCAN_MAGIC,
            self.seen_bound,
            self.number,
            self.list_number,
            self.phase,
            self.partial,
            self.full,
            self.tied,
            self.count,
            self.visited,
            self.next_start_ms,
            self.total,
            self.finished_s,
            self.cost_s,
            self.last_cost_s,
            self.max_age_s,
            self.wanted_age_s,
            self.oldest,
            self.oldest_gone,
            0,
        )[:-_CRC_BYTES]
        return start + crc32(start).to_bytes(_CRC_BYTES, "little")

    def unpack(self, raw: bytes) -> bool:
        """Take over the record; False if it is none that a process of this release wrote."""
        if len(raw) != _SCAN.size or crc32(raw[:-_CRC_BYTES]) != int.from_bytes(
            raw[-_CRC_BYTES:], "little"
        ):
            return False
        (
            magic,
            self.seen_bound,
            self.number,
            self.list_number,
            self.phase,
            partial,
            full,
            tied,
            self.count,
            self.visited,
            self.next_start_ms,
            self.total,
            self.finished_s,
            self.cost_s,
            self.last_cost_s,
            self.max_age_s,
            self.wanted_age_s,
            self.oldest,
            self.oldest_gone,
            _,
        ) = _SCAN.unpack(raw)
        self.partial, self.full, self.tied = bool(partial), bool(full), bool(tied)
        return (
            magic == _SCAN_MAGIC
            and self.phase <= VISITING
            and self.visited <= self.count
            and self.oldest_gone <= self.oldest
            and self.total >= 0
        )


class Account:
    """What the ledger has to know of a run to book its bytes.

    Attributes:
        start_ms: the run's start, as in its name.
        made_in: number of the scan when its directory was made: that scan's list is without it;
            None if that was done without the ledger.
    """

    __slots__ = ("made_in", "start_ms")

    def __init__(self, start_ms: int, made_in: int | None) -> None:
        self.start_ms = start_ms
        self.made_in = made_in


class Ledger:
    """The ledger, locked from `take` to `release`.

    Attributes:
        bound_bytes: no less than what all segments take or may come to take; None if unknown.
        swept_s: unix seconds of the last sweep for runs that are too old; 0 if there was none.
        scan: how far the scan has come.
    """

    __slots__ = ("_fd", "bound_bytes", "scan", "swept_s")

    def __init__(self, fd: int) -> None:
        """Read the ledger from its locked descriptor, which is taken over."""
        self._fd = fd
        self.bound_bytes: int | None = None
        self.swept_s = 0.0
        raw = os.pread(fd, _SCAN_AT + _SCAN.size, 0)
        first = raw[: _BOUND.size]
        if len(first) == _BOUND.size:
            magic, bound, swept_s, crc = _BOUND.unpack(first)
            if magic == _BOUND_MAGIC and crc32(first[:-_CRC_BYTES]) == crc:
                self.bound_bytes = bound if bound >= 0 else None
                self.swept_s = swept_s
        self.scan = ScanProgress()
        if self.scan.unpack(raw[_SCAN_AT:]):
            self._follow_earlier_releases()
        else:
            self.scan = ScanProgress()

    @classmethod
    def take(cls, home_fd: int, patience_s: float = PATIENCE_S) -> Ledger:
        """Return the ledger, locked. Raises LedgerBusyError, UnsafePlaceError, OSError."""
        fd = _open(home_fd)
        try:
            _wait_for(fd, patience_s)
            return cls(fd)
        except BaseException:
            close_descriptor(fd)
            raise

    def reserve(self, size_bytes: int, account: Account) -> None:
        """Book bytes that a run is about to take."""
        if self.bound_bytes is not None:
            self.bound_bytes += size_bytes
        # in doubt too much is counted: the next scan corrects that
        if self.scan.phase != IDLE and self._counted(account) is not False:
            self.scan.total += size_bytes

    def give_back(self, size_bytes: int, account: Account) -> None:
        """Book bytes that a run had, or had reserved, and that are free now."""
        if self.bound_bytes is not None:
            self.bound_bytes = max(0, self.bound_bytes - size_bytes)
        if self.scan.phase != IDLE and self._counted(account) is True:
            self.scan.total = max(0, self.scan.total - size_bytes)

    def near_cap(self, max_total_bytes: int) -> bool:
        """Tell whether the next segments may find no room without a removal of runs."""
        bound = self.bound_bytes
        return bound is None or bound > max_total_bytes - max_total_bytes // _NEAR_CAP

    def note(self) -> None:
        """Write it down. Raises OSError."""
        bound = _UNKNOWN if self.bound_bytes is None else self.bound_bytes
        self.scan.seen_bound = bound
        start = _BOUND.pack(_BOUND_MAGIC, bound, self.swept_s, 0)[:-_CRC_BYTES]
        first = start + crc32(start).to_bytes(_CRC_BYTES, "little")
        # one write within one block: a kill leaves both records, or none of them
        raw = first.ljust(_SCAN_AT, b"\0") + self.scan.pack()
        if os.pwrite(self._fd, raw, 0) != len(raw):
            raise OSError(errno.ENOSPC, "the ledger could not be written whole")

    def release(self) -> None:
        """Unlock it; never raises."""
        fd, self._fd = self._fd, -1
        close_descriptor(fd)  # if the host has closed it, the lock went with it

    def _counted(self, account: Account) -> bool | None:
        """Tell whether the scan's total has a run's bytes; None if that is not known."""
        scan = self.scan
        if account.made_in is None:
            return None
        if account.made_in == scan.number:
            return True  # it is not in the list: the total has what is booked, and nothing else
        if scan.tied and account.start_ms == scan.next_start_ms:
            return None
        return account.start_ms < scan.next_start_ms

    def _follow_earlier_releases(self) -> None:
        """Take over what a process of an earlier release changed: it knows the bound alone."""
        scan = self.scan
        bound = _UNKNOWN if self.bound_bytes is None else self.bound_bytes
        if scan.phase == IDLE or bound == scan.seen_bound:
            return
        if _UNKNOWN in {bound, scan.seen_bound}:
            scan.phase = IDLE  # nobody knows what the scan has missed: begin another
            scan.finished_s = 0.0
        elif bound > scan.seen_bound:
            scan.total += bound - scan.seen_bound


def _open(home_fd: int) -> int:
    """Return the ledger's descriptor. Raises UnsafePlaceError, OSError."""
    try:
        try:
            fd = os.open(LEDGER_NAME, EITHER, 0o600, dir_fd=home_fd)
        except PermissionError:
            # an earlier release made it under a umask that takes the owner's right to write
            if not give_mode(LEDGER_NAME, 0o600, home_fd):
                raise
            fd = os.open(LEDGER_NAME, EITHER, 0o600, dir_fd=home_fd)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise UnsafePlaceError(_NO_FILE) from error
        raise
    return fd


def _wait_for(fd: int, patience_s: float) -> None:
    """Lock the ledger's descriptor. Raises LedgerBusyError, UnsafePlaceError, OSError."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise UnsafePlaceError(_NO_FILE)
    if not found.st_size:  # new: whatever the umask, the next process has to open it, too
        os.fchmod(fd, 0o600)
    until_s, pause_s = monotonic() + patience_s, _LEAST_PAUSE_S
    while lock(fd) is False:
        if monotonic() >= until_s:
            raise LedgerBusyError(errno.EAGAIN, "the log directory's ledger is in use")
        sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
