"""`pprofplus-tui plot`: a chart, or some, as text, for scripts and the logs of CI."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from pprofplus.metrics import BY_NAME, COUNTER
from pprofplus_tui.charts.build import ChartBuilder, ChartStyle, buckets_for, wanted_by
from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.compose import compose
from pprofplus_tui.charts.palette import DARK, LIGHT, Palette
from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.headless.choice import chosen_run, deaths_of, of_several, window_of
from pprofplus_tui.headless.unread import Unread
from pprofplus_tui.model.cell_rows import Row
from pprofplus_tui.model.charts import ChartKind, ChartSeries, charts_for
from pprofplus_tui.model.death import UNKNOWN, Death
from pprofplus_tui.model.events import death_event
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.metric_names import unknown
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import state_label
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_axis import local
from pprofplus_tui.model.units import format_span_ms, true_unit
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.local.catalog import RunInfo
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.window_query import marks_within, query

WIDTHS, HEIGHTS = (20, 1000), (6, 400)
_FALLBACK = (80, 24)
_ROOM_ROWS = 2  # the line above the chart, and the prompt below it
_MOST_ROWS = 30  # a terminal may be as high as a wall
_LEAST_OF_SEVERAL = 9  # several charts may be higher than the terminal, but can be read
_MOST_LINES = 6
_COLOURS = {"black": 0, "red": 1, "green": 2, "yellow": 3, "blue": 4, "magenta": 5, "cyan": 6}
_STYLES = {"title": "1", "mark": "33", "frame": "2", "tick": "2", "note": "2", "empty": "2"}


@dataclass(frozen=True)
class PlotWish:
    """What to draw.

    Attributes:
        run: the name of a run, or None for what the options choose.
        chart: id of a chart.
        metrics: names of metrics to draw instead of a chart.
        width: cells, None for the terminal's.
        height: rows, None for what suits the terminal.
    """

    run: str | None = None
    chart: str = "memory"
    metrics: tuple[str, ...] = ()
    width: int | None = None
    height: int | None = None


def plot(options: Options, wish: PlotWish, out: TextIO, told: TextIO) -> int:
    """Draw the charts on `out`; return the exit code. Raises NothingFoundError and UsageError."""
    unread = Unread()
    info, others = chosen_run(options, wish.run, unread)
    log = RunLog(info.path, in_blocks=True)
    log.refresh()
    begin_ms, end_ms = window_of(options, [info], lambda: [log.extent_ms])
    if others:
        told.write(of_several(info, others))
    kinds = _own_kinds(log, wish.metrics) if wish.metrics else [_kind(log, wish.chart)]
    width, height = _size(wish, len(kinds))
    plain = options.plain or not _speaks_unicode(out)
    coloured = out.isatty() and not options.colourless and os.environ.get("TERM") != "dumb"
    window = Window.fit(begin_ms, end_ms)
    portrayer = ChartBuilder(ChartStyle(plain, not coloured, options.zone))
    marks = marks_within(log, window.begin_ms, window.end_ms)
    death = deaths_of(options, [info]).get(info.path)
    pictures, sampled = [], False
    for kind in kinds:
        shape = Shape(kind.id, width, height)
        points = query(log, window.begin_ms, window.end_ms, buckets_for(shape), wanted_by(kind))
        sampled |= any(map(len, points.values()))
        picture = portrayer.picture(
            kind,
            shape,
            window,
            points,
            growing=False,
            marks=marks,
            events=death_event(death),
        )
        pictures.append(picture)
    unread.note_run(log)
    code = unread.exit_code(told)
    if not sampled:
        told_of = ", ".join(kind.id for kind in kinds)
        raise NothingFoundError(f"no samples for the chart {told_of} in this window")
    dash = "-" if plain else "–"  # noqa: RUF001 - as in print
    begin, end = (local(ms, options.zone) for ms in (begin_ms, end_ms))
    same_day = begin.date() == end.date()
    out.write(
        f"{info.service} {info.pid}  {_state(info, death)}  {begin:%Y-%m-%d %H:%M:%S} {dash} "
        f"{end:{'%H:%M:%S' if same_day else '%Y-%m-%d %H:%M:%S'} %Z}  "
        f"{format_span_ms(end_ms - begin_ms)}\n"
    )
    palette = (LIGHT if options.light else DARK) if coloured else None
    for picture in pictures:
        out.writelines(_text(row, palette).rstrip() + "\n" for row in compose(picture, Canvas()))
    return code


def _state(info: RunInfo, death: Death | None) -> str:
    """Return a run's state, with the cause of its death if there is evidence for one."""
    label = state_label(info.state)
    if death is None or not death.cause.is_death or death.cause.certainty == UNKNOWN:
        return label
    return f"{label}: {death.cause.text}"


