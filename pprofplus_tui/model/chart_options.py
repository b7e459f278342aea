"""Options of charts: which are hidden, which have a logarithmic axis, which show totals."""

from dataclasses import dataclass, replace

from pprofplus_tui.model.charts import ChartKind

_PER_SECOND = " per second"


@dataclass(frozen=True)
class ChartOptions:
    """The options of the charts, kept while the program runs.

    Attributes:
        hidden: ids of the charts not to show.
        log: ids of those with a logarithmic y axis; a stack has none.
        levels: ids of those that show counters as they are, not their growth per second.
    """

    hidden: frozenset[str] = frozenset()
    log: frozenset[str] = frozenset()
    levels: frozenset[str] = frozenset()


def counts(kind: ChartKind) -> bool:
    """Return whether a chart shows growth per second, and so could show levels instead."""
    return any(rate for _, rate in kind.metrics)


def as_levels(kind: ChartKind) -> ChartKind:
    """Return the chart with its counters as they are: all since the process began."""
    if not counts(kind):
        return kind
    counted = any(series.rate for series in kind.series)
    return replace(
        kind,
        title=f"{kind.title.removesuffix(_PER_SECOND)}, total" if counted else kind.title,
        unit=kind.unit.removesuffix("/s") if counted else kind.unit,
        zero_based=kind.zero_based and not counted,
        series=tuple(replace(series, rate=False) for series in kind.series),
        notes=tuple(
            replace(note, rate=False, unit=note.unit.removesuffix("/s")) for note in kind.notes
        ),
    )
