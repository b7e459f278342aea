"""The CPU time of each thread of this process over a window, also of threads without Python.

The kernel's number of a thread's CPU clock is made of the thread's identifier, so that no memory of
the thread is read.
"""

from __future__ import annotations

import os
import time

from pprofplus.system.descriptor import read_small_file

_PER_THREAD_SCHEDULER_CLOCK = 6  # CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED
_TASKS = "/proc/self/task"


class ThreadTotals:
    """One thread's totals over the window so far.

    Attributes:
        cpu_ns: CPU time.
        name: as the kernel has it, at most 15 bytes.
        in_python_ns: CPU time while it ran Python, if that is only a part of it; else None.
    """

    __slots__ = ("_first_ns", "cpu_ns", "in_python_ns", "name")

    def __init__(self, first_ns: int, name: str) -> None:
        self._first_ns = first_ns
        self.cpu_ns = 0
        self.in_python_ns: int | None = None
        self.name = name

    def update(self, cpu_ns: int) -> None:
        """Take a new reading of its clock."""
        self.cpu_ns = max(self.cpu_ns, cpu_ns - self._first_ns)


class ThreadClocks:
    """The threads of this process; the window begins when it is made.

    Attributes:
        threads: by native identifier.
        process_ns: CPU time of the process, also of threads that have ended, up to `refresh`.
    """

    __slots__ = ("_first_ns", "_started", "process_ns", "threads")

    def __init__(self) -> None:
        self.process_ns = 0
        self.threads: dict[int, ThreadTotals] = {}
        self._started = False
        self._first_ns = time.process_time_ns()
        self.refresh()
        self._started = True

    def refresh(self) -> None:
        """Read the clocks of all threads; costs some microseconds a thread."""
        self.process_ns = time.process_time_ns() - self._first_ns
        for tid in _tids():
            cpu_ns = cpu_clock_ns(tid)
            if cpu_ns < 0:
                continue
            known = self.threads.get(tid)
            if known is None:
                # one that has started since has used all of its CPU time in the window
                first_ns = 0 if self._started else cpu_ns
                known = self.threads[tid] = ThreadTotals(first_ns, kernel_name(tid))
            known.update(cpu_ns)

    def of(self, tid: int, cpu_ns: int) -> ThreadTotals:
        """Return a thread's totals; `cpu_ns` is the last reading of its clock by the caller."""
        known = self.threads.get(tid)
        if known is None:  # it started and ended between two refreshes
            known = self.threads[tid] = ThreadTotals(0, "")
        known.update(cpu_ns)
        return known


def cpu_clock_ns(tid: int) -> int:
    """Return the CPU time of a thread of this process; -1 if it has ended."""
    try:
        return time.clock_gettime_ns(~tid << 3 | _PER_THREAD_SCHEDULER_CLOCK)
    except (OSError, AttributeError):
        return -1


def kernel_name(tid: int) -> str:
    """Return a thread's name as the kernel has it, "" if it has ended."""
    try:
        return read_small_file(f"{_TASKS}/{tid}/comm").decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


def _tids() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_TASKS)]
    except OSError:
        return []
