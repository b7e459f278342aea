"""What a report says: plain values, gathered from the logs by `gather`, written by `page`."""

from dataclasses import dataclass, field

from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.verdict import Verdicts


@dataclass(frozen=True)
class ReportedEvent:
    """A row of the list of events: when, what, and its untrusted text; `number` on the charts."""

    t_ms: int
    number: str
    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class RunReport:
    """One run in a report.

    Attributes:
        service, pid, state: who, and how it is.
        facts: (label, untrusted text).
        verdicts: what its memory does in the window.
        pictures: its charts; all of one window.
        happenings: what happened in the window.
        left_out: how many happenings there are besides.
        death: how it ended, None while it is running.
    """

    service: str
    pid: int
    state: str
    facts: tuple[tuple[str, str], ...]
    verdicts: Verdicts
    pictures: tuple[ChartSpec, ...]
    happenings: tuple[ReportedEvent, ...] = ()
    left_out: int = 0
    death: Death | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """A page.

    Attributes:
        title: untrusted text.
        begin_ms, end_ms: the window, unix ms.
        made_ms: when it was made.
        runs: in the order of the page.
        left_out: runs with samples in the window that have no place on it.
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
