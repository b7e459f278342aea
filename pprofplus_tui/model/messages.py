"""The messages between the screens and the backend: requests and their answers."""

from dataclasses import dataclass, field

from pprofplus_tui.model.cell_rows import Rows
from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.findings import Findings
from pprofplus_tui.model.runs import RunId, Runs
from pprofplus_tui.model.verdict import Verdicts
from pprofplus_tui.model.window import Window


@dataclass(frozen=True)
class Shape:
    """A chart to draw: its id, its size in cells, and its options (see `ChartOptions`)."""

    chart: str
    width: int
    height: int
    log: bool = False
    levels: bool = False


@dataclass(frozen=True)
class ChartRequest:
    """What the main screen shows: one run, its window and its charts.

    Attributes:
        run: the run; None requests the list of runs only.
        window: the time range of the charts.
        shapes: the charts to draw and their sizes.
        cursor_ms: position of the time cursor in the window, unix ms, or None.
    """

    run: RunId | None = None
    window: Window | None = None
    shapes: tuple[Shape, ...] = ()
    cursor_ms: int | None = None


@dataclass(frozen=True)
class Frame:
    """The answer to a request, except for the charts.

    Attributes:
        runs: the runs that the options select, in the order of the list.
        other_services: services that exist but are not selected.
        problem: one line about what could not be read, or "".
        run: the run that `verdicts` and `death` describe.
        verdicts: the verdicts on that run's memory in the requested window.
        cursor: the sample at the time cursor, or None.
        findings: the results of the open comparison, None without one.
        death: how `run` ended, None while it is running.
        unread: how many runs were found but not read yet.
    """

    runs: Runs = Runs()  # noqa: RUF009 - as a tuple, it never changes
    other_services: tuple[str, ...] = ()
    problem: str = ""
    run: RunId | None = None
    verdicts: Verdicts = field(default_factory=Verdicts)
    cursor: Reading | None = None
    findings: Findings | None = None
    death: Death | None = None
    unread: int = 0

    def death_of(self, run: RunId | None) -> Death | None:
        """Return how a run ended, None while it runs or before it is known."""
        return self.death if self.run == run else None

    def reading_at(self, at_ms: int | None) -> Reading | None:
        """Return the sample at the time cursor, an empty reading until the backend has read it."""
        if at_ms is None:
            return None
        known = self.cursor is not None and self.cursor.at_ms == at_ms
        return self.cursor if known else Reading(at_ms, at_ms)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A drawn chart.

    Attributes:
        chart: id of the chart.
        width: the width that it was drawn for, in cells.
        height: the height that it was drawn for, in rows.
        rows: its text and styles.
        more: another chart of the same answer follows immediately; show both in one repaint.
    """

    chart: str
    width: int
    height: int
    rows: Rows
    more: bool = False
