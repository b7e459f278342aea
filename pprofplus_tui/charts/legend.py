"""A chart's title, note and legend: the most informative form that has room."""

from collections.abc import Iterator

from pprofplus_tui.charts.canvas import markers
from pprofplus_tui.charts.palette import slot
from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.model.text import narrow

_TITLE_CELLS = 40
LABEL_CELLS = 12
LONG_LABEL_CELLS = 24  # where there is room
_VALUE_CELLS = 18


def legend(spec: ChartSpec, room: int) -> list[tuple[str, str]]:
    """Return (text, style) of the legend's entries, the most informative form that has room."""
    if spec.stacked:
        return _largest(spec, room)
    forms = (
        form for cells in (LONG_LABEL_CELLS, LABEL_CELLS) for form in legend_forms(spec, cells)
    )
    return next((form for form in forms if sum(len(text) + 2 for text, _ in form) <= room), [])


def _largest(spec: ChartSpec, room: int) -> list[tuple[str, str]]:
    """Return the entries of a stack's largest parts, as many as there is room for."""
    entries = next(legend_forms(spec, LABEL_CELLS), [])
    sizes = [
        float(line.points.hi[-1] - line.points.lo[-1]) if len(line.points) else 0.0
        for line in spec.lines
    ]
    kept = set()
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        room -= len(entries[index][0]) + 2
        if room < 0:
            break
        kept.add(index)
    return [entry for index, entry in enumerate(entries) if index in kept]


def legend_forms(spec: ChartSpec, label_cells: int) -> Iterator[list[tuple[str, str]]]:
    """Yield (text, style) of all entries: with values, with the first value only, without."""
    entries = []
    # The last line is drawn on top and matters most: it comes first. A stack begins at its base.
    lines = list(zip(spec.lines, markers(spec), strict=True))
    for line, marker in lines if spec.stacked else reversed(lines):
        label = narrow(line.label, ascii_only=spec.ascii_only, limit=label_cells)
        value = narrow(line.value, ascii_only=spec.ascii_only, limit=_VALUE_CELLS)
        sign = ""
        if spec.ascii_only or spec.distinct or spec.stacked:
            sign = ("⠒" if marker == "braille" else marker) + " "
        entries.append((sign, label, value, f"legend{slot(line.colour)}"))
    full = [(f"{sign}{label} {value}".rstrip(), style) for sign, label, value, style in entries]
    short = [(f"{sign}{label}", style) for sign, label, _, style in entries]
    # With little room, the line that matters most keeps its value.
    yield from (full, full[:1] + short[1:], short)


def heading(spec: ChartSpec) -> tuple[str, str, int]:
    """Return title and note of the top border, "" without room, and the legend's cells."""
    width, ascii_only = max(spec.width, 0), spec.ascii_only
    title = narrow(spec.title, ascii_only=ascii_only, limit=min(max(width - 4, 0), _TITLE_CELLS))
    at = 1 + (len(title) + 2 if title else 0)
    note = narrow(spec.note, ascii_only=ascii_only, limit=_TITLE_CELLS)
    if not note or at + len(note) + 3 >= width:
        return title, "", width - at - 3
    return title, note, width - at - len(note) - 6
