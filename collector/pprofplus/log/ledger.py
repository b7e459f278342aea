"""The log directory's ledger: the bytes that all segments may take, and the progress of a scan.

Before a writer opens a segment, it reserves in the ledger, under the ledger's lock, the size that
the segment may grow to. So the sum is never less than what is on disk, the cap holds to the byte
with any number of writers, and a process that starts reads a few bytes instead of a thousand
directories.

A writer that is killed releases nothing. So the sum drifts upwards until a scan of all runs
corrects it. A scan may take seconds, and a process may live for less than that. So a scan is done
in short slices, by any process, each under the lock. Its progress is a second record in this file,
after the first; earlier releases read and write the first record only. The sum keeps changing
meanwhile: a change in a run that the scan has already counted changes the scan's total too.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import Struct
from time import monotonic, sleep
from zlib import crc32

from pprofplus.errors import UnsafeDirectoryError
from pprofplus.log.log_directory import LEDGER_NAME, set_mode
from pprofplus.system.descriptor import EITHER, close_descriptor
from pprofplus.system.locks import lock

# magic, bound in bytes, unix seconds of the last check for expired runs, CRC-32
_BOUND = Struct("<8sqdI")
_BOUND_MAGIC = b"PPLEDG1\n"
_SCAN_AT = 64
# magic, the fields of ScanProgress in their order, CRC-32
_SCAN = Struct("<8sqQQBBBB4xIIqqdddddIII")
_SCAN_MAGIC = b"PPSCAN1\n"
_CRC_BYTES = 4
# a slice of a scan, or of a removal of runs, holds the lock for some milliseconds
TIMEOUT_S = 0.05
_MIN_PAUSE_S, _MAX_PAUSE_S = 0.0005, 0.004
_UNKNOWN = -1
_NEAR_CAP = 16
_NO_FILE = f"{LEDGER_NAME} in the log directory is no file: remove it"

IDLE = 0  # no scan is in progress
LISTING = 1  # a process lists the runs
VISITING = 2  # the listed runs are visited, in the order of their start


class LedgerBusyError(OSError):
    """Another process holds the ledger, or is evicting runs; try again at the next sample."""


class ScanProgress:
    """The progress of the scan that is running, and the result of the last one.

    Attributes:
        seen_bound: the ledger's bound when this record was written; an earlier release changes only
            the bound.
        number: number of the scan; each scan adds one.
        list_number: number of the scan that the list file belongs to.
        phase: IDLE, LISTING or VISITING.
        partial: the list does not contain all runs, so its total cannot correct the bound.
        full: at the end of the last scan the cap was near, and there was no run to remove.
        count: runs in the list.
        visited: how many of them are counted.
        next_start_ms: every listed run that started before this is counted, and no other; -1 before
            the first.
        tied: of the runs that started in exactly this millisecond, some are counted.
        total: bytes counted.
        finished_s: unix seconds when the last scan was finished; 0 if there was none.
        cost_s: seconds that this scan has taken so far, over all processes.
        last_cost_s: seconds that the last scan took.
        max_age_s: this scan removes ended runs that are older; 0 for none.
        wanted_age_s: the same, for the next scan; if it is not 0, that scan is due.
        oldest: entries in the list file's table of the runs that ended first.
        oldest_gone: how many of these are removed.
    """

    # The order is that of the record.
    seen_bound: int = _UNKNOWN
    number: int = 0
    list_number: int = 0
    phase: int = IDLE
    partial: bool = False
    full: bool = False
    tied: bool = False
    count: int = 0
    visited: int = 0
    next_start_ms: int = -1
    total: int = 0
    finished_s: float = 0.0
    cost_s: float = 0.0
    last_cost_s: float = 0.0
    max_age_s: float = 0.0
    wanted_age_s: float = 0.0
    oldest: int = 0
    oldest_gone: int = 0

    def pack(self) -> bytes:
        """Return the record."""
        values = [getattr(self, name) for name in _SCAN_FIELDS]
        return _with_crc(_SCAN.pack(_SCAN_MAGIC, *values, 0))

    def unpack(self, raw: bytes) -> bool:
        """Read the record into this object; False if it is not a valid record of this release."""
        if len(raw) != _SCAN.size or not _crc_holds(raw):
            return False
        magic, *values, _ = _SCAN.unpack(raw)
        for name, value in zip(_SCAN_FIELDS, values, strict=True):
            convert = type(getattr(ScanProgress, name))  # the record has a byte for a bool
            setattr(self, name, convert(value))
        return (
            magic == _SCAN_MAGIC
            and self.phase <= VISITING
            and self.visited <= self.count
            and self.oldest_gone <= self.oldest
            and self.total >= 0
        )


_SCAN_FIELDS = tuple(ScanProgress.__annotations__)


class Account:
    """The properties of a run that the ledger needs to account for its bytes.

    Attributes:
        start_ms: the run's start, as in its name.
        created_in: number of the scan when its directory was created: that scan's list does not
            contain it; None if the directory was created without the ledger.
    """

    __slots__ = ("created_in", "start_ms")

    def __init__(self, start_ms: int, created_in: int | None) -> None:
        self.start_ms = start_ms
        self.created_in = created_in


class Ledger:
    """The ledger, locked from `acquire` to `unlock`.

    Attributes:
        bound_bytes: upper bound of what all segments take or may grow to; None if unknown.
        expiry_checked_s: unix seconds of the last check for runs that are too old; 0 if there was
            none.
        scan: the progress of the scan.
    """

    __slots__ = ("_fd", "bound_bytes", "expiry_checked_s", "scan")

    def __init__(self, fd: int) -> None:
        """Read the ledger from its locked descriptor, and take ownership of the descriptor."""
        self._fd = fd
        self.bound_bytes: int | None = None
        self.expiry_checked_s = 0.0
        raw = os.pread(fd, _SCAN_AT + _SCAN.size, 0)
        first = raw[: _BOUND.size]
        if len(first) == _BOUND.size:
            magic, bound, expiry_checked_s, _ = _BOUND.unpack(first)
            if magic == _BOUND_MAGIC and _crc_holds(first):
                self.bound_bytes = bound if bound >= 0 else None
                self.expiry_checked_s = expiry_checked_s
        self.scan = ScanProgress()
        if self.scan.unpack(raw[_SCAN_AT:]):
            self._follow_earlier_releases()
        else:
            self.scan = ScanProgress()

    @classmethod
    def acquire(cls, log_directory_fd: int, timeout_s: float = TIMEOUT_S) -> Ledger:
        """Return the ledger, locked. Raises LedgerBusyError, UnsafeDirectoryError, OSError."""
        fd = _open(log_directory_fd)
        try:
            _wait_for(fd, timeout_s)
            return cls(fd)
        except BaseException:
            close_descriptor(fd)
            raise

    def reserve(self, size_bytes: int, account: Account) -> None:
        """Add bytes that a run is about to take."""
        if self.bound_bytes is not None:
            self.bound_bytes += size_bytes
        # if this is unknown, count too much rather than too little: the next scan corrects that
        if self.scan.phase != IDLE and self._counted(account) is not False:
            self.scan.total += size_bytes

    def release(self, size_bytes: int, account: Account) -> None:
        """Subtract bytes that a run had written or reserved, and that are free now."""
        if self.bound_bytes is not None:
            self.bound_bytes = max(0, self.bound_bytes - size_bytes)
        if self.scan.phase != IDLE and self._counted(account) is True:
            self.scan.total = max(0, self.scan.total - size_bytes)

    def near_cap(self, max_total_bytes: int) -> bool:
        """Return whether the next segments may find no room unless runs are removed."""
        bound = self.bound_bytes
        return bound is None or bound > max_total_bytes - max_total_bytes // _NEAR_CAP

    def save(self) -> None:
        """Write the ledger to disk. Raises OSError."""
        bound = _UNKNOWN if self.bound_bytes is None else self.bound_bytes
        self.scan.seen_bound = bound
        first = _with_crc(_BOUND.pack(_BOUND_MAGIC, bound, self.expiry_checked_s, 0))
        # one write within one block: after a kill, either both records are new or neither
        raw = first.ljust(_SCAN_AT, b"\0") + self.scan.pack()
        if os.pwrite(self._fd, raw, 0) != len(raw):
            raise OSError(errno.ENOSPC, "the ledger could not be written completely")

    def unlock(self) -> None:
        """Unlock it; never raises."""
        fd, self._fd = self._fd, -1
        close_descriptor(fd)  # if the host has closed the descriptor, the lock is released already

    def _counted(self, account: Account) -> bool | None:
        """Return whether the scan's total contains a run's bytes; None if that is unknown."""
        scan = self.scan
        if account.created_in is None:
            return None
        if account.created_in == scan.number:
            # the list does not contain it: the total has exactly what was reserved since
            return True
        if scan.tied and account.start_ms == scan.next_start_ms:
            return None
        return account.start_ms < scan.next_start_ms

    def _follow_earlier_releases(self) -> None:
        """Apply what a process of an earlier release changed: it updates only the bound."""
        scan = self.scan
        bound = _UNKNOWN if self.bound_bytes is None else self.bound_bytes
        if scan.phase == IDLE or bound == scan.seen_bound:
            return
        if _UNKNOWN in {bound, scan.seen_bound}:
            scan.phase = IDLE  # the change is unknown: begin another scan
            scan.finished_s = 0.0
        elif bound > scan.seen_bound:
            scan.total += bound - scan.seen_bound


def _with_crc(record: bytes) -> bytes:
    """Return a record with the CRC of what precedes it in its last bytes."""
    start = record[:-_CRC_BYTES]
    return start + crc32(start).to_bytes(_CRC_BYTES, "little")


def _crc_holds(record: bytes) -> bool:
    return crc32(record[:-_CRC_BYTES]) == int.from_bytes(record[-_CRC_BYTES:], "little")


def _open(log_directory_fd: int) -> int:
    """Return the ledger's descriptor. Raises UnsafeDirectoryError, OSError."""
    try:
        try:
            fd = os.open(LEDGER_NAME, EITHER, 0o600, dir_fd=log_directory_fd)
        except PermissionError:
            # an earlier release created it under a umask that removes the owner's write permission
            if not set_mode(LEDGER_NAME, 0o600, log_directory_fd):
                raise
            fd = os.open(LEDGER_NAME, EITHER, 0o600, dir_fd=log_directory_fd)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise UnsafeDirectoryError(_NO_FILE) from error
        raise
    return fd


def _wait_for(fd: int, timeout_s: float) -> None:
    """Lock the ledger's descriptor. Raises LedgerBusyError, UnsafeDirectoryError, OSError."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeDirectoryError(_NO_FILE)
    if not found.st_size:  # new file: any umask must not keep the next process from opening it
        os.fchmod(fd, 0o600)
    until_s, pause_s = monotonic() + timeout_s, _MIN_PAUSE_S
    while lock(fd) is False:
        if monotonic() >= until_s:
            raise LedgerBusyError(errno.EAGAIN, "the log directory's ledger is in use")
        sleep(pause_s)
        pause_s = min(2 * pause_s, _MAX_PAUSE_S)
