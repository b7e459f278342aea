"""The adapter to plotext: lines in, a grid of characters and their owners out.

Nothing else in this repository knows plotext. What it must be guarded from (5.3.2):

- A point far outside the limits makes it walk there dot by dot for seconds; NaN and equal
  limits raise. So it is given fractions of the plot, all within [0, 1], and limits of 0 and 1.
- Two points at one place, unlabelled signals and single points are safe; a labelled signal
  without points is not, so no labels are given.
- A figure reads the terminal's size when it is made and cuts itself to it, unless told not to.
- Its string of colour codes costs as much as the drawing. So a matrix of our own (`grid.Grid`)
  stands in for plotext's: it takes the same calls, keeps only what we need, and merges the dots
  of lines that meet in one cell, where plotext's would lose the earlier one's.
- A figure belongs to one thread.
- It costs 5 us for every dot, so noise as high as the plot takes 190 ms for one line. So it is
  given the strokes, which are kept as flat as they can be; the upright bars from a bucket's
  lowest to its highest value are filled by the grid, whole cells at a time.
"""

from typing import Any

from pprofplus_tui.charts.areas import fill, signs
from pprofplus_tui.charts.cell_grid import CellGrid
from pprofplus_tui.charts.palette import FAINT, slot
from pprofplus_tui.charts.spec import Area, ChartSpec, plot_area
from pprofplus_tui.charts.strokes import Bar, cell_at, paths

_ASCII_MARKERS: tuple[str, ...] = ("*", "+", "o", "x", "#", "@")
# For terminals without colour: the line that matters most, which is the last, keeps its dots.
_DISTINCT_MARKERS: tuple[str, ...] = ("braille", "+", "o", "x", "#", "@")
# A band behind the lines: they must be seen on it.
_FAINT_MARKER, _FAINT_ASCII_MARKER = "░", "."
# An owner is a byte, and so is a colour of plotext's, as which a line's number passes through it.
_MOST_LINES = 250


def markers(picture: ChartSpec) -> tuple[str, ...]:
    """Return what each line or band is drawn with: "braille" or one character."""
    if picture.stacked:
        return signs(picture)
    if picture.ascii_only:
        table, faint = _ASCII_MARKERS, _FAINT_ASCII_MARKER
    else:
        table, faint = _DISTINCT_MARKERS if picture.distinct else ("braille",), _FAINT_MARKER
    count = len(picture.lines)
    return tuple(
        faint if line.colour == FAINT else table[(count - 1 - i) % len(table)]
        for i, line in enumerate(picture.lines)
    )


class Canvas:
    """Draws the lines of pictures; it owns one plotext figure and belongs to one thread."""

    def __init__(self) -> None:
        self._figure: Any = None  # made for the first stroke
        self._drawn: tuple[object, ...] = ()
        self._grid = CellGrid()

    def draw(self, picture: ChartSpec) -> CellGrid:
        """Return the grid of the picture's plot area, which may have no cells.

        Titles, legends, marks and cursors are not part of it, so moving a cursor draws nothing
        anew: the grid of the picture before is returned if its lines and limits are the same.
        The caller must not change it.
        """
        area = plot_area(picture.width, picture.height)
        # A Points compares by identity, so this compares quickly and holds what it compares.
        wanted = (
            *(area, picture.begin_ms, picture.end_ms, picture.y.lo, picture.y.hi, picture.y.log),
            *(picture.ascii_only, picture.distinct, picture.stacked),
            tuple((line.colour, line.points) for line in picture.lines),
        )
        if wanted == self._drawn:
            return self._grid
        self._drawn = ()
        self._grid = self._draw(picture, area)
        self._drawn = wanted
        return self._grid

    def _draw(self, picture: ChartSpec, area: Area) -> CellGrid:
        grid = CellGrid()
        grid.set_size(area.width, area.height)
        grid.set_matrices()
        if not area.width or not area.height:
            return grid
        if picture.stacked:
            fill(grid, picture, area)
            grid.paint([slot(line.colour) for line in picture.lines])
            return grid
        lines = picture.lines[:_MOST_LINES]
        bars: list[tuple[list[Bar], str]] = []
        signals: list[tuple[list[float], list[float], str, int]] = []
        for index, (line, marker) in enumerate(zip(lines, markers(picture), strict=False)):
            strokes, uprights = paths(
                line.points, picture.begin_ms, picture.end_ms, picture.y, area
            )
            bars.append((uprights, marker))
            for xs, ys in strokes:
                if marker == "braille":
                    signals.append((xs, ys, marker, index))
                else:
                    x, y = _by_cells(xs, 2, area.width), _by_cells(ys, 4, area.height)
                    signals.append((x, y, marker, index))
        if signals:
            self._stroke(signals, grid, area)
        for index, (uprights, marker) in enumerate(bars):
            grid.fill_bars(uprights, marker, index)
        grid.paint([slot(line.colour) for line in lines])
        return grid

    def _stroke(
        self, signals: list[tuple[list[float], list[float], str, int]], grid: CellGrid, area: Area
    ) -> None:
        """Have plotext draw strokes (x, y, marker, line) into the grid."""
        if self._figure is None:
            self._figure = _figure()
        figure = self._figure
        for x, y, marker, index in signals:
            figure.plot(x, y, marker=marker, color=index)
        figure.plot_size(area.width, area.height)
        figure.frame(False)  # noqa: FBT003 - plotext's own signature
        figure.xfrequency(0)
        figure.yfrequency(0)
        figure.xlim(0, 1)
        figure.ylim(0, 1)
        figure.monitor.matrix = grid
        figure.build()
        figure.clear_data()


def _figure() -> Any:  # noqa: ANN401 - plotext has no types
    """Return a figure of plotext."""
    # the first chart does not wait for plotext if it has no strokes; the functions that plotext
    # has at its top share one global figure
    from plotext._figure import _figure_class  # noqa: PLC0415

    figure = _figure_class()
    # Without this a chart wider than the terminal of the moment would be cut.
    figure._limit_size(width=False, height=False)  # noqa: SLF001 - no public way
    return figure


def _by_cells(places: list[float], dots: int, cells: int) -> list[float]:
    """Return fractions that put a whole character into the cell where its dot would be.

    plotext rounds characters to cells and dots to dots, so a line of characters could lie one
    row beside the tick of its value.
    """
    return [cell_at(place, dots, cells) / max(cells - 1, 1) for place in places]
