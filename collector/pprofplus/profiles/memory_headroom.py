"""How much memory this process may still allocate: the limits of its cgroups, and the machine's."""

from __future__ import annotations

import os

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes.cgroup import Cgroup
from pprofplus.system.descriptor import read_small_file

_NO_LIMIT = 1 << 60


def headroom_bytes() -> int | None:
    """Return the bytes up to the nearest limit, or None if nothing limits it."""
    rooms = []
    try:
        cgroup = Cgroup()
    except (ProbeAbsentError, OSError, ValueError):
        pass
    else:
        directory = cgroup.directory
        while True:
            room = _room_in(directory, cgroup)
            if room is not None:
                rooms.append(room)
            if directory == cgroup.top:
                break
            directory = os.path.dirname(directory)
    available = _available_bytes()
    if available is not None:
        rooms.append(available)
    return min(rooms, default=None)


def _room_in(directory: str, cgroup: Cgroup) -> int | None:
    try:
        limit = read_small_file(f"{directory}/{cgroup.limit}").strip()
        used = int(read_small_file(f"{directory}/{cgroup.used}"))
        if not limit.isdigit() or int(limit) >= _NO_LIMIT:
            return None
        # the kernel frees cached files before it kills
        freeable = 0
        for line in read_small_file(f"{directory}/memory.stat").splitlines():
            if line.startswith((b"inactive_file ", b"total_inactive_file ")):
                freeable = max(freeable, int(line.split()[1]))
    except (OSError, ValueError):
        return None
    return max(int(limit) - used + freeable, 0)


def _available_bytes() -> int | None:
    try:
        for line in read_small_file("/proc/meminfo").splitlines():
            if line.startswith(b"MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return None


def resident_bytes() -> int:
    """Return the resident set; 0 if it is unknown.

    Without psutil, whose import would make `threading` keep an entry of the calling thread.
    """
    try:
        return int(read_small_file("/proc/self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0
