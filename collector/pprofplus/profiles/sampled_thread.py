"""One thread of this process, as ticks see it."""

from __future__ import annotations


class SampledThread:
    """One thread, from when it is first collected to its end; the same object at each tick.

    Attributes:
        ident: Python's identifier; another thread may get the same one later.
        tid: the kernel's identifier, 0 if unknown.
        name: its name in `threading`, "MainThread" for the main one, "" if it has none.
        cpu_ns: its CPU clock at the last tick; 0 if unknown.
        first_cpu_ns: its CPU clock when it was first collected.
        stack: the number of its stack at the last tick.
        state: what it did at the last tick, see `thread_states`; "" if states are not collected.
        lock: the address of the futex that it waits for, if `state` is LOCK; else 0.
        moved: it used CPU between the last two ticks, or that is unknown.
        clock: the number of its CPU clock, 0 if unknown.
    """

    __slots__ = (
        "clock",
        "cpu_ns",
        "first_cpu_ns",
        "ident",
        "lock",
        "moved",
        "name",
        "stack",
        "state",
        "tid",
    )

    def __init__(self, ident: int, clock: int, cpu_ns: int) -> None:
        self.ident = ident
        self.clock = clock
        # the C library makes the number of the clock of that of the thread
        self.tid = ~(clock >> 3) if clock else 0
        self.name = ""
        self.first_cpu_ns = self.cpu_ns = cpu_ns
        self.stack = 0
        self.state = ""
        self.lock = 0
        self.moved = True
