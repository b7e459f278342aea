"""What is known of a run without its log being open: the entry of a catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pprofplus_tui.model.change import change_between
from pprofplus_tui.model.points import Points

RSS = "rss"  # the metric that every list of runs shows
NO_VALUES: Mapping[str, int] = MappingProxyType({})
NO_POINTS = Points.empty()


@dataclass(frozen=True, eq=False, slots=True)
class RunInfo:
    """How a run is; there may be a hundred thousand, so it has no more than it needs.

    Attributes:
        path: the run's directory.
        service, pid: as the path says.
        state: one of `model.runs.STATES`.
        begin_ms: unix ms of the first sample that rotation has left.
        end_ms: unix ms of the last sample or event.
        interval_ms: between samples.
        size_bytes: on disk.
        samples: None unless they were counted.
        damaged_pages: seen so far; all of them if the samples were counted.
        rss_bytes: resident set at the last sample, None if the log has none.
        last: the last value of each metric; empty unless the run was read whole.
        recent: rss of the last quarter of an hour, for a sparkline; empty as `last`.
        pinned: kept by retention.
        metrics: (name, unit, kind) of each metric of the newest table; untrusted.
        whole: False if only the record of an ended run was read: `last`, `recent` and
            `damaged_pages` are then not known.
        host: name of the machine that recorded it; untrusted.
        first_rss_bytes: resident set at the first sample kept, None unless samples were counted.
        peak_bytes: the largest resident set of all samples kept, None as above.
        cause: why its process died, by its directory and its last page; None if that is not known,
            or samples were not counted.
        machine: boot id of the kernel and host name, "" if unknown or after a mere glance.
        problems: one line about each reason why some of it was not read by `Catalog.scan`.
    """

    path: str
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
    metrics: tuple[tuple[str, str, str], ...] = ()
    whole: bool = True
    host: str = ""
    first_rss_bytes: int | None = None
    peak_bytes: int | None = None
    cause: str | None = None
    machine: str = ""
    problems: tuple[str, ...] = ()

    @property
    def growth_bytes(self) -> int | None:
        """How much the resident set changed from the first sample kept to the last."""
        if self.rss_bytes is None or self.first_rss_bytes is None:
            return None
        change = change_between(self.first_rss_bytes, self.begin_ms, self.rss_bytes, self.end_ms)
        return None if change is None else round(change.amount)
