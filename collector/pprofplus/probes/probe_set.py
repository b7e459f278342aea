"""All figures of one sample: reads the probes that are due, and keeps their troubles apart."""

from __future__ import annotations

import errno
import os
from struct import Struct
from time import monotonic_ns, thread_time_ns

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.probes.blocks import BlocksProbe
from pprofplus.probes.budget import periods_s
from pprofplus.probes.cgroup import CgroupLimitProbe, CgroupOomKillsProbe, CgroupUsedProbe
from pprofplus.probes.custom import CustomProbe
from pprofplus.probes.garbage import CollectionsProbe
from pprofplus.probes.gauge_registry import GaugeRegistry
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
from pprofplus.probes.smaps import PortableFullProbe, RollupProbe
from pprofplus.probes.tracing import TracingProbe
from pprofplus.probes.usage import UsageProbe
from pprofplus.system.background import on_main_thread
from pprofplus.system.procfs import proc_problem

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Choices = tuple[Callable[[], Probe], ...]

# of each row the first that exists here is taken
SOURCES: tuple[Choices, ...] = (
    (StatmProbe, PortableProbe),
    (RollupProbe, PortableFullProbe),
    (UsageProbe,),
    (ThreadsProbe, PortableThreadsProbe),
    (DescriptorsProbe, ListedDescriptorsProbe),
    (PymallocProbe,),
    (BlocksProbe,),
    (MallocProbe,),
    (TracingProbe,),
    (CollectionsProbe,),
    (CgroupUsedProbe,),
    (CgroupLimitProbe,),
    (CgroupOomKillsProbe,),
)

DEFAULT_BUDGET = 0.001
# a source that comes and goes may not begin a new segment more often than this
_LEAST_TABLE_AGE_NS = 60_000_000_000
# so long the last figures of a probe that fails stand for those of now; then they are left out
_STALE_NS = 60_000_000_000
# a probe that takes longer is told of: nothing else is sampled meanwhile
_SLOW_NS = 2_000_000_000

Figures = tuple[int, ...]
Table = tuple[tuple[str, str, str], ...]
Troubles = dict[str, BaseException]


class _Slot:
    """One probe and what it said last."""

    __slots__ = ("cells", "cost_s", "due_ns", "failing_ns", "last", "listed", "present", "probe")

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.cells = Struct(f"{len(probe.names)}q")
        self.last: Figures = ()
        self.present = False  # it has figures now
        self.listed = False  # they are in the table
        self.failing_ns: int | None = None  # since when it has done nothing but fail
        self.due_ns = 0
        self.cost_s = 0.0


