"""Stacked areas as dots: each part has its own pattern, so that colour is not needed."""

import numpy as np

from pprofplus_tui.charts.cell_grid import CellGrid
from pprofplus_tui.charts.spec import Area, ChartSpec, Line
from pprofplus_tui.charts.strokes import visible
from pprofplus_tui.model.points import Bools, Ints

# The dots of a cell that a part sets, the lowest row first, left and right; from the bottom of
# the stack up. Neighbours differ in density and in direction.
_PATTERNS = (
    ("##", "##", "##", "##"),  # solid
    ("..", "#.", "..", ".."),  # few dots
    ("#.", ".#", "#.", ".#"),  # checkers
    ("##", "..", "##", ".."),  # horizontal lines
    (".#", "..", "#.", ".."),  # sparse
    ("#.", "#.", "#.", "#."),  # vertical lines
)
_PLAIN = "#.%=-o"
_BITS = np.array([[0x40, 0x80], [0x04, 0x20], [0x02, 0x10], [0x01, 0x08]])
_TILES: tuple[Bools, ...] = tuple(
    np.array([[dot == "#" for dot in row] for row in rows]) for rows in _PATTERNS
)
_BLANK = 0x2800


def signs(spec: ChartSpec) -> tuple[str, ...]:
    """Return for each part of a stack the character that fills it."""
    kinds = [index % len(_PATTERNS) for index in range(len(spec.lines))]
    if spec.ascii_only:
        return tuple(_PLAIN[kind] for kind in kinds)
    return tuple(chr(_BLANK + int((_BITS * _TILES[kind]).sum())) for kind in kinds)


def fill(grid: CellGrid, spec: ChartSpec, area: Area) -> None:
    """Draw the parts into the grid; each line's points are the edges of its band."""
    per_cell = (1, 1) if spec.ascii_only else (4, 2)
    rows, columns = area.height * per_cell[0], area.width * per_cell[1]
    owner = np.zeros((rows, columns), np.int64)
    lit = np.zeros((rows, columns), np.bool_)
    height = np.arange(rows)[:, None]
    for index, line in enumerate(spec.lines):
        bottom, top = _edges(line, spec, rows, columns, area)
        inside = (height >= bottom) & (height < top)
        owner[inside] = index + 1
        tile = np.tile(_TILES[index % len(_TILES)], (area.height, area.width))
        if not spec.ascii_only:
            # the upper edge is solid, so that thin and sparse parts have a visible end
            lit |= inside & (tile | (height == top - 1))
    if spec.ascii_only:
        marks = np.array([" ", *signs(spec)])
        grid.chars = [list(row) for row in marks[owner].tolist()]
        grid.owners = [bytearray(row) for row in owner.astype(np.uint8).tolist()]
        return
    cells = (area.height, 4, area.width, 2)
    codes = (lit.reshape(cells) * _BITS[:, None, :]).sum(axis=(1, 3))
    counts = np.stack(
        [(owner == part).reshape(cells).sum(axis=(1, 3)) for part in range(len(spec.lines) + 1)]
    )
    counts[0] = 0
    most = np.where(codes > 0, counts.argmax(axis=0), 0)
    grid.chars = [[chr(_BLANK + code) if code else " " for code in row] for row in codes.tolist()]
    grid.owners = [bytearray(row) for row in most.astype(np.uint8).tolist()]


def _edges(line: Line, spec: ChartSpec, rows: int, columns: int, area: Area) -> tuple[Ints, Ints]:
    """Return the lowest dot of the band and the dot above its highest, for each column."""
    none = np.zeros(columns, np.int64)
    points = visible(line.points, spec.begin_ms, spec.end_ms, area.width)
    if not len(points) or spec.end_ms <= spec.begin_ms:
        return none, none
    span_ms = spec.end_ms - spec.begin_ms
    at_ms = spec.begin_ms + (np.arange(columns) + 0.5) / columns * span_ms
    right = np.clip(np.searchsorted(points.t_ms, at_ms), 0, len(points) - 1)
    left = np.maximum(right - 1, 0)
    nearer = at_ms - points.t_ms[left] < points.t_ms[right] - at_ms
    nearest = np.where(nearer, left, right)
    # beyond the first and last point, and in a gap, only the columns of points themselves
    away_ms = np.abs(points.t_ms[nearest] - at_ms)
    between = (at_ms >= points.t_ms[0]) & (at_ms <= points.t_ms[-1]) & ~points.breaks[right]
    known = between | (away_ms <= span_ms / columns)
    low, high = (
        np.where(known, np.rint(spec.y.fractions(edge) * rows).astype(np.int64)[nearest], 0)
        for edge in (points.lo, points.hi)
    )
    return low, high
