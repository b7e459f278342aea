"""Creates the points of a series from lists. It needs the monitor and numpy."""

import numpy as np

from pprofplus_tui.model.points import Points


def points_of(values, times=None, breaks=(), lows=None):
    """Return points at `times` (default 0, 1, 2 …), with a break before each index in `breaks`."""
    times = np.arange(len(values)) if times is None else times
    broken = np.zeros(len(values), np.bool_)
    broken[list(breaks)] = True
    highs = np.asarray(values, float)
    lows = highs if lows is None else np.asarray(lows, float)
    return Points(np.asarray(times, np.int64), lows, highs, broken)
