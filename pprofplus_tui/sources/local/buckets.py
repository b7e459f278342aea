"""Smallest and largest sample of each bucket of time, from page heads where these suffice."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pprofplus_tui.model.points import Bools, Ints, Points, SeriesKey
from pprofplus_tui.sources.local.block_detail import PageView
from pprofplus_tui.sources.local.page_cache import Decoded, beginnings, predecessors
from pprofplus_tui.sources.local.page_table import COUNTER_COLUMN, GAUGE_COLUMN, PageTable
from pprofplus_tui.sources.local.window_buckets import Extremes, PageSpan, WindowBuckets

MIN_GAP_MS = 1000  # a shorter stall is not a gap, whatever the interval
GAP_INTERVALS = 3
_STRETCH_SAMPLES = 200_000  # limits memory: a page of an idle service has 4096 samples


@dataclass(frozen=True, eq=False)
class Part:
    """A request on pages of one kind: a value or rate that is in heads, or a counter's value."""

    request: SeriesKey
    column: int
    rate: bool
    from_heads: bool
    span: PageSpan


class BucketSeries:
    """The buckets of one request, filled page by page."""

    def __init__(self, count: int) -> None:
        self.values = Extremes(count)
        self.times = Extremes(count)

    def copy(self) -> "BucketSeries":
        """Return an independent copy."""
        result = BucketSeries(0)
        result.values, result.times = self.values.copy(), self.times.copy()
        return result

    def moved(self, by: int, whole: int) -> "BucketSeries":
        """Return these for buckets shifted by `by`; only the first `whole` buckets are used."""
        result = BucketSeries(0)
        result.values, result.times = self.values.moved(by, whole), self.times.moved(by, whole)
        return result


def parts_of(table: PageTable, request: SeriesKey, span: PageSpan) -> list[Part]:
    """Return the pages that have the metric, by kind; only counters have a rate."""
    name, rate = request
    column = table.column(name)
    if column is None or not len(span.rows):
        return []
    by_schema = table.kinds(column)
    found = []
    for kind in (COUNTER_COLUMN,) if rate else (GAUGE_COLUMN, COUNTER_COLUMN):
        having = by_schema == kind
        if having.any():
            part = span
            if not having.all():
                part = span.take(having[table.rows["schema"][span.rows]])
                if not len(part.rows):
                    continue
            from_heads = rate or kind == GAUGE_COLUMN
            found.append(Part(request, column, rate, from_heads, part))
    return found


def fill(
    view: PageView, grid: WindowBuckets, all_series: dict[SeriesKey, BucketSeries], rows: Ints
) -> None:
    """Add the samples of these rows to the series. Raises PagesLostError.

    For a page within one bucket the head is enough. A page that overlaps several buckets is decoded
    only if its extremes exceed those of the buckets so far. Blocks are handled in the same way:
    their single pages are read only if needed.
    """
    table = view.table
    single = ~table.hidden
    to_expand = np.zeros(table.count, np.bool_)
    span = PageSpan.of(table, grid, rows)
    parts = [part for request in all_series for part in parts_of(table, request, span)]
    times: dict[int, tuple[Ints, Extremes]] = {}
    needed: list[tuple[Part, Ints]] = []
    for part in parts:
        values = all_series[part.request].values
        need = _from_heads(table, part, values) if part.from_heads else _levels(table, part, values)
        wanted = part.span.rows[need]
        to_expand[wanted] = True
        needed.append((part, wanted[single[wanted]]))
        if id(part.span) not in times:  # most metrics are on the same pages
            unclear = part.span.rows[part.span.unclear]
            to_expand[unclear] = True
            unclear = unclear[single[unclear]]
            times[id(part.span)] = unclear, _times_from_heads(table, part.span, grid.count)
    to_expand &= ~single
    if to_expand.any():
        detail = view.single_pages(np.flatnonzero(to_expand))
        fill(detail, grid, all_series, reaching(detail.table, grid, detail.requested))
    involved = [rows for _, rows in needed] + [rows for rows, _ in times.values()]
    for begin, end in _stretches(table, involved):
        _decode(view, grid, all_series, (begin, end), needed, list(times.values()))
    for part in parts:
        all_series[part.request].times.merge(times[id(part.span)][1])


def _stretches(table: PageTable, involved: list[Ints]) -> list[tuple[int, int]]:
    """Return ranges that cover all `involved` rows, each small enough to decode at once."""
    # not np.unique: its first call imports numpy.ma, which would delay the first chart
    rows = np.sort(np.concatenate(involved)) if involved else np.zeros(0, np.int64)
    rows = rows[np.append(True, np.diff(rows) > 0)[: len(rows)]]
    if not len(rows):
        return []
    stretch = np.cumsum(table.rows["samples"][rows]) // _STRETCH_SAMPLES
    begins = rows[np.flatnonzero(np.diff(stretch, prepend=-1))].tolist()
    return list(pairwise([*begins, int(rows[-1]) + 1]))


