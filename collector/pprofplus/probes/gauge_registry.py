"""Gauges that the user has registered with `gauge()`, for this run and later ones."""

from __future__ import annotations

import re

from pprofplus.metrics import BY_NAME, BYTES, COUNT, COUNTER, GAUGE, MICROSECONDS

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    GaugeFunction = Callable[[], float | None]

MAX_GAUGES = 64
# the log holds integers: values in these units are whole, all others are kept in thousandths
WHOLE_UNITS = (BYTES, COUNT, MICROSECONDS)
THOUSANDTHS = "1/1000 "

_NAME_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_UNIT_LENGTH = 32


class Gauge:
    """One gauge.

    Attributes:
        name: as in the log.
        unit: as in the log.
        kind: "gauge" or "counter".
        scale: factor from the function's value to the value in the log.
        function: returns the value.
    """

    __slots__ = ("function", "kind", "name", "scale", "unit")

    def __init__(self, name: str, function: GaugeFunction, unit: str, kind: str) -> None:
        """Check the arguments. Raises ValueError."""
        if not _NAME_PATTERN.fullmatch(str(name)) or name in BY_NAME:
            raise ValueError(
                f"gauge {name!r}: use 1 to 64 of A-Z a-z 0-9 . _ - and no name of a built-in metric"
            )
        if not callable(function):
            raise ValueError(f"gauge {name}: pass a function that returns its value")
        if len(str(unit)) > _UNIT_LENGTH or not str(unit).isprintable():
            raise ValueError(f"gauge {name}: unit {unit!r} is not a short printable text")
        if kind not in (GAUGE, COUNTER):  # not a set: `in` raises TypeError for a list then
            raise ValueError(f"gauge {name}: kind {kind!r} is neither 'gauge' nor 'counter'")
        whole = unit in WHOLE_UNITS
        self.name = str(name)
        self.unit = unit if whole else f"{THOUSANDTHS}{unit}"
        self.kind = kind
        self.scale = 1 if whole else 1000
        self.function = function


class GaugeRegistry:
    """The gauges of this process.

    Several threads may change it at the same time, even without the GIL, and a signal handler may
    interrupt a change: each step on the dict is atomic. There is no lock, because a fork could
    leave it held.

    Attributes:
        version: a new object after each change.
    """

    def __init__(self) -> None:
        self.version = object()
        self._gauges: dict[str, Gauge] = {}

    def put(self, gauge: Gauge) -> None:
        """Add a gauge; it replaces one of the same name. Raises ValueError for one too many."""
        gauges = self._gauges
        is_new = gauge.name not in gauges
        gauges[gauge.name] = gauge
        if is_new and len(gauges) > MAX_GAUGES:
            gauges.pop(gauge.name, None)
            raise ValueError(
                f"gauge {gauge.name}: {MAX_GAUGES} gauges exist already, which is the maximum"
            )
        self.version = object()

    def drop(self, name: str) -> None:
        """Remove a gauge, if it exists."""
        self._gauges.pop(name, None)
        self.version = object()

    def all(self) -> tuple[Gauge, ...]:
        """Return the gauges, oldest name first."""
        return tuple(self._gauges.copy().values())


REGISTRY = GaugeRegistry()
