"""The rows inside a chart's frame: the drawn lines with names, tags, events, marks and cursor."""

from collections.abc import Iterable, Iterator

from pprofplus_tui.charts.cell_grid import FREE, CellGrid
from pprofplus_tui.charts.legend import LABEL_CELLS, LONG_LABEL_CELLS, heading, legend, legend_forms
from pprofplus_tui.charts.palette import slot
from pprofplus_tui.charts.row_builder import ASCII_FRAME, STYLE_CODE, UNICODE_FRAME, RowBuilder
from pprofplus_tui.charts.spec import Area, ChartSpec
from pprofplus_tui.charts.strokes import last_place, place_at
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.time_axis import column

# What a vertical line may cover.
_COVERABLE = frozenset({FREE, *(STYLE_CODE[name] for name in ("mark", "event", "lost", "accent"))})
_LABELLED_PLOT = 30  # a narrower plot has no room for names next to its lines
_TAGS = 4  # a line
_NEAR_ROWS = 3  # largest distance of a name from its line


def plot_rows(spec: ChartSpec, area: Area, grid: CellGrid, *, has_data: bool) -> list[RowBuilder]:
    """Return the rows of the plot, the top one first, with everything that is drawn in it."""
    marks = ASCII_FRAME if spec.ascii_only else UNICODE_FRAME
    plot = [
        RowBuilder(chars.copy(), bytearray(owners))
        for chars, owners in zip(reversed(grid.chars), reversed(grid.owners), strict=True)
    ]
    if not has_data:
        limit = area.width
        put_centred(plot, narrow(spec.empty, ascii_only=spec.ascii_only, limit=limit), "empty")
    elif (
        not spec.stacked and len(spec.lines) > 1 and (area.width >= _LABELLED_PLOT or spec.distinct)
    ):
        _name_lines(spec, area, plot)
    _tag_lines(spec, area, plot)
    events = ((event.ms, marks.event, event.style) for event in spec.events)
    _verticals(spec, area, plot, events)
    _verticals(spec, area, plot, ((ms, marks.mark, "mark") for ms, _ in spec.marks))
    values_shown = False
    if spec.cursor_ms is not None:
        _verticals(spec, area, plot, ((spec.cursor_ms, marks.side, "cursor"),))
        values_shown = has_data and _put_values_at_cursor(spec, area, plot)
    if has_data and spec.stacked and not values_shown:
        _name_bands(spec, plot)
    return plot


def cursor_column(spec: ChartSpec, area: Area) -> Iterator[int]:
    """Yield the cursor's column in the plot, if it is there."""
    at_ms = spec.cursor_ms
    if at_ms is not None and area.width and spec.begin_ms <= at_ms <= spec.end_ms:
        yield column(at_ms, spec.begin_ms, spec.end_ms, area.width)


def _put_values_at_cursor(spec: ChartSpec, area: Area, plot: list[RowBuilder]) -> bool:
    """Write the values next to the cursor if the legend has no room for all of them.

    Return whether they were written.
    """
    entries = legend(spec, heading(spec)[2])
    full = next(legend_forms(spec, LABEL_CELLS), [])
    if all(entry in entries for entry in full) or len(full) > area.height:
        return False
    size = 2 + max(len(text) for text, _ in full)  # a blank on either side
    for at in cursor_column(spec, area):
        begin = at + 1 if at + 1 + size <= area.width else at - size
        if begin >= 0:
            for strip, (text, style) in zip(plot, full, strict=False):
                strip.put(begin, f" {text}".ljust(size), style)
            return True
    return False


def _verticals(
    spec: ChartSpec, area: Area, plot: list[RowBuilder], lines: Iterable[tuple[int, str, str]]
) -> None:
    """Draw vertical lines below the data: in free cells only, in a stack in all cells."""
    for ms, char, style in lines:
        if area.width and spec.begin_ms <= ms <= spec.end_ms:
            at = column(ms, spec.begin_ms, spec.end_ms, area.width)
            for strip in plot:
                if spec.stacked or strip.styles[at] in _COVERABLE:
                    strip.put(at, char, style)


def put_centred(plot: list[RowBuilder], text: str, style: str) -> None:
    """Write a text in the middle of the plot."""
    if plot and text:
        strip = plot[(len(plot) - 1) // 2]
        strip.put((len(strip.chars) - len(text)) // 2, text, style)


def _name_bands(spec: ChartSpec, plot: list[RowBuilder]) -> None:
    """Write each band's name into it, as far right as it is high and wide enough."""
    for line in spec.lines:
        name = narrow(line.label, ascii_only=spec.ascii_only, limit=LONG_LABEL_CELLS)
        size = len(name) + 2
        filled = bytes([STYLE_CODE[f"line{slot(line.colour)}"]]) * (size + 2)
        spots = ((strip, strip.styles.rfind(filled)) for strip in plot)
        best = max(spots, key=lambda spot: spot[1], default=None)
        if best is not None and best[1] >= 0:
            best[0].put(best[1] + 1, f" {name} ", f"legend{slot(line.colour)}")


def _name_lines(spec: ChartSpec, area: Area, plot: list[RowBuilder]) -> None:
    """Write each line's name next to its last point, where cells are free.

    First to the right of the point, then above or below the line's end. A name that has no
    room is left out; the legend has it.
    """
    for line in reversed(spec.lines):
        # a line with a tag is named by that
        place = last_place(line, spec, area) if not line.tag else None
        if place is None:
            continue
        at, from_below = place
        row = area.height - 1 - from_below
        name = narrow(line.label, ascii_only=spec.ascii_only, limit=LONG_LABEL_CELLS)
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


def _tag_lines(spec: ChartSpec, area: Area, plot: list[RowBuilder]) -> None:
    """Write each line's tag on it in some places; tags of two lines are in different columns."""
    tagged = [line for line in spec.lines if line.tag]
    for index, line in enumerate(tagged):
        style = STYLE_CODE[f"line{slot(line.colour)}"]
        for turn in range(_TAGS):
            share = (turn + (index + 0.5) / len(tagged)) / _TAGS
            place = place_at(line, spec, area, share)
            if place is None:
                continue
            at, from_below = place
            strip = plot[area.height - 1 - from_below]
            # where another line is drawn on top, the tag would seem to be that line's
            if strip.styles[at] == style:
                strip.put(at, line.tag, f"legend{slot(line.colour)}")
