"""The garbage collector: objects that wait for it, its collections, and its pauses."""

from __future__ import annotations

import gc
from time import perf_counter_ns

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe


class Pauses:
    """Times each collection.

    It is called inside the collector, so it uses only integers in slots: it creates no object that
    the collector would have to track.

    Attributes:
        total_ns: time of all collections so far.
        longest_ns: the longest since `take_longest_ns`.
    """

    __slots__ = ("_began_ns", "_now_ns", "longest_ns", "total_ns")

    def __init__(self) -> None:
        self._began_ns = 0
        # kept here: module globals are gone when the interpreter's exit runs the GC
        self._now_ns = perf_counter_ns
        self.longest_ns = 0
        self.total_ns = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:  # noqa: ARG002 - gc's own call
        """Take the time at "start" and at "stop"."""
        if phase == "start":
            self._began_ns = self._now_ns()
        elif self._began_ns:  # otherwise we were installed during a collection
            pause_ns = self._now_ns() - self._began_ns
            self._began_ns = 0
            self.total_ns += pause_ns
            self.longest_ns = max(self.longest_ns, pause_ns)

    def take_longest_ns(self) -> int:
        """Return the longest pause since the last call."""
        longest_ns, self.longest_ns = self.longest_ns, 0
        return longest_ns


class CollectionsProbe(Probe):
    """Counts of `gc`, and pauses by its callbacks."""

    names = (
        "gc_pending_0",
        "gc_pending_1",
        "gc_pending_2",
        "gc_runs_0",
        "gc_runs_1",
        "gc_runs_2",
        "gc_collected",
        "gc_uncollectable",
        "gc_pause",
        "gc_pause_max",
    )
    exact = True

    def __init__(self) -> None:
        try:
            if len(gc.get_stats()) != len(gc.get_count()) or len(gc.get_count()) != 3:
                raise ProbeAbsentError("this garbage collector does not have three generations")
            self._callbacks = gc.callbacks
        except AttributeError as error:  # PyPy
            raise ProbeAbsentError("this interpreter has a different garbage collector") from error
        self.pauses = Pauses()
        self._callbacks.append(self.pauses)

    def read(self) -> tuple[int, ...]:
        """Return counts, then microseconds of all pauses and of the longest since the last read."""
        young, middle, old = gc.get_stats()
        pauses = self.pauses
        return (
            *gc.get_count(),
            young["collections"],
            middle["collections"],
            old["collections"],
            young["collected"] + middle["collected"] + old["collected"],
            young["uncollectable"] + middle["uncollectable"] + old["uncollectable"],
            pauses.total_ns // 1000,
            pauses.take_longest_ns() // 1000,
        )

    def close(self) -> None:
        """Remove the callback."""
        if self.pauses in self._callbacks:
            self._callbacks.remove(self.pauses)
