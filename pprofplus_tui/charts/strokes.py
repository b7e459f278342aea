"""Points to fractions of a plot: few, flat strokes and upright bars."""

import numpy as np

from pprofplus_tui.charts.spec import Area, ChartSpec, Line
from pprofplus_tui.model.points import Bools, Floats, Ints, Points
from pprofplus_tui.model.ticks import YAxis
from pprofplus_tui.model.time_buckets import first_of_each

# plotext's cost grows with the points: at most 400 a line, two for each bucket.
MAX_BUCKETS = 200
_CLOSE_DOTS = 3  # between points no farther apart, a slope and two bars that meet look the same


def visible(points: Points, begin_ms: int, end_ms: int, cells: int) -> Points:
    """Return the points in [begin_ms, end_ms], and those less than a cell outside.

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
    spans a point's low to its high, and is stretched to meet that of a close neighbour. Points
    farther apart are joined by strokes, from bar to bar on the shortest path; a break begins a new
    one. More than 200 points are merged into buckets that keep the lowest and the highest of
    each. Both are empty if nothing is visible.
    """
    shown = visible(points, begin_ms, end_ms, area.width)
    if not len(shown) or end_ms <= begin_ms:
        return [], []
    x: Floats = np.clip((shown.t_ms - begin_ms) / (end_ms - begin_ms), 0.0, 1.0)
    low, high, breaks = axis.fractions(shown.lo), axis.fractions(shown.hi), shown.breaks
    if len(shown) > MAX_BUCKETS:
        buckets: Ints = np.minimum((x * MAX_BUCKETS).astype(np.int64), MAX_BUCKETS - 1)
        starts = first_of_each(buckets)
        # A gap inside a bucket is narrower than a cell; one between buckets lies at a start.
        low, high = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
        x, breaks = (buckets[starts] + 0.5) / MAX_BUCKETS, breaks[starts]
    column = dots_at(x, 2 * area.width)
    close = (np.diff(column) <= _CLOSE_DOTS) & ~breaks[1:]
    low, high = _met_halfway(low, high, close, area)
    level = _shortest_path(low.tolist(), high.tolist())
    bars = list(zip(x.tolist(), low.tolist(), high.tolist(), strict=True))
    bars += _between(column, (low, high), level, close, area)
    return _strokes(x.tolist(), level, (breaks[1:] | close).tolist()), bars


def _met_halfway(low: Floats, high: Floats, close: Bools, area: Area) -> tuple[Floats, Floats]:
    """Return lows and highs stretched so that the bars of close neighbours meet."""
    dot = 1 / max(4 * area.height, 1)
    rising = close & (low[1:] - high[:-1] > dot)
    falling = close & (low[:-1] - high[1:] > dot)
    up, down = (high[:-1] + low[1:]) / 2, (low[:-1] + high[1:]) / 2
    lows, highs = low.copy(), high.copy()
    highs[:-1][rising] = np.maximum(highs[:-1], up)[rising]
    lows[1:][rising] = np.minimum(lows[1:], up)[rising]
    lows[:-1][falling] = np.minimum(lows[:-1], down)[falling]
    highs[1:][falling] = np.maximum(highs[1:], down)[falling]
    return lows, highs


def _shortest_path(low: list[float], high: list[float]) -> list[float]:
    """Return a height within each bar, as near as possible to that in the bar before."""
    way: list[float] = []
    for bottom, top in zip(low, high, strict=True):
        way.append(min(max(way[-1], bottom), top) if way else bottom)
    return way


def _between(
    column: Ints, ends: tuple[Floats, Floats], level: list[float], close: Bools, area: Area
) -> list[Bar]:
    """Return bars for the columns that lie between the bars of close neighbours.

    They cover the range that both neighbours share, so that noise has no gaps between bars; if
    the neighbours only touch, the line from one to the next.
    """
    low, high = ends
    bottoms, tops = np.maximum(low[:-1], low[1:]), np.minimum(high[:-1], high[1:])
    last = max(2 * area.width - 1, 1)
    found: list[Bar] = []
    for i in np.flatnonzero(close & (np.diff(column) > 1)).tolist():
        bottom, top = float(bottoms[i]), float(tops[i])
        if bottom > top:
            bottom = top = level[i + 1]
        found += [(at / last, bottom, top) for at in range(int(column[i]) + 1, int(column[i + 1]))]
    return found


def _strokes(x: list[float], level: list[float], cut: list[bool]) -> list[Stroke]:
    """Return the strokes between neighbours; `cut` is True where there is none."""
    strokes: list[Stroke] = []
    going = False
    for i, stop in enumerate(cut):
        if stop:
            going = False
            continue
        if not going:
            strokes.append(([x[i]], [level[i]]))
            going = True
        strokes[-1][0].append(x[i + 1])
        strokes[-1][1].append(level[i + 1])
    return strokes


def last_place(line: Line, spec: ChartSpec, area: Area) -> tuple[int, int] | None:
    """Return (column, row from below) of a line's last visible point, or None."""
    shown = visible(line.points, spec.begin_ms, spec.end_ms, area.width)
    if not len(shown) or spec.end_ms <= spec.begin_ms or not area.height:
        return None
    at = (int(shown.t_ms[-1]) - spec.begin_ms) / (spec.end_ms - spec.begin_ms)
    low, high = spec.y.fractions(np.array([shown.lo[-1], shown.hi[-1]])).tolist()
    at = min(max(at, 0.0), 1.0)
    return cell_at(at, 2, area.width), cell_at((low + high) / 2, 4, area.height)


def place_at(line: Line, spec: ChartSpec, area: Area, share: float) -> tuple[int, int] | None:
    """Return (column, row from below) of a line's visible point at a share of them, or None."""
    shown = visible(line.points, spec.begin_ms, spec.end_ms, area.width)
    span_ms = spec.end_ms - spec.begin_ms
    if not len(shown) or span_ms <= 0 or not area.height or not area.width:
        return None
    i = min(int(share * len(shown)), len(shown) - 1)
    at = min(max((int(shown.t_ms[i]) - spec.begin_ms) / span_ms, 0.0), 1.0)
    low, high = spec.y.fractions(np.array([shown.lo[i], shown.hi[i]])).tolist()
    return cell_at(at, 2, area.width), cell_at((low + high) / 2, 4, area.height)


def cell_at(fraction: float, dots: int, cells: int) -> int:
    """Return the cell of a place on an axis as plotext computes it, `dots` dots to the cell."""
    return int(0.5 + (dots * cells - 1) * fraction) // dots


def dots_at(fractions: Floats, dots: int) -> Ints:
    """Return the dots of places on an axis of `dots` dots, consistent with `cell_at`."""
    found: Ints = (0.5 + (dots - 1) * fractions).astype(np.int64)
    return found
