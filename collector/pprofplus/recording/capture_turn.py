"""The order in which the processes of one cgroup take profiles when all reach the limit at once.

If 200 workers took a census at the same moment, they would stop each other, and their memory could
be what exceeds the limit. So each locks the directory of the cgroup, which every process of it can
open, wherever its log is; the largest process goes first.
"""

from __future__ import annotations

import os
from time import monotonic

from pprofplus.system.descriptor import DIRECTORY, Descriptor, above_standard, read_small_file
from pprofplus.system.locks import lock, unlock

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from pprofplus.profiles.capture import Task

# A process with this share of the memory in use does not let others go first, and does not wait
# longer than that for its turn: what it takes is what explains the memory.
_MAIN_SHARE = 0.25
_MAIN_WAIT_S = 0.2
_YIELD_S = 0.25
# with less than this below the limit, the others do not begin to load what takes profiles
_LEAST_LEFT_BYTES = 64 << 20
# the others leave their turn out after this time: of many equal workers, two or three are profiled
_WAIT_S = 0.5
_FIRST_STEP_S, _LAST_STEP_S = 0.01, 0.16


class CaptureTurn:
    """The turn of this process; `release` it after the capture."""

    __slots__ = ("_descriptor",)

    def __init__(self) -> None:
        self._descriptor: Descriptor | None = None

    def take(
        self, directory: str, used_bytes: int, task: Task, left_bytes: int | None = None
    ) -> bool:
        """Wait for the turn; return False if this process should leave the capture out.

        `used_bytes` is the memory in use in the cgroup `directory`, "" if there is none;
        `left_bytes` is what is left for modules that this process must load before a capture, None
        if it needs none. Raises ActionCancelledError.
        """
        if not directory:
            return True
        share = _share_of(used_bytes)
        main = share >= _MAIN_SHARE
        if not main:
            if left_bytes is not None and left_bytes < _LEAST_LEFT_BYTES:
                return False
            task.wait(_YIELD_S * (1 - share / _MAIN_SHARE))
        try:
            self._descriptor = Descriptor(above_standard(os.open(directory, DIRECTORY)))
        except OSError:
            return True  # no descriptor is left, or the cgroup has vanished
        until_s = monotonic() + (_MAIN_WAIT_S if main else _WAIT_S)
        step_s = _FIRST_STEP_S
        while True:
            got = self._try()
            if got is not False:  # None: there are no locks here
                return True
            if monotonic() >= until_s:
                return main
            # not all at the same time
            task.wait(step_s * (1 + os.getpid() % 7 / 7))
            step_s = min(2 * step_s, _LAST_STEP_S)

    def release(self) -> None:
        """Let the next process take its turn; also if a forked child has a copy of the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and descriptor.ours():
            unlock(descriptor.number)
            descriptor.close()

    def abandon(self) -> None:
        """In a forked child: close the copy, and leave the lock to the parent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            descriptor.close()

    def _try(self) -> bool | None:
        descriptor = self._descriptor
        if descriptor is None or not descriptor.ours():
            return None
        try:
            return lock(descriptor.number)
        except OSError:
            return None


def is_main(used_bytes: int) -> bool:
    """Return whether this process has much of the memory in use in its cgroup."""
    return _share_of(used_bytes) >= _MAIN_SHARE


def _share_of(used_bytes: int) -> float:
    return resident_bytes() / used_bytes if used_bytes else 1.0


def resident_bytes() -> int:
    """Return the resident memory of this process, 0 if it is unknown."""
    try:
        return int(read_small_file("/proc/self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
