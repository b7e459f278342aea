"""What happened in a run, or in a stretch of it: its events, and steps of the wall clock."""

from contextlib import suppress

import numpy as np

from pprofplus_tui.model.death import WATCH_ENDED
from pprofplus_tui.model.events import CLOCK, UNWATCHED, RunEvent, most_important
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.block_detail import Detail
from pprofplus_tui.sources.local.page_cache import PagesLostError
from pprofplus_tui.sources.local.run_log import RunLog

_ON_A_CHART = 64
_CHART_PAGES = 64  # read whole the first time
_STEPPED_BLOCKS = 256
_STEP_MS = 1000  # less is the clock being slewed


def happened_within(run: RunLog, begin_ms: int, end_ms: int) -> tuple[RunEvent, ...]:
    """Return what happened in [begin_ms, end_ms), unix ms, in order of time.

    If there is more than a chart could show, marks and losses are kept, and of the rest the
    newest. Reads the pages that have events, each once.
    """
    table = run.table
    # what came after a page's last sample is in that page, too
    begin = max(int(np.searchsorted(table.end_ms, begin_ms, side="left")) - 1, 0)
    end = int(np.searchsorted(table.begin_ms, end_ms, side="left"))
    telling = begin + np.flatnonzero(table.rows["events_bytes"][begin:end] > 0)
    found = _events(run, telling[-_CHART_PAGES:]) + _clock_steps(run, begin, end)
    within = (event for event in found if begin_ms <= event.t_ms < end_ms)
    return most_important(within, _ON_A_CHART)


def all_happened(run: RunLog, most: int) -> tuple[RunEvent, ...]:
    """Return what happened in all of the run, in order of time, at most so much of it."""
    telling = np.flatnonzero(run.table.rows["events_bytes"] > 0)
    found = _events(run, telling) + _clock_steps(run, 0, run.table.count)
    return most_important(found, most)


def _events(run: RunLog, rows: Ints) -> list[RunEvent]:
    if not len(rows):
        return []
    return [
        RunEvent(event.t_ms, kind_of(event.kind, event.text), event.value, event.text)
        for event in run.events_in(rows)
    ]


def kind_of(kind: str, text: str) -> str:
    """Return the kind of an event; that a watch ended is not that the process stopped."""
    return UNWATCHED if kind == "stop" and text == WATCH_ENDED else kind


def _clock_steps(run: RunLog, begin: int, end: int) -> list[RunEvent]:
    """Return the steps between the pages of these rows, and between the first and its former.

    Of steps within a block those that cancel each other out remain unknown.
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
        with suppress(PagesLostError):  # until the next look
            found += _steps_behind(
                run.single_pages(first + np.flatnonzero(within)[-_STEPPED_BLOCKS:])
            )
    return sorted(found, key=lambda event: event.t_ms)


def _steps_behind(detail: Detail) -> list[RunEvent]:
    table = detail.table
    number, offset_ms = table.rows["number"], table.rows["offset_ms"]
    steps = np.diff(offset_ms)
    places = np.flatnonzero((np.abs(steps) > _STEP_MS) & (np.diff(number) == 1))
    return [
        RunEvent(int(table.begin_ms[place + 1]), CLOCK, int(steps[place]))
        for place in places.tolist()
    ]
