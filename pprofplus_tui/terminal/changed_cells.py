"""Finds the changed cells of a chart, so that only these are sent to the terminal."""

from collections.abc import Iterator

from pprofplus_tui.model.cell_rows import Row, Rows, width_of

CellSpan = tuple[int, int, int]  # row, x, width
_MOVE_BYTES = 5  # about what a cursor move within a row costs
_STYLE_BYTES = 8  # about what a change of colour costs


def _cells(row: Row) -> list[tuple[str, str]]:
    return [(char, run.style) for run in row for char in run.text]


def changed_spans(old: Rows | None, new: Rows) -> list[CellSpan]:
    """Return (row, x, width) of the cells that differ, left to right, top to bottom.

    Two changes are one span if the cells between them take no more bytes than a cursor move past
    them. Whole rows are returned if there are no old rows, or if the number of rows or the width
    of a row has changed. Each character is one cell wide, so a span is counted in cells.
    """
    former: tuple[Row | None, ...] = (None,) * len(new)
    if old is not None and len(old) == len(new):
        former = old
    spans: list[CellSpan] = []
    for index, (before, after) in enumerate(zip(former, new, strict=True)):
        if before == after:
            continue
        width = width_of(after)
        if before is None or width_of(before) != width:
            if width:
                spans.append((index, 0, width))
            continue
        begin, end = _shared(before, after)
        skipped = width_of(after[:begin])
        cells = [_cells(row[begin : len(row) - end]) for row in (before, after)]
        spans.extend((index, skipped + x, size) for x, size in _differing(*cells))
    return spans


def _shared(one: Row, other: Row) -> tuple[int, int]:
    """Return how many styled parts two rows have in common at the beginning and at the end."""
    least = min(len(one), len(other))
    begin = 0
    while begin < least and one[begin] == other[begin]:
        begin += 1
    end = 0
    while end < least - begin and one[-1 - end] == other[-1 - end]:
        end += 1
    return begin, end


def _differing(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> Iterator[tuple[int, int]]:
    """Yield (x, width) of each span of cells that differ; join spans where that saves bytes."""
    begin = end = -1
    between = 0  # the bytes of the cells since `end`
    style = ""
    for x, (one, other) in enumerate(zip(old, new, strict=True)):
        char, wanted = other
        if one != other:
            if begin < 0:
                begin = x
            elif between > _MOVE_BYTES:
                yield begin, end - begin
                begin = x
            end, between, style = x + 1, 0, wanted
        elif char == " ":
            between += 1
        else:
            between += len(char.encode()) + _STYLE_BYTES * (style != wanted)
            style = wanted
    if begin >= 0:
        yield begin, end - begin
