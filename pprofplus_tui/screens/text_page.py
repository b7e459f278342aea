"""A page of text above another screen, scrolled by the usual keys."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.style import Style
from rich.table import Table
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

HEADING = Style(bold=True)
DIM = Style(dim=True)


def page_table(*columns: tuple[str, int | None]) -> Table:
    """Return an empty table with these columns: (heading, width or None for the rest)."""
    table = Table(
        box=None, show_header=any(name for name, _ in columns), pad_edge=False, header_style=DIM
    )
    for name, width in columns:
        table.add_column(name, width=width, overflow="fold")
    return table


class TextPage(ModalScreen[None]):
    """One page that scrolls.

    Its content is `parts`, which is called when the page is laid out: from top to bottom.
    """

    TITLE_OF_PAGE: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close"),
        Binding("ctrl+c", "app.quit", show=False, priority=True),  # as everywhere
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home", "edge(False)", show=False),
        Binding("end,G", "edge(True)", show=False),
    ]

    def __init__(self, parts: Callable[[], Iterable[Static]], *, plain: bool = False) -> None:
        super().__init__()
        self._parts = parts
        self._plain = plain

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        page = VerticalScroll(id="page")
        page.border_title = self.TITLE_OF_PAGE
        page.border_subtitle = "Esc closes" if self._plain else "↑↓ PgUp PgDn scroll · Esc closes"
        page.can_focus = False
        with page:
            yield from self._parts()

    @property
    def _page(self) -> VerticalScroll:
        return self.query_one("#page", VerticalScroll)

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self._page.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        self._page.scroll_relative(y=pages * (self._page.size.height - 1), animate=False)

    def action_edge(self, end: bool) -> None:  # noqa: FBT001 - an action's argument
        """Go to the first or the last line."""
        if end:
            self._page.scroll_end(animate=False)
        else:
            self._page.scroll_home(animate=False)
