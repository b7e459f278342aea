"""Puts a chart together: frame, labels, legend, marks and cursor around the drawn lines."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from pprofplus_tui.charts.canvas import Canvas, markers
from pprofplus_tui.charts.cell_grid import FREE, CellGrid
from pprofplus_tui.charts.palette import COLOURS, slot
from pprofplus_tui.charts.spec import Area, ChartSpec, plot_area, same_picture
from pprofplus_tui.charts.strokes import cell_at, last_place, place_at
from pprofplus_tui.model.cell_rows import Cellrun, Row, Rows
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.time_axis import column, label_start

# Styles by the byte that stands for them in a row; lines come from the grid as index + 1.
_STYLES = (
    "",
    *(f"line{index}" for index in range(COLOURS + 1)),
    *(f"legend{index}" for index in range(COLOURS + 1)),
    *("frame", "tick", "title", "note", "mark", "cursor", "empty", "error"),
    *("event", "lost", "accent"),
)
_CODE = {name: code for code, name in enumerate(_STYLES)}
_BEHIND = frozenset({FREE, *(_CODE[name] for name in ("mark", "event", "lost", "accent"))})
_RUN = re.compile(rb"(.)\1*", re.DOTALL)

_MARK_CELLS = 16
_FEW_MARKS = 4  # more of them leave no room for the time unless it comes first
_TITLE_CELLS = 40
_LABEL_CELLS = 12
_LONG_LABEL_CELLS = 24  # where there is room
_VALUE_CELLS = 18
_LABELLED_PLOT = 30  # a narrower plot has no room for names beside its lines
_TAGS = 4  # a line
_NEAR_ROWS = 3  # how far from its line a name may stand


class _Marks:
    """The characters that a chart is framed with."""

    def __init__(self, *, ascii_only: bool) -> None:
        self.corners = "++++" if ascii_only else "┌┐└┘"
        self.across = "-" if ascii_only else "─"
        self.side = "|" if ascii_only else "│"
        self.tick = "+" if ascii_only else "┤"
        self.mark = ":" if ascii_only else "┊"
        self.event = "'" if ascii_only else "╎"
        self.foot = "^" if ascii_only else "┴"
        self.between = "-" if ascii_only else "·"


_ASCII, _UNICODE = _Marks(ascii_only=True), _Marks(ascii_only=False)


class _Strip:
    """One row while it is written: characters and, for each, the byte of its style."""

    def __init__(self, chars: list[str], styles: bytearray) -> None:
        self.chars = chars
        self.styles = styles

    @classmethod
    def of(cls, width: int, char: str, style: str) -> "_Strip":
        return cls([char] * width, bytearray([_CODE[style]]) * width)

    def put(self, at: int, text: str, style: str) -> None:
        """Write text at a column; what lies outside is cut off."""
        begin, end = max(at, 0), min(at + len(text), len(self.chars))
        if begin < end:
            self.chars[begin:end] = text[begin - at : end - at]
            self.styles[begin:end] = bytes([_CODE[style]]) * (end - begin)

    def is_free(self, begin: int, end: int) -> bool:
        return (
            begin >= 0
            and end <= len(self.styles)
            and self.styles.count(FREE, begin, end) == end - begin
        )

    def runs(self) -> Row:
        return _row("".join(self.chars), bytes(self.styles))


@lru_cache(256)
def _row(text: str, styles: bytes) -> Row:
    """Return a row from its characters and styles; most rows of a picture are as they were."""
    return tuple(
        Cellrun(text[match.start() : match.end()], _STYLES[match[1][0]])
        for match in _RUN.finditer(styles)
    )


class _Border(_Strip):
    """The bottom border while it is written: its labels never touch each other."""

    def __init__(self, chars: list[str], styles: bytearray) -> None:
        super().__init__(chars, styles)
        self.taken = bytearray(len(chars))

    def label(self, at: int, text: str, style: str) -> bool:
        """Write a label where there is room; return whether there was."""
        # One cell of the border stays visible on either side.
        begin, end = at - 1, at + len(text) + 1
        if at < 1 or end > len(self.chars) or any(self.taken[max(begin, 0) : end]):
            return False
        self.taken[at : at + len(text)] = b"\1" * len(text)
        self.put(at, text, style)
        return True


def compose(picture: ChartSpec, canvas: Canvas) -> Rows:
    """Return the picture as rows: `height` of them, each exactly `width` cells."""
    area = plot_area(picture.width, picture.height)
    grid = canvas.draw(picture)
    has_data = any(any(owners) for owners in grid.owners)
    # Values beside an empty plot would say something about nothing.
    labels = _labels_by_row(picture, area) if has_data else {}
    return _framed(picture, area, _plot(picture, area, grid, has_data=has_data), labels)


def retitled(picture: ChartSpec, before: ChartSpec, rows: Rows) -> Rows | None:
    """Return the rows of a picture of which the numbers beside its title alone are new.

    None if there is more to it. `rows` are those of `before`.
    """
    if picture.cursor_ms is not None or len(picture.lines) != len(before.lines) or not rows:
        return None  # at the cursor, numbers stand in the plot
    told = tuple(
        replace(line, value=old.value)
        for line, old in zip(picture.lines, before.lines, strict=True)
    )
    if not same_picture(before, replace(picture, note=before.note, lines=told)):
        return None
    return (_top(picture, _ASCII if picture.ascii_only else _UNICODE).runs(), *rows[1:])


def message_rows(picture: ChartSpec, message: str) -> Rows:
    """Return the picture's frame with a one-line error message instead of its plot."""
    area = plot_area(picture.width, picture.height)
    plot = [_Strip.of(area.width, " ", "") for _ in range(area.height)]
    _centre(plot, narrow(message, ascii_only=picture.ascii_only, limit=area.width), "error")
    return _framed(picture, area, plot, {})


