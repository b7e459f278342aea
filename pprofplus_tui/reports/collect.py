"""Asks the logs for what a report says: the same queries as the charts of the monitor."""

import shlex
from dataclasses import replace
from datetime import tzinfo

from pprofplus_tui.analysis.verdict_tracker import judged
from pprofplus_tui.charts.build import ChartBuilder, ChartStyle, wanted_by
from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.model.charts import ChartTable, charts_for
from pprofplus_tui.model.death import KNOWN, Death
from pprofplus_tui.model.events import RunEvent, death_event
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.runs import MEANINGS, RUNNING, state_label
from pprofplus_tui.model.time_axis import date_text
from pprofplus_tui.model.units import format_bytes, format_quantity, format_span_ms
from pprofplus_tui.model.window import Window
from pprofplus_tui.reports.content import ReportedEvent, RunReport
from pprofplus_tui.sources.local.catalog import RunInfo
from pprofplus_tui.sources.local.event_search import kind_of
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.window_query import query, rows_within

_BUCKETS = 400
# In cells, for what is measured in them: about as many labels as there is room for.
_SHAPE_CELLS, _SHAPE_ROWS = 118, 22
_MOST_EVENTS = 300
_ARGV_CELLS = 600


def samples_within(log: RunLog, begin_ms: int, end_ms: int) -> bool:
    """Return whether a log that was refreshed has samples in [begin_ms, end_ms)."""
    return bool(len(rows_within(log.table, begin_ms, end_ms)))


def report_run(
    info: RunInfo,
    log: RunLog,
    within: tuple[int, int],
    zone: tzinfo | None,
    death: Death | None = None,
) -> RunReport:
    """Return what a run has to say of [begin_ms, end_ms), unix ms; `log` was refreshed.

    `death` is how it ended, None if it goes on.
    """
    begin_ms, end_ms = within
    window = Window.fit(begin_ms, end_ms)
    events, left_out = _events(log, begin_ms, end_ms, death)
    return RunReport(
        info.service,
        info.pid,
        info.state,
        _facts(info, log, zone, death),
        judged(log, begin_ms, end_ms),
        tuple(_pictures(log, charts_for(log.metrics), window, zone)),
        events,
        left_out,
        death,
    )


def _pictures(
    log: RunLog, table: ChartTable, window: Window, zone: tzinfo | None
) -> list[ChartSpec]:
    """Return a picture of each chart that has something to show, the most telling first."""
    builder = ChartBuilder(ChartStyle(zone=zone))
    found = []
    for chart in table.priority:
        kind = table.by_id[chart]
        points = query(log, window.begin_ms, window.end_ms, _BUCKETS, wanted_by(kind))
        shape = Shape(kind.id, _SHAPE_CELLS, _SHAPE_ROWS)
        picture = builder.chart(kind, shape, window, points, growing=False)
        if any(len(line.points) for line in picture.lines):
            found.append(picture)
    return found


def _facts(
    info: RunInfo, log: RunLog, zone: tzinfo | None, death: Death | None
) -> tuple[tuple[str, str], ...]:
    """Return (label, untrusted text) of what is known of the run as a whole."""
    header = log.header
    last = log.last()
    ended = "last sample" if info.state in RUNNING else "ended"
    found = [
        ("service", info.service),
        ("pid", str(info.pid)),
        ("state", f"{state_label(info.state)}: {MEANINGS.get(info.state, '')}".rstrip(": ")),
        ("cause", _cause(death)),
        ("began", date_text(log.begin_ms, zone)),
        (ended, date_text(log.end_ms, zone)),
        ("lasted", format_span_ms(log.end_ms - log.begin_ms)),
        ("host", header.host if header else ""),
        ("command", _command(header.argv) if header else ""),
        ("Python", header.python if header else ""),
        ("recorded by", f"pprofplus {header.collector}" if header and header.collector else ""),
        ("sampled every", format_span_ms(log.interval_ms)),
        ("samples", str(log.samples)),
        ("log", format_bytes(log.size_bytes)),
        ("damaged pages", str(log.damaged_pages) if log.damaged_pages else ""),
        ("incomplete", "; ".join(log.problems)),
        ("pinned", "yes" if info.pinned else ""),
    ]
    if death is not None and death.peak_bytes is not None:
        found.append(("peak RSS", format_bytes(death.peak_bytes)))
    for label, metric in (
        ("RSS at the end", "rss"),
        ("cgroup used", "cgroup_used"),
        ("cgroup limit", "cgroup_limit"),
    ):
        if metric in last:
            found.append((label, format_bytes(last[metric])))
    for label, metric in (("threads", "threads"), ("open files", "fds")):
        if metric in last:
            found.append((label, format_quantity(last[metric], "count")))
    return tuple((label, text) for label, text in found if text)


def _cause(death: Death | None) -> str:
    """Return why the run ended, how certain that is, and the evidence."""
    if death is None or death.cause.is_expected:
        return ""
    known = " (known)" if death.cause.certainty == KNOWN else ""
    return f"{death.cause.sentence}{known}"


def _command(argv: tuple[str, ...]) -> str:
    return shlex.join(argv)[: 4 * _ARGV_CELLS]


def _events(
    log: RunLog, begin_ms: int, end_ms: int, death: Death | None
) -> tuple[tuple[ReportedEvent, ...], int]:
    """Return (what happened in the window, how much more): the newest, if it is much."""
    events = [
        RunEvent(event.t_ms, kind_of(event.kind, event.text), event.value, event.text)
        for event in log.events()
    ]
    events += (replace(event, text=event.text.replace("\n", "; ")) for event in death_event(death))
    found = [event for event in events if begin_ms <= event.t_ms < end_ms]
    kept = found[-_MOST_EVENTS:]
    rows = []
    for number, event in enumerate(kept, 1):
        details = {
            "interval": f"from now on every {format_span_ms(event.value / 1000)}",
            "lost": f"{event.value} samples could not be written",
            "fork": f"forked off process {event.value}",
        }.get(event.kind, "")
        text = ": ".join(filter(None, (details, event.text)))
        rows.append(ReportedEvent(event.t_ms, str(number), event.kind, text))
    return tuple(rows), len(found) - len(kept)
