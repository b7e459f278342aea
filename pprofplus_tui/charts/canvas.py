"""The adapter to plotext: lines in, a grid of characters and their owners out.

Nothing else in this repository knows plotext. What it must be guarded from (5.3.2):

- A point far outside the limits makes it walk there dot by dot for seconds; NaN and equal
  limits raise. So it is given fractions of the plot, all within [0, 1], and limits of 0 and 1.
- Two points at one place, unlabelled signals and single points are safe; a labelled signal
  without points is not, so no labels are given.
- A figure reads the terminal's size when it is made and cuts itself to it, unless told not to.
- Its string of colour codes costs as much as the drawing. So a matrix of our own stands in for
  plotext's: it takes the same calls, keeps only what we need, and merges the dots of lines that
  meet in one cell, where plotext's would lose the earlier one's.
- A figure belongs to one thread.
"""

from typing import Any

import numpy as np
from plotext._figure import _figure_class  # the module-level functions share one global figure

from pprofplus_tui.charts.palette import COLOURS
from pprofplus_tui.charts.picture import Area, Line, Picture, plot_area
from pprofplus_tui.model.series import Floats, Ints, Points
from pprofplus_tui.model.ticks import YAxis

# plotext's cost grows with the points: at most 400 a line, two for each bucket.
_MOST_BUCKETS = 200
_BRAILLE_FIRST, _BRAILLE_LAST = "\u2800", "\u28ff"
_ASCII_MARKERS = ("*", "+", "o", "x", "#", "@")
# For terminals without colour: the line that matters most, which is the last, keeps its dots.
_DISTINCT_MARKERS = ("braille", "+", "o", "x", "#", "@")
FREE = 0  # the owner of a cell in which nothing is drawn; a line's is its colour index + 1


def markers(picture: Picture) -> tuple[str, ...]:
    """Return what each line of the picture is drawn with: "braille" or one character."""
    count = len(picture.lines)
    if picture.ascii_only:
        return tuple(_ASCII_MARKERS[(count - 1 - i) % len(_ASCII_MARKERS)] for i in range(count))
    if picture.distinct:
        table = _DISTINCT_MARKERS
        return tuple(table[(count - 1 - i) % len(table)] for i in range(count))
    return ("braille",) * count


class Grid:
    """The cells of a plot; it stands in for plotext's matrix, with its rows counted from below.

    Attributes:
        chars: one list of characters for each row, the bottom row first.
        owners: one bytearray for each row: FREE, or the colour index of the line + 1.
    """

    def __init__(self) -> None:
        self._cols = 0
        self._rows = 0
        self.chars: list[list[str]] = []
        self.owners: list[bytearray] = []

    def set_size(self, cols: int, rows: int) -> None:
        """Take the size of the plot; called by plotext."""
        self._cols, self._rows = cols, rows

    def set_matrices(self) -> None:
        """Begin an empty grid; called by plotext."""
        self.chars = [[" "] * self._cols for _ in range(self._rows)]
        self.owners = [bytearray(self._cols) for _ in range(self._rows)]

    def set_axes_color(self, *_: object) -> None:
        """Ignore a colour; called by plotext."""

    def set_canvas_color(self, *_: object) -> None:
        """Ignore a colour; called by plotext."""

    def set_canvas_area(self, *_: object) -> None:
        """Ignore the area, which is the whole grid for want of axes; called by plotext."""

    def set_canvas(self) -> str:
        """Build no string; called by plotext."""
        return ""

    get_canvas = set_canvas

    def insert_element(self, col: int, row: int, marker: str, colour: int, *_: object) -> None:
        """Put one character of a line into a cell; called by plotext."""
        cells = self.chars[row]
        if (
            _BRAILLE_FIRST <= marker <= _BRAILLE_LAST
            and _BRAILLE_FIRST < cells[col] <= _BRAILLE_LAST
        ):
            # The eight low bits of a braille character are its dots.
            marker = chr(ord(marker) | ord(cells[col]))
        cells[col] = marker
        self.owners[row][col] = colour + 1


