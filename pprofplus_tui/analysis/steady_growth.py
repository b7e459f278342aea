"""Detects a steady rise from day to day after the warm-up.

A cache that fills over the first hours or days and a leak that continues look together like one
rise that slows down. Unlike a warm-up alone, they rise by as much on each of the later days. With
five days or more, the floors of days are compared; with three or four, the same hours of the days,
each of which has to rise every day.
"""

from dataclasses import replace

import numpy as np

from pprofplus_tui.analysis.curve_fits import steady
from pprofplus_tui.analysis.trend import TrendBlocks, TrendLine, line_of
from pprofplus_tui.model.points import Floats

DAY_H = 24.0
_MIN_DAYS = 5  # whose floors are compared
_MAX_FLOORS = 24
_MIN_OF_A_DAY = 4  # points, for a floor
# Limits for a line after a warm-up, for this number of floors or fewer: see `Steady`.
_FEW_FLOORS = 8
_GAIN, _GAIN_OF_FEW = 2.5, 4.0
_CLEAR, _CLEAR_OF_FEW = 10.0, 10.0
_LATE = 0.6
# For the same hours of a few days: the share of the hours that rise each day, and the rise of the
# last day's quiet hours over the mean of all days. A logarithm reaches 0.74 and 0.62.
_HOURS = 24
_QUIET = 8
_STARTING = 8
_RISING = {3: 0.95, 4: 0.95}
_EVEN = {3: 0.95, 4: 0.85}


def day_floors(t: Floats, y: Floats) -> TrendBlocks | None:
    """Return the low end of each day, or of each few days; None if there are too few."""
    days = int((t[-1] - t[0]) / DAY_H)
    if days < _MIN_DAYS:
        return None
    size = -(-days // _MAX_FLOORS)
    # days are counted from the end: the first, where warm-ups are, may be incomplete
    number = ((t[-1] - t) / (DAY_H * size)).astype(np.int64)
    times, values = [], []
    for which in range(days // size - 1, -1, -1):
        mine = number == which
        count = int(mine.sum())
        if count < _MIN_OF_A_DAY:
            continue
        low = np.sort(y[mine])[count // 16 : max(count // 8, 1)]
        times.append(float(t[mine].mean()))
        values.append(float(low.mean()))
    if len(times) < _MIN_DAYS:
        return None
    return TrendBlocks(np.array(times), np.array(values), np.zeros(len(times), np.int64))


def settled(t: Floats, y: Floats, least: float) -> TrendLine | None:
    """Return the line of days that rise steadily after a warm-up; None if there is none.

    Args:
        t: hours since the first point of the run.
        y: the lowest values then.
        least: a smaller change is ignored.
    """
    floors = day_floors(t, y)
    if floors is None:
        return _same_hours(t, y, least)
    span, count = float(t[-1]), len(floors.y)
    if floors.y[-1] - floors.y[0] < least:
        return None
    few = count < _FEW_FLOORS
    found = steady(floors.t, floors.y, span, least / 40)
    if (
        found is None
        or found.gain < (_GAIN_OF_FEW if few else _GAIN)
        or found.clear < (_CLEAR_OF_FEW if few else _CLEAR)
        or found.late < _LATE
        or found.slope * span < least
    ):
        return None
    later = slice(count // 3, None)
    line = line_of(TrendBlocks(floors.t[later], floors.y[later], floors.piece[later]), least / 40)
    return line if line is not None and line.slope > 0 else None


def _same_hours(t: Floats, y: Floats, least: float) -> TrendLine | None:
    """Return the line of a few days of which each hour rises steadily from day to day."""
    days = int(t[-1] / DAY_H + 0.01)
    if days not in _RISING or len(y) < 2 * days * _HOURS:
        return None
    # three points an hour, of which the middle one counts; whole days, counted from the end
    grid = t[-1] - np.arange(3 * _HOURS * days)[::-1] / 3
    hours = np.sort(np.interp(grid, t, y).reshape(-1, 3), axis=1)[:, 1].reshape(days, _HOURS)
    above = hours - np.median(hours, axis=1)[:, None]
    # the first hours of the first day, where a warm-up is fastest, are left out
    quiet = _STARTING + np.argsort(np.median(above, axis=0)[_STARTING:])[:_QUIET]
    rises = np.diff(hours, axis=0)
    by_day = np.median(rises[:, quiet], axis=1)
    if (
        float((rises > 0).mean(axis=1).min()) < _RISING[days]
        or float(by_day.min()) * days < least
        or float(by_day[-1]) < _EVEN[days] * float(by_day.mean())
    ):
        return None
    times = np.tile(np.arange(days) * DAY_H, _HOURS)
    blocks = TrendBlocks(times, hours.T.ravel(), np.repeat(np.arange(_HOURS), days))
    line = line_of(blocks, least / 40)
    if line is None or line.slope <= 0:
        return None
    return replace(line, change=line.slope * float(t[-1]))
