"""The charts of the monitor, declared once: screens, help and export are made from this table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        metric: name in the log, as in `pprofplus.metrics`.
        label: what the legend calls it.
        colour: index into the palette; a metric keeps its colour wherever it is drawn.
        rate: draw the counter's growth per second, not its level.
        when_near: draw it only when the data come near it (a limit far above would flatten them).
    """

    metric: str
    label: str
    colour: int
    rate: bool = False
    when_near: bool = False


@dataclass(frozen=True)
class Note:
    """A number beside a chart's title, for what has another unit than the chart.

    Attributes:
        label: what stands after the number.
        metrics: the metrics whose sum is shown; those that a log lacks count as absent.
        unit: the unit of the number shown, as `units.format_quantity` knows it.
        rate: show the growth per second, not the level.
    """

    label: str
    metrics: tuple[str, ...]
    unit: str
    rate: bool = False


@dataclass(frozen=True)
class ChartKind:
    """One chart.

    Attributes:
        key: the digit that shows and hides it.
        id: stable name for settings, widgets and the command line.
        title: what the frame says.
        unit: the unit of every series in it, as `units.format_quantity` knows it.
        zero_based: the y axis starts at 0; otherwise it starts near the data, so that a leak of
            a few MiB in a large service is visible.
        series: its lines, the most important last, because a later line is drawn on top.
        notes: numbers shown beside the title.
    """

    key: str
    id: str
    title: str
    unit: str
    zero_based: bool
    series: tuple[Series, ...]
    notes: tuple[Note, ...] = ()


CHARTS: tuple[ChartKind, ...] = (
    ChartKind(
        "1",
        "memory",
        "memory",
        "B",
        zero_based=False,
        series=(
            Series("cgroup_limit", "limit", 5, when_near=True),
            Series("uss", "uss", 1),
            Series("rss", "rss", 0),
        ),
    ),
    ChartKind(
        "2",
        "virtual",
        "virtual memory",
        "B",
        zero_based=False,
        series=(Series("vms", "vms", 3),),
    ),
    ChartKind(
        "3",
        "python_heap",
        "python heap",
        "B",
        zero_based=False,
        series=(
            Series("heap_idle", "idle", 2),
            Series("heap_sys", "sys", 0),
            Series("heap_used", "used", 1),
        ),
    ),
    ChartKind(
        "4",
        "c_heap",
        "C heap",
        "B",
        zero_based=False,
        series=(
            Series("malloc_free", "free", 2),
            Series("malloc_sys", "sys", 0),
            Series("malloc_used", "used", 1),
        ),
    ),
    # Pauses are what hurts a service, so they are the line. Collections per second have another
    # unit, and two units on one axis mislead: they are a number beside the title.
    ChartKind(
        "5",
        "gc",
        "gc pause",
        "us",
        zero_based=True,
        series=(Series("gc_pause_max", "longest", 4),),
        notes=(Note("runs", ("gc_runs_0", "gc_runs_1", "gc_runs_2"), "count/s", rate=True),),
    ),
    ChartKind(
        "6",
        "cpu",
        "cpu",
        "us/s",
        zero_based=True,
        series=(
            Series("cpu_system", "system", 5, rate=True),
            Series("cpu_user", "user", 3, rate=True),
        ),
        notes=(Note("threads", ("threads",), "count"),),
    ),
)

CHART_BY_ID: dict[str, ChartKind] = {chart.id: chart for chart in CHARTS}

# Which charts stay when the terminal has no room for all: where the memory is, before how much
# address space there is.
PRIORITY: tuple[str, ...] = ("memory", "python_heap", "c_heap", "cpu", "gc", "virtual")


def most_important(count: int) -> tuple[ChartKind, ...]:
    """Return at most `count` charts, at least one, chosen by `PRIORITY`, in the table's order."""
    chosen = set(PRIORITY[: max(count, 1)])
    return tuple(chart for chart in CHARTS if chart.id in chosen)


def metrics_of(charts: tuple[ChartKind, ...]) -> tuple[str, ...]:
    """Return every metric that the charts draw or note, each once, in the table's order."""
    names: dict[str, None] = {}
    for chart in charts:
        names.update(dict.fromkeys(series.metric for series in chart.series))
        for note in chart.notes:
            names.update(dict.fromkeys(note.metrics))
    return tuple(names)
