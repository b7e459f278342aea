"""Window queries: a limited number of points per series, with the extremes of all samples."""

from collections.abc import Sequence

import numpy as np

from pprofplus_tui.model.points import Bools, Floats, Ints, Points, SeriesKey
from pprofplus_tui.sources.local.block_detail import PageView
from pprofplus_tui.sources.local.buckets import (
    GAP_INTERVALS,
    MIN_GAP_MS,
    BucketSeries,
    WindowMemo,
    fill,
    gap_limits,
    points_of,
    rated,
)
from pprofplus_tui.sources.local.page_cache import Decoded, PagesLostError, predecessors
from pprofplus_tui.sources.local.page_table import ABSENT, COUNTER_COLUMN, GAUGE_COLUMN, PageTable
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.segment_reader import TAIL_SLOTS
from pprofplus_tui.sources.local.window_buckets import WindowBuckets

_MILLI = 1000.0
_MEMOS = 16  # two widths of charts in eight windows
_MEMO_REQUESTS = 320  # more than the charts of one window request: a schema has at most 256 metrics


def query(  # noqa: PLR0913 - the window, the resolution, the series
    run: RunLog,
    begin_ms: int,
    end_ms: int,
    buckets: int,
    requests: Sequence[SeriesKey],
    *,
    exact: bool = True,
) -> dict[SeriesKey, Points]:
    """Return the points of each request in [begin_ms, end_ms), unix ms; at most `buckets` each.

    A request is (metric, rate). With rate, the points are the increase of a counter per second
    since the previous sample, which the first sample of a counter lacks; a metric that is not a
    counter has no points then. Without rate, they are the recorded values. A metric that the run
    lacks has no points.

    If the window has at most `buckets` samples, each is a point. Else the window is divided into
    buckets of equal width from `begin_ms` on, and each bucket with samples is a point.
    `Points.breaks` is True after a gap: more than 3 sampling intervals and more than a second, and
    between buckets at least one empty bucket; between samples also after a pause of any length.
    The first point never breaks.

    Pages that overlap several buckets are read from disk; damaged ones are left out. Unless
    `exact`, only long pages are read: the extremes of a page of up to half a bucket may then be
    a quarter of a bucket away from their correct position, but none is lost.

    Raises ValueError if `buckets` is less than 1.
    """
    if buckets < 1:
        raise ValueError(f"{buckets} buckets")
    while True:
        rows = rows_within(run.table, begin_ms, end_ms)
        if not len(rows):
            return {request: Points.empty() for request in requests}
        try:
            few = _few_samples(run, rows, begin_ms, end_ms, buckets)
            if few is not None:
                return _samples(*few, begin_ms, end_ms, requests)
            grid = WindowBuckets.over(begin_ms, end_ms, buckets, exact=exact)
            return _buckets(run, rows, grid, requests)
        except PagesLostError:
            # They are removed from the table now, so the loop terminates.
            run.discard_cached()


def page_extremes(run: RunLog, name: str) -> Points:
    """Return one point for each page of a gauge, at the page's end, from heads alone."""
    table = run.table
    column = table.column(name)
    if column is None:
        return Points.empty()
    rows = np.flatnonzero(table.rows["samples"] > 0)
    rows = rows[table.kinds(column)[table.rows["schema"][rows]] == GAUGE_COLUMN]
    t_ms = table.end_ms[rows]
    breaks = np.zeros(len(rows), np.bool_)
    breaks[1:] = table.begin_ms[rows[1:]] - t_ms[:-1] > gap_limits(table, rows, t_ms[:-1], t_ms[1:])
    lo, hi = table.lo(column)[rows], table.hi(column)[rows]
    distinct = np.diff(t_ms, prepend=-1) > 0
    return Points(
        t_ms[distinct],
        lo[distinct].astype(np.float64),
        np.maximum(lo, hi)[distinct].astype(np.float64),
        breaks[distinct],
    )


