"""The parts of a whole: they add up to it exactly, even if the measured values do not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pprofplus_tui.model.charts import ChartKind, ChartSeries
from pprofplus_tui.model.points import Floats, Points
from pprofplus_tui.model.units import format_bytes

MetricLevels = Mapping[str, Floats]


# Allocated but not resident memory is shown from this size on: probes do not all read at the same
# instant, so a small difference is normal.
MIN_ABSENT_BYTES = 1 << 20


def residue(whole: Floats, accounted: Floats) -> tuple[Floats, Floats]:
    """Return (what of the whole is not accounted for, what is accounted for but not in the whole).

    Neither is below 0. For the resident set, the latter is memory that the allocators hold but
    that is not resident: it was never written, or is swapped out.
    """
    return np.maximum(whole - accounted, 0), np.maximum(accounted - whole, 0)


@dataclass(frozen=True, eq=False)
class Split:
    """A whole in its parts.

    Attributes:
        parts: (series, sizes), from the bottom of the stack up; they add up to the whole.
        absent: by how much the measured parts exceed the whole: allocated, but not resident.
    """

    parts: list[tuple[ChartSeries, Floats]]
    absent: Floats


def split_of(kind: ChartKind, levels: MetricLevels) -> Split | None:
    """Return the parts of a stacked chart that the log has, in the chart's order, none below 0.

    `levels` are values of metrics, all of one shape, which the parts have too. They add up to
    `levels[kind.total]`; None if that is missing. Allocated memory that is not resident is
    subtracted first from free memory (`ChartSeries.spare`), from the top of the stack down, then
    from the other parts. Memory that is in no other part is the part of the total itself.
    """
    total = levels.get(kind.total)
    if total is None:
        return None
    zero = np.zeros_like(total)
    found: list[tuple[ChartSeries, Floats]] = []
    for series in kind.series:
        if series.metric in levels and series.metric != kind.total:
            known = sum((levels[name] for name in series.less if name in levels), zero)
            found.append((series, np.maximum(levels[series.metric] - known, 0)))
    sizes = [size for _, size in found]
    rest, absent = residue(total, sum(sizes, zero))
    excess = absent
    order = sorted(range(len(found)), key=lambda i: (not found[i][0].spare, -i))
    for i in order:
        off = np.minimum(sizes[i], excess)
        sizes[i] = sizes[i] - off
        excess = excess - off
    parts = [(series, size) for (series, _), size in zip(found, sizes, strict=True)]
    parts += [(series, rest) for series in kind.series if series.metric == kind.total]
    return Split(parts, absent)


def parts_of(kind: ChartKind, levels: MetricLevels) -> list[tuple[ChartSeries, Floats]]:
    """Return only the parts; none without the total."""
    split = split_of(kind, levels)
    return [] if split is None else split.parts


@dataclass(frozen=True, eq=False)
class Stack:
    """A stacked chart over time.

    Attributes:
        bands: (series, sizes, band) of each part; a band's lo and hi are its edges in the stack.
        absent: what is allocated beyond the whole, shape as the sizes.
    """

    bands: list[tuple[ChartSeries, Floats, Points]]
    absent: Floats


def stack_of(kind: ChartKind, points: Mapping[str, Points]) -> Stack:
    """Return the parts over time, none if the total is missing.

    The highest values of a bucket count, so that no peak of the total is lost.
    """
    whole = points.get(kind.total, Points.empty())
    levels = {metric: _at(found, whole) for metric, found in points.items()}
    split = split_of(kind, levels)
    if split is None:
        return Stack([], np.zeros(0))
    bands = []
    bottom = np.zeros(len(whole))
    for series, size in split.parts:
        top = bottom + size
        bands.append((series, size, Points(whole.t_ms, bottom, top, whole.breaks)))
        bottom = top
    return Stack(bands, split.absent)


def absent_text(absent_bytes: float) -> str:
    """Return the note of a stack on memory that is allocated but not in it, or ""."""
    if absent_bytes < MIN_ABSENT_BYTES:
        return ""
    return f"{format_bytes(absent_bytes)} not resident"


def _at(points: Points, whole: Points) -> Floats:
    """Return the values at the times of the whole; 0 where there is none."""
    if np.array_equal(points.t_ms, whole.t_ms):
        return points.hi
    if not len(points):
        return np.zeros(len(whole))
    place = np.minimum(np.searchsorted(points.t_ms, whole.t_ms), len(points) - 1)
    return np.where(points.t_ms[place] == whole.t_ms, points.hi[place], 0.0)
