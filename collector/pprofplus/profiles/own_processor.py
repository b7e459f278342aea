"""Keeps the sampling thread off the processor on which the host computes.

The kernel often wakes the sampling thread on that processor, although another one is free. The
thread then runs when the host's thread waits, so that ticks show waits instead of computations.
"""

from __future__ import annotations

import os

from pprofplus.system.descriptor import read_small_file

_PROCESSOR = 36  # index of the field after the name in /proc/<pid>/stat


class OwnProcessor:
    """The processors of the calling thread, in a `with` block; only on Linux, else no effect."""

    __slots__ = ("_allowed", "_current")

    def __init__(self) -> None:
        self._allowed: set[int] = set()
        self._current = self._allowed

    def __enter__(self) -> None:
        """Note which processors the thread may use."""
        try:
            self._allowed = self._current = os.sched_getaffinity(0)
        except (OSError, AttributeError):
            pass

    def __exit__(self, *_: object) -> None:
        """Let it use all of them again."""
        if self._allowed:
            self._use(self._allowed)

    def avoid(self, tid: int) -> None:
        """Do not use the processor on which this thread ran last, if there is another one."""
        if len(self._allowed) < 2:
            return
        try:
            fields = read_small_file(f"/proc/self/task/{tid}/stat").rpartition(b")")[2].split()
            others = self._allowed - {int(fields[_PROCESSOR])}
        except (OSError, IndexError, ValueError):
            return  # it has ended
        if others:
            self._use(others)

    def _use(self, processors: set[int]) -> None:
        if processors == self._current:
            return
        try:
            # somebody may have set other processors for all threads of this process
            if os.sched_getaffinity(0) == self._current:
                os.sched_setaffinity(0, processors)
                self._current = processors
        except OSError:
            self._allowed = set()
