"""The explain page: the window, the chosen chart's metrics, shapes of curves, all metrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Static

from pprofplus.metrics import BY_NAME, CATALOGUE
from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.explanations import (
    GO_SUMS,
    LAYERS_HEADING,
    SHAPE_KINDS,
    chart_metrics,
    death_sentences,
    shape_of,
    window_sentences,
)
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes, format_delta_bytes
from pprofplus_tui.model.verdict import LAYERS, Verdicts
from pprofplus_tui.model.verdict_text import layer_text
from pprofplus_tui.screens.help_page import metric_table, signpost_table
from pprofplus_tui.screens.text_page import DIM, HEADING, TextPage, page_table

_UNIT_CELLS = 24


@dataclass(frozen=True)
class Explained:
    """What the page explains.

    Attributes:
        chart: the chosen chart.
        verdicts: the verdicts on the visible window.
        run: service and pid of the run, as text that is safe to show.
        death: how the run ended, None while it is running.
    """

    chart: ChartKind
    verdicts: Verdicts
    run: str
    death: Death | None = None


def layers_table(verdicts: Verdicts, *, plain: bool) -> Table:
    """Return each layer's size, measured change and verdict; the cause of the growth is marked."""
    table = page_table(("layer", 13), ("now", 8), ("change", 9), ("in this window", None))
    grows_most = verdicts.responsible
    sign = "<- grows most" if plain else "← grows most"
    for layer in verdicts.layers:
        verdict = layer_text(layer)
        marked = f"  {sign}" if layer is grows_most else ""
        table.add_row(
            Text(layer.kind.label),
            Text(format_bytes(layer.now_bytes)),
            Text("" if layer.change is None else format_delta_bytes(layer.change.amount)),
            Text(verdict + marked, HEADING if layer is grows_most else ""),
        )
    return table


def own_table(chart: ChartKind, *, plain: bool) -> Table:
    """Return the metrics of a chart of the service's own gauges, with their units."""
    table = page_table(("metric", 24), ("unit", None))
    for series in reversed(chart.series):
        unit = clean(chart.unit, _UNIT_CELLS, ascii_only=plain)
        table.add_row(Text(clean(series.label, _UNIT_CELLS, ascii_only=plain)), Text(unit))
    return table


def _advice(meaning: str, action: str) -> Text:
    return Text.assemble(meaning, "\n", ("Next: ", DIM), action)


def shapes_table(current: str, *, plain: bool) -> Table:
    """Return shapes, their meanings and what to do; the current shape is first and marked."""
    table = page_table(("", 1), ("shape", 18), ("usually means", None))
    sign = ">" if plain else "▸"
    for shape in sorted(SHAPE_KINDS, key=lambda shape: shape.id != current):
        now = shape.id == current
        style = HEADING if now else ""
        advice = _advice(shape.meaning, shape.action)
        table.add_row(Text(sign if now else ""), Text(shape.appearance, style), advice)
    return table


def growth_table() -> Table:
    """Return what the growth of each layer means and what to do."""
    table = page_table(("layer grows", 16), ("means", None))
    for layer in LAYERS:
        if layer.meaning:
            table.add_row(Text(layer.label), _advice(layer.meaning, layer.action))
    return table


def go_table() -> Table:
    """Return the sums of metrics that Go has names for."""
    table = page_table(("", 24), ("in Go", None))
    for ours, theirs in GO_SUMS:
        table.add_row(Text(ours), Text(theirs, DIM))
    return table


def explain_parts(explained: Explained, *, plain: bool) -> Iterator[Static]:
    """Yield the window, the chart's metrics, shapes, layers and the other metrics."""
    verdicts, chart = explained.verdicts, explained.chart
    mine = chart_metrics(chart)
    known = [BY_NAME[name] for name in mine if name in BY_NAME]
    yield Static(Text(f"{explained.run}, the visible window", HEADING))
    for sentence in death_sentences(explained.death):
        yield Static(Text(clean(sentence, ascii_only=plain)))
    for sentence in window_sentences(verdicts):
        yield Static(Text(sentence))
    if verdicts.layers:
        yield Static("")
        yield Static(layers_table(verdicts, plain=plain))
    title = clean(chart.title, _UNIT_CELLS, ascii_only=plain)
    yield Static(Text(f"\nThe chart: {title}", HEADING))
    if known:
        yield Static(metric_table(known))
    else:
        yield Static(Text("Metrics that the service itself added with pprofplus.gauge()."))
        yield Static(own_table(chart, plain=plain))
    yield Static(Text("\nWhat shapes usually mean", HEADING))
    yield Static(shapes_table(shape_of(verdicts), plain=plain))
    yield Static(Text("\nWhich layer grows", HEADING))
    yield Static(growth_table())
    yield Static(Text(LAYERS_HEADING, HEADING))
    yield Static(signpost_table())
    yield Static(Text("\nThe other metrics", HEADING))
    yield Static(metric_table(metric for metric in CATALOGUE if metric.name not in mine))
    yield Static(Text("\nSums that Go has names for", HEADING))
    yield Static(go_table())


class ExplainPage(TextPage):
    """One page: the window and the chosen chart first, then the rest."""

    TITLE_OF_PAGE = "explain"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("i", "dismiss", show=False)]

    def __init__(self, explained: Explained, *, plain: bool = False) -> None:
        super().__init__(lambda: explain_parts(explained, plain=plain), plain=plain)