def _size(wish: PlotWish, count: int) -> tuple[int, int]:
    """Return (cells, rows) of each of so many charts. Raises UsageError."""
    columns, rows = shutil.get_terminal_size(_FALLBACK)
    width = min(max(columns, WIDTHS[0]), WIDTHS[1]) if wish.width is None else wish.width
    room = min(max(rows - _ROOM_ROWS, HEIGHTS[0]), _MOST_ROWS)
    if count > 1:
        room = max(room // count, _LEAST_OF_SEVERAL)
    height = room if wish.height is None else wish.height
    for name, size, (least, most) in (("width", width, WIDTHS), ("height", height, HEIGHTS)):
        if not least <= size <= most:
            raise UsageError(f"--{name} {size}: {least} to {most}")
    return width, height


def _speaks_unicode(out: TextIO) -> bool:
    return (out.encoding or "ascii").lower().replace("-", "") in {"utf8", "utf16", "utf32"}


def _kind(log: RunLog, chart: str) -> ChartKind:
    """Return the chart of that id. Raises UsageError."""
    known = charts_for(log.metrics).by_id
    found = known.get(chart.replace("-", "_").replace(" ", "_"))
    if found is None:
        raise UsageError(f"no chart '{clean(chart, 40)}': there are {', '.join(known)}")
    return found


def _own_kinds(log: RunLog, names: tuple[str, ...]) -> list[ChartKind]:
    """Return charts of these metrics: those of one unit share a chart. Raises UsageError."""
    table = {name: (unit, kind) for name, unit, kind in log.metrics}
    problem = unknown(names, list(table))
    if problem:
        raise UsageError(problem)
    groups: dict[tuple[str, bool], list[str]] = {}
    for name in names:
        unit, kind = table[name]
        groups.setdefault((true_unit(unit)[0], kind == COUNTER), []).append(name)
    return [
        _own_kind(table, group[at : at + _MOST_LINES], unit, rate=rate)
        for (unit, rate), group in groups.items()
        for at in range(0, len(group), _MOST_LINES)  # more lines would look alike
    ]


def _own_kind(
    table: Mapping[str, tuple[str, str]], names: Sequence[str], unit: str, *, rate: bool
) -> ChartKind:
    """Return one chart of some metrics of one unit and kind."""
    lines = tuple(
        ChartSeries(name, clean(name, 24), at, rate=rate, scale=true_unit(table[name][0])[1])
        for at, name in enumerate(names)
    )
    title = ", ".join(BY_NAME[name].name if name in BY_NAME else clean(name, 24) for name in names)
    shown = f"{unit}/s" if rate else unit
    # its own id: a chart's y axis is remembered by that
    return ChartKind("", f"metric {title}", title, shown, zero_based=rate, series=lines[::-1])


def _text(row: Row, palette: Palette | None) -> str:
    """Return a row as text, with the terminal's sixteen colours if there is a palette."""
    if palette is None:
        return "".join(run.text for run in row)
    return "".join(_painted(run.text, run.style, palette) for run in row)


def _painted(text: str, style: str, palette: Palette) -> str:
    code = _STYLES.get(style, "")
    name = palette.colour(style, ansi=True)
    if name is not None:
        hue = name.removeprefix("ansi_")
        base = 90 if hue.startswith("bright_") else 30
        code = str(base + _COLOURS[hue.removeprefix("bright_")])
    return f"\x1b[{code}m{text}\x1b[0m" if code and text.strip() else text
