"""`pprofplus-tui plot`: one chart or more as text, for scripts and CI logs."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from pprofplus_tui.commands.common_arguments import (
    RUN,
    add_ascii_option,
    add_light_option,
    add_run_options,
)
from pprofplus_tui.commands.errors import NothingFoundError
from pprofplus_tui.model.options import Options

if TYPE_CHECKING:
    from pprofplus_tui.model.death import Death
    from pprofplus_tui.sources.port import RunInfo

_MAX_MARKS = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to draw, and how."""
    parser.epilog = "Draws colours only on a terminal, and not if NO_COLOR is set."
    parser.add_argument("run", nargs="?", metavar="RUN", help=f"{RUN} (default: the newest run)")
    add_run_options(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--chart",
        metavar="NAME",
        default="memory",
        help="memory, virtual, python_heap, c_heap, gc, cpu, layers, or own1 for the first chart "
        "of the service's own metrics (default: memory)",
    )
    what.add_argument(
        "--metric",
        dest="metrics",
        action="append",
        metavar="NAME,...",
        default=[],
        help="draw these metrics instead of a chart; those of one unit share a chart",
    )
    parser.add_argument(
        "--width", type=int, metavar="CELLS", help="default: the width of the terminal, or 80"
    )
    parser.add_argument(
        "--height", type=int, metavar="ROWS", help="default: a height that fits the terminal"
    )
    add_ascii_option(parser)
    add_light_option(parser)


def run(arguments: argparse.Namespace, options: Options) -> int:
    """Draw the charts; return the exit code. Raises UsageError, NothingFoundError."""
    # a list does not wait for plotext
    from pprofplus_tui.charts.build import ChartBuilder, ChartStyle, buckets_for, wanted_by
    from pprofplus_tui.charts.palette import DARK, LIGHT
    from pprofplus_tui.commands.argument_values import names_in
    from pprofplus_tui.commands.chart_text import (
        chart_size,
        is_unicode,
        metric_charts,
        named_chart,
        text_lines,
    )
    from pprofplus_tui.commands.run_choice import chosen_run, deaths_of, newest_of, window_of
    from pprofplus_tui.commands.unread_runs import UnreadRuns
    from pprofplus_tui.model.events import MARKED, death_event
    from pprofplus_tui.model.messages import Shape
    from pprofplus_tui.model.window import Window
    from pprofplus_tui.sources.open import open_source

    out, err = sys.stdout, sys.stderr
    names = names_in(",".join(arguments.metrics), "--metric") if arguments.metrics else ()
    unread = UnreadRuns()
    source = open_source(options.directories)
    info, others = chosen_run(source, options, arguments.run, unread)
    reader = source.open(info.id)
    begin_ms, end_ms = window_of(options, [info], lambda: [(reader.begin_ms, reader.end_ms)])
    if others:
        err.write(newest_of(info, others))
    kinds = (
        metric_charts(reader.metrics, names)
        if names
        else [named_chart(reader.metrics, arguments.chart)]
    )
    width, height = chart_size(arguments.width, arguments.height, len(kinds))
    plain = options.plain or not is_unicode(out)
    coloured = out.isatty() and not options.colourless and os.environ.get("TERM") != "dumb"
    window = Window.fit(begin_ms, end_ms)
    builder = ChartBuilder(ChartStyle(plain, not coloured, options.zone))
    begin_end = window.begin_ms, window.end_ms
    marks = reader.events(*begin_end, limit=_MAX_MARKS, kinds={MARKED}, exact=False)
    death = deaths_of(source, [info]).get(info.id)
    charts, sampled = [], False
    for kind in kinds:
        shape = Shape(kind.id, width, height)
        points = reader.query(*begin_end, buckets_for(shape), wanted_by(kind))
        sampled |= any(map(len, points.values()))
        chart = builder.chart(
            kind,
            shape,
            window,
            points,
            growing=False,
            events=(*marks, *death_event(death)),
        )
        charts.append(chart)
    unread.note_run(reader)
    code = unread.exit_code(err)
    if not sampled:
        ids = ", ".join(kind.id for kind in kinds)
        raise NothingFoundError(f"no samples for the chart {ids} in this window")
    out.write(f"{_title(info, death, options, (begin_ms, end_ms), plain=plain)}\n")
    palette = (LIGHT if options.light else DARK) if coloured else None
    for chart in charts:
        out.writelines(text_lines(chart, palette))
    return code


def _title(
    info: "RunInfo",
    death: "Death | None",
    options: Options,
    window_ms: tuple[int, int],
    *,
    plain: bool,
) -> str:
    """Return the line above the charts: the run, its state and the time window."""
    from pprofplus_tui.model.time_axis import local
    from pprofplus_tui.model.units import format_span_ms

    dash = "-" if plain else "–"  # noqa: RUF001 - as in print
    begin, end = (local(ms, options.zone) for ms in window_ms)
    same_day = begin.date() == end.date()
    return (
        f"{info.service} {info.pid}  {_state(info, death)}  {begin:%Y-%m-%d %H:%M:%S} {dash} "
        f"{end:{'%H:%M:%S' if same_day else '%Y-%m-%d %H:%M:%S'} %Z}  "
        f"{format_span_ms(window_ms[1] - window_ms[0])}"
    )


def _state(info: "RunInfo", death: "Death | None") -> str:
    """Return a run's state, with the cause of its death if there is evidence for one."""
    from pprofplus_tui.model.death import UNKNOWN
    from pprofplus_tui.model.runs import state_label

    label = state_label(info.state)
    if death is None or not death.cause.is_death or death.cause.certainty == UNKNOWN:
        return label
    return f"{label}: {death.cause.text}"
