"""Records of the kernel's log about processes that it killed, or that crashed."""

import os
import re
import time
from dataclasses import dataclass

_DEVICE = "/dev/kmsg"
_RECORD_BYTES = 8192  # one read returns one record
_MAX_RECORDS = 200_000
_MAX_RING_BYTES = 1 << 24
_READ_ALL, _SIZE_BUFFER = 3, 10  # actions of syslog(2)

# `6,339,5140900,-;text`: facility and level, number, microseconds since the machine started
_RECORD = re.compile(rb"(\d+),\d+,(\d+),[^;]*;([^\n]*)")
_LINE = re.compile(rb"<(\d+)>\[ *(\d+)\.(\d{6})\] ?(.*)")
_OOM = re.compile(rb"^(?:(?:Memory cgroup out|Out) of memory[^:]{0,60}: )?Killed process (\d+)[ ,]")
# a process chooses its name, which may imitate the rest of a record: the last match counts
_FAULT = re.compile(
    rb"^.*\[(\d+)\]:? (?:segfault at|general protection|trap [a-z0-9 ]+ ip|bad frame in)"
)
# each record about a process contains one of these
_KEYWORDS = (b"illed process", b"segfault", b"protection", b" trap ", b"bad frame")
_KERNEL_LEVELS = 8  # a lower number is a record of the kernel, not one that root wrote


@dataclass(frozen=True)
class ProcessRecord:
    """A record about the end of a process.

    Attributes:
        pid: in the initial pid namespace.
        mono_ms: milliseconds since the machine started, by the kernel's own clock.
        oom: the OOM killer killed it; False: it crashed.
        text: untrusted.
    """

    pid: int
    mono_ms: int
    oom: bool
    text: str


def process_records() -> tuple[ProcessRecord, ...]:
    """Return the records in the kernel's log, oldest first; none without permission to read it."""
    records = _from_device()
    if records is None:
        records = _from_ring()
    return tuple(records or ())


def _from_device() -> list[ProcessRecord] | None:
    try:
        file = os.open(_DEVICE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    found = []
    try:
        for _ in range(_MAX_RECORDS):
            try:
                raw = os.read(file, _RECORD_BYTES)
            except BrokenPipeError:
                continue  # records were overwritten: the next read continues after them
            except BlockingIOError:
                break
            if not raw:
                break
            head = _RECORD.match(raw) if any(map(raw.__contains__, _KEYWORDS)) else None
            if head is not None and int(head[1]) < _KERNEL_LEVELS:
                record = record_of(head[3], int(head[2]) // 1000)
                if record is not None:
                    found.append(record)
    except OSError:
        return found or None
    finally:
        os.close(file)
    return found


def _from_ring() -> list[ProcessRecord] | None:
    """Return the records by syslog(2), for a container without the device."""
    import ctypes  # noqa: PLC0415 - rarely needed, and slow to import

    try:
        klogctl = ctypes.CDLL(None, use_errno=True).klogctl
        size = min(klogctl(_SIZE_BUFFER, None, 0), _MAX_RING_BYTES)
        if size <= 0:
            return None
        buffer = ctypes.create_string_buffer(size)
        length = klogctl(_READ_ALL, buffer, size)
    except (OSError, AttributeError):
        return None
    if length < 0:
        return None
    found = []
    for line in buffer.raw[:length].splitlines():
        parts = _LINE.match(line)
        if parts is not None and int(parts[1]) < _KERNEL_LEVELS:
            record = record_of(parts[4], int(parts[2]) * 1000 + int(parts[3]) // 1000)
            if record is not None:
                found.append(record)
    return found


def record_of(text: bytes, mono_ms: int) -> ProcessRecord | None:
    """Return the record in a line of the kernel's log, None if it is about something else."""
    if b"illed process " in text:
        killed = _OOM.match(text)
        if killed is not None:
            return ProcessRecord(int(killed[1]), mono_ms, oom=True, text=_decoded(text))
    fault = _FAULT.match(text)
    if fault is not None:
        return ProcessRecord(int(fault[1]), mono_ms, oom=False, text=_decoded(text))
    return None


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


class KernelLog:
    """The records, cached for a short time, because the log may have megabytes."""

    _MAX_AGE_S = 1.0

    def __init__(self) -> None:
        self._records: tuple[ProcessRecord, ...] = ()
        self._read_s = float("-inf")

    def end_of(self, pid: int, begin_ms: int, end_ms: int) -> ProcessRecord | None:
        """Return the first record about a pid in [begin_ms, end_ms], on the kernel's clock."""
        now_s = time.monotonic()
        if now_s - self._read_s >= self._MAX_AGE_S:
            self._records, self._read_s = process_records(), now_s
        return next(
            (
                record
                for record in self._records
                if record.pid == pid and begin_ms <= record.mono_ms <= end_ms
            ),
            None,
        )