def _framed(picture: ChartSpec, area: Area, plot: list[_Strip], labels: dict[int, str]) -> Rows:
    """Return the whole chart; `plot` has one strip a row, the top one first."""
    width, height = max(picture.width, 0), max(picture.height, 0)
    marks = _ASCII if picture.ascii_only else _UNICODE
    strips = [_top(picture, marks)]
    for index, inner in enumerate(plot):
        strip = _Strip.of(width, " ", "")
        strip.put(0, marks.side, "frame")
        if area.label_cells:
            label = labels.get(area.height - 1 - index)
            if label is not None:
                shown = narrow(label, ascii_only=picture.ascii_only, limit=area.label_cells)
                strip.put(1 + area.padded, shown.rjust(area.label_cells), "tick")
            strip.put(area.left - 1, marks.side if label is None else marks.tick, "frame")
        strip.chars[area.left : area.left + area.width] = inner.chars
        strip.styles[area.left : area.left + area.width] = inner.styles
        strip.put(width - 1, marks.side, "frame")
        strips.append(strip)
    strips.append(_bottom(picture, area, marks))
    return tuple(strip.runs() for strip in strips[:height])


def _labels_by_row(picture: ChartSpec, area: Area) -> dict[int, str]:
    """Return the label of each row that has a tick, rows counted from below."""
    if not picture.y.ticks or not area.height:
        return {}
    places = [cell_at(at, 4, area.height) for at in picture.y.places()]
    rows: dict[int, str] = {}
    for row, (_, label) in zip(places, picture.y.ticks, strict=True):
        rows.setdefault(row, label)
    return rows


def _legend(picture: ChartSpec, room: int) -> list[tuple[str, str]]:
    """Return (text, style) of the legend's entries, the most telling form that has room."""
    if picture.stacked:
        return _largest(picture, room)
    forms = (
        form
        for cells in (_LONG_LABEL_CELLS, _LABEL_CELLS)
        for form in _legend_forms(picture, cells)
    )
    return next((form for form in forms if sum(len(text) + 2 for text, _ in form) <= room), [])


