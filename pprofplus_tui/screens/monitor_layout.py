"""Which widgets of the main screen are visible, by the terminal's size and whether runs exist."""

from textual.screen import Screen

from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.model.messages import Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.widgets.placeholder import Placeholder, empty_rows

MIN_COLUMNS, MIN_ROWS = 60, 15
_LIST_FROM_COLUMNS = 76  # a narrower screen has no room for a chart next to the list
_WIDE_FROM_COLUMNS = 140  # a wider screen has room for longer sparklines


class MonitorLayout:
    """Sets the CSS classes of the screen for `app.tcss`; owns the two placeholders.

    Attributes:
        empty: shown instead of the charts while there is no run.
        small: shown alone in a terminal that is too small.
    """

    def __init__(self, screen: Screen[None], options: Options) -> None:
        self._screen = screen
        self._options = options
        self.empty, self.small = Placeholder(id="notice"), Placeholder(id="small")

    def fit(self, width: int, height: int) -> None:
        """Show what fits in a terminal of that size."""
        small = width < MIN_COLUMNS or height < MIN_ROWS
        self._screen.set_class(small, "small")
        self._screen.set_class(width < _LIST_FROM_COLUMNS, "narrow")
        self._screen.set_class(width >= _WIDE_FROM_COLUMNS, "wide")
        if small:
            needed = f"{MIN_COLUMNS}x{MIN_ROWS} needed, this is {width}x{height}"
            self.small.show(((Cellrun("terminal too small", "title"),), (Cellrun(needed, "text"),)))

    def show(self, frame: Frame) -> None:
        """Show the charts, or instructions while there is no run."""
        options = self._options
        if not frame.runs:
            lines = empty_rows(
                options.directories,
                options.service,
                options.pid,
                others=frame.other_services,
                plain=options.plain,
            )
            self.empty.show(lines)
        self._screen.set_class(not frame.runs, "empty")
