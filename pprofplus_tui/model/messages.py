"""The messages between screens and backend: plain values, so that neither imports the other."""

from dataclasses import dataclass, field

from pprofplus_tui.model.cell_rows import Rows
from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.findings import Findings
from pprofplus_tui.model.runs import Runs
from pprofplus_tui.model.verdict import Verdicts
from pprofplus_tui.model.window import Window


@dataclass(frozen=True)
class Shape:
    """A chart to draw, its size in cells, and how: see `looks.Looks`."""

    chart: str
    width: int
    height: int
    log: bool = False
    levels: bool = False


@dataclass(frozen=True)
class ChartRequest:
    """What the screen shows.

    Attributes:
        run: path of a run, or None for the list of runs only.
        window: the stretch of time.
        shapes: the charts to draw and their sizes.
        cursor_ms: the time cursor's place in the window, or None.
    """

    run: str | None = None
    window: Window | None = None
    shapes: tuple[Shape, ...] = ()
    cursor_ms: int | None = None


@dataclass(frozen=True)
class Frame:
    """The answer to a request, without the charts.

    Attributes:
        runs: those that the options ask for, in the order of the list.
        other_services: services that are there but not asked for.
        problem: one line about what could not be read, or "".
        run: the run that `facts` are of.
        facts: what its memory does in the requested window.
        cursor: the sample at the time cursor, or None.
        findings: of the comparison that is shown, None while there is none.
        death: how `run` ended, None while it is running.
        unread: how many runs were found but not read yet.
    """

    runs: Runs = Runs()  # noqa: RUF009 - as a tuple, it never changes
    other_services: tuple[str, ...] = ()
    problem: str = ""
    run: str | None = None
    facts: Verdicts = field(default_factory=Verdicts)
    cursor: Reading | None = None
    findings: Findings | None = None
    death: Death | None = None
    unread: int = 0


@dataclass(frozen=True, eq=False)
class Drawn:
    """A drawn chart.

    Attributes:
        chart: its id.
        width: cells that it was drawn for.
        height: rows that it was drawn for.
        rows: what was drawn.
        more: another chart of the same moment follows at once, so showing it can wait for that.
    """

    chart: str
    width: int
    height: int
    rows: Rows
    more: bool = False