def rows_within(table: PageTable, begin_ms: int, end_ms: int) -> Ints:
    """Return the rows of pages with samples that overlap [begin_ms, end_ms)."""
    begin = int(np.searchsorted(table.end_ms, begin_ms, side="left"))
    end = int(np.searchsorted(table.begin_ms, end_ms, side="left"))
    if end <= begin or end_ms <= begin_ms:
        return np.zeros(0, np.int64)
    rows = np.arange(begin, end)
    return rows[table.rows["samples"][begin:end] > 0]


def _few_samples(
    view: PageView, rows: Ints, begin_ms: int, end_ms: int, most: int
) -> tuple[PageView, Ints] | None:
    """Return the pages of a window and their rows if it has at most `most` samples, else None."""
    table = view.table
    within = (table.begin_ms[rows] >= begin_ms) & (table.end_ms[rows] < end_ms)
    count = int(table.rows["samples"][rows[within]].sum())
    if count > most:
        return None
    if table.hidden[rows].any():
        detail = view.single_pages(rows)
        rows = detail.requested
        rows = rows[
            (detail.table.rows["samples"][rows] > 0)
            & (detail.table.end_ms[rows] >= begin_ms)
            & (detail.table.begin_ms[rows] < end_ms)
        ]
        return _few_samples(detail, rows, begin_ms, end_ms, most)
    cut = rows[~within].tolist()
    if cut:
        t_ms = view.cache.decode([(row, None) for row in cut]).t_ms(cut)
        count += int(((t_ms >= begin_ms) & (t_ms < end_ms)).sum())
    return (view, rows) if count <= most else None


def _memo_of(run: RunLog, grid: WindowBuckets, requests: Sequence[SeriesKey]) -> WindowMemo:
    """Return the memo of a window, if possible from that of a window shifted by whole buckets."""
    epoch = run.table.epoch
    known = [memo for memo in run.memos if memo.epoch == epoch]
    for memo in known:
        if memo.grid == grid and len(memo.series) <= _MEMO_REQUESTS:
            return memo
    near = next((memo for memo in known if grid.shares_buckets_with(memo.grid)), None)
    if near is None:
        memo = WindowMemo(epoch, grid, 0, {})
    else:
        memo = near.moved(grid, requests)
        fresh = near.grid.whole_until_ms
        for begin_ms, end_ms in ((grid.begin_ms, near.grid.begin_ms), (fresh, grid.end_ms)):
            rows = rows_within(run.table, max(begin_ms, grid.begin_ms), min(end_ms, grid.end_ms))
            fill(run, grid, memo.series, rows[rows < memo.upto])
    run.memos[:] = [memo, *run.memos[: _MEMOS - 1]]
    return memo


def _buckets(
    run: RunLog, rows: Ints, grid: WindowBuckets, requests: Sequence[SeriesKey]
) -> dict[SeriesKey, Points]:
    table = run.table
    steady = max(0, table.count - TAIL_SLOTS)
    memo = _memo_of(run, grid, requests)
    new = {r: BucketSeries(grid.count) for r in requests if r not in memo.series}
    if new:
        fill(run, grid, new, rows[rows < memo.upto])
        memo.series.update(new)
    if memo.upto < steady:
        fresh = rows[(rows >= memo.upto) & (rows < steady)]
        fill(run, grid, memo.series, fresh)
        memo.upto = steady
    series = {request: memo.series[request].copy() for request in requests}
    fill(run, grid, series, rows[rows >= steady])
    found: dict[SeriesKey, Points] = {}
    schema = table.rows["schema"][rows]
    for request, filled in series.items():
        name, rate = request
        column = table.column(name)
        if column is None:
            found[request] = Points.empty()
            continue
        having = rows[_having(table, column, rate=rate)[schema]]
        found[request] = points_of(table, grid, having, filled, _MILLI if rate else 1.0)
    return found


def _having(table: PageTable, column: int, *, rate: bool) -> Bools:
    """Return for each schema whether it has the metric; for a rate, as a counter."""
    kinds = table.kinds(column)
    having: Bools = kinds == COUNTER_COLUMN if rate else kinds != ABSENT
    return having