class ProbeSet:
    """The probes that exist here.

    A figure of a probe that is not due, or that failed, is the last one known; those of a probe
    that has failed for a minute are left out. What is no tuple of whole numbers of 64 bits, one a
    name, is a failure, too. Used by one thread at a time.

    Attributes:
        metrics: the table, (name, unit, kind) a column of what `read` returns.
        outdated: the sources that have figures are no longer those of the table: call `relist`.
        troubles: by probe, its error when it began to fail; whoever reports them takes them out.
        warnings: by kind, a line for the host, to be logged once.
    """

    def __init__(
        self,
        interval_s: float,
        budget: float = DEFAULT_BUDGET,
        sources: tuple[Choices, ...] = SOURCES,
        registry: GaugeRegistry | None = None,
    ) -> None:
        """Open the probes; `budget` is the share of a core for the dear ones together.

        The gauges of `registry` come behind them, as they come and go.
        """
        self.interval_s = interval_s
        self.budget = budget
        self.metrics: Table = ()
        self.outdated = False
        self.troubles: Troubles = {}
        self.warnings: dict[str, str] = {}
        problem = proc_problem() if sources is SOURCES else ""
        if problem:
            self.warnings["proc"] = problem
        self._listed_ns: int | None = None  # when the first table was replaced last
        self._slots: list[_Slot] = []
        self._budgeted: list[_Slot] = []
        self._later: list[Choices] = []  # sources that no descriptor was left for
        self._registry = registry
        self._registered: object = None
        self._open_all(sources)
        self._follow_registry()

    def _open_all(self, sources: Iterable[Choices]) -> None:
        absent = []
        for choices in sources:
            probe = self._open(choices)
            if probe is None:
                absent.append(choices)
            else:
                self._slots.append(_Slot(probe))
        self._budgeted = [slot for slot in self._slots if slot.probe.budgeted]
        # absent only because this process may open nothing now: they will be there
        self._later = absent if absent and _no_descriptor_left() else []

    def _follow_registry(self) -> None:
        """Have a slot for each gauge that is registered now; one no longer so ends at `relist`."""
        registry = self._registry
        if registry is None or registry.version is self._registered:
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

    def _open(self, choices: Choices) -> Probe | None:
        for choice in choices:
            try:
                return choice()
            except ProbeAbsentError:  # noqa: PERF203 - each choice fails for itself
                continue
            except Exception as error:  # noqa: BLE001 - the outer edge: no probe may stop the host
                self.troubles[_name(choice)] = error
        return None

    def read(self, now_ns: int) -> list[int]:
        """Return the figures of now, one a column of `metrics`; `now_ns` is monotonic."""
        if self._later and not _no_descriptor_left():
            self._open_all(self._later)
        self._follow_registry()
        values: list[int] = []
        spent: list[_Slot] = []
        cpu_ns = 0
        outdated = False
        then_ns = monotonic_ns()
        for slot in self._slots:
            if slot.due_ns <= now_ns:
                probe = slot.probe
                if not probe.budgeted:
                    cpu_ns = 0
                    self._take(slot, now_ns)
                    if probe.least_period_s:
                        slot.due_ns = now_ns + int(probe.least_period_s * 1e9)
                else:
                    # CPU time: a budget is not used up by waiting for a busy machine. It is dear
                    # to ask for, so that neighbours share the moment between them
                    began_ns = cpu_ns or thread_time_ns()
                    self._take(slot, now_ns)
                    cpu_ns = thread_time_ns()
                    # whether it failed or not: it may be dear in failing, too
                    slot.cost_s = (cpu_ns - began_ns) / 1e9
                    spent.append(slot)
                took_ns = monotonic_ns() - then_ns
                then_ns += took_ns
                if took_ns >= _SLOW_NS:
                    self._report_slow(probe, took_ns)
            if slot.listed:
                values += slot.last
            if slot.present is not slot.listed:
                outdated = True
        if spent:
            self._put_off(spent, now_ns)
        self.outdated = outdated and (
            self._listed_ns is None or now_ns - self._listed_ns >= _LEAST_TABLE_AGE_NS
        )
        return values

    def _take(self, slot: _Slot, now_ns: int) -> None:
        try:
            figures = slot.probe.read()
            if figures is None:
                slot.present = False
            elif slot.probe.exact:
                slot.last = figures
                slot.present = True
            else:
                if not isinstance(figures, tuple):
                    raise TypeError(f"{type(figures).__name__} instead of figures")  # noqa: TRY301 - handled as all that a probe may do
                # packing checks their count, that they are whole numbers, and their size
                slot.last = slot.cells.unpack(slot.cells.pack(*figures))
                slot.present = True
            slot.failing_ns = None
        except BaseException as error:
            # SystemExit and its like are the probe's own, save where the host's signal handlers
            # run: in the main thread, in start()
            if not isinstance(error, Exception) and on_main_thread():
                raise
            self._note_failure(slot, now_ns, error)

    def _note_failure(self, slot: _Slot, now_ns: int, error: BaseException) -> None:
        if slot.failing_ns is None:
            slot.failing_ns = now_ns
            self.troubles[_name(slot.probe)] = error
        elif slot.present and now_ns - slot.failing_ns >= _STALE_NS:
            # without a descriptor to spare the log could not begin a segment for another table
            slot.present = _no_descriptor_left()

    def _report_slow(self, probe: Probe, took_ns: int) -> None:
        name = f"{_name(probe)} (slow)"
        self.troubles[name] = TimeoutError(
            f"took {took_ns / 1e9:.1f} s (or the process stood still), the others waited"
        )

    def _put_off(self, spent: list[_Slot], now_ns: int) -> None:
        """Say when the budgeted probes that have just run may run again."""
        budgeted = self._budgeted
        costs_s = [slot.cost_s for slot in budgeted]
        periods = periods_s(costs_s, self.interval_s, self.budget)
        for slot, period_s in zip(budgeted, periods, strict=True):
            if slot in spent:
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
                self.troubles[_name(slot.probe)] = error
        self._slots = []
        self._budgeted = []


def _name(source: object) -> str:
    named = getattr(source, "label", "") or getattr(source, "__name__", "")
    return named or type(source).__name__


def _no_descriptor_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return False
