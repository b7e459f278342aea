"""Figures of the user's own: what `gauge()` has registered, for this run and those to come."""

from __future__ import annotations

import re

from pprofplus.metrics import BY_NAME, BYTES, COUNT, COUNTER, GAUGE, MICROSECONDS

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    Figure = Callable[[], float | None]

MAX_GAUGES = 64
# the log knows integers: figures in these units are whole, all others are kept in thousandths
WHOLE_UNITS = (BYTES, COUNT, MICROSECONDS)
THOUSANDTHS = "1/1000 "

_NAME_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_UNIT_LENGTH = 32


class Gauge:
    """One figure.

    Attributes:
        name: as in the log.
        unit: as in the log.
        kind: "gauge" or "counter".
        scale: what the function's figure is multiplied by.
        function: returns the figure.
    """

    __slots__ = ("function", "kind", "name", "scale", "unit")

    def __init__(self, name: str, function: Figure, unit: str, kind: str) -> None:
        """Check and take. Raises ValueError."""
        if not _NAME_PATTERN.fullmatch(str(name)) or name in BY_NAME:
            raise ValueError(f"gauge {name!r}: 1 to 64 of A-Z a-z 0-9 . _ - and no metric of ours")
        if not callable(function):
            raise ValueError(f"gauge {name}: give a function that returns its figure")  # noqa: TRY004 - as all others
        if len(str(unit)) > _UNIT_LENGTH or not str(unit).isprintable():
            raise ValueError(f"gauge {name}: unit {unit!r} is no short text")
        if kind not in (GAUGE, COUNTER):  # no set: it raises TypeError for a list
            raise ValueError(f"gauge {name}: kind {kind!r} is neither 'gauge' nor 'counter'")
        whole = unit in WHOLE_UNITS
        self.name = str(name)
        self.unit = unit if whole else f"{THOUSANDTHS}{unit}"
        self.kind = kind
        self.scale = 1 if whole else 1000
        self.function = function


class GaugeRegistry:
    """The gauges of this process.

    Any number of threads may change it at once, also without the GIL, and a signal handler in the
    middle of that: each step on the dict is atomic. There is no lock: a fork could leave it held.

    Attributes:
        version: another object after each change.
    """

    def __init__(self) -> None:
        self.version = object()
        self._gauges: dict[str, Gauge] = {}

    def put(self, gauge: Gauge) -> None:
        """Add a gauge, in the place of one with its name. Raises ValueError for one too many."""
        gauges = self._gauges
        is_new = gauge.name not in gauges
        gauges[gauge.name] = gauge
        if is_new and len(gauges) > MAX_GAUGES:
            gauges.pop(gauge.name, None)
            raise ValueError(f"gauge {gauge.name}: there are {MAX_GAUGES} already")
        self.version = object()

    def drop(self, name: str) -> None:
        """Take a gauge out, if it is there."""
        self._gauges.pop(name, None)
        self.version = object()

    def all(self) -> tuple[Gauge, ...]:
        """Return the gauges, oldest name first."""
        return tuple(self._gauges.copy().values())


REGISTRY = GaugeRegistry()