def _samples(
    run: PageView, rows: Ints, begin_ms: int, end_ms: int, requests: Sequence[SeriesKey]
) -> dict[SeriesKey, Points]:
    table = run.table
    schema = table.rows["schema"][rows]
    wanted: list[tuple[int, int | None]] = []
    having: dict[SeriesKey, list[int]] = {}
    for name, rate in requests:
        column = table.column(name)
        if column is None:
            continue
        mine = rows[_having(table, column, rate=rate)[schema]].tolist()
        having[name, rate] = mine
        wanted += [(row, column) for row in mine]
        if rate:
            wanted += [(row, column) for row in predecessors(table, mine, column) if row >= 0]
    decoded = run.cache.decode(wanted)
    resumed_ms = _resumptions(run, rows)
    times: dict[tuple[int, ...], tuple[Ints, Bools, Bools]] = {}
    found: dict[SeriesKey, Points] = {}
    for request in requests:
        mine = having.get(request, [])
        column = table.column(request[0])
        if column is None or not mine:
            found[request] = Points.empty()
            continue
        key = tuple(mine)
        if key not in times:
            times[key] = _times(table, decoded, mine, begin_ms, end_ms)
            t_all, _, gaps = times[key]
            after = np.searchsorted(t_all, resumed_ms)
            gaps[after[(after > 0) & (after < len(t_all))]] = True
        t_ms, inside, breaks = times[key]
        if request[1]:
            known = rated(table, mine, column)
            values = decoded.rates(mine, column)[inside & known] / _MILLI
            t_ms, breaks = _without(t_ms, breaks, ~known[inside])
        else:
            values = decoded.values(mine, column)[inside].astype(np.float64)
        found[request] = _distinct(t_ms, values, breaks)
    return found


def _resumptions(run: PageView, rows: Ints) -> Ints:
    """Return the times of the resume events in the pages of these rows and next to them.

    A pause that is short relative to the interval looks like a late sample, but is a gap.
    """
    if not len(rows):  # a block overlaps the window, but none of its pages does
        return np.zeros(0, np.int64)
    begin, end = max(int(rows[0]) - 1, 0), int(rows[-1]) + 1
    pages = begin + np.flatnonzero(run.table.rows["events_bytes"][begin:end] > 0)
    if not len(pages):
        return np.zeros(0, np.int64)
    found = [event.t_ms for event in run.pages.events(pages) if event.kind == "resume"]
    return np.array(found, np.int64)


def _times(
    table: PageTable, decoded: Decoded, rows: list[int], begin_ms: int, end_ms: int
) -> tuple[Ints, Bools, Bools]:
    """Return (times of the samples in the window, mask of these samples, their breaks)."""
    t_ms = decoded.t_ms(rows)
    inside = (t_ms >= begin_ms) & (t_ms < end_ms)
    counts = table.rows["samples"][rows]
    interval = np.repeat(table.rows["interval_ms"][rows], counts)[inside]
    t_ms = t_ms[inside]
    breaks = np.zeros(len(t_ms), np.bool_)
    longest = np.maximum(interval[1:], interval[:-1])
    breaks[1:] = np.diff(t_ms) > np.maximum(GAP_INTERVALS * longest, MIN_GAP_MS)
    return t_ms, inside, breaks


def _without(t_ms: Ints, breaks: Bools, left_out: Bools) -> tuple[Ints, Bools]:
    """Return times and breaks without some samples; their gaps move to the next sample."""
    if not left_out.any():
        return t_ms, breaks
    gaps = breaks.copy()
    gaps[1:] |= left_out[:-1] & breaks[:-1]
    kept = gaps[~left_out]
    kept[:1] = False
    return t_ms[~left_out], kept


def _distinct(t_ms: Ints, values: Floats, breaks: Bools) -> Points:
    """Return samples as points; samples of the same millisecond are merged."""
    repeated = t_ms[1:] == t_ms[:-1]
    if not repeated.any():
        return Points(t_ms, values, values, breaks)
    starts = np.flatnonzero(np.append(True, ~repeated))
    return Points(
        t_ms[starts],
        np.minimum.reduceat(values, starts),
        np.maximum.reduceat(values, starts),
        breaks[starts],
    )
