"""The charts: rectangles of drawn rows, combined into one widget's rows."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from textual.events import Click, MouseMove, MouseScrollDown, MouseScrollUp
from textual.message import Message

from pprofplus_tui.model.cell_rows import Cellrun, Row, Rows, width_of
from pprofplus_tui.model.grid_layout import ChartPlace
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.row_text import fit

_CHOSEN = {"frame": "frame_selected", "title": "title_selected"}


@lru_cache(128)
def highlighted(row: Row) -> Row:
    """Return a row of a chart with its frame and title in the colour of the chosen one."""
    return tuple(Cellrun(run.text, _CHOSEN.get(run.style, run.style)) for run in row)


def sized(rows: Rows, place: ChartPlace) -> Rows:
    """Return a chart's rows for its place; one drawn for another size is cut or padded."""
    if len(rows) == place.height and rows and width_of(rows[0]) == place.width:
        return rows
    blank: Row = ()
    return tuple(fit(rows[y] if y < len(rows) else blank, place.width) for y in range(place.height))


def composed(
    places: Mapping[str, ChartPlace], drawn: Mapping[str, Rows], width: int, lines: Iterable[int]
) -> Iterator[Row]:
    """Return some lines of the whole area; charts missing in `drawn` are blank."""
    order = sorted(places.items(), key=lambda item: item[1].x)
    for y in lines:
        row: Row = ()
        for name, place in order:
            if place.y <= y < place.y + place.height:
                rows = drawn.get(name)
                row += rows[y - place.y] if rows else fit((), place.width)
        yield row if width_of(row) == width else fit(row, width)


class ChartGrid(CellWidget):
    """Shows drawn charts at their places."""

    class Clicked(Message):
        """A chart was clicked, at a cell of it; a double click if `double`."""

        def __init__(self, chart: str, x: int, y: int, *, double: bool = False) -> None:
            super().__init__()
            self.chart = chart
            self.x = x
            self.y = y
            self.double = double

    class Dragged(Message):
        """The mouse moved over a column of a chart with its button held."""

        def __init__(self, chart: str, x: int) -> None:
            super().__init__()
            self.chart = chart
            self.x = x

    class Zoomed(Message):
        """The wheel was turned over a chart: -1 is in; `x` is the chart's column there."""

        def __init__(self, step: int, chart: str, x: int) -> None:
            super().__init__()
            self.step = step
            self.chart = chart
            self.x = x

    class Resized(Message):
        """The area for charts has another size."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._places: dict[str, ChartPlace] = {}
        self._drawn: dict[str, Rows] = {}  # in the drawn size
        self._sized: dict[str, Rows] = {}  # in the size of the place
        self._chosen: str | None = None

    def place(self, places: dict[str, ChartPlace], chosen: str | None) -> None:
        """Put the charts at these places, one of them framed as chosen.

        Drawings of another size are shown, cut or padded, until new ones arrive.
        """
        if (places, chosen) == (self._places, self._chosen) and self.rows:
            return
        self._places = places
        self._chosen = chosen
        self._sized = {name: self._fitted(name) for name in places if name in self._drawn}
        width, height = self.size
        self.set_rows(tuple(composed(places, self._sized, width, range(height))))

    def draw(self, charts: Mapping[str, Rows]) -> None:
        """Show newly drawn charts in one repaint; hidden ones are kept."""
        self._drawn.update(charts)
        width, height = self.size
        lines: set[int] = set()
        for chart in charts.keys() & self._places.keys():
            place = self._places[chart]
            self._sized[chart] = self._fitted(chart)
            lines.update(range(place.y, min(place.y + place.height, height)))
        if not lines:
            return
        all_rows = list(self.rows)
        if len(all_rows) < height:
            all_rows += [fit((), width)] * (height - len(all_rows))
        for y, row in zip(lines, composed(self._places, self._sized, width, lines), strict=True):
            all_rows[y] = row
        self.set_rows(tuple(all_rows))

    def _fitted(self, chart: str) -> Rows:
        rows = sized(self._drawn[chart], self._places[chart])
        return tuple(map(highlighted, rows)) if chart == self._chosen else rows

    def on_resize(self) -> None:
        """Request a new arrangement of the charts."""
        self.post_message(self.Resized())

    def chart_at(self, x: int, y: int) -> str | None:
        """Return the chart under a cell, or None."""
        return next((name for name, place in self._places.items() if place.contains(x, y)), None)

    def on_click(self, event: Click) -> None:
        """Post which chart was clicked."""
        chart = self.chart_at(event.x, event.y)
        if chart is not None:
            place = self._places[chart]
            x, y = event.x - place.x, event.y - place.y
            self.post_message(self.Clicked(chart, x, y, double=event.chain == 2))  # noqa: PLR2004

    def on_mouse_move(self, event: MouseMove) -> None:
        """Post where the mouse is dragged; without a button, nothing is posted."""
        chart = self.chart_at(event.x, event.y) if event.button else None
        if chart is not None:
            self.post_message(self.Dragged(chart, event.x - self._places[chart].x))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Zoom out around the mouse."""
        self._zoomed(1, event.x, event.y)
        event.stop()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Zoom in around the mouse."""
        self._zoomed(-1, event.x, event.y)
        event.stop()

    def _zoomed(self, step: int, x: int, y: int) -> None:
        chart = self.chart_at(x, y)
        if chart is not None:
            self.post_message(self.Zoomed(step, chart, x - self._places[chart].x))
