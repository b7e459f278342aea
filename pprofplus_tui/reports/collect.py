"""Reads the content of a report from runs, by the same queries as the charts of the monitor."""

import shlex
from datetime import tzinfo

from pprofplus_tui.analysis.verdict_tracker import window_verdicts
from pprofplus_tui.charts.build import ChartBuilder, ChartStyle, wanted_by
from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.model.charts import ChartTable, charts_for
from pprofplus_tui.model.death import KNOWN, Death
from pprofplus_tui.model.events import CLOCK, RunEvent, death_event
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.runs import MEANINGS, RUNNING, state_label
from pprofplus_tui.model.time_axis import date_text
from pprofplus_tui.model.units import format_bytes, format_quantity, format_span_ms
from pprofplus_tui.model.window import Window
from pprofplus_tui.reports.content import RunReport
from pprofplus_tui.sources.port import RunInfo, RunReader

_BUCKETS = 400
# In cells, for what is measured in them: about as many labels as there is room for.
_SHAPE_CELLS, _SHAPE_ROWS = 118, 22
_MAX_EVENTS = 300
_ARGV_CELLS = 600


def report_run(
    info: RunInfo,
    run: RunReader,
    within: tuple[int, int],
    zone: tzinfo | None,
    death: Death | None = None,
) -> RunReport:
    """Return the report of a run in [begin_ms, end_ms), unix ms.

    `death` is its end, None while it is running.
    """
    begin_ms, end_ms = within
    window = Window.fit(begin_ms, end_ms)
    events, left_out = _events(run, begin_ms, end_ms, death)
    return RunReport(
        info.service,
        info.pid,
        info.state,
        _facts(info, run, zone, death),
        window_verdicts(run, begin_ms, end_ms),
        tuple(_charts(run, charts_for(run.metrics), window, zone)),
        events,
        left_out,
        death,
    )


def _charts(
    run: RunReader, table: ChartTable, window: Window, zone: tzinfo | None
) -> list[ChartSpec]:
    """Return each chart that has data, the most important first."""
    builder = ChartBuilder(ChartStyle(zone=zone))
    found = []
    for chart_id in table.priority:
        kind = table.by_id[chart_id]
        points = run.query(window.begin_ms, window.end_ms, _BUCKETS, wanted_by(kind))
        shape = Shape(kind.id, _SHAPE_CELLS, _SHAPE_ROWS)
        chart = builder.chart(kind, shape, window, points, growing=False)
        if any(len(line.points) for line in chart.lines):
            found.append(chart)
    return found


def _facts(
    info: RunInfo, run: RunReader, zone: tzinfo | None, death: Death | None
) -> tuple[tuple[str, str], ...]:
    """Return (label, untrusted text) of what is known of the run as a whole."""
    header = run.header
    last = run.last_values()
    ended = "last sample" if info.state in RUNNING else "ended"
    found = [
        ("service", info.service),
        ("pid", str(info.pid)),
        ("state", f"{state_label(info.state)}: {MEANINGS.get(info.state, '')}".rstrip(": ")),
        ("cause", _cause(death)),
        ("began", date_text(run.begin_ms, zone)),
        (ended, date_text(run.end_ms, zone)),
        ("lasted", format_span_ms(run.end_ms - run.begin_ms)),
        ("host", header.host if header else ""),
        ("command", _command(header.argv) if header else ""),
        ("Python", header.python if header else ""),
        ("recorded by", f"pprofplus {header.collector}" if header and header.collector else ""),
        ("sampled every", format_span_ms(run.interval_ms)),
        ("samples", str(run.sample_count)),
        ("log", format_bytes(run.size_bytes)),
        ("damaged pages", str(run.damaged_pages) if run.damaged_pages else ""),
        ("incomplete", "; ".join(run.problems)),
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
    run: RunReader, begin_ms: int, end_ms: int, death: Death | None
) -> tuple[tuple[RunEvent, ...], int]:
    """Return (the events in the window, how many more there are): the newest, if there are many."""
    recorded = (event for event in run.events(begin_ms, end_ms) if event.kind != CLOCK)
    died = (event for event in death_event(death) if begin_ms <= event.t_ms < end_ms)
    found = (*recorded, *died)
    return found[-_MAX_EVENTS:], max(len(found) - _MAX_EVENTS, 0)
