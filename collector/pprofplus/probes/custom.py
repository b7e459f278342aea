"""A figure of the user's own: a function of theirs, asked once a sample."""

from __future__ import annotations

from time import monotonic

from pprofplus.log.format import INT64_MAX, INT64_MIN
from pprofplus.probes import Probe
from pprofplus.probes.gauge_registry import Gauge

# one that takes long is asked less often, so that it takes no more of the thread's time than this
_SHARE = 0.01
_SLOW_S = 0.001
_LONGEST_PERIOD_S = 60.0


class CustomProbe(Probe):
    """Asks one gauge's function."""

    def __init__(self, gauge: Gauge) -> None:
        self.gauge = gauge
        self.names = (gauge.name,)
        self.label = f"gauge {gauge.name}"
        self._row = (gauge.name, gauge.unit, gauge.kind)

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """The table's row: name, unit, kind."""
        return (self._row,)

    def like(self, gauge: Gauge) -> bool:
        """Tell whether a gauge has this one's row, so that it can go on in its column."""
        return self._row == (gauge.name, gauge.unit, gauge.kind)

    def read(self) -> tuple[int, ...] | None:
        """Return the figure; None while the function returns None. Raises whatever it raises."""
        gauge = self.gauge
        if self.retired:
            return None
        began_s = monotonic()
        try:
            found = gauge.function()
        finally:
            took_s = monotonic() - began_s
            self.least_period_s = (
                min(took_s / _SHARE, _LONGEST_PERIOD_S) if took_s > _SLOW_S else 0.0
            )
        if found is None:
            return None
        scaled = found * gauge.scale
        # a figure may be a float, a Decimal, or a scalar of some library's; NaN and infinity
        # raise here, and are reported
        return (min(max(round(scaled), INT64_MIN), INT64_MAX),)
