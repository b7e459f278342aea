"""A chart as lines of text, in the colours of the terminal, and the charts of single metrics."""

import shutil
from collections.abc import Mapping, Sequence
from typing import TextIO

from pprofplus.metrics import BY_NAME, COUNTER
from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.compose import compose
from pprofplus_tui.charts.palette import Palette
from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.commands.errors import UsageError
from pprofplus_tui.model.cell_rows import Row
from pprofplus_tui.model.charts import ChartKind, ChartSeries, charts_for
from pprofplus_tui.model.metric_names import unknown
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import true_unit

_WIDTHS, _HEIGHTS = (20, 1000), (6, 400)
_FALLBACK = (80, 24)
_OTHER_ROWS = 2  # the line above the chart, and the prompt below it
_MAX_ROWS = 30  # in a terminal that is higher
_MIN_ROWS_OF_SEVERAL = 9  # several charts may be higher than the terminal, but must be readable
_MAX_LINES = 6
_COLOURS = {"black": 0, "red": 1, "green": 2, "yellow": 3, "blue": 4, "magenta": 5, "cyan": 6}
_STYLES = {"title": "1", "mark": "33", "frame": "2", "tick": "2", "note": "2", "empty": "2"}
_MetricTable = Sequence[tuple[str, str, str]]  # (name, unit, kind) of each metric


def chart_size(width: int | None, height: int | None, count: int) -> tuple[int, int]:
    """Return (cells, rows) of each of `count` charts; None is what fits the terminal.

    Raises UsageError.
    """
    columns, rows = shutil.get_terminal_size(_FALLBACK)
    if width is None:
        width = min(max(columns, _WIDTHS[0]), _WIDTHS[1])
    if height is None:
        height = min(max(rows - _OTHER_ROWS, _HEIGHTS[0]), _MAX_ROWS)
        if count > 1:
            height = max(height // count, _MIN_ROWS_OF_SEVERAL)
    for name, size, (least, most) in (("width", width, _WIDTHS), ("height", height, _HEIGHTS)):
        if not least <= size <= most:
            raise UsageError(f"--{name} {size}: must be {least} to {most}")
    return width, height


def is_unicode(out: TextIO) -> bool:
    """Return whether all of Unicode can be written to `out`."""
    return (out.encoding or "ascii").lower().replace("-", "") in {"utf8", "utf16", "utf32"}


def named_chart(metrics: _MetricTable, chart: str) -> ChartKind:
    """Return the chart with that id. Raises UsageError."""
    known = charts_for(metrics).by_id
    found = known.get(chart.replace("-", "_").replace(" ", "_"))
    if found is None:
        raise UsageError(f"no chart '{clean(chart, 40)}': there are {', '.join(known)}")
    return found


def metric_charts(metrics: _MetricTable, names: Sequence[str]) -> list[ChartKind]:
    """Return charts of these metrics: those of one unit share a chart. Raises UsageError."""
    table = {name: (unit, kind) for name, unit, kind in metrics}
    problem = unknown(names, list(table))
    if problem:
        raise UsageError(problem)
    groups: dict[tuple[str, bool], list[str]] = {}
    for name in names:
        unit, kind = table[name]
        groups.setdefault((true_unit(unit)[0], kind == COUNTER), []).append(name)
    return [
        _metric_chart(table, group[at : at + _MAX_LINES], unit, rate=rate)
        for (unit, rate), group in groups.items()
        for at in range(0, len(group), _MAX_LINES)  # more lines could not be distinguished
    ]


def _metric_chart(
    table: Mapping[str, tuple[str, str]], names: Sequence[str], unit: str, *, rate: bool
) -> ChartKind:
    """Return one chart of some metrics of one unit and kind."""
    lines = tuple(
        ChartSeries(name, clean(name, 24), at, rate=rate, scale=true_unit(table[name][0])[1])
        for at, name in enumerate(names)
    )
    title = ", ".join(BY_NAME[name].name if name in BY_NAME else clean(name, 24) for name in names)
    shown = f"{unit}/s" if rate else unit
    # the y axis of a chart is kept by its id
    return ChartKind("", f"metric {title}", title, shown, zero_based=rate, series=lines[::-1])


def text_lines(chart: ChartSpec, palette: Palette | None) -> list[str]:
    """Return a chart as lines, with the terminal's sixteen colours if there is a palette."""
    return [_text(row, palette).rstrip() + "\n" for row in compose(chart, Canvas())]


def _text(row: Row, palette: Palette | None) -> str:
    if palette is None:
        return "".join(part.text for part in row)
    return "".join(_coloured(part.text, part.style, palette) for part in row)


def _coloured(text: str, style: str, palette: Palette) -> str:
    code = _STYLES.get(style, "")
    name = palette.colour(style, ansi=True)
    if name is not None:
        hue = name.removeprefix("ansi_")
        base = 90 if hue.startswith("bright_") else 30
        code = str(base + _COLOURS[hue.removeprefix("bright_")])
    return f"\x1b[{code}m{text}\x1b[0m" if code and text.strip() else text
