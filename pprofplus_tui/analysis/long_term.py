"""The long-term trend of one layer over the whole run: does its floor rise, and how?

The same hours of all days are compared: a daily pattern is subtracted where it explains most of the
variation. The low end of each day is its floor, and so is each trough of a saw-tooth. A leak raises
these floors.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from pprofplus_tui.analysis.curve_fits import LINE, STEPS, Rise, what_rise
from pprofplus_tui.analysis.run_overview import PAST_BUCKETS
from pprofplus_tui.analysis.sawtooth import find_teeth
from pprofplus_tui.analysis.steady_growth import DAY_H, day_floors, settled
from pprofplus_tui.analysis.trend import (
    MIN_POINTS,
    MIN_SHARE,
    MIN_SPAN_MS,
    TrendBlocks,
    TrendLine,
    blocks_of,
    line_of,
    median,
    mirrored,
    noise_of,
    sure,
    trough_blocks,
)
from pprofplus_tui.model.durations import HOUR_MS
from pprofplus_tui.model.points import Floats, Ints, Points

_MAX_CELLS = 4 * PAST_BUCKETS  # of an even grid, for uneven points too
_CELLS = 48  # points that curves are fitted to
_MIN_OF_A_DAY = 4  # points, for a daily pattern
_MIN_TROUGHS = 4
_FEW_TROUGHS = 6
_MIN_CELLS = 8
_RECURS = 0.5  # share of the variation from which the daily pattern is subtracted
_FLOORS_TELL = 0.3  # and from which the floors of days show the kind of a rise better
_START_SHARE = 0.05
_START_MS = 60_000


@dataclass(frozen=True, eq=False)
class LongTermTrend:
    """The trend of a layer over the whole run.

    Attributes:
        begin_ms: unix ms of the first point.
        span_h: hours from the first to the last point.
        from_start: the log begins with the process.
        t: hours since the first point, shape (n,).
        floor, ceiling: smallest and largest values, shape (n,).
        line: of the floor; None if there is none.
        rises, falls: the floor does so significantly.
        curve: (hours, values) that show the kind of a rise best: the floor without the daily
            pattern, the floors of days, or troughs.
        teeth: number of falls of a saw-tooth.
        daily: share of the variation that the daily pattern explains, 0 if that is not known.
        even: after a warm-up it rises by as much each day; `line` is of those days.
    """

    begin_ms: int
    span_h: float
    from_start: bool
    t: Floats
    floor: Floats
    ceiling: Floats
    line: TrendLine | None = None
    rises: bool = False
    falls: bool = False
    curve: tuple[Floats, Floats] = field(default=(np.zeros(0), np.zeros(0)))
    teeth: int = 0
    daily: float = 0.0
    even: bool = False

    @cached_property
    def rise(self) -> Rise:
        """The kind of a rise over the whole run; computed only if there may be one."""
        if self.even:
            raw = what_rise(*_cells(self.t, self.floor), from_start=self.from_start)
            return raw if raw.kind == STEPS else Rise()
        found = what_rise(*_cells(*self.curve), from_start=self.from_start)
        if found.kind == LINE and self.daily:
            # a daily pattern of two days only may be a step
            raw = what_rise(*_cells(self.t, self.floor), from_start=self.from_start)
            return raw if raw.kind == STEPS else found
        return found

    @property
    def leaks(self) -> bool:
        """Whether the floor rises steadily: neither in steps nor slowing down."""
        return self.rises and self.rise.kind == LINE

    @cached_property
    def level(self) -> float:
        """The level at the start of the run; at least 1."""
        early = self.floor[: max(len(self.floor) // 8, 1)]
        return max(abs(median(early)), 1.0)

    def rises_at(self, begin_ms: int, end_ms: int) -> Floats:
        """Return by how much the level rose from one hour of the day to another, for each day.

        The times are those of another run; whole days before them lie in this one. The general
        rise of the floor is subtracted.
        """
        day_ms = int(DAY_H * HOUR_MS)
        last_ms = self.begin_ms + int(self.span_h * HOUR_MS)
        first = max(-(-(end_ms - last_ms) // day_ms), 1)
        days = range(first, (begin_ms - self.begin_ms) // day_ms + 1)
        shifts = np.array([day * day_ms for day in days], float)
        return self._rises((begin_ms - shifts), (end_ms - shifts))

    def rise_at_age(self, begin_ms: int, end_ms: int) -> float | None:
        """Return the rise between two ages of the process, ms; None if that is not known.

        The ages are those of the log's points: it must begin with the process.
        """
        if not self.from_start or end_ms > self.span_h * HOUR_MS:
            return None
        ends = (np.array([float(self.begin_ms + age)]) for age in (begin_ms, end_ms))
        return float(self._rises(*ends)[0])

    def _rises(self, begin_ms: Floats, end_ms: Floats) -> Floats:
        general = self.line.slope if self.line is not None and self.leaks else 0.0
        ends = [
            np.interp((at - self.begin_ms) / HOUR_MS, self.t, self.floor)
            for at in (begin_ms, end_ms)
        ]
        rises: Floats = ends[1] - ends[0] - general * (end_ms - begin_ms) / HOUR_MS
        return rises

    def range_before(self, t_ms: int) -> tuple[float, float] | None:
        """Return (low, high) before a time, without outliers; None if there is too little."""
        before = self.t < (t_ms - self.begin_ms) / HOUR_MS
        count = int(before.sum())
        if count < _MIN_CELLS:
            return None
        lows, highs = np.sort(self.floor[before]), np.sort(self.ceiling[before])
        rare = count // 50
        return float(lows[rare]), float(highs[count - 1 - rare])


def _cells(t: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return a curve reduced to few points, each the median of as many."""
    if len(y) <= _CELLS:
        return t, y
    groups = np.array_split(np.arange(len(y)), min(_CELLS, len(y) // 4))
    return (
        np.array([float(t[group].mean()) for group in groups]),
        np.array([median(y[group]) for group in groups]),
    )


def without_days(points: Points, y: Floats) -> tuple[Floats, float]:
    """Return (y without its daily pattern, the share of the variation that this explains).

    A run of less than two days is returned unchanged, and so is one that lacks an hour of each day.
    """
    span_ms = int(points.t_ms[-1] - points.t_ms[0])
    step_ms = max(median(np.diff(points.t_ms).astype(float)), span_ms / _MAX_CELLS)
    per_day = round(DAY_H * HOUR_MS / step_ms)
    place = np.round((points.t_ms - points.t_ms[0]) / step_ms).astype(np.int64)
    count = int(place[-1]) + 1
    if per_day < _MIN_OF_A_DAY or count < 2 * per_day:
        return y, 0.0
    grid = np.full(count, np.nan)
    grid[place] = y
    later = grid[per_day:] - grid[:-per_day]
    later = later[np.isfinite(later)]
    if len(later) < per_day / 2:
        return y, 0.0
    rest = grid - median(later) * np.arange(count) / per_day
    days = -(-count // per_day)
    row = np.full(days * per_day, np.nan)
    row[:count] = rest
    table = row.reshape(days, per_day)
    sizes = np.isfinite(table).sum(axis=0)
    if not sizes.all():
        return y, 0.0
    ordered, columns = np.sort(table, axis=0), np.arange(per_day)  # missing values come last
    usual = (ordered[(sizes - 1) // 2, columns] + ordered[sizes // 2, columns]) / 2
    usual = np.tile(usual - usual.mean(), days)[:count]
    before, after = float(np.var(rest[place])), float(np.var((rest - usual)[place]))
    return (grid - usual)[place], max(1 - after / before, 0.0) if before > 0 else 0.0


def _is_significant(line: TrendLine, count: int, *, of_troughs: bool) -> bool:
    """Return whether a rising line is significant.

    Four troughs are enough if each is higher than the one before. A line with very small residuals
    needs no other test: a rest of the daily pattern widens the variance.
    """
    clear = line.tau > 0.85 and line.drift > 2.5 and line.clear > 10  # noqa: PLR2004
    if of_troughs and line.clear > 4.5:  # noqa: PLR2004
        clear = clear or line.tau > (0.99 if count < _FEW_TROUGHS else 0.75)
    return clear or sure(line, count, 1.0)


def look_back(points: Points, start_ms: int, least: float) -> LongTermTrend | None:
    """Return the long-term trend of a layer; None if there is too little data.

    Args:
        points: all of the run, in even buckets.
        start_ms: when the process began, unix ms.
        least: a smaller change, in the series' unit, is ignored.
    """
    if len(points) < MIN_POINTS or int(points.t_ms[-1] - points.t_ms[0]) < MIN_SPAN_MS:
        return None
    t = (points.t_ms - points.t_ms[0]) / HOUR_MS
    span_ms = int(points.t_ms[-1] - points.t_ms[0])
    began = int(points.t_ms[0]) - start_ms < max(_START_SHARE * span_ms, _START_MS)
    y = points.lo
    least = max(least, MIN_SHARE * abs(median(y)))
    found = LongTermTrend(int(points.t_ms[0]), float(t[-1]), began, t, y, points.hi)
    whole = np.zeros(len(y), np.int64)
    line = line_of(blocks_of(t, y, whole), least / 40)
    if line is None or float(np.ptp(y)) < least:
        return found
    level = (points.lo + points.hi) / 2
    teeth = find_teeth(level - line.slope * t, whole, noise_of(level), least)
    if teeth is not None:
        troughs = trough_blocks(t, y, whole, teeth)
        series, curve, daily = [troughs], (troughs.t, troughs.y), 0.0
        if len(troughs.y) < _MIN_TROUGHS:
            series = []
    else:
        series, curve, daily = _floors(points, t, y, whole)
    found = replace(
        found, line=line, curve=curve, teeth=0 if teeth is None else len(teeth.troughs), daily=daily
    )
    after = settled(t, y, least) if teeth is None else None
    if after is not None:
        return replace(found, line=after, rises=True, even=True)
    for blocks in series:
        over = line_of(blocks, least / 40)
        if over is None or abs(over.change) < least:
            continue
        upright = over if over.slope > 0 else mirrored(over)
        if _is_significant(upright, len(blocks.y), of_troughs=teeth is not None):
            return replace(found, line=over, rises=over.slope > 0, falls=over.slope < 0)
    return found


def _floors(
    points: Points, t: Floats, y: Floats, whole: Ints
) -> tuple[list[TrendBlocks], tuple[Floats, Floats], float]:
    """Return (series to test for a rise, the curve that shows its kind best, the daily share)."""
    flat, daily = without_days(points, y)
    if daily < _RECURS:
        flat = y
    series, curve = [blocks_of(t, flat, whole)], (t, flat)
    floors = day_floors(t, y)
    if floors is not None:
        series.append(floors)
        if daily > _FLOORS_TELL and len(floors.y) >= _MIN_CELLS:
            curve = floors.t, floors.y
    return series, curve, daily
