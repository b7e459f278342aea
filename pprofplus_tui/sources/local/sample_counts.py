"""The values of a run in a list that need all page heads, such as its number of samples."""

from dataclasses import replace

import numpy as np

from pprofplus_tui.sources.local.page_table import ABSENT
from pprofplus_tui.sources.local.run_log import RunLog, open_log
from pprofplus_tui.sources.run_info import NO_POINTS, NO_VALUES, RSS, RunInfo


def counted(info: RunInfo) -> RunInfo:
    """Return `info` with its samples and damaged pages counted; reads all page heads."""
    log = open_log(info.id)
    first, peak = _extremes(log)
    return replace(
        info,
        samples=log.samples,
        damaged_pages=log.damaged_pages,
        begin_ms=log.begin_ms,
        end_ms=log.end_ms,
        size_bytes=log.size_bytes,
        rss_bytes=log.last().get(RSS),
        first_rss_bytes=first,
        peak_bytes=peak,
        problems=log.problems,
        last=NO_VALUES,
        recent=NO_POINTS,
    )


def _extremes(log: RunLog) -> tuple[int | None, int | None]:
    """Return (first value, largest value) of the resident set, None if it was never measured."""
    table = log.table
    column = table.column(RSS)
    if column is None:
        return None, None
    measured = table.kinds(column)[table.rows["schema"]] != ABSENT
    rows = np.flatnonzero(measured & (table.rows["samples"] > 0))
    if not len(rows):
        return None, None
    return int(table.first(column)[rows[0]]), int(table.hi(column)[rows].max())
