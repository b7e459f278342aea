"""This machine and its processes, read from /proc: the current boot, and which processes exist."""

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pprofplus.log.format import RunHeader

_CMDLINE_BYTES = 4096
_MAX_BYTES = 1 << 16
_CLOCK_SLACK_MS = 5000
_LONGEST_START_MS = 600_000  # from the start of a process to the start of its run


@dataclass(frozen=True)
class Machine:
    """The machine that the monitor runs on.

    Attributes:
        host: its name.
        boot_id: of the kernel, "" if unknown.
        booted_ms: unix milliseconds of its start, None if unknown.
    """

    host: str
    boot_id: str
    booted_ms: int | None

    @classmethod
    def this(cls) -> "Machine":
        """Return the machine of this process."""
        boot_id = (_read("/proc/sys/kernel/random/boot_id") or b"").decode("ascii", "replace")
        clock = getattr(time, "CLOCK_BOOTTIME", None)
        booted_ms = None
        if clock is not None:
            booted_ms = time.time_ns() // 1_000_000 - int(time.clock_gettime(clock) * 1000)
        return cls(os.uname().nodename, boot_id.strip(), booted_ms)


@cache
def this_machine() -> Machine:
    """Return the machine of this process, cached."""
    return Machine.this()


@dataclass(frozen=True)
class Process:
    """A process that /proc lists.

    Attributes:
        started_ms: milliseconds since the machine started, suspended time included.
        ended: it has ended, and its parent has not waited for it yet.
        wait_status: of an ended process, as `os.wait` returns it; also 0 without permission.
        uid: of its user.
        argv: its command line, truncated; empty for a kernel thread.
    """

    started_ms: int
    ended: bool
    wait_status: int
    uid: int
    argv: tuple[str, ...]


def process(pid: int) -> Process | None:
    """Return the process with this id in our pid namespace, None if there is none."""
    stat = _read(f"/proc/{pid}/stat")
    if stat is None:
        return None
    # the name, in parentheses, may contain any character
    fields = stat.rpartition(b")")[2].split()
    try:
        ticks_a_second = os.sysconf("SC_CLK_TCK")
        started_ms = int(fields[19]) * 1000 // ticks_a_second
        ended, status = fields[0] in {b"Z", b"X"}, int(fields[49])
        uid = Path(f"/proc/{pid}").stat().st_uid
    except (OSError, ValueError, IndexError):
        return None
    line = _read(f"/proc/{pid}/cmdline") or b""
    words = line.rstrip(b"\0").decode("utf-8", "replace").split("\0") if line else []
    return Process(started_ms, ended, status if ended else 0, uid, tuple(words))


def process_of(path: str, pid: int, header: RunHeader | None, last_mono_ms: int) -> Process | None:
    """Return the process of a run, None if it has ended or is not visible from here.

    Only host name, user and command line distinguish a process of another pid namespace from one
    of ours.

    Args:
        path: the run directory.
        pid: its process id.
        header: of its log.
        last_mono_ms: of its last sample, on the monotonic clock.
    """
    machine = this_machine()
    if header is None or not header.boot_id or header.boot_id != machine.boot_id:
        return None
    found = process(pid) if header.host == machine.host else None
    _, suspended_ms = monotonic_now_ms()
    if found is None or found.started_ms > last_mono_ms + suspended_ms:
        return None  # it ended, and another process may have the pid now
    if found.ended or same_command(found.argv, header.argv):
        return found
    # after an exec the command line differs: accept the process only if all else matches
    try:
        owner = Path(path).stat().st_uid
    except OSError:
        return None
    began_ms = (machine.booted_ms or 0) + found.started_ms
    young = 0 <= header.start_ms + _CLOCK_SLACK_MS - began_ms < _LONGEST_START_MS
    return found if found.argv and found.uid == owner and young and pid != 1 else None


def monotonic_now_ms() -> tuple[int, int]:
    """Return (current time on the clock of the logs, time spent suspended), milliseconds."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    now_ms = time.monotonic_ns() // 1_000_000
    if clock is None:
        return now_ms, 0
    return now_ms, max(0, time.clock_gettime_ns(clock) // 1_000_000 - now_ms)


def same_command(found: tuple[str, ...], recorded: tuple[str, ...]) -> bool:
    """Return whether a command line equals that in a header, which may be truncated."""
    if not recorded or not found:
        return False
    mine, theirs = "\0".join(found)[:_CMDLINE_BYTES], "\0".join(recorded)[:_CMDLINE_BYTES]
    return mine == theirs or (len(theirs) > _CMDLINE_BYTES // 2 and mine.startswith(theirs))


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return None
