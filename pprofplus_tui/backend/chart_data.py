"""Reads the data of the charts of one run in a window: points and events."""

from collections.abc import Sequence
from dataclasses import replace

from pprofplus_tui.charts.build import buckets_for, wanted_by
from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.points import Points, SeriesKey
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.verdict import VERDICT_BUCKETS
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.port import RunReader

SeriesPoints = dict[SeriesKey, Points]

_MAX_EVENTS = 64  # on a chart


def events_within(
    reader: RunReader, run: Run | None, begin_ms: int, end_ms: int
) -> tuple[RunEvent, ...]:
    """Return the events in a window that the run may reach.

    If the window includes the end of an ended run, later events are moved to the window's end.
    """
    if run is None or run.running or end_ms <= reader.last_sample_ms:
        return reader.events(begin_ms, end_ms, limit=_MAX_EVENTS, exact=False)
    found = reader.events(begin_ms, limit=_MAX_EVENTS, exact=False)
    return tuple(replace(event, t_ms=min(event.t_ms, end_ms - 1)) for event in found)


def query_all(
    reader: RunReader,
    window: Window,
    kinds: Sequence[tuple[Shape, ChartKind]],
    extra_series: tuple[SeriesKey, ...],
) -> dict[int, SeriesPoints]:
    """Query all charts, once per number of buckets; return the points by number of buckets."""
    keys_by_buckets: dict[int, dict[SeriesKey, None]] = {}
    for shape, kind in kinds:
        keys_by_buckets.setdefault(buckets_for(shape), {}).update(dict.fromkeys(wanted_by(kind)))
    if VERDICT_BUCKETS in keys_by_buckets:
        keys_by_buckets[VERDICT_BUCKETS].update(dict.fromkeys(extra_series))
    return {
        buckets: reader.query(window.begin_ms, window.end_ms, buckets, tuple(wanted), exact=False)
        for buckets, wanted in keys_by_buckets.items()
    }
