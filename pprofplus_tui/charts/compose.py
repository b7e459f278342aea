"""Puts a chart together: frame, labels, legend, marks and cursor around the drawn lines."""

from collections.abc import Iterator
from dataclasses import replace

from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.legend import heading, legend
from pprofplus_tui.charts.plot_rows import cursor_column, plot_rows, put_centred
from pprofplus_tui.charts.row_builder import (
    ASCII_FRAME,
    STYLE_CODE,
    UNICODE_FRAME,
    BorderBuilder,
    FrameChars,
    RowBuilder,
)
from pprofplus_tui.charts.spec import Area, ChartSpec, plot_area, same_chart
from pprofplus_tui.charts.strokes import cell_at
from pprofplus_tui.model.cell_rows import Rows
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.time_axis import column, label_start

_MARK_CELLS = 16
_FEW_MARKS = 4  # with more, times are written first so that they have room


def compose(spec: ChartSpec, canvas: Canvas) -> Rows:
    """Return the chart as rows: `height` of them, each exactly `width` cells."""
    area = plot_area(spec.width, spec.height)
    grid = canvas.draw(spec)
    has_data = any(any(owners) for owners in grid.owners)
    # An empty plot has no axis labels.
    labels = _labels_by_row(spec, area) if has_data else {}
    return _framed(spec, area, plot_rows(spec, area, grid, has_data=has_data), labels)


def retitled(spec: ChartSpec, before: ChartSpec, rows: Rows) -> Rows | None:
    """Return the rows of a chart that differs only in the numbers in its top border.

    None if more than that differs. `rows` are those of `before`.
    """
    if spec.cursor_ms is not None or len(spec.lines) != len(before.lines) or not rows:
        return None  # with a cursor, the plot may show the numbers too
    lines = tuple(
        replace(line, value=old.value) for line, old in zip(spec.lines, before.lines, strict=True)
    )
    if not same_chart(before, replace(spec, note=before.note, lines=lines)):
        return None
    return (_top(spec, ASCII_FRAME if spec.ascii_only else UNICODE_FRAME).built(), *rows[1:])


def message_rows(spec: ChartSpec, message: str) -> Rows:
    """Return the chart's frame with a one-line error message instead of its plot."""
    area = plot_area(spec.width, spec.height)
    plot = [RowBuilder.of(area.width, " ", "") for _ in range(area.height)]
    put_centred(plot, narrow(message, ascii_only=spec.ascii_only, limit=area.width), "error")
    return _framed(spec, area, plot, {})


def _framed(spec: ChartSpec, area: Area, plot: list[RowBuilder], labels: dict[int, str]) -> Rows:
    """Return the whole chart; `plot` has one strip a row, the top one first."""
    width, height = max(spec.width, 0), max(spec.height, 0)
    marks = ASCII_FRAME if spec.ascii_only else UNICODE_FRAME
    strips = [_top(spec, marks)]
    for index, inner in enumerate(plot):
        strip = RowBuilder.of(width, " ", "")
        strip.put(0, marks.side, "frame")
        if area.label_cells:
            label = labels.get(area.height - 1 - index)
            if label is not None:
                shown = narrow(label, ascii_only=spec.ascii_only, limit=area.label_cells)
                strip.put(1 + area.padded, shown.rjust(area.label_cells), "tick")
            strip.put(area.left - 1, marks.side if label is None else marks.tick, "frame")
        strip.chars[area.left : area.left + area.width] = inner.chars
        strip.styles[area.left : area.left + area.width] = inner.styles
        strip.put(width - 1, marks.side, "frame")
        strips.append(strip)
    strips.append(_bottom(spec, area, marks))
    return tuple(strip.built() for strip in strips[:height])


def _labels_by_row(spec: ChartSpec, area: Area) -> dict[int, str]:
    """Return the label of each row that has a tick, rows counted from below."""
    if not spec.y.ticks or not area.height:
        return {}
    places = [cell_at(at, 4, area.height) for at in spec.y.places()]
    rows: dict[int, str] = {}
    for row, (_, label) in zip(places, spec.y.ticks, strict=True):
        rows.setdefault(row, label)
    return rows