def _largest(picture: ChartSpec, room: int) -> list[tuple[str, str]]:
    """Return the entries of a stack's largest parts, as many as there is room for."""
    entries = next(_legend_forms(picture, _LABEL_CELLS), [])
    sizes = [
        float(line.points.hi[-1] - line.points.lo[-1]) if len(line.points) else 0.0
        for line in picture.lines
    ]
    kept = set()
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        room -= len(entries[index][0]) + 2
        if room < 0:
            break
        kept.add(index)
    return [entry for index, entry in enumerate(entries) if index in kept]


def _legend_forms(picture: ChartSpec, label_cells: int) -> Iterator[list[tuple[str, str]]]:
    entries = []
    # The last line is drawn on top and matters most: it is named first. A stack has its base.
    lines = list(zip(picture.lines, markers(picture), strict=True))
    for line, marker in lines if picture.stacked else reversed(lines):
        label = narrow(line.label, ascii_only=picture.ascii_only, limit=label_cells)
        value = narrow(line.value, ascii_only=picture.ascii_only, limit=_VALUE_CELLS)
        sign = ""
        if picture.ascii_only or picture.distinct or picture.stacked:
            sign = ("⠒" if marker == "braille" else marker) + " "
        entries.append((sign, label, value, f"legend{slot(line.colour)}"))
    full = [(f"{sign}{label} {value}".rstrip(), style) for sign, label, value, style in entries]
    short = [(f"{sign}{label}", style) for sign, label, _, style in entries]
    # With little room the line that matters most keeps its value.
    yield from (full, full[:1] + short[1:], short)


def _heading(picture: ChartSpec) -> tuple[str, str, int]:
    """Return title and note of the top border, "" without room, and the legend's cells."""
    width, ascii_only = max(picture.width, 0), picture.ascii_only
    title = narrow(picture.title, ascii_only=ascii_only, limit=min(max(width - 4, 0), _TITLE_CELLS))
    at = 1 + (len(title) + 2 if title else 0)
    note = narrow(picture.note, ascii_only=ascii_only, limit=_TITLE_CELLS)
    if not note or at + len(note) + 3 >= width:
        return title, "", width - at - 3
    return title, note, width - at - len(note) - 6


def _top(picture: ChartSpec, marks: _Marks) -> _Strip:
    width = max(picture.width, 0)
    strip = _Strip.of(width, marks.across, "frame")
    strip.put(0, marks.corners[0], "frame")
    title, note, room = _heading(picture)
    at = 1
    if title:
        strip.put(at, f" {title} ", "title")
        at += len(title) + 2
    if note:
        strip.put(at, f"{marks.between} ", "frame")
        strip.put(at + 2, f"{note} ", "note")
    legend = _legend(picture, room)
    begin = width - 1 - sum(len(text) + 2 for text, _ in legend)
    for index, (text, style) in enumerate(legend):
        strip.put(begin, " ", "frame")
        strip.put(begin + 1, text, style)
        strip.put(begin + 1 + len(text), " ", "frame")
        begin += len(text) + (2 if index + 1 < len(legend) else 0)
    strip.put(width - 1, marks.corners[1], "frame")
    return strip


def _bottom(picture: ChartSpec, area: Area, marks: _Marks) -> _Strip:
    width = max(picture.width, 0)
    strip = _Border([marks.across] * width, bytearray([_CODE["frame"]]) * width)
    zone = narrow(picture.zone, ascii_only=picture.ascii_only, limit=max(area.left - 4, 0))
    if zone:
        strip.label(1, f" {zone} ", "tick")
    _label_events(strip, picture, area, main=True)
    told = [_mark_labels(picture, area, marks), _tick_labels(picture, area)]
    for labels in told if len(picture.marks) <= _FEW_MARKS else reversed(told):
        for at, text, style in labels:
            if not strip.label(at, text, style) and style == "mark":
                strip.label(at, marks.mark, style)
    _label_events(strip, picture, area, main=False)
    for at in _cursor_column(picture, area):
        if not strip.taken[area.left + at]:
            strip.put(area.left + at, marks.foot, "cursor")
    strip.put(0, marks.corners[2], "frame")
    strip.put(width - 1, marks.corners[3], "frame")
    return strip


