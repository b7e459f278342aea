"""Checks of /proc: whether it shows this process's pid namespace; types of file systems."""

from __future__ import annotations

import errno
import os
import sys

from pprofplus.system.descriptor import read_small_file

MISSING = (
    "/proc is not mounted: memory, threads and descriptors of a process cannot be read; mount it"
    " (mount -t proc proc /proc)"
)
FOREIGN = (
    "/proc shows another pid namespace, in which this process's pid is another process: mount the"
    " right one (mount -t proc proc /proc)"
)


def proc_problem() -> str:
    """Return what is wrong with /proc on Linux and how to fix it, or "".

    With FOREIGN, `/proc/self` is this process or missing, but `/proc/<pid>` is another process.
    """
    if sys.platform != "linux":
        return ""
    try:
        named = os.readlink("/proc/self")
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
            return ""  # no descriptor or memory: the error does not come from /proc
        # a mount of another namespace has the entry `self`, but the link is broken
        return FOREIGN if _is_proc() else MISSING
    return "" if named == str(os.getpid()) else FOREIGN


def _is_proc() -> bool:
    try:
        return os.path.lexists("/proc/self") or os.path.exists("/proc/version")
    except OSError:
        return False


def file_system_type(device: int) -> str:
    """Return the type of a device's file system, or "" if it is unknown."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = read_small_file("/proc/self/mountinfo").decode("utf-8", "replace")
    except OSError:
        return ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split(" ")[2:3] == [wanted]:
            return after.split(" ")[0]
    return ""
