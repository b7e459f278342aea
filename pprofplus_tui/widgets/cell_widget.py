"""The base of all widgets: rows of styled text in, changed cells out."""

from rich.segment import Segment
from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from pprofplus_tui.model.cell_rows import Row, Rows, width_of
from pprofplus_tui.terminal.changed_cells import changed_spans
from pprofplus_tui.widgets.theme import TokenColours


def _is_blank(row: Row) -> bool:
    return all(run.style in {"", "text"} and not run.text.strip(" ") for run in row)


class CellWidget(Widget):
    """Draws rows of (text, style token) runs and repaints only the cells that differ.

    Textual rewrites a refreshed region as a whole, which is expensive over a slow line. So the
    widget compares its rows itself and refreshes only the changed span of each.
    """

    DEFAULT_CSS = "CellWidget { width: 1fr; height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: Rows = ()
        self._paint = TokenColours.standard()
        self._strips: dict[int, tuple[Row, Strip]] = {}

    def set_rows(self, rows: Rows) -> None:
        """Show `rows`; nothing is written where they equal the current ones."""
        if not self.rows and all(map(_is_blank, rows)):
            self.rows = rows  # like the empty widget
            return
        spans = changed_spans(self.rows, rows)
        fewer = len(rows) < len(self.rows)
        self.rows = rows
        if fewer:
            self.refresh()  # the rows below must be cleared too
        elif spans:
            self.refresh(*(Region(x, y, width, 1) for y, x, width in spans))

    def set_paint(self, paint: TokenColours) -> None:
        """Draw with other colours; nothing is drawn if they are the same."""
        if paint is self._paint:
            return
        self._paint = paint
        self._strips.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return row `y` as a strip of the widget's width; unchanged rows keep their strip."""
        width = self.size.width
        row = self.rows[y] if y < len(self.rows) else ()
        kept = self._strips.get(y)
        if kept is not None and kept[0] == row and kept[1].cell_length == width:
            return kept[1]
        styles = self._paint
        # the length is given: Textual would measure each character, which all have one cell here
        strip = Strip([Segment(run.text, styles[run.style]) for run in row], width_of(row))
        strip = strip.adjust_cell_length(width, styles["text"])
        self._strips[y] = (row, strip)
        return strip

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the rows of a part of the widget.

        Textual requests all rows whenever a cell of any widget changes, and applies borders,
        paddings and tints to each, of which there are none here.
        """
        self._dirty_regions.clear()  # not used here, and nothing else clears it
        # these rows already have true colours; a strip caches the result of a filter
        found = self.get_line_filters()
        filters = [each for each in found if not isinstance(each, ANSIToTruecolor)]
        strips = []
        for y in crop.line_range:
            strip = self.render_line(y)
            for line_filter in filters:
                strip = strip.apply_filter(line_filter, self.background_colors[1])
            strips.append(strip)
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips
