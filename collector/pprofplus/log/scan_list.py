"""The list file: the runs that a scan visits, and which of them ended first.

A process of a few milliseconds reads a part of it, so all records have fixed sizes. What is read
is checked: the file is not synced, and a power cut may leave any part of it zeroed.
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
_RUN = Struct(">QQH")  # start in unix ms, pid, index of the service: so they sort by their start
_OLDEST = Struct("<q")  # end of the run in units of 16 ms, then 22 bits: its index in the list
_INDEX_BITS = 22
_END_SHIFT = 4
_LONGEST_NAME = 26
_TOO_LARGE = 1 << 63
_SORTED_AT_ONCE = 4096  # a sort does not let the service's threads run: some of it, then
_UNSEEN_S = 10.0
_MOST_SERVICES = 1 << 16
_MOST_TEXT = _MOST_SERVICES * 65

MOST_RUNS = 1 << 18  # in a list: that takes 25 MB while it is made
MOST_OLDEST = 4096


def list_runs(home_fd: int, most: int) -> tuple[list[str], list[bytes], bool]:
    """Return services, records of runs, and whether these are all.

    The runs are in no order, and `most` at the most.

    Raises OSError if the log directory cannot be read.
    """
    services: list[str] = []
    entries: list[bytes] = []
    for service in sorted(os.listdir(home_fd))[:_MOST_SERVICES]:
        if not valid_service(service):
            continue
        try:
            service_fd = os.open(service, DIRECTORY, dir_fd=home_fd)
        except OSError:
            continue
        number = len(services)
        services.append(service)
        try:
            with os.scandir(service_fd) as found:
                for entry in found:
                    name = entry.name
                    pid, _, start = name.partition("-")
                    if len(name) <= _LONGEST_NAME and pid.isdecimal() and start.isdecimal():
                        entries.append(_RUN.pack(int(start), int(pid), number))
                        if len(entries) >= most:
                            return services, entries, False
        except OSError:  # the directory went away under us
            continue
        finally:
            close_descriptor(service_fd)
    return services, entries, True


def in_order_of_start(entries: list[bytes]) -> list[bytes]:
    """Return the runs sorted, in steps that let other threads run."""
    if len(entries) <= _SORTED_AT_ONCE:
        return sorted(entries)
    from heapq import merge  # noqa: PLC0415 - few services have so many runs

    parts = [
        sorted(entries[at : at + _SORTED_AT_ONCE]) for at in range(0, len(entries), _SORTED_AT_ONCE)
    ]
    return list(merge(*parts))


class ScanList:
    """The runs of one scan, in the order of their start; in memory, or read from the file.

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
    def open(cls, home_fd: int, number: int, count: int) -> ScanList | None:
        """Return the list of scan `number` as it was saved; None if there is none that is whole."""
        try:
            fd = os.open(RUN_LIST_NAME, os.O_RDWR | EXISTING, dir_fd=home_fd)
        except OSError:
            return None
        found = cls(number, [], [])
        found._fd, found._entries = fd, None
        if not found._read_head(count):
            found.close()
            return None
        return found

    def save(self, home_fd: int) -> None:
        """Write the file anew, unless it is in the file already. Raises OSError."""
        if self._entries is None:
            return
        fd = new_file(home_fd)
        try:
            self.write(fd)
            os.rename(NEW_RUN_LIST_NAME, RUN_LIST_NAME, src_dir_fd=home_fd, dst_dir_fd=home_fd)
        except BaseException:
            close_descriptor(fd)
            _unlink(NEW_RUN_LIST_NAME, home_fd)
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
                raise ValueError("the list of runs is cut short")
        runs = []
        for start_ms, pid, service in _RUN.iter_unpack(raw):
            if service >= len(self._services) or not 0 < start_ms | pid < _TOO_LARGE:
                raise ValueError("the list of runs is damaged")
            runs.append((start_ms, self._services[service], run_name(pid, start_ms)))
        return runs

    def read_oldest(self, first: int, count: int) -> list[int]:
        """Return entries of the table of those runs that ended first; see `end_and_index`.

        Raises ValueError, OSError.
        """
        at = self._runs_at + self.count * _RUN.size + first * _OLDEST.size
        raw = os.pread(self._fd, count * _OLDEST.size, at)
        if len(raw) != count * _OLDEST.size:
            raise ValueError("the list of runs is cut short")
        return [value for (value,) in iter_unpack("<q", raw)]

    def write_oldest(self, values: list[int]) -> None:
        """Write that table anew. Raises OSError."""
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
            if (magic, number, self.count) != (_MAGIC, self.number, count) or length > _MOST_TEXT:
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
    """Return an entry of the table of those runs that ended first; they sort by their end."""
    ended_ms = min(max(0, int(ended_s * 1000)), (1 << 44) - 1)
    return ended_ms >> _END_SHIFT << _INDEX_BITS | index


def end_and_index(entry: int) -> tuple[int, int]:
    """Return (end in unix ms, rounded up to 16, index in the list) of an entry."""
    return ((entry >> _INDEX_BITS) + 1) << _END_SHIFT, entry & (1 << _INDEX_BITS) - 1


def new_file(home_fd: int) -> int:
    """Return the descriptor of a new list file, which nobody else writes. Raises OSError."""
    _unlink(NEW_RUN_LIST_NAME, home_fd)
    fd = os.open(NEW_RUN_LIST_NAME, NEW, 0o600, dir_fd=home_fd)
    try:
        os.fchmod(fd, 0o600)
    except BaseException:
        close_descriptor(fd)
        raise
    return fd


def install(home_fd: int) -> None:
    """Give the new list file its name. Raises OSError."""
    os.rename(NEW_RUN_LIST_NAME, RUN_LIST_NAME, src_dir_fd=home_fd, dst_dir_fd=home_fd)


def is_being_listed(home_fd: int) -> bool:
    """Tell whether a process that lives is writing the new list file."""
    try:
        fd = os.open(NEW_RUN_LIST_NAME, EXISTING, dir_fd=home_fd)
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


def _unlink(name: str, home_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=home_fd)
    except OSError:
        # it is not there, or the next step fails, too
        return
