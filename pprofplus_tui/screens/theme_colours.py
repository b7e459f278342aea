"""The colours of a screen's widgets, which follow the theme of the app."""

from textual.screen import Screen

from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.theme import TokenColours


def follow_theme(screen: Screen[None], colours: tuple[tuple[str, str], ...]) -> None:
    """Apply the theme's colours to all cell widgets of a screen, now and when the theme changes.

    `colours` are custom colours, see `Options`.
    """

    def repaint(_: object = None) -> None:
        paint = TokenColours.standard(dark=screen.app.current_theme.dark, own=colours)
        for widget in screen.query(CellWidget):
            widget.set_paint(paint)

    screen.app.theme_changed_signal.subscribe(screen, repaint)
    repaint()
