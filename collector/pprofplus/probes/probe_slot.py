"""One probe in a probe set: its last values, and when it is due."""

from __future__ import annotations

from struct import Struct

from pprofplus.probes import Probe

Values = tuple[int, ...]


class ProbeSlot:
    """One probe and its last values."""

    __slots__ = (
        "begin",
        "budget_due_ns",
        "by_cpu",
        "cells",
        "cost_s",
        "due_ns",
        "end",
        "failing_ns",
        "in_schema",
        "last",
        "present",
        "probe",
        "read",
        "settled",
    )

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.read = probe.read
        self.cells = Struct(f"{len(probe.names)}q")
        self.last: Values = ()
        self.present = False  # it has values now
        self.in_schema = False  # they are in the schema
        self.begin = self.end = 0  # its columns there
        self.failing_ns: int | None = None  # since when it has only failed
        self.settled = False  # present, in the schema and not failing
        self.due_ns = 0
        self.budget_due_ns = 0  # when its budget allows the next run
        self.cost_s = 0.0
        self.by_cpu = True  # the next run is timed by the CPU clock

    @property
    def steady(self) -> bool:
        """Whether it is read at each sample, and its values need no check."""
        probe = self.probe
        return probe.exact and not probe.budgeted and not probe.min_period_s

    def checked(self, result: object) -> Values:
        """Return a probe's result as a tuple of 64-bit integers; raises any exception if it is not.

        Packing checks their count, their type and their size.
        """
        if not isinstance(result, tuple):
            raise TypeError(f"{type(result).__name__} instead of a tuple of integers")
        return self.cells.unpack(self.cells.pack(*result))