def _decode(  # noqa: PLR0913, PLR0917 - the pages to decode, and the series to add them to
    view: PageView,
    grid: WindowBuckets,
    all_series: dict[SeriesKey, BucketSeries],
    stretch: tuple[int, int],
    needed: list[tuple[Part, Ints]],
    unclear: list[tuple[Ints, Extremes]],
) -> None:
    """Decode the pages in a range of rows whose heads are not enough, and add their samples."""
    table = view.table

    def within(rows: Ints) -> list[int]:
        begin, end = np.searchsorted(rows, stretch)
        return rows[begin:end].tolist()  # type: ignore[no-any-return]

    wanted: list[tuple[int, int | None]] = []
    for rows, _ in unclear:
        wanted += [(row, None) for row in within(rows)]
    chosen = [(part, within(rows)) for part, rows in needed]
    for part, mine in chosen:
        wanted += [(row, part.column) for row in mine]
        if part.rate:
            before = predecessors(table, mine, part.column)
            wanted += [(row, part.column) for row in before if row >= 0]
    decoded = view.cache.decode(wanted)
    buckets = _Buckets(table, decoded, grid)
    for part, mine in chosen:
        if mine:
            at, inside = buckets.of(mine)
            got = (decoded.rates if part.rate else decoded.values)(mine, part.column)
            if part.rate:
                known = rated(table, mine, part.column)
                at, inside = at[known[inside]], inside & known
            got = got[inside]
            all_series[part.request].values.add(at, got, got)
    for rows, times in unclear:
        mine = within(rows)
        if mine:
            at, inside = buckets.of(mine)
            t_ms = decoded.t_ms(mine)[inside]
            times.add(at, t_ms, t_ms)


def reaching(table: PageTable, grid: WindowBuckets, rows: Ints) -> Ints:
    """Return those of these rows that have samples and overlap the grid."""
    return rows[
        (table.rows["samples"][rows] > 0)
        & (table.end_ms[rows] >= grid.begin_ms)
        & (table.begin_ms[rows] < grid.end_ms)
    ]


def rated(table: PageTable, rows: Sequence[int], column: int) -> Bools:
    """Tell which samples of these rows, one after the other, have a rate of the counter."""
    counts = table.rows["samples"][rows]
    known = np.ones(int(counts.sum()), np.bool_)
    starts = np.cumsum(counts) - counts
    known[starts[beginnings(table, np.array(rows, np.int64), column)]] = False
    return known


class _Buckets:
    """The buckets of the samples of rows, cached: most metrics of a run have the same rows."""

    def __init__(self, table: PageTable, decoded: Decoded, grid: WindowBuckets) -> None:
        self._table = table
        self._decoded = decoded
        self._grid = grid
        self._known: dict[tuple[int, ...], tuple[Ints, Bools]] = {}

    def of(self, rows: Sequence[int]) -> tuple[Ints, Bools]:
        """Return (buckets of the samples in the window, which samples these are)."""
        key = tuple(rows)
        if key not in self._known:
            t_ms = self._decoded.t_ms(rows)
            inside = (t_ms >= self._grid.begin_ms) & (t_ms < self._grid.end_ms)
            buckets = self._grid.bucket(t_ms[inside])
            if self._grid.whole_ms:  # a page that is not split has all its samples in one bucket
                table = self._table
                counts = table.rows["samples"][rows]
                reach = self._grid.reach(table.begin_ms[rows], table.end_ms[rows])
                buckets = np.clip(buckets, *(np.repeat(at, counts)[inside] for at in reach))
            self._known[key] = buckets, inside
        return self._known[key]


def _from_heads(table: PageTable, part: Part, values: Extremes) -> Ints:
    """Add the extremes in heads; return which pages of the part must be decoded."""
    span = part.span
    index = span.index
    lo, hi = table.lo(part.column)[index], table.hi(part.column)[index]
    inner = (span.first == span.last) & span.within
    # the head of a counter's first page includes a rate of 0 for the first sample, which has none
    made_up = beginnings(table, span.rows, part.column) if part.rate else np.zeros_like(inner)
    inner &= ~made_up
    values.add(span.first[inner], lo[inner], hi[inner])
    cut = np.flatnonzero(~inner)
    if not len(cut):
        return cut
    first, last, lo, hi = span.first[cut], span.last[cut], lo[cut], hi[cut]
    true = ~made_up[cut]
    steady = (lo == hi) & span.within[cut] & (last - first == 1) & true
    values.add(first[steady], lo[steady], hi[steady])
    values.add(last[steady], lo[steady], hi[steady])
    clear = steady | (
        true & (last - first <= 1) & values.contain(first, lo, hi) & values.contain(last, lo, hi)
    )
    unknown: Ints = cut[~clear]
    return unknown


