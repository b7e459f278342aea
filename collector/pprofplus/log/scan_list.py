"""The list file: the runs that a scan visits, and the table of those that ended first.

A process that lives for milliseconds reads a part of it, so all records have a fixed size. Data
that is read is checked: the file is not synced, and a power failure may zero any part of it.
"""

from __future__ import annotations

import errno
import os
from struct import Struct, iter_unpack, pack
from time import time
from zlib import crc32

from pprofplus.log.log_directory import (
    NEW_RUN_LIST_NAME,
    RUN_LIST_NAME,
    SERVICE_PATTERN,
    run_name,
    valid_service,
)
from pprofplus.system.descriptor import DIRECTORY, EXISTING, NEW, close_descriptor
from pprofplus.system.locks import lock

_HEAD = Struct("<8sQIII")  # magic, number of the scan, runs, bytes of the services' names, CRC-32
_MAGIC = b"PPRUNS1\n"
_CRC_BYTES = 4
_RUN = Struct(">QQH")  # start in unix ms, pid, index of the service: so the records sort by start
_OLDEST = Struct("<q")  # end of the run in units of 16 ms, then 22 bits: its index in the list
_INDEX_BITS = 22
_END_SHIFT = 4
_MAX_NAME_LENGTH = 26
_TOO_LARGE = 1 << 63
_SORT_BATCH = 4096  # a sort holds the GIL and blocks the service's threads: sort in parts
_UNSEEN_S = 10.0
_MAX_SERVICES = 1 << 16
_MAX_TEXT = _MAX_SERVICES * 65

MAX_RUNS = 1 << 18  # in a list: building it takes 25 MB
MAX_OLDEST = 4096


def list_runs(log_directory_fd: int, most: int) -> tuple[list[str], list[bytes], bool]:
    """Return services, records of runs, and whether these are all.

    The runs are not sorted; there are at most `most`.

    Raises OSError if the log directory cannot be read.
    """
    services: list[str] = []
    entries: list[bytes] = []
    for service in sorted(os.listdir(log_directory_fd))[:_MAX_SERVICES]:
        if not valid_service(service):
            continue
        try:
            service_fd = os.open(service, DIRECTORY, dir_fd=log_directory_fd)
        except OSError:
            continue
        number = len(services)
        services.append(service)
        try:
            with os.scandir(service_fd) as found:
                for entry in found:
                    name = entry.name
                    pid, _, start = name.partition("-")
                    if len(name) <= _MAX_NAME_LENGTH and pid.isdecimal() and start.isdecimal():
                        entries.append(_RUN.pack(int(start), int(pid), number))
                        if len(entries) >= most:
                            return services, entries, False
        except OSError:  # the directory was removed meanwhile
            continue
        finally:
            close_descriptor(service_fd)
    return services, entries, True


def sorted_by_start(entries: list[bytes]) -> list[bytes]:
    """Return the runs sorted by start, in steps that let other threads run."""
    if len(entries) <= _SORT_BATCH:
        return sorted(entries)
    from heapq import merge

    parts = [sorted(entries[at : at + _SORT_BATCH]) for at in range(0, len(entries), _SORT_BATCH)]
    return list(merge(*parts))


