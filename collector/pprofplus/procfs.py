"""Whether /proc tells of this process: it may be missing, or belong to another pid namespace."""

# pathlib costs each service 5 ms
# ruff: noqa: PTH115

from __future__ import annotations

import errno
import os
import sys

MISSING = (
    "/proc is not mounted: memory, threads and descriptors of a process cannot be read; mount it"
    " (mount -t proc proc /proc)"
)
FOREIGN = (
    "/proc shows another pid namespace, where this process's pid is another process: mount the"
    " right one (mount -t proc proc /proc)"
)


def proc_problem() -> str:
    """Return what is wrong with /proc on Linux and what to do, or "".

    With FOREIGN, `/proc/self` is this process or nothing, and `/proc/<pid>` is a stranger.
    """
    if sys.platform != "linux":
        return ""
    try:
        named = os.readlink("/proc/self")
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
            return ""  # it says nothing about /proc
        # a mount of another namespace has the entry, though it leads nowhere
        return FOREIGN if _is_proc() else MISSING
    return "" if named == str(os.getpid()) else FOREIGN


def _is_proc() -> bool:
    try:
        return os.path.lexists("/proc/self") or os.path.exists("/proc/version")  # noqa: PTH110 - as above
    except OSError:
        return False
