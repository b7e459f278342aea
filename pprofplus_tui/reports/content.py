"""The content of a report: plain values that `collect` reads and `html_page` writes."""

from dataclasses import dataclass, field

from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.verdict import Verdicts


@dataclass(frozen=True, eq=False)
class RunReport:
    """One run in a report.

    Attributes:
        service, pid, state: of the run.
        facts: (label, untrusted text).
        verdicts: on its memory in the window.
        charts: those of the window.
        events: those in the window, the newest if there are many.
        left_out: how many more events there are.
        death: its end, None while it is running.
    """

    service: str
    pid: int
    state: str
    facts: tuple[tuple[str, str], ...]
    verdicts: Verdicts
    charts: tuple[ChartSpec, ...]
    events: tuple[RunEvent, ...] = ()
    left_out: int = 0
    death: Death | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """The whole page.

    Attributes:
        title: untrusted text.
        begin_ms, end_ms: the window, unix ms.
        made_ms: when the report was written.
        runs: in the order of the page.
        left_out: how many runs with samples in the window are not on the page.
        version: of pprofplus.
    """

    title: str
    begin_ms: int
    end_ms: int
    made_ms: int
    runs: tuple[RunReport, ...]
    left_out: int = 0
    version: str = ""
    notes: tuple[str, ...] = field(default=())
