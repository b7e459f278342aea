"""The help: keys, states, charts, and what each metric means, all from the tables."""

from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from pprofplus.metrics import CATALOGUE
from pprofplus_tui.model.keys import KEYS, Key
from pprofplus_tui.model.runs import (
    MEANINGS,
    PIN_SIGN,
    PINNED_MEANING,
    PLAIN_PIN_SIGN,
    PLAIN_SIGNS,
    SIGNS,
)

SIGNPOSTS: tuple[tuple[str, str], ...] = (
    ("heap_used grows", "Python objects are being kept: look for their owner"),
    ("heap_sys stays up while heap_used falls", "fragmentation: RSS will not come down"),
    (
        "malloc_used grows, heap_used flat",
        "a C extension, numpy, TLS, or big bytes objects",
    ),
    ("malloc_free is large", "freed, but not given back to the system"),
    ("rss grows and none of those", "memory maps, stacks, shared memory, files"),
)

_HEADING = Style(bold=True)
_DIM = Style(dim=True)


def _table(*columns: tuple[str, int | None]) -> Table:
    table = Table(
        box=None, show_header=any(name for name, _ in columns), pad_edge=False, header_style=_DIM
    )
    for name, width in columns:
        table.add_column(name, width=width, overflow="fold")
    return table


def key_table(*, plain: bool, keys: Sequence[Key] = KEYS) -> Table:
    """Return the keys by group."""
    table = _table(("", 10), ("", None))
    for group, rows in groupby(keys, lambda key: key.group):
        table.add_row(Text(group, _HEADING), Text(""))
        for key in rows:
            table.add_row(Text(key.plain if plain else key.shown), Text(key.text))
    return table


def state_table(*, plain: bool) -> Table:
    """Return the states of a run."""
    table = _table(("", 10), ("", None))
    for state, sign in (PLAIN_SIGNS if plain else SIGNS).items():
        table.add_row(Text(f"{sign} {state}"), Text(MEANINGS[state]))
    table.add_row(Text(f"{PLAIN_PIN_SIGN if plain else PIN_SIGN} pinned"), Text(PINNED_MEANING))
    return table


def signpost_table() -> Table:
    """Return what the layers say together."""
    table = _table(("", 28), ("", None))
    for shape, meaning in SIGNPOSTS:
        table.add_row(Text(shape), Text(meaning))
    return table


def metric_table() -> Table:
    """Return every metric of the catalogue with its meaning, and what Go calls it."""
    table = _table(("metric", 16), ("meaning", None), ("in Go", 12))
    for metric in CATALOGUE:
        table.add_row(Text(metric.name), Text(metric.meaning), Text(metric.go, _DIM))
    return table


class HelpScreen(ModalScreen[None]):
    """Everything the program can do, on one page that scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "dismiss", "Close"),
        Binding("ctrl+c", "app.quit", show=False, priority=True),  # as everywhere
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home", "edge(False)", show=False),
        Binding("end,G", "edge(True)", show=False),
    ]

    def __init__(self, *, plain: bool = False, keys: Sequence[Key] = KEYS) -> None:
        super().__init__()
        self._keys = keys
        self._plain = plain

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        plain = self._plain
        page = VerticalScroll(id="help")
        page.border_title = "help"
        page.border_subtitle = "Esc closes" if plain else "↑↓ PgUp PgDn scroll · Esc closes"
        page.can_focus = False
        with page:
            yield Static(key_table(plain=plain, keys=self._keys))
            yield Static(Text("\nState of a run", _HEADING))
            yield Static(state_table(plain=plain))
            yield Static(
                Text("\nWhere the memory is: rss is about heap_sys + malloc_sys + other", _HEADING)
            )
            yield Static(signpost_table())
            yield Static(Text("\nMetrics", _HEADING))
            yield Static(metric_table())

    @property
    def _page(self) -> VerticalScroll:
        return self.query_one("#help", VerticalScroll)

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