def _cursor_column(picture: ChartSpec, area: Area) -> Iterator[int]:
    """Yield the cursor's column in the plot, if it is there."""
    at_ms = picture.cursor_ms
    if at_ms is not None and area.width and picture.begin_ms <= at_ms <= picture.end_ms:
        yield column(at_ms, picture.begin_ms, picture.end_ms, area.width)


def _mark_labels(picture: ChartSpec, area: Area, marks: _Marks) -> Iterator[tuple[int, str, str]]:
    """Yield (column, text, style) of the marks that have a text."""
    for ms, text in picture.marks:
        if text and area.width and picture.begin_ms <= ms <= picture.end_ms:
            at = area.left + column(ms, picture.begin_ms, picture.end_ms, area.width)
            shown = narrow(text, ascii_only=picture.ascii_only, limit=_MARK_CELLS)
            yield at, marks.mark + shown, "mark"


def _label_events(strip: _Border, picture: ChartSpec, area: Area, *, main: bool) -> None:
    """Write the words of the main events, or of the others; their letters where room is short."""
    for event in picture.events:
        shown = area.width and picture.begin_ms <= event.ms <= picture.end_ms
        if event.main is not main or not shown:
            continue
        at = area.left + column(event.ms, picture.begin_ms, picture.end_ms, area.width)
        text = narrow(event.text, ascii_only=picture.ascii_only, limit=_MARK_CELLS)
        # a run ends at the right edge: there the text of its death ends where it would begin
        begin = min(at, len(strip.chars) - 2 - len(text)) if main else at
        foot = next((area.left + cell for cell in _cursor_column(picture, area)), -1)
        if begin < foot < begin + len(text):
            begin, text = at, text[:1]  # the cursor stands there
        if not strip.label(begin, text, event.style):
            strip.label(at, text[:1], event.style)


def _tick_labels(picture: ChartSpec, area: Area) -> Iterator[tuple[int, str, str]]:
    for ms, text in picture.x_ticks:
        tick = ms, f" {narrow(text, ascii_only=picture.ascii_only, limit=_MARK_CELLS)} "
        if area.width and picture.begin_ms <= ms <= picture.end_ms:
            start = label_start(tick, picture.begin_ms, picture.end_ms, area.width)
            yield area.left + start, tick[1], "tick"


def _plot(picture: ChartSpec, area: Area, grid: CellGrid, *, has_data: bool) -> list[_Strip]:
    """Return the rows of the plot, the top one first, with everything that is drawn in it."""
    marks = _ASCII if picture.ascii_only else _UNICODE
    plot = [
        _Strip(chars.copy(), bytearray(owners))
        for chars, owners in zip(reversed(grid.chars), reversed(grid.owners), strict=True)
    ]
    if not has_data:
        limit = area.width
        _centre(plot, narrow(picture.empty, ascii_only=picture.ascii_only, limit=limit), "empty")
    elif (
        not picture.stacked
        and len(picture.lines) > 1
        and (area.width >= _LABELLED_PLOT or picture.distinct)
    ):
        _name_lines(picture, area, plot)
    _tag_lines(picture, area, plot)
    events = ((event.ms, marks.event, event.style) for event in picture.events)
    _verticals(picture, area, plot, events)
    _verticals(picture, area, plot, ((ms, marks.mark, "mark") for ms, _ in picture.marks))
    if picture.cursor_ms is not None:
        _verticals(picture, area, plot, ((picture.cursor_ms, marks.side, "cursor"),))
    told = has_data and picture.cursor_ms is not None and _tell_beside(picture, area, plot)
    if has_data and picture.stacked and not told:
        _name_bands(picture, plot)
    return plot


