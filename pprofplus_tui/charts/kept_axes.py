"""The y axes of charts, kept from one drawing to the next so that they do not jump."""

from collections.abc import Hashable, Sequence

from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.ticks import YAxis, fit_axis


class KeptAxes:
    """Fits a chart's y axis to its points, and keeps it while it fits."""

    def __init__(self, *, ascii_only: bool) -> None:
        self._ascii_only = ascii_only
        self._axes: dict[Hashable, YAxis] = {}

    def clear(self) -> None:
        """Forget all axes."""
        self._axes.clear()

    def fit(
        self,
        key: Hashable,
        kind: ChartKind,
        drawn: Sequence[Points],
        rows: int,
        *,
        noise: float | None,
        log: bool = False,
    ) -> YAxis:
        """Return the axis of the chart `key` for these points, in `rows` cells of height.

        `noise` and `log` are those of `ticks.fit_axis`.
        """
        some = [points for points in drawn if len(points)]
        axis = fit_axis(
            self._axes.get(key),
            min((float(points.lo.min()) for points in some), default=0.0),
            max((float(points.hi.max()) for points in some), default=0.0),
            kind.unit,
            rows,
            zero_based=kind.zero_based,
            log=log,
            ascii_only=self._ascii_only,
            noise=noise,
        )
        if some:
            self._axes[key] = axis
        return axis
