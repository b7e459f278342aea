"""The help page: keys, states, events and metrics, all made from the tables of the model."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Static

from pprofplus.metrics import CATALOGUE, COUNTER, Metric
from pprofplus_tui.model.events import KINDS
from pprofplus_tui.model.explanations import LAYERS_HEADING, SIGNPOSTS
from pprofplus_tui.model.keys import KEYS, Key
from pprofplus_tui.model.runs import (
    MEANINGS,
    PIN_SIGN,
    PINNED_MEANING,
    PLAIN_PIN_SIGN,
    PLAIN_SIGNS,
    SIGNS,
)
from pprofplus_tui.model.verdict import LAYER_BY_ID
from pprofplus_tui.screens.text_page import DIM, HEADING, TextPage, page_table


def key_table(*, plain: bool, keys: Sequence[Key] = KEYS) -> Table:
    """Return the keys by group."""
    table = page_table(("", 10), ("", None))
    for group, rows in groupby(keys, lambda key: key.group):
        table.add_row(Text(group, HEADING), Text(""))
        for key in rows:
            table.add_row(Text(key.plain if plain else key.shown), Text(key.text))
    return table


def state_table(*, plain: bool) -> Table:
    """Return the states of a run."""
    table = page_table(("", 12), ("", None))
    for state, sign in (PLAIN_SIGNS if plain else SIGNS).items():
        table.add_row(Text(f"{sign} {state}"), Text(MEANINGS[state]))
    table.add_row(Text(f"{PLAIN_PIN_SIGN if plain else PIN_SIGN} pinned"), Text(PINNED_MEANING))
    return table


def event_table() -> Table:
    """Return the kinds of events, which are drawn as vertical lines."""
    table = page_table(("", 10), ("", None))
    for kind in KINDS.values():
        table.add_row(Text(kind.word), Text(kind.meaning))
    return table


def signpost_table() -> Table:
    """Return what combinations of layers usually mean."""
    table = page_table(("", 28), ("", None))
    for figures, layer in SIGNPOSTS:
        table.add_row(Text(figures), Text(LAYER_BY_ID[layer].meaning))
    return table


def metric_table(metrics: Iterable[Metric] = CATALOGUE) -> Table:
    """Return metrics with their meanings, units, and names in Go."""
    table = page_table(("metric", 16), ("meaning, unit, name in Go", None))
    for metric in metrics:
        unit = f"{metric.unit}/s" if metric.kind == COUNTER else metric.unit
        more = ", ".join(filter(None, (unit, metric.go and f"Go: {metric.go}")))
        table.add_row(Text(metric.name), Text.assemble(metric.meaning, (f"  {more}", DIM)))
    return table


def help_parts(keys: Sequence[Key], *, plain: bool) -> Iterator[Static]:
    """Yield keys, states, events, signposts and metrics."""
    yield Static(key_table(plain=plain, keys=keys))
    yield Static(Text("\nState of a run", HEADING))
    yield Static(state_table(plain=plain))
    yield Static(
        Text("\nVertical lines in the charts; small charts show their first letters", HEADING)
    )
    yield Static(event_table())
    yield Static(Text(LAYERS_HEADING, HEADING))
    yield Static(signpost_table())
    yield Static(Text("\nMetrics", HEADING))
    yield Static(metric_table())


class HelpPage(TextPage):
    """Keys, states, events and metrics on one page that scrolls."""

    TITLE_OF_PAGE = "help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,f1", "dismiss", show=False),
    ]

    def __init__(self, *, plain: bool = False, keys: Sequence[Key] = KEYS) -> None:
        super().__init__(lambda: help_parts(keys, plain=plain), plain=plain)