def _tell_beside(picture: ChartSpec, area: Area, plot: list[_Strip]) -> bool:
    """Write the values at the cursor beside it, where the legend has no room for all of them.

    Return whether it did.
    """
    entries = _legend(picture, _heading(picture)[2])
    full = next(_legend_forms(picture, _LABEL_CELLS), [])
    if all(entry in entries for entry in full) or len(full) > area.height:
        return False
    size = 2 + max(len(text) for text, _ in full)  # a blank on either side
    for at in _cursor_column(picture, area):
        begin = at + 1 if at + 1 + size <= area.width else at - size
        if begin >= 0:
            for strip, (text, style) in zip(plot, full, strict=False):
                strip.put(begin, f" {text}".ljust(size), style)
            return True
    return False


def _verticals(
    picture: ChartSpec, area: Area, plot: list[_Strip], lines: Iterable[tuple[int, str, str]]
) -> None:
    """Draw vertical lines behind the data: only free cells are taken, of a stack all."""
    for ms, char, style in lines:
        if area.width and picture.begin_ms <= ms <= picture.end_ms:
            at = column(ms, picture.begin_ms, picture.end_ms, area.width)
            for strip in plot:
                if picture.stacked or strip.styles[at] in _BEHIND:
                    strip.put(at, char, style)


def _centre(plot: list[_Strip], text: str, style: str) -> None:
    if plot and text:
        strip = plot[(len(plot) - 1) // 2]
        strip.put((len(strip.chars) - len(text)) // 2, text, style)


def _name_bands(picture: ChartSpec, plot: list[_Strip]) -> None:
    """Write each band's name into it, to the right where it is high and wide enough."""
    for line in picture.lines:
        name = narrow(line.label, ascii_only=picture.ascii_only, limit=_LONG_LABEL_CELLS)
        size = len(name) + 2
        filled = bytes([_CODE[f"line{slot(line.colour)}"]]) * (size + 2)
        spots = ((strip, strip.styles.rfind(filled)) for strip in plot)
        best = max(spots, key=lambda spot: spot[1], default=None)
        if best is not None and best[1] >= 0:
            best[0].put(best[1] + 1, f" {name} ", f"legend{slot(line.colour)}")


def _name_lines(picture: ChartSpec, area: Area, plot: list[_Strip]) -> None:
    """Write each line's name beside its last point, where cells are free.

    First to the right of the point, then above or below the line's end. A name that has no
    room is left out; the legend has it.
    """
    for line in reversed(picture.lines):
        # one with a tag has that on it
        place = last_place(line, picture, area) if not line.tag else None
        if place is None:
            continue
        at, from_below = place
        row = area.height - 1 - from_below
        name = narrow(line.label, ascii_only=picture.ascii_only, limit=_LONG_LABEL_CELLS)
        size = len(name)
        style = f"legend{slot(line.colour)}"
        nearest = sorted(
            range(max(row - _NEAR_ROWS, 0), min(row + _NEAR_ROWS + 1, area.height)),
            key=lambda candidate: (abs(candidate - row), candidate),
        )
        spots = [(candidate, at + 2) for candidate in nearest[:3]]
        spots += [
            (candidate, min(at, area.width - 1) - size) for candidate in nearest if candidate != row
        ]
        for candidate, begin in spots:
            if plot[candidate].is_free(begin - 1, min(begin + size + 1, area.width)) and (
                begin + size <= area.width
            ):
                plot[candidate].put(begin, name, style)
                break


def _tag_lines(picture: ChartSpec, area: Area, plot: list[_Strip]) -> None:
    """Write each line's tag on it in some places, no two lines' in the same columns."""
    tagged = [line for line in picture.lines if line.tag]
    for index, line in enumerate(tagged):
        style = _CODE[f"line{slot(line.colour)}"]
        for turn in range(_TAGS):
            share = (turn + (index + 0.5) / len(tagged)) / _TAGS
            place = place_at(line, picture, area, share)
            if place is None:
                continue
            at, from_below = place
            strip = plot[area.height - 1 - from_below]
            # where another line lies on top, its tag would be taken for that line's
            if strip.styles[at] == style:
                strip.put(at, line.tag, f"legend{slot(line.colour)}")