def _top(spec: ChartSpec, marks: FrameChars) -> RowBuilder:
    width = max(spec.width, 0)
    strip = RowBuilder.of(width, marks.across, "frame")
    strip.put(0, marks.corners[0], "frame")
    title, note, room = heading(spec)
    at = 1
    if title:
        strip.put(at, f" {title} ", "title")
        at += len(title) + 2
    if note:
        strip.put(at, f"{marks.between} ", "frame")
        strip.put(at + 2, f"{note} ", "note")
    entries = legend(spec, room)
    begin = width - 1 - sum(len(text) + 2 for text, _ in entries)
    for index, (text, style) in enumerate(entries):
        strip.put(begin, " ", "frame")
        strip.put(begin + 1, text, style)
        strip.put(begin + 1 + len(text), " ", "frame")
        begin += len(text) + (2 if index + 1 < len(entries) else 0)
    strip.put(width - 1, marks.corners[1], "frame")
    return strip


def _bottom(spec: ChartSpec, area: Area, marks: FrameChars) -> RowBuilder:
    width = max(spec.width, 0)
    strip = BorderBuilder([marks.across] * width, bytearray([STYLE_CODE["frame"]]) * width)
    zone = narrow(spec.zone, ascii_only=spec.ascii_only, limit=max(area.left - 4, 0))
    if zone:
        strip.label(1, f" {zone} ", "tick")
    _label_events(strip, spec, area, main=True)
    kinds = [_mark_labels(spec, area, marks), _tick_labels(spec, area)]
    for labels in kinds if len(spec.marks) <= _FEW_MARKS else reversed(kinds):
        for at, text, style in labels:
            if not strip.label(at, text, style) and style == "mark":
                strip.label(at, marks.mark, style)
    _label_events(strip, spec, area, main=False)
    for at in cursor_column(spec, area):
        if not strip.taken[area.left + at]:
            strip.put(area.left + at, marks.foot, "cursor")
    strip.put(0, marks.corners[2], "frame")
    strip.put(width - 1, marks.corners[3], "frame")
    return strip


def _mark_labels(spec: ChartSpec, area: Area, marks: FrameChars) -> Iterator[tuple[int, str, str]]:
    """Yield (column, text, style) of the marks that have a text."""
    for ms, text in spec.marks:
        if text and area.width and spec.begin_ms <= ms <= spec.end_ms:
            at = area.left + column(ms, spec.begin_ms, spec.end_ms, area.width)
            shown = narrow(text, ascii_only=spec.ascii_only, limit=_MARK_CELLS)
            yield at, marks.mark + shown, "mark"


def _label_events(strip: BorderBuilder, spec: ChartSpec, area: Area, *, main: bool) -> None:
    """Write the words of the main events, or of the others; their letters where room is short."""
    for event in spec.events:
        shown = area.width and spec.begin_ms <= event.ms <= spec.end_ms
        if event.main is not main or not shown:
            continue
        at = area.left + column(event.ms, spec.begin_ms, spec.end_ms, area.width)
        text = narrow(event.text, ascii_only=spec.ascii_only, limit=_MARK_CELLS)
        # a run ends at the right edge: the text of its death is shifted to the left to fit
        begin = min(at, len(strip.chars) - 2 - len(text)) if main else at
        foot = next((area.left + cell for cell in cursor_column(spec, area)), -1)
        if begin < foot < begin + len(text):
            begin, text = at, text[:1]  # the cursor is there
        if not strip.label(begin, text, event.style):
            strip.label(at, text[:1], event.style)


def _tick_labels(spec: ChartSpec, area: Area) -> Iterator[tuple[int, str, str]]:
    for ms, text in spec.x_ticks:
        tick = ms, f" {narrow(text, ascii_only=spec.ascii_only, limit=_MARK_CELLS)} "
        if area.width and spec.begin_ms <= ms <= spec.end_ms:
            start = label_start(tick, spec.begin_ms, spec.end_ms, area.width)
            yield area.left + start, tick[1], "tick"
