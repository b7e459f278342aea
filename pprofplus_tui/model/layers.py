"""What a whole is made of: parts that add up to it exactly, whatever each was measured as."""

from collections.abc import Mapping

import numpy as np

from pprofplus_tui.model.charts import ChartKind, Series
from pprofplus_tui.model.series import Floats, Points

Levels = Mapping[str, Floats]


def parts_of(kind: ChartKind, levels: Levels) -> list[tuple[Series, Floats]]:
    """Return the parts of a stacked chart that the log knows of, in its order, none below 0.

    `levels` are values of metrics, all of one shape, which the parts have too. They add up to
    `levels[kind.total]`; there are none if that is missing. What the allocators have, but the
    kernel has not made resident, is taken off what is free (`Series.spare`) first, from the top
    of the stack down, then off the rest. What no other part accounts for is the part of the total
    itself.
    """
    total = levels.get(kind.total)
    if total is None:
        return []
    zero = np.zeros_like(total)
    found: list[tuple[Series, Floats]] = []
    for series in kind.series:
        if series.metric in levels:
            known = sum((levels[name] for name in series.less if name in levels), zero)
            found.append((series, np.maximum(levels[series.metric] - known, 0)))
    sizes = [size for _, size in found]
    excess = np.maximum(sum(sizes, zero) - total, 0)
    order = sorted(range(len(found)), key=lambda i: (not found[i][0].spare, -i))
    for i in order:
        off = np.minimum(sizes[i], excess)
        sizes[i] = sizes[i] - off
        excess = excess - off
    rest = total - sum(sizes, zero)
    return [
        (series, size + rest if series.metric == kind.total else size)
        for (series, _), size in zip(found, sizes, strict=True)
    ]


def bands_of(kind: ChartKind, points: Mapping[str, Points]) -> list[tuple[Series, Floats, Points]]:
    """Return (series, sizes, band) of each part; a band's lo and hi are its edges in the stack.

    Of a bucket of samples the highest values count, so that no peak of the total is lost.
    """
    whole = points.get(kind.total)
    if whole is None:
        return []
    levels = {metric: _at(found, whole) for metric, found in points.items()}
    bands = []
    bottom = np.zeros(len(whole))
    for series, size in parts_of(kind, levels):
        top = bottom + size
        bands.append((series, size, Points(whole.t_ms, bottom, top, whole.breaks)))
        bottom = top
    return bands


def _at(points: Points, whole: Points) -> Floats:
    """Return the values at the times of the whole; 0 where there is none."""
    if np.array_equal(points.t_ms, whole.t_ms):
        return points.hi
    if not len(points):
        return np.zeros(len(whole))
    place = np.minimum(np.searchsorted(points.t_ms, whole.t_ms), len(points) - 1)
    return np.where(points.t_ms[place] == whole.t_ms, points.hi[place], 0.0)