class Canvas:
    """Draws the lines of pictures; it owns one plotext figure and belongs to one thread."""

    def __init__(self) -> None:
        self._figure: Any = _figure_class()
        # Without this a chart wider than the terminal of the moment would be cut.
        self._figure._limit_size(width=False, height=False)  # noqa: SLF001 - no public way
        self._drawn: tuple[object, ...] = ()
        self._grid = Grid()

    def draw(self, picture: Picture) -> Grid:
        """Return the grid of the picture's plot area, which may have no cells.

        Titles, legends, marks and cursors are not part of it, so moving a cursor draws nothing
        anew: the grid of the picture before is returned if its lines and limits are the same.
        The caller must not change it.
        """
        area = plot_area(picture.width, picture.height)
        # A Points compares by identity, so this compares quickly and holds what it compares.
        wanted = (
            *(area, picture.begin_ms, picture.end_ms, picture.y.lo, picture.y.hi, picture.y.log),
            *(picture.ascii_only, picture.distinct),
            tuple((line.colour, line.points) for line in picture.lines),
        )
        if wanted == self._drawn:
            return self._grid
        self._drawn = ()
        self._grid = self._draw(picture, area)
        self._drawn = wanted
        return self._grid

    def _draw(self, picture: Picture, area: Area) -> Grid:
        grid = Grid()
        grid.set_size(area.width, area.height)
        grid.set_matrices()
        if not area.width or not area.height:
            return grid
        figure = self._figure
        figure.clear_data()
        signals = 0
        for line, marker in zip(picture.lines, markers(picture), strict=True):
            whole_cells = marker != "braille"
            for xs, ys in paths(
                line.points, picture.begin_ms, picture.end_ms, picture.y, area.width
            ):
                x = _by_cells(xs, 2, area.width) if whole_cells else xs
                y = _by_cells(ys, 4, area.height) if whole_cells else ys
                figure.plot(x, y, marker=marker, color=line.colour % COLOURS)
                signals += 1
        if signals:
            figure.plot_size(area.width, area.height)
            figure.frame(False)  # noqa: FBT003 - plotext's own signature
            figure.xfrequency(0)
            figure.yfrequency(0)
            figure.xlim(0, 1)
            figure.ylim(0, 1)
            figure.monitor.matrix = grid
            figure.build()
            figure.clear_data()
        return grid


def visible(points: Points, begin_ms: int, end_ms: int, cells: int) -> Points:
    """Return the points in [begin_ms, end_ms], and those less than a cell outside of it.

    A bucket that the window's edge cuts has its middle up to a bucket outside; dropping it
    could drop a spike.
    """
    slack_ms = (end_ms - begin_ms) // max(cells, 1)
    first = int(np.searchsorted(points.t_ms, begin_ms - slack_ms))
    last = int(np.searchsorted(points.t_ms, end_ms + slack_ms, "right"))
    if first == 0 and last == len(points):
        return points
    return Points(
        points.t_ms[first:last],
        points.lo[first:last],
        points.hi[first:last],
        points.breaks[first:last],
    )


Path = tuple[list[float], list[float]]


def paths(points: Points, begin_ms: int, end_ms: int, axis: YAxis, cells: int) -> list[Path]:
    """Return the strokes of a line as (x, y) fractions of the plot, each within [0, 1].

    Each point gives its low and its high, in the order that keeps the stroke short; a break
    begins a new stroke. More than 200 points are merged into buckets that keep the lowest and
    the highest of each. Values outside the axis lie on its edge. Empty if nothing is visible.
    """
    shown = visible(points, begin_ms, end_ms, cells)
    if not len(shown) or end_ms <= begin_ms:
        return []
    x: Floats = np.clip((shown.t_ms - begin_ms) / (end_ms - begin_ms), 0.0, 1.0)
    low, high, breaks = axis.fractions(shown.lo), axis.fractions(shown.hi), shown.breaks
    if len(shown) > _MOST_BUCKETS:
        buckets: Ints = np.minimum((x * _MOST_BUCKETS).astype(np.int64), _MOST_BUCKETS - 1)
        starts = np.flatnonzero(np.diff(buckets, prepend=-1))
        # A gap inside a bucket is narrower than a cell; one between buckets lies at a start.
        low, high = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
        x, breaks = (buckets[starts] + 0.5) / _MOST_BUCKETS, breaks[starts]
    strokes: list[Path] = []
    xs: list[float] = []
    ys: list[float] = []
    for at, bottom, top, broken in zip(
        x.tolist(), low.tolist(), high.tolist(), breaks.tolist(), strict=True
    ):
        if broken or not xs:
            xs, ys = [], []
            strokes.append((xs, ys))
        if bottom == top:
            xs.append(at)
            ys.append(bottom)
            continue
        rising = not ys or abs(ys[-1] - bottom) <= abs(ys[-1] - top)
        xs += (at, at)
        ys += (bottom, top) if rising else (top, bottom)
    return strokes


def last_place(line: Line, picture: Picture, area: Area) -> tuple[int, int] | None:
    """Return (column, row from below) of a line's last visible point, or None."""
    shown = visible(line.points, picture.begin_ms, picture.end_ms, area.width)
    if not len(shown) or picture.end_ms <= picture.begin_ms or not area.height:
        return None
    at = (int(shown.t_ms[-1]) - picture.begin_ms) / (picture.end_ms - picture.begin_ms)
    low, high = picture.y.fractions(np.array([shown.lo[-1], shown.hi[-1]])).tolist()
    at = min(max(at, 0.0), 1.0)
    return cell_at(at, 2, area.width), cell_at((low + high) / 2, 4, area.height)


def _by_cells(places: list[float], dots: int, cells: int) -> list[float]:
    """Return fractions that put a whole character into the cell where its dot would be.

    plotext rounds characters to cells and dots to dots, so a line of characters could lie one
    row beside the tick of its value.
    """
    return [cell_at(place, dots, cells) / max(cells - 1, 1) for place in places]


def cell_at(fraction: float, dots: int, cells: int) -> int:
    """Return the cell of a place on an axis as plotext reckons it, `dots` dots to the cell."""
    return int(0.5 + (dots * cells - 1) * fraction) // dots
