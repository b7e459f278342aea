"""`pprofplus-tui plot`: one chart as text, for scripts and the logs of CI."""

import os
import shutil
from dataclasses import dataclass
from typing import TextIO

from pprofplus.metrics import BY_NAME, COUNTER
from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.frame import compose
from pprofplus_tui.charts.palette import DARK, LIGHT, Palette
from pprofplus_tui.charts.portray import Manner, Portrayer, buckets_for, wanted_by
from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.headless.choice import chosen_run, of_several, window_of
from pprofplus_tui.logs.history import marks_within, query
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.charts import ChartKind, Series, charts_for
from pprofplus_tui.model.frames import Shape
from pprofplus_tui.model.names import unknown
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.rows import Row
from pprofplus_tui.model.runs import state_label
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.timeaxis import local
from pprofplus_tui.model.units import format_span_ms, true_unit
from pprofplus_tui.model.window import Window

WIDTHS, HEIGHTS = (20, 1000), (6, 400)
_FALLBACK = (80, 24)
_ROOM_ROWS = 2  # the line above the chart, and the prompt below it
_MOST_ROWS = 30  # a terminal may be as high as a wall
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
    """Draw one chart on `out`; return the exit code. Raises NothingFoundError and UsageError."""
    width, height = _size(wish)
    info, others = chosen_run(options, wish.run)
    begin_ms, end_ms = window_of(options, [info])
    if others:
        told.write(of_several(info, others))
    log = RunLog(info.path, in_blocks=True)
    log.refresh()
    kind = _own_kind(log, wish.metrics) if wish.metrics else _kind(log, wish.chart)
    plain = options.plain or not _speaks_unicode(out)
    coloured = out.isatty() and not options.colourless and os.environ.get("TERM") != "dumb"
    shape = Shape(kind.id, width, height)
    window = Window.fit(begin_ms, end_ms)
    points = query(log, window.begin_ms, window.end_ms, buckets_for(shape), wanted_by(kind))
    if not any(map(len, points.values())):
        raise NothingFoundError(f"no samples for the chart {kind.id} in this window")
    portrayer = Portrayer(Manner(plain, not coloured, options.zone))
    marks = marks_within(log, window.begin_ms, window.end_ms)
    picture = portrayer.picture(kind, shape, window, points, growing=False, marks=marks)
    dash = "-" if plain else "–"  # noqa: RUF001 - as in print
    begin, end = (local(ms, options.zone) for ms in (begin_ms, end_ms))
    same_day = begin.date() == end.date()
    out.write(
        f"{info.service} {info.pid}  {state_label(info.state)}  {begin:%Y-%m-%d %H:%M:%S} {dash} "
        f"{end:{'%H:%M:%S' if same_day else '%Y-%m-%d %H:%M:%S'} %Z}  "
        f"{format_span_ms(end_ms - begin_ms)}\n"
    )
    palette = (LIGHT if options.light else DARK) if coloured else None
    out.writelines(_text(row, palette).rstrip() + "\n" for row in compose(picture, Canvas()))
    return 0


def _size(wish: PlotWish) -> tuple[int, int]:
    """Return (cells, rows) of the chart. Raises UsageError."""
    columns, rows = shutil.get_terminal_size(_FALLBACK)
    width = min(max(columns, WIDTHS[0]), WIDTHS[1]) if wish.width is None else wish.width
    room = min(max(rows - _ROOM_ROWS, HEIGHTS[0]), _MOST_ROWS)
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


def _own_kind(log: RunLog, names: tuple[str, ...]) -> ChartKind:
    """Return a chart of these metrics, which must be of one unit. Raises UsageError."""
    table = {name: (unit, kind) for name, unit, kind in log.metrics}
    problem = unknown(names, list(table))
    if problem:
        raise UsageError(problem)
    if len(names) > _MOST_LINES:
        raise UsageError(f"{len(names)} metrics in one chart: {_MOST_LINES} can be told apart")
    units = {(true_unit(table[name][0])[0], table[name][1] == COUNTER) for name in names}
    if len(units) > 1:
        raise UsageError("metrics of several units or kinds do not fit one chart: one at a time")
    ((unit, rate),) = units
    lines = tuple(
        Series(name, clean(name, 24), at, rate=rate, scale=true_unit(table[name][0])[1])
        for at, name in enumerate(names)
    )
    title = ", ".join(BY_NAME[name].name if name in BY_NAME else clean(name, 24) for name in names)
    shown = f"{unit}/s" if rate else unit
    return ChartKind("", "metric", title, shown, zero_based=rate, series=lines[::-1])


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
