"""Event search: the events of a run, or of a window of it, and steps of the wall clock."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

import numpy as np

from pprofplus_tui.model.death import WATCH_ENDED
from pprofplus_tui.model.events import CLOCK, UNWATCHED, RunEvent, most_important
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.block_detail import Detail
from pprofplus_tui.sources.local.page_cache import PagesLostError
from pprofplus_tui.sources.local.run_log import RunLog

_QUICK_PAGES = 64  # these are read whole, unless their events are cached
_STEPPED_BLOCKS = 256
_STEP_MS = 1000  # a smaller difference is a slewed clock


def search_events(
    run: RunLog,
    begin_ms: int | None = None,
    end_ms: int | None = None,
    *,
    most: int | None = None,
    kinds: Collection[str] = (),
    exact: bool = True,
) -> tuple[RunEvent, ...]:
    """Return the events in [begin_ms, end_ms), unix ms, in order of time; None: no limit.

    Of more than `most`, those of the lowest rank are kept, and of one rank the newest. `kinds` are
    the kinds wanted, all if empty. Unless `exact`, only the newest pages that have events are
    searched. Each page is read once.
    """
    table = run.table
    begin, end = 0, table.count
    if begin_ms is not None:
        # events after a page's last sample are in that page
        begin = max(int(np.searchsorted(table.end_ms, begin_ms, side="left")) - 1, 0)
    if end_ms is not None:
        end = int(np.searchsorted(table.begin_ms, end_ms, side="left"))
    pages = begin + np.flatnonzero(table.rows["events_bytes"][begin:end] > 0)
    found = _recorded(run, pages if exact else pages[-_QUICK_PAGES:])
    if not kinds or CLOCK in kinds:
        found += _clock_steps(run, begin, end)
    within = [
        event
        for event in found
        if (begin_ms is None or event.t_ms >= begin_ms)
        and (end_ms is None or event.t_ms < end_ms)
        and (not kinds or event.kind in kinds)
    ]
    if most is None:
        return tuple(sorted(within, key=lambda event: event.t_ms))
    return most_important(within, most)


def _recorded(run: RunLog, rows: Ints) -> list[RunEvent]:
    """Return the events in the pages of these rows."""
    return [_named(event) for event in run.events_in(rows)] if len(rows) else []


def _named(event: RunEvent) -> RunEvent:
    """Return the event, with a separate kind if it says that a watch ended, not the process."""
    unwatched = event.kind == "stop" and event.text == WATCH_ENDED
    return replace(event, kind=UNWATCHED) if unwatched else event


def _clock_steps(run: RunLog, begin: int, end: int) -> list[RunEvent]:
    """Return the clock steps between the pages of these rows, and before the first of them.

    Steps within a block that cancel each other out are not found.
    """
    first = max(begin - 1, 0)
    table = run.table
    rows, blocks = table.rows[first:end], table.blocks[first:end]
    steps = rows["offset_ms"][1:] - rows["end_offset_ms"][:-1]
    within = blocks & (rows["end_offset_ms"] - rows["offset_ms"] > _STEP_MS)
    stepped = np.abs(steps) > _STEP_MS
    within[1:] |= blocks[1:] & stepped
    found = [
        RunEvent(int(table.begin_ms[first + place + 1]), CLOCK, int(steps[place]))
        for place in np.flatnonzero(stepped & ~within[1:]).tolist()
    ]
    if within.any():
        with suppress(PagesLostError):  # until the next refresh
            found += _steps_in_blocks(
                run.single_pages(first + np.flatnonzero(within)[-_STEPPED_BLOCKS:])
            )
    return sorted(found, key=lambda event: event.t_ms)


def _steps_in_blocks(detail: Detail) -> list[RunEvent]:
    """Return the clock steps between the pages of some blocks."""
    table = detail.table
    number, offset_ms = table.rows["number"], table.rows["offset_ms"]
    steps = np.diff(offset_ms)
    places = np.flatnonzero((np.abs(steps) > _STEP_MS) & (np.diff(number) == 1))
    return [
        RunEvent(int(table.begin_ms[place + 1]), CLOCK, int(steps[place]))
        for place in places.tolist()
    ]
