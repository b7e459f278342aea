"""How fast a curve grows: one robust figure, that a spike or a saw-tooth does not move."""

import numpy as np

from pprofplus_tui.model.series import Points

_MS_PER_H = 3_600_000.0
_MOST = 48  # points looked at: a thousand pairs tell as much as more would
_LEAST = 4


def growth_per_h(points: Points) -> float | None:
    """Return the slope in the unit of the points per hour (Theil and Sen), None of too few.

    It is the median of the slopes between all pairs of at most 48 points, each the middle of its
    lowest and highest value, so that a third of them may be outliers.
    """
    count = len(points)
    if count < _LEAST:
        return None
    at = np.linspace(0, count - 1, min(count, _MOST)).astype(np.int64)
    t_h = (points.t_ms[at] - points.t_ms[0]) / _MS_PER_H
    level = points.lo[at] / 2 + points.hi[at] / 2
    one, other = np.triu_indices(len(at), 1)
    slopes = (level[other] - level[one]) / (t_h[other] - t_h[one])
    slope = float(np.median(slopes))
    return slope if np.isfinite(slope) else None
