"""The adapter to plotext: lines in, a grid of characters and their owners out.

No other module uses plotext. Its problems (5.3.2), and how this module avoids them:

- A point far outside the limits is drawn dot by dot up to there, for seconds; NaN and equal
  limits raise. So it gets fractions of the plot, all within [0, 1], and limits of 0 and 1.
- Two points at one place, unlabelled signals and single points are safe; a labelled signal
  without points is not, so no labels are used.
- A figure is cut to the size that the terminal has when it is made, unless that is switched off.
- Its string of colour codes costs as much as the drawing. So `cell_grid.CellGrid` replaces
  plotext's matrix: it has the same methods, keeps only what is needed, and merges the dots of
  lines that meet in one cell, where plotext's loses those of the earlier line.
- A figure belongs to one thread.
- It costs 5 us for every dot, so noise as high as the plot takes 190 ms for one line. So it
  draws only the strokes, which are as flat as possible; the grid fills the upright bars from a
  bucket's lowest to its highest value, whole cells at a time.
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
# A band below the lines: the lines must be visible on it.
_FAINT_MARKER, _FAINT_ASCII_MARKER = "░", "."
# An owner is a byte; a line's number is passed through plotext as a colour, also a byte.
_MAX_LINES = 250


def markers(spec: ChartSpec) -> tuple[str, ...]:
    """Return what each line or band is drawn with: "braille" or one character."""
    if spec.stacked:
        return signs(spec)
    if spec.ascii_only:
        table, faint = _ASCII_MARKERS, _FAINT_ASCII_MARKER
    else:
        table, faint = _DISTINCT_MARKERS if spec.distinct else ("braille",), _FAINT_MARKER
    count = len(spec.lines)
    return tuple(
        faint if line.colour == FAINT else table[(count - 1 - i) % len(table)]
        for i, line in enumerate(spec.lines)
    )


class Canvas:
    """Draws the lines of charts; it owns one plotext figure and belongs to one thread."""

    def __init__(self) -> None:
        self._figure: Any = None  # made for the first stroke
        self._drawn: tuple[object, ...] = ()
        self._grid = CellGrid()

    def draw(self, spec: ChartSpec) -> CellGrid:
        """Return the grid of the chart's plot area, which may have no cells.

        Titles, legends, marks and cursors are not part of it, so moving a cursor draws nothing
        again: the previous grid is returned if its lines and limits are the same.
        The caller must not change it.
        """
        area = plot_area(spec.width, spec.height)
        # Points compare by identity, so this is fast, and it keeps them alive.
        wanted = (
            *(area, spec.begin_ms, spec.end_ms, spec.y.lo, spec.y.hi, spec.y.log),
            *(spec.ascii_only, spec.distinct, spec.stacked),
            tuple((line.colour, line.points) for line in spec.lines),
        )
        if wanted == self._drawn:
            return self._grid
        self._drawn = ()
        self._grid = self._draw(spec, area)
        self._drawn = wanted
        return self._grid

    def _draw(self, spec: ChartSpec, area: Area) -> CellGrid:
        grid = CellGrid()
        grid.set_size(area.width, area.height)
        grid.set_matrices()
        if not area.width or not area.height:
            return grid
        if spec.stacked:
            fill(grid, spec, area)
            grid.paint([slot(line.colour) for line in spec.lines])
            return grid
        lines = spec.lines[:_MAX_LINES]
        bars: list[tuple[list[Bar], str]] = []
        signals: list[tuple[list[float], list[float], str, int]] = []
        for index, (line, marker) in enumerate(zip(lines, markers(spec), strict=False)):
            strokes, uprights = paths(line.points, spec.begin_ms, spec.end_ms, spec.y, area)
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
        """Draw strokes (x, y, marker, line) into the grid with plotext."""
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
    # imported here: a first chart without strokes does not wait for it; plotext's public functions
    # share one global figure
    from plotext._figure import _figure_class  # noqa: PLC0415

    figure = _figure_class()
    # Otherwise a chart wider than the terminal would be cut.
    figure._limit_size(width=False, height=False)  # noqa: SLF001 - no public way
    return figure


def _by_cells(places: list[float], dots: int, cells: int) -> list[float]:
    """Return fractions that put a whole character into the cell where its dot would be.

    plotext rounds characters to cells and dots to dots, so a line of characters could lie one
    row away from the tick of its value.
    """
    return [cell_at(place, dots, cells) / max(cells - 1, 1) for place in places]