def _levels(table: PageTable, part: Part, values: Extremes) -> Ints:
    """Add the first values of a counter; return which pages must be decoded for its values.

    A head has the rates of a counter and its first value. While it increases, the largest value of
    a page is its last, and the first value of the next page is not smaller.
    """
    span = part.span
    first_value = table.first(part.column)[span.rows]
    lo, hi = table.lo(part.column)[span.rows], table.hi(part.column)[span.rows]
    entered = span.entered
    values.add(span.first[entered], first_value[entered], first_value[entered])
    inner = (span.first == span.last) & span.within
    grows = lo >= 0
    followed = np.zeros(len(inner), np.bool_)
    followed[:-1] = (
        (span.first[1:] == span.last[:-1])
        & entered[1:]
        & grows[1:]
        & (table.before[span.rows[1:]] == span.rows[:-1])
    )
    still = (lo == 0) & (hi == 0) & inner
    return np.flatnonzero(~((inner & grows & followed) | still))


def _times_from_heads(table: PageTable, span: PageSpan, count: int) -> Extremes:
    """Return each bucket's first and last sample; exact next to empty buckets, for `breaks`.

    Pages that are `unclear` are skipped: their times must be decoded.
    """
    times = Extremes(count)
    clear = ~span.unclear
    rows = span.rows[clear]
    begin, end = table.begin_ms[rows], table.end_ms[rows]
    same = span.first[clear] == span.last[clear]
    times.add(span.first[clear], begin, np.where(same, end, begin))
    times.add(span.last[clear], np.where(same, begin, end), end)
    return times


def points_of(
    table: PageTable, grid: WindowBuckets, part_rows: Ints, series: BucketSeries, scale: float
) -> Points:
    """Return the non-empty buckets as points, with values divided by `scale`."""
    times, values = series.times, series.values
    filled = np.flatnonzero((times.lo <= times.hi) & (values.lo <= values.hi))
    gap_ms = times.lo[filled][1:] - times.hi[filled][:-1]
    breaks = np.zeros(len(filled), np.bool_)
    empty = np.diff(filled) > 1
    if empty.any():
        places = np.flatnonzero(empty)
        limit = gap_limits(table, part_rows, times.hi[filled[places]], times.lo[filled[places + 1]])
        breaks[places + 1] = gap_ms[places] > limit
    return Points(
        grid.middle_ms(filled),
        values.lo[filled] / scale,
        np.maximum(values.hi, values.lo)[filled] / scale,
        breaks,
    )


def gap_limits(table: PageTable, rows: Ints, before_ms: Ints, after_ms: Ints) -> Ints:
    """Return for each pair of samples the longest time between them that is not a gap.

    `rows` are the pages of the samples at `before_ms` and `after_ms`, in order of time.
    """
    interval = table.rows["interval_ms"][rows]
    ends, begins = table.end_ms[rows], table.begin_ms[rows]
    left = np.minimum(np.searchsorted(begins, before_ms, side="right") - 1, len(rows) - 1)
    right = np.minimum(np.searchsorted(ends, after_ms, side="left"), len(rows) - 1)
    longest = np.maximum(interval[np.maximum(left, 0)], interval[right])
    limits: Ints = np.maximum(GAP_INTERVALS * longest, MIN_GAP_MS)
    return limits


@dataclass(eq=False)
class WindowMemo:
    """The buckets of a window, filled from the pages that no longer change.

    A live chart requests the same window each second, and only the newest pages are new.

    Attributes:
        epoch: of the page table when it was filled; after a change it is invalid.
        grid: the window.
        upto: rows below this are included.
        series: by request.
    """

    epoch: int
    grid: WindowBuckets
    upto: int
    series: dict[SeriesKey, BucketSeries]

    def moved(self, grid: WindowBuckets, requests: Sequence[SeriesKey]) -> "WindowMemo":
        """Return the memo of a window that shares buckets; its other buckets are empty."""
        own = self.grid
        by = (grid.begin_ms - own.begin_ms) // own.width_ms
        whole = (own.end_ms - own.begin_ms) // own.width_ms
        series = {one: self.series[one].moved(by, whole) for one in requests if one in self.series}
        return WindowMemo(self.epoch, grid, self.upto, series)
