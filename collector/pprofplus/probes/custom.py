"""A user's gauge: a function that is called once a sample."""

from __future__ import annotations

from time import monotonic

from pprofplus.log.format import INT64_MAX, INT64_MIN
from pprofplus.probes import Probe
from pprofplus.probes.gauge_registry import Gauge

# a slow gauge is called less often, so that it takes at most this share of the thread's time
_SHARE = 0.01
_SLOW_S = 0.001
_MAX_PERIOD_S = 60.0


class CustomProbe(Probe):
    """Calls one gauge's function."""

    def __init__(self, gauge: Gauge) -> None:
        self.gauge = gauge
        self.names = (gauge.name,)
        self.label = f"gauge {gauge.name}"
        self._row = (gauge.name, gauge.unit, gauge.kind)

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """The schema's row: name, unit, kind."""
        return (self._row,)

    def matches(self, gauge: Gauge) -> bool:
        """Return whether a gauge has the same row, so that it can continue in this column."""
        return self._row == (gauge.name, gauge.unit, gauge.kind)

    def read(self) -> tuple[int, ...] | None:
        """Return the value; None while the function returns None. Raises any exception of it."""
        gauge = self.gauge
        if self.retired:
            return None
        began_s = monotonic()
        try:
            found = gauge.function()
        finally:
            took_s = monotonic() - began_s
            self.min_period_s = min(took_s / _SHARE, _MAX_PERIOD_S) if took_s > _SLOW_S else 0.0
        if found is None:
            return None
        scaled = found * gauge.scale
        # the value may be a float, a Decimal, or a scalar of another library; NaN and infinity
        # raise here, and are logged
        return (min(max(round(scaled), INT64_MIN), INT64_MAX),)
