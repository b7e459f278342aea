"""What a list shows of a run without opening it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pprofplus_tui.model.change import change_between
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.runs import RunId

RSS = "rss"  # the metric that every list of runs shows
NO_VALUES: Mapping[str, int] = MappingProxyType({})
NO_POINTS = Points.empty()

MetricRow = tuple[str, str, str]  # name, unit, kind; untrusted


@dataclass(frozen=True, eq=False, slots=True)
class RunInfo:
    """The state and the figures of a run. It is small, because a list may have 100,000.

    Attributes:
        id: identifies the run.
        service, pid: of its process.
        state: one of `model.runs.STATES`.
        begin_ms: unix ms of the first stored sample.
        end_ms: unix ms of the last sample or event.
        interval_ms: between samples.
        size_bytes: as stored.
        samples: the number of samples; None unless they were counted.
        damaged_pages: the damaged pages found so far; all of them if the samples were counted.
        rss_bytes: resident set at the last sample, None without samples.
        last: the last value of each metric; empty unless the run was read in full.
        recent: rss of the last quarter of an hour, for a sparkline; empty as `last`.
        pinned: whether retention keeps it.
        metrics: the metrics of its newest schema.
        whole: False if only the summary of an ended run was read: `last`, `recent` and
            `damaged_pages` are then unknown.
        host: name of the machine that recorded it; untrusted.
        first_rss_bytes: resident set at the first stored sample, None unless samples were counted.
        peak_bytes: the largest resident set of all stored samples, None as above.
        cause: why its process died, if that is known without opening the run; else None, also if
            samples were not counted.
        machine: identifies the machine, "" if unknown or not read.
        problems: one line for each reason why `Source.count` could not read all of it.
    """

    id: RunId
    service: str
    pid: int
    state: str
    begin_ms: int
    end_ms: int
    interval_ms: int
    size_bytes: int
    samples: int | None = None
    damaged_pages: int = 0
    rss_bytes: int | None = None
    last: Mapping[str, int] = field(default_factory=lambda: NO_VALUES)
    recent: Points = field(default_factory=lambda: NO_POINTS)
    pinned: bool = False
    metrics: tuple[MetricRow, ...] = ()
    whole: bool = True
    host: str = ""
    first_rss_bytes: int | None = None
    peak_bytes: int | None = None
    cause: str | None = None
    machine: str = ""
    problems: tuple[str, ...] = ()

    @property
    def growth_bytes(self) -> int | None:
        """The change of the resident set from the first stored sample to the last."""
        if self.rss_bytes is None or self.first_rss_bytes is None:
            return None
        change = change_between(self.first_rss_bytes, self.begin_ms, self.rss_bytes, self.end_ms)
        return None if change is None else round(change.amount)
