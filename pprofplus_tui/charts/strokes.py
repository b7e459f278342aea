"""Points to fractions of a plot: few, flat strokes and upright bars."""

import numpy as np

from pprofplus_tui.charts.picture import Area, Line, Picture
from pprofplus_tui.model.series import Bools, Floats, Ints, Points
from pprofplus_tui.model.ticks import YAxis

# plotext's cost grows with the points: at most 400 a line, two for each bucket.
_MOST_BUCKETS = 200
_STEEP_DOTS = 3  # between points no farther apart, a high slope and two bars look the same


def visible(points: Points, begin_ms: int, end_ms: int, cells: int) -> Points:
    """Return the points in [begin_ms, end_ms], and those less than a cell outside of it.

    A bucket that the window's edge cuts has its middle up to a bucket outside; dropping it
    could drop a spike.
    """
    slack_ms = (end_ms - begin_ms) // max(cells, 1)
    first = int(np.searchsorted(points.t_ms, begin_ms - slack_ms))
    last = int(np.searchsorted(points.t_ms, end_ms + slack_ms, "right"))
    if first == 0 and last == len(points):
        return points
    return Points(
        points.t_ms[first:last],
        points.lo[first:last],
        points.hi[first:last],
        points.breaks[first:last],
    )


Stroke = tuple[list[float], list[float]]
Bar = tuple[float, float, float]


def paths(
    points: Points, begin_ms: int, end_ms: int, axis: YAxis, area: Area
) -> tuple[list[Stroke], list[Bar]]:
    """Return a line as strokes (x, y) and upright bars (x, low, high).

    All are fractions of the plot, within [0, 1]; values outside the axis lie on its edge. A bar
    spans a point's low to its high. The strokes join the bars by the shortest way, so they are
    flat where bars overlap; a break begins a new one. More than 200 points are merged into
    buckets that keep the lowest and the highest of each. Both are empty if nothing is visible.
    """
    shown = visible(points, begin_ms, end_ms, area.width)
    if not len(shown) or end_ms <= begin_ms:
        return [], []
    x: Floats = np.clip((shown.t_ms - begin_ms) / (end_ms - begin_ms), 0.0, 1.0)
    low, high, breaks = axis.fractions(shown.lo), axis.fractions(shown.hi), shown.breaks
    if len(shown) > _MOST_BUCKETS:
        buckets: Ints = np.minimum((x * _MOST_BUCKETS).astype(np.int64), _MOST_BUCKETS - 1)
        starts = np.flatnonzero(np.diff(buckets, prepend=-1))
        # A gap inside a bucket is narrower than a cell; one between buckets lies at a start.
        low, high = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
        x, breaks = (buckets[starts] + 0.5) / _MOST_BUCKETS, breaks[starts]
    low, high = _met_halfway(x, low, high, breaks, area)
    strokes: list[Stroke] = []
    bars: list[Bar] = []
    xs: list[float] = []
    ys: list[float] = []
    for at, bottom, top, broken in zip(
        x.tolist(), low.tolist(), high.tolist(), breaks.tolist(), strict=True
    ):
        if bottom < top:
            bars.append((at, bottom, top))
        if broken or not xs:
            xs, ys = [at], [bottom]
            strokes.append((xs, ys))
        else:
            xs.append(at)
            ys.append(min(max(ys[-1], bottom), top))
    return strokes, bars


def _met_halfway(
    x: Floats, low: Floats, high: Floats, breaks: Bools, area: Area
) -> tuple[Floats, Floats]:
    """Return lows and highs stretched so that steep slopes between neighbours become bars."""
    close = (np.diff(x) * 2 * area.width <= _STEEP_DOTS) & ~breaks[1:]
    cell = 1 / max(area.height, 1)
    rising = close & (low[1:] - high[:-1] > cell)
    falling = close & (low[:-1] - high[1:] > cell)
    up, down = (high[:-1] + low[1:]) / 2, (low[:-1] + high[1:]) / 2
    lows, highs = low.copy(), high.copy()
    highs[:-1][rising] = np.maximum(highs[:-1], up)[rising]
    lows[1:][rising] = np.minimum(lows[1:], up)[rising]
    lows[:-1][falling] = np.minimum(lows[:-1], down)[falling]
    highs[1:][falling] = np.maximum(highs[1:], down)[falling]
    return lows, highs


def last_place(line: Line, picture: Picture, area: Area) -> tuple[int, int] | None:
    """Return (column, row from below) of a line's last visible point, or None."""
    shown = visible(line.points, picture.begin_ms, picture.end_ms, area.width)
    if not len(shown) or picture.end_ms <= picture.begin_ms or not area.height:
        return None
    at = (int(shown.t_ms[-1]) - picture.begin_ms) / (picture.end_ms - picture.begin_ms)
    low, high = picture.y.fractions(np.array([shown.lo[-1], shown.hi[-1]])).tolist()
    at = min(max(at, 0.0), 1.0)
    return cell_at(at, 2, area.width), cell_at((low + high) / 2, 4, area.height)


def cell_at(fraction: float, dots: int, cells: int) -> int:
    """Return the cell of a place on an axis as plotext reckons it, `dots` dots to the cell."""
    return int(0.5 + (dots * cells - 1) * fraction) // dots
