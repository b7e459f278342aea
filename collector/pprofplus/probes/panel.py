"""All figures of one sample: reads the probes that are due, and keeps their troubles apart."""

from __future__ import annotations

from time import thread_time_ns

from pprofplus.errors import ProbeAbsentError
from pprofplus.gauges import Registry
from pprofplus.probes import Probe
from pprofplus.probes.blocks import BlocksProbe
from pprofplus.probes.budget import periods_s
from pprofplus.probes.cgroup import CgroupLimitProbe, CgroupUsedProbe
from pprofplus.probes.custom import CustomProbe
from pprofplus.probes.full import PortableFullProbe, RollupProbe
from pprofplus.probes.garbage import CollectionsProbe
from pprofplus.probes.malloc import MallocProbe
from pprofplus.probes.process import (
    DescriptorsProbe,
    ListedDescriptorsProbe,
    PortableProbe,
    PortableThreadsProbe,
    StatmProbe,
    ThreadsProbe,
)
from pprofplus.probes.pymalloc import PymallocProbe
from pprofplus.probes.tracing import TracingProbe
from pprofplus.probes.usage import UsageProbe

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

# of each row the first that exists here is taken
SOURCES: tuple[tuple[Callable[[], Probe], ...], ...] = (
    (StatmProbe, PortableProbe),
    (RollupProbe, PortableFullProbe),
    (UsageProbe,),
    (ThreadsProbe, PortableThreadsProbe),
    (DescriptorsProbe, ListedDescriptorsProbe),
    (PymallocProbe,),
    (BlocksProbe,),
    (TracingProbe,),
    (MallocProbe,),
    (CollectionsProbe,),
    (CgroupUsedProbe,),
    (CgroupLimitProbe,),
)

DEFAULT_BUDGET = 0.001
# a source that comes and goes may not begin a new segment more often than this
_LEAST_TABLE_AGE_NS = 60_000_000_000

Figures = tuple[int, ...]
Troubles = dict[str, BaseException]


class _Slot:
    """One probe and what it said last."""

    __slots__ = ("cost_s", "due_ns", "last", "listed", "present", "probe")

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.last: Figures = ()
        self.present = False  # it has figures now
        self.listed = False  # they are in the table
        self.due_ns = 0
        self.cost_s = 0.0


class Panel:
    """The probes that exist here.

    A figure of a probe that is not due, or that failed, is the last one known. Used by one thread
    at a time.

    Attributes:
        metrics: the table, (name, unit, kind) a column of what `read` returns.
        outdated: the sources that have figures are no longer those of the table: call `relist`.
        troubles: by probe, the first error of each; whoever reports them takes them out.
    """

    def __init__(
        self,
        interval_s: float,
        budget: float = DEFAULT_BUDGET,
        sources: tuple[tuple[Callable[[], Probe], ...], ...] = SOURCES,
        registry: Registry | None = None,
    ) -> None:
        """Open the probes; `budget` is the share of a core for the dear ones together.

        The gauges of `registry` come behind them, as they come and go.
        """
        self.interval_s = interval_s
        self.budget = budget
        self.metrics: tuple[tuple[str, str, str], ...] = ()
        self.outdated = False
        self.troubles: Troubles = {}
        self._failed: set[str] = set()
        self._listed_ns: int | None = None  # when the first table was replaced last
        self._slots = [_Slot(probe) for probe in map(self._open, sources) if probe is not None]
        self._budgeted = [slot for slot in self._slots if slot.probe.budgeted]
        self._registry = registry
        self._registered = -1
        self._follow_registry()

    def _follow_registry(self) -> None:
        """Have a slot for each gauge that is registered now; one no longer so ends at `relist`."""
        registry = self._registry
        if registry is None or registry.version == self._registered:
            return
        self._registered = registry.version
        gauges = {gauge.name: gauge for gauge in registry.all()}
        for slot in self._slots:
            if isinstance(slot.probe, CustomProbe) and not slot.probe.retired:
                gauge = gauges.get(slot.probe.names[0])
                if gauge is not None and slot.probe.like(gauge):
                    slot.probe.gauge = gauges.pop(gauge.name)
                else:
                    slot.probe.retired = True
        self._slots += [_Slot(CustomProbe(gauge)) for gauge in gauges.values()]

    def _open(self, choices: tuple[Callable[[], Probe], ...]) -> Probe | None:
        for choice in choices:
            try:
                return choice()
            except ProbeAbsentError:  # noqa: PERF203 - each choice fails for itself
                continue
            except Exception as error:  # noqa: BLE001 - the outer edge: no probe may stop the host
                self._report(choice, error)
        return None

    def _report(self, source: object, error: BaseException) -> None:
        name = (
            getattr(source, "label", "") or getattr(source, "__name__", "") or type(source).__name__
        )
        if name not in self._failed:
            self._failed.add(name)
            self.troubles[name] = error

    def read(self, now_ns: int) -> list[int]:
        """Return the figures of now, one a column of `metrics`; `now_ns` is monotonic."""
        values: list[int] = []
        outdated = False
        self._follow_registry()
        for slot in self._slots:
            if slot.due_ns <= now_ns:
                self._take(slot, now_ns)
            if slot.listed:
                values += slot.last
            if slot.present is not slot.listed:
                outdated = True
        self.outdated = outdated and (
            self._listed_ns is None or now_ns - self._listed_ns >= _LEAST_TABLE_AGE_NS
        )
        return values

    def _take(self, slot: _Slot, now_ns: int) -> None:
        probe = slot.probe
        try:
            if probe.budgeted:
                # CPU time: a budget is not used up by waiting for a busy machine
                began_ns = thread_time_ns()
                figures = probe.read()
                self._put_off(slot, now_ns, (thread_time_ns() - began_ns) / 1e9)
            else:
                try:
                    figures = probe.read()
                finally:
                    if probe.least_period_s:
                        slot.due_ns = now_ns + int(probe.least_period_s * 1e9)
        except Exception as error:  # noqa: BLE001 - the outer edge: one probe's trouble is its own
            self._report(probe, error)
            return
        if figures is None:
            slot.present = False
        elif len(figures) == len(probe.names):
            slot.present = True
            slot.last = figures
        else:
            self._report(probe, ValueError(f"{len(figures)} figures for {probe.names}"))

    def _put_off(self, slot: _Slot, now_ns: int, cost_s: float) -> None:
        """Note what a budgeted probe cost, and when it may run again."""
        slot.cost_s = cost_s
        costs_s = [other.cost_s for other in self._budgeted]
        period_s = periods_s(costs_s, self.interval_s, self.budget)[self._budgeted.index(slot)]
        slot.due_ns = now_ns + int(max(period_s, slot.probe.least_period_s) * 1e9)

    def relist(self, now_ns: int) -> list[int]:
        """Make the table anew from the sources that have figures; return the figures for it."""
        if self.metrics:
            self._listed_ns = now_ns
        self.outdated = False
        self._slots = [slot for slot in self._slots if not slot.probe.retired]
        rows: list[tuple[str, str, str]] = []
        values: list[int] = []
        for slot in self._slots:
            slot.listed = slot.present
            if slot.listed:
                rows += slot.probe.rows
                values += slot.last
        self.metrics = tuple(rows)
        return values

    def close(self) -> None:
        """Close all probes; never raises."""
        for slot in self._slots:
            try:
                slot.probe.close()
            except Exception as error:  # noqa: BLE001, PERF203 - the outer edge, as above
                self._report(slot.probe, error)
        self._slots = []
        self._budgeted = []
