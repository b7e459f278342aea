"""Single samples of a run: the one nearest to a time, and the first and last of a window."""

from collections.abc import Iterable

import numpy as np

from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.points import Ints, SeriesKey
from pprofplus_tui.sources.local.block_detail import PageView
from pprofplus_tui.sources.local.buckets import GAP_INTERVALS, MIN_GAP_MS, rated, reaching
from pprofplus_tui.sources.local.page_cache import PagesLostError, predecessors
from pprofplus_tui.sources.local.page_table import ABSENT, COUNTER_COLUMN
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.window_buckets import WindowBuckets
from pprofplus_tui.sources.local.window_query import rows_within

_MILLI = 1000.0
_END_PAGES = 8  # searched for a sample at an end of a window: a page may overlap only with an event


def read_at(run: RunLog, at_ms: int, near_ms: int, requests: Iterable[SeriesKey]) -> Reading:
    """Return the sample nearest to `at_ms`, unix ms, with its values of these requests.

    A request is (metric, rate) as in `window_query.query`; a counter's first sample has no rate. A
    sample farther away than `near_ms` and than a gap does not count: in a gap nothing is known.

    Reads at most two pages, and only if they are not cached.
    """
    wanted = list(dict.fromkeys(requests))
    while True:
        try:
            return _read(run, at_ms, near_ms, wanted)
        except PagesLostError:  # noqa: PERF203 - it is very rare
            run.discard_cached()  # they are removed from the table now, so the loop terminates


def _read(run: PageView, at_ms: int, near_ms: int, requests: list[SeriesKey]) -> Reading:
    table = run.table
    sampled = np.flatnonzero(table.rows["samples"] > 0)
    here = int(np.searchsorted(table.begin_ms[sampled], at_ms, side="right")) - 1
    rows = sampled[max(here, 0) : here + 2].tolist()
    if not rows:
        return Reading(at_ms)
    if table.hidden[rows].any():
        return _read(run.single_pages(np.array(rows)), at_ms, near_ms, requests)
    times = run.cache.decode([(row, None) for row in rows])
    nearest = []
    for row in rows:
        sampled_ms = times.t_ms([row])
        place = int(np.argmin(np.abs(sampled_ms - at_ms)))
        nearest.append((abs(int(sampled_ms[place]) - at_ms), row, place, int(sampled_ms[place])))
    away_ms, row, place, t_ms = min(nearest)
    interval_ms = int(table.rows["interval_ms"][row])
    if away_ms > max(near_ms, MIN_GAP_MS, GAP_INTERVALS * interval_ms):
        return Reading(at_ms)
    return Reading(at_ms, t_ms, _values(run, row, place, requests))


def read_ends(
    run: RunLog, begin_ms: int, end_ms: int, requests: Iterable[SeriesKey]
) -> tuple[Reading, Reading] | None:
    """Return the first and the last sample in [begin_ms, end_ms), unix ms; None without one.

    A request is (metric, rate) as in `window_query.query`. Reads the page at each end, unless it
    is cached.
    """
    wanted = list(dict.fromkeys(requests))
    grid = WindowBuckets(begin_ms, end_ms, max(end_ms - begin_ms, 1), 1)
    while True:
        rows = rows_within(run.table, begin_ms, end_ms)
        try:
            first = _end(run, grid, rows, wanted, last=False)
            last = None if first is None else _end(run, grid, rows, wanted, last=True)
        except PagesLostError:
            run.discard_cached()  # they are removed from the table now, so the loop terminates
            continue
        return None if first is None or last is None else (first, last)


def _end(
    run: PageView, grid: WindowBuckets, rows: Ints, requests: list[SeriesKey], *, last: bool
) -> Reading | None:
    """Return the first or the last sample of the window, which is the grid's only bucket."""
    table = run.table
    for row in (rows[::-1] if last else rows)[:_END_PAGES].tolist():
        if table.hidden[row]:
            detail = run.single_pages(np.array([row]))
            pages = reaching(detail.table, grid, detail.requested)
            found = _end(detail, grid, pages, requests, last=last)
            if found is not None:
                return found
            continue
        t_ms = run.cache.decode([(row, None)]).t_ms([row])
        places = np.flatnonzero((t_ms >= grid.begin_ms) & (t_ms < grid.end_ms))
        if len(places):
            place = int(places[-1 if last else 0])
            at_ms = int(t_ms[place])
            return Reading(at_ms, at_ms, _values(run, row, place, requests))
    return None


def _values(
    run: PageView, row: int, place: int, requests: list[SeriesKey]
) -> dict[SeriesKey, float]:
    table = run.table
    schema = int(table.rows["schema"][row])
    having: list[tuple[SeriesKey, int]] = []
    wanted: list[tuple[int, int | None]] = []
    for name, rate in requests:
        column = table.column(name)
        kind = ABSENT if column is None else int(table.kinds(column)[schema])
        if column is None or kind == ABSENT or (rate and kind != COUNTER_COLUMN):
            continue
        having.append(((name, rate), column))
        wanted.append((row, column))
        if rate:
            wanted += [(before, column) for before in predecessors(table, [row], column)]
    decoded = run.cache.decode([(r, column) for r, column in wanted if r >= 0])
    values: dict[SeriesKey, float] = {}
    for request, column in having:
        if not request[1]:
            values[request] = float(decoded.values([row], column)[place])
        elif rated(table, [row], column)[place]:
            values[request] = float(decoded.rates([row], column)[place]) / _MILLI
    return values
