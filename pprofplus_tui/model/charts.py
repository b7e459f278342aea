"""The table of charts, and the charts that a run's own metrics add to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from pprofplus.metrics import BY_NAME, BYTES, COUNT, COUNTER, MICROSECONDS
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import true_unit


@dataclass(frozen=True)
class ChartSeries:
    """One line of a chart.

    Attributes:
        metric: name in the log, as in `pprofplus.metrics`.
        label: its name in the legend.
        colour: index into the palette; a metric keeps its colour wherever it is drawn.
        rate: draw the counter's growth per second, not its level.
        when_near: draw it only if the data are near it (a distant limit would flatten them).
        scale: the log's figures are divided by it to be in the chart's unit.
        less: metrics to subtract; the rest is the part of a stack.
        spare: the part of a stack is free memory, which need not be resident.
        extreme: the legend shows the largest value of the window, not the latest. Several runs
            are combined by their largest value, not by a sum.
    """

    metric: str
    label: str
    colour: int
    rate: bool = False
    when_near: bool = False
    scale: int = 1
    less: tuple[str, ...] = ()
    spare: bool = False
    extreme: bool = False


@dataclass(frozen=True)
class Note:
    """A number next to a chart's title, for a metric whose unit is not that of the chart.

    Attributes:
        label: the text after the number.
        metrics: the metrics whose sum is shown; those that a log lacks count as absent.
        unit: the unit of the number shown, as in `units.format_quantity`.
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
        key: the digit that shows and hides it, or "".
        id: stable name for settings, widgets and the command line.
        title: the text in the frame.
        unit: the unit of every series in it, as in `units.format_quantity`.
        zero_based: the y axis starts at 0; otherwise it starts near the data, so that a leak of
            a few MiB in a large service is visible.
        series: its lines, the most important last, because a later line is drawn on top.
        notes: numbers shown next to the title.
        noise: the least height of its y axis, in its unit, while it shows fractions; None: what
            suits the unit.
        total: its series are stacked, from the bottom up, and add up to this metric; "": they
            are lines. See `layers`.
    """

    key: str
    id: str
    title: str
    unit: str
    zero_based: bool
    series: tuple[ChartSeries, ...]
    notes: tuple[Note, ...] = ()
    noise: float | None = None
    total: str = ""

    @property
    def metrics(self) -> tuple[tuple[str, bool], ...]:
        """The metrics of its lines and notes: (metric, as a rate)."""
        lines = [(series.metric, series.rate) for series in self.series]
        lines += [(metric, False) for series in self.series for metric in series.less]
        notes = [(metric, note.rate) for note in self.notes for metric in note.metrics]
        return tuple(dict.fromkeys(lines + notes))


CHARTS: tuple[ChartKind, ...] = (
    ChartKind(
        "1",
        "memory",
        "memory",
        "B",
        zero_based=False,
        series=(
            ChartSeries("cgroup_limit", "limit", 5, when_near=True),
            ChartSeries("uss", "uss", 1),
            ChartSeries("rss", "rss", 0),
        ),
    ),
    ChartKind(
        "2",
        "virtual",
        "virtual memory",
        "B",
        zero_based=False,
        series=(ChartSeries("vms", "vms", 3),),
    ),
    ChartKind(
        "3",
        "python_heap",
        "python heap",
        "B",
        zero_based=False,
        series=(
            ChartSeries("heap_idle", "idle", 2),
            ChartSeries("heap_sys", "sys", 0),
            ChartSeries("heap_used", "used", 1),
        ),
    ),
    ChartKind(
        "4",
        "c_heap",
        "C heap",
        "B",
        zero_based=False,
        series=(
            ChartSeries("malloc_free", "free", 2),
            ChartSeries("malloc_sys", "sys", 0),
            ChartSeries("malloc_used", "used", 1),
        ),
    ),
    # Pauses slow a service down, so they are the line. Collections per second have another unit,
    # and two units on one axis mislead: they are a number next to the title.
    ChartKind(
        "5",
        "gc",
        "gc pause",
        "us",
        zero_based=True,
        series=(ChartSeries("gc_pause_max", "longest", 4, extreme=True),),
        notes=(Note("runs", ("gc_runs_0", "gc_runs_1", "gc_runs_2"), "count/s", rate=True),),
    ),
    ChartKind(
        "6",
        "cpu",
        "cpu",
        "us/s",
        zero_based=True,
        series=(
            ChartSeries("cpu_system", "system", 5, rate=True),
            ChartSeries("cpu_user", "user", 3, rate=True),
        ),
        notes=(Note("threads", ("threads",), "count"),),
    ),
    # neighbours in a stack must differ, so metrics have other colours here than as lines
    ChartKind(
        "7",
        "layers",
        "where RSS is",
        "B",
        zero_based=True,
        series=(
            ChartSeries("heap_used", "py used", 1),
            ChartSeries("heap_idle", "py idle", 2, spare=True),
            ChartSeries("heap_sys", "py frag", 4, less=("heap_used", "heap_idle"), spare=True),
            ChartSeries("malloc_used", "C used", 0),
            ChartSeries("malloc_free", "C free", 3, spare=True),
            ChartSeries("rss", "other", 5, less=("heap_sys", "malloc_sys")),
        ),
        total="rss",
    ),
)

# Which charts stay visible if the terminal has no room for all: the use of memory is more
# important than the size of the address space.
PRIORITY: tuple[str, ...] = ("memory", "python_heap", "layers", "c_heap", "cpu", "gc", "virtual")


@dataclass(frozen=True)
class ChartTable:
    """The charts of a run.

    Attributes:
        charts: in the order of their keys.
        priority: the ids of all of them; the first ones stay visible if there is little room.
    """

    charts: tuple[ChartKind, ...] = CHARTS
    priority: tuple[str, ...] = PRIORITY

    @cached_property
    def by_id(self) -> Mapping[str, ChartKind]:
        """The charts by their ids."""
        return {chart.id: chart for chart in self.charts}

    @property
    def own(self) -> tuple[ChartKind, ...]:
        """The charts of metrics that are not in the catalogue."""
        return self.charts[len(CHARTS) :]


STANDARD = ChartTable()

# Ids of charts of a run's own metrics are numbers, not names: text from a log is not used as an
# id in the program. The first two have keys.
_OWN = "own"
OWN_KEYS: tuple[tuple[str, str], ...] = tuple((f"{_OWN}{i + 1}", str(8 + i)) for i in range(2))
_OWN_LINES = 4  # more lines in one chart could not be distinguished
_NAME_CHARS = 64  # the collector writes no longer name; a file may hold any
_FINE_NOISE = 0.01  # of figures in thousandths, ten of these
_UNIT_TITLES = {BYTES: "bytes", MICROSECONDS: "times", COUNT: "counts"}


@lru_cache(64)
def charts_for(metrics: tuple[tuple[str, str, str], ...]) -> ChartTable:
    """Return the charts for a run with these metrics: (name, unit, kind), untrusted.

    Metrics that are not in the catalogue get charts after all others: one for each unit, with at
    most four lines; counters are drawn as rates.
    """
    groups: dict[tuple[str, bool], list[ChartSeries]] = {}
    for name, unit, kind in metrics:
        if name in BY_NAME:
            continue
        shown, scale = true_unit(unit)
        lines = groups.setdefault((shown[:_NAME_CHARS] or COUNT, kind == COUNTER), [])
        label = clean(name[:_NAME_CHARS]) or "?"
        colour = len(lines) % _OWN_LINES
        lines.append(ChartSeries(name, label, colour, rate=kind == COUNTER, scale=scale))
    if not groups:
        return STANDARD
    own: list[ChartKind] = []
    for (unit, rate), lines in groups.items():
        for at in range(0, len(lines), _OWN_LINES):
            number = f" {at // _OWN_LINES + 1}" if len(lines) > _OWN_LINES else ""
            part = lines[at : at + _OWN_LINES]
            own.append(_own_chart(len(own), unit, part, number, rate=rate))
    return ChartTable(CHARTS + tuple(own), PRIORITY + tuple(chart.id for chart in own))


def _own_chart(
    index: int, unit: str, lines: Sequence[ChartSeries], number: str, *, rate: bool
) -> ChartKind:
    title = _UNIT_TITLES.get(unit) or clean(unit)
    title = f"{title}{' per second' if rate else ''}{number}"
    known = unit in {BYTES, MICROSECONDS}
    return ChartKind(
        dict(OWN_KEYS).get(f"{_OWN}{index + 1}", ""),
        f"{_OWN}{index + 1}",
        title if len(lines) > 1 else lines[0].label,
        f"{unit}/s" if rate else unit,
        zero_based=rate,
        series=tuple(reversed(lines)),
        noise=_FINE_NOISE if not known and any(line.scale > 1 for line in lines) else None,
    )
