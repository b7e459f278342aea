"""The charts: rectangles of drawn rows, put together into one widget's rows."""

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from pprofplus_tui.charts.picture import Cellrun, Row, Rows
from pprofplus_tui.model.layout import Place
from pprofplus_tui.widgets.rows import RowsWidget
from pprofplus_tui.widgets.text import fit


_CHOSEN = {"frame": "frame_selected", "title": "title_selected"}


def highlighted(row: Row) -> Row:
    """Return a row of a chart with its frame and title in the colour of the chosen one."""
    return tuple(Cellrun(run.text, _CHOSEN.get(run.style, run.style)) for run in row)


def composed(
    places: dict[str, Place],
    pictures: dict[str, Rows],
    width: int,
    height: int,
    chosen: str | None = None,
) -> Rows:
    """Return the rows of the whole area; a chart that is not drawn yet is blank."""
    rows = []
    for y in range(height):
        across = sorted(
            (place.x, name)
            for name, place in places.items()
            if place.y <= y < place.y + place.height
        )
        row: Row = ()
        for _, name in across:
            place = places[name]
            drawn = pictures.get(name, ())
            line = y - place.y
            part = fit(drawn[line] if line < len(drawn) else (), place.width)
            row += highlighted(part) if name == chosen else part
        rows.append(fit(row, width))
    return tuple(rows)


class ChartGrid(RowsWidget):
    """Shows drawn charts at their places."""

    class Clicked(Message):
        """A chart was clicked."""

        def __init__(self, chart: str) -> None:
            super().__init__()
            self.chart = chart

    class Zoomed(Message):
        """The wheel was turned over a chart: -1 is in; `x` is the chart's column under the mouse."""

        def __init__(self, step: int, chart: str, x: int) -> None:
            super().__init__()
            self.step = step
            self.chart = chart
            self.x = x

    class Resized(Message):
        """The area for charts has another size."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._places: dict[str, Place] = {}
        self._pictures: dict[str, Rows] = {}
        self._chosen: str | None = None

    def place(self, places: dict[str, Place], chosen: str | None) -> None:
        """Put the charts at these places, one of them framed as chosen.

        Pictures of another size are shown, cut or padded, until new ones come.
        """
        self._places = places
        self._chosen = chosen
        self._update()

    def draw(self, pictures: dict[str, Rows]) -> None:
        """Show newly drawn charts; those not named stay, also while they are hidden."""
        self._pictures.update(pictures)
        self._update()

    def _update(self) -> None:
        width, height = self.size
        self.set_rows(composed(self._places, self._pictures, width, height, self._chosen))

    def on_resize(self) -> None:
        """Ask the screen to arrange the charts anew."""
        self.post_message(self.Resized())

    def chart_at(self, x: int, y: int) -> str | None:
        """Return the chart under a cell, or None."""
        return next((name for name, place in self._places.items() if place.contains(x, y)), None)

    def on_click(self, event: Click) -> None:
        """Tell which chart was clicked."""
        chart = self.chart_at(event.x, event.y)
        if chart is not None:
            self.post_message(self.Clicked(chart))

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