class ScanList:
    """The runs of one scan, sorted by start; in memory, or read from the file.

    Attributes:
        number: of the scan.
        count: runs in it.
    """

    __slots__ = ("_entries", "_fd", "_runs_at", "_services", "count", "number")

    def __init__(self, number: int, services: list[str], entries: list[bytes]) -> None:
        self.number = number
        self.count = len(entries)
        self._services = services
        self._entries: list[bytes] | None = entries
        self._fd = -1
        self._runs_at = 0

    @classmethod
    def open(cls, log_directory_fd: int, number: int, count: int) -> ScanList | None:
        """Return the saved list of scan `number`; None if there is no complete one."""
        try:
            fd = os.open(RUN_LIST_NAME, os.O_RDWR | EXISTING, dir_fd=log_directory_fd)
        except OSError:
            return None
        found = cls(number, [], [])
        found._fd, found._entries = fd, None
        if not found._read_head(count):
            found.close()
            return None
        return found

    def save(self, log_directory_fd: int) -> None:
        """Write the file again, unless the list is in the file already. Raises OSError."""
        if self._entries is None:
            return
        fd = new_file(log_directory_fd)
        try:
            self.write(fd)
            os.rename(
                NEW_RUN_LIST_NAME,
                RUN_LIST_NAME,
                src_dir_fd=log_directory_fd,
                dst_dir_fd=log_directory_fd,
            )
        except BaseException:
            close_descriptor(fd)
            _unlink(NEW_RUN_LIST_NAME, log_directory_fd)
            raise
        self._fd, self._entries = fd, None

    def write(self, fd: int) -> None:
        """Write the list to an empty file. Raises OSError."""
        services = "\n".join(self._services).encode()
        start = _HEAD.pack(_MAGIC, self.number, self.count, len(services), 0)[:-_CRC_BYTES]
        crc = crc32(services, crc32(start)).to_bytes(_CRC_BYTES, "little")
        records = b"".join(self._entries or ())
        self._runs_at = _HEAD.size + len(services)
        for at, part in ((0, start + crc + services), (self._runs_at, records)):
            if os.pwrite(fd, part, at) != len(part):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def runs(self, first: int, count: int) -> list[tuple[int, str, str]]:
        """Return (start in unix ms, service, name) of some runs. Raises ValueError, OSError."""
        if self._entries is not None:
            raw = b"".join(self._entries[first : first + count])
        else:
            count = min(count, self.count - first)
            size_bytes = count * _RUN.size
            raw = os.pread(self._fd, size_bytes, self._runs_at + first * _RUN.size)
            if len(raw) != size_bytes:
                raise ValueError("the list of runs is truncated")
        runs = []
        for start_ms, pid, service in _RUN.iter_unpack(raw):
            if service >= len(self._services) or not 0 < start_ms | pid < _TOO_LARGE:
                raise ValueError("the list of runs is damaged")
            runs.append((start_ms, self._services[service], run_name(pid, start_ms)))
        return runs

    def read_oldest(self, first: int, count: int) -> list[int]:
        """Return entries of the table of the runs that ended first; see `end_and_index`.

        Raises ValueError, OSError.
        """
        at = self._runs_at + self.count * _RUN.size + first * _OLDEST.size
        raw = os.pread(self._fd, count * _OLDEST.size, at)
        if len(raw) != count * _OLDEST.size:
            raise ValueError("the list of runs is truncated")
        return [value for (value,) in iter_unpack("<q", raw)]

    def write_oldest(self, values: list[int]) -> None:
        """Write that table again. Raises OSError."""
        raw = pack(f"<{len(values)}q", *values)
        if os.pwrite(self._fd, raw, self._runs_at + self.count * _RUN.size) != len(raw):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @property
    def saved(self) -> bool:
        """Whether the list is in the file."""
        return self._entries is None

    def close(self) -> None:
        """Close the file; never raises."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_descriptor(fd)

    def _read_head(self, count: int) -> bool:
        try:
            raw = os.pread(self._fd, _HEAD.size, 0)
            if len(raw) != _HEAD.size:
                return False
            magic, number, self.count, length, crc = _HEAD.unpack(raw)
            if (magic, number, self.count) != (_MAGIC, self.number, count) or length > _MAX_TEXT:
                return False
            text = os.pread(self._fd, length, _HEAD.size)
        except (OSError, MemoryError, OverflowError):
            return False
        if len(text) != length or crc32(text, crc32(raw[:-_CRC_BYTES])) != crc:
            return False
        self._services = text.decode("ascii", "replace").split("\n") if text else []
        self._runs_at = _HEAD.size + length
        return all(map(SERVICE_PATTERN.fullmatch, self._services))


def oldest_entry(ended_s: float, index: int) -> int:
    """Return an entry of the table of the runs that ended first; entries sort by end."""
    ended_ms = min(max(0, int(ended_s * 1000)), (1 << 44) - 1)
    return ended_ms >> _END_SHIFT << _INDEX_BITS | index


def end_and_index(entry: int) -> tuple[int, int]:
    """Return (end in unix ms, rounded up to 16, index in the list) of an entry."""
    return ((entry >> _INDEX_BITS) + 1) << _END_SHIFT, entry & (1 << _INDEX_BITS) - 1


def new_file(log_directory_fd: int) -> int:
    """Return the descriptor of a new list file, which no other process writes. Raises OSError."""
    _unlink(NEW_RUN_LIST_NAME, log_directory_fd)
    fd = os.open(NEW_RUN_LIST_NAME, NEW, 0o600, dir_fd=log_directory_fd)
    try:
        os.fchmod(fd, 0o600)
    except BaseException:
        close_descriptor(fd)
        raise
    return fd


def install(log_directory_fd: int) -> None:
    """Rename the new list file to its final name. Raises OSError."""
    os.rename(
        NEW_RUN_LIST_NAME, RUN_LIST_NAME, src_dir_fd=log_directory_fd, dst_dir_fd=log_directory_fd
    )


def is_being_listed(log_directory_fd: int) -> bool:
    """Return whether a live process is writing the new list file."""
    try:
        fd = os.open(NEW_RUN_LIST_NAME, EXISTING, dir_fd=log_directory_fd)
    except OSError:
        return False
    try:
        locked = lock(fd, shared=True)
        passed_s = time() - os.fstat(fd).st_mtime
    except OSError:
        return False
    else:
        return -_UNSEEN_S < passed_s < _UNSEEN_S if locked is None else not locked
    finally:
        close_descriptor(fd)


def _unlink(name: str, log_directory_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=log_directory_fd)
    except OSError:
        # it does not exist, or the next step fails as well
        return
