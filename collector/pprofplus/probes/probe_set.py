"""The set of probes: reads those that are due for a sample, and isolates their failures."""

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

# of each row the first source that exists here is used
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
# a source that comes and goes begins a new segment at most this often
_MIN_SCHEMA_AGE_NS = 60_000_000_000
# the last values of a failing probe stay in use this long; then they are left out
_STALE_NS = 60_000_000_000
# a slower probe causes a warning: no other probe is read meanwhile
_SLOW_NS = 2_000_000_000

Values = tuple[int, ...]
Schema = tuple[tuple[str, str, str], ...]
Failures = dict[str, BaseException]


class _Slot:
    """One probe and its last values."""

    __slots__ = ("cells", "cost_s", "due_ns", "failing_ns", "in_schema", "last", "present", "probe")

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.cells = Struct(f"{len(probe.names)}q")
        self.last: Values = ()
        self.present = False  # it has values now
        self.in_schema = False  # they are in the schema
        self.failing_ns: int | None = None  # since when it has only failed
        self.due_ns = 0
        self.cost_s = 0.0


class ProbeSet:
    """The probes that exist here.

    If a probe is not due, or fails, its last known values are used; the values of a probe that has
    failed for a minute are left out. A result that is not a tuple of 64-bit integers, one a name,
    is a failure too. Used by one thread at a time.

    Attributes:
        metrics: the schema, (name, unit, kind) a column of what `read` returns.
        outdated: the sources that have values are no longer those of the schema: call
            `rebuild_schema`.
        failures: by probe, its error when it began to fail; the caller that logs them removes them.
        warnings: by kind, a line for the host, to be logged once.
    """

    def __init__(
        self,
        interval_s: float,
        budget: float = DEFAULT_BUDGET,
        sources: tuple[Choices, ...] = SOURCES,
        registry: GaugeRegistry | None = None,
    ) -> None:
        """Open the probes; `budget` is the share of a core for all expensive probes together.

        The gauges of `registry` follow them, and are added and removed at runtime.
        """
        self.interval_s = interval_s
        self.budget = budget
        self.metrics: Schema = ()
        self.outdated = False
        self.failures: Failures = {}
        self.warnings: dict[str, str] = {}
        problem = proc_problem() if sources is SOURCES else ""
        if problem:
            self.warnings["proc"] = problem
        self._schema_changed_ns: int | None = None  # when the first schema was last replaced
        self._slots: list[_Slot] = []
        self._budgeted: list[_Slot] = []
        # sources that could not be opened for lack of descriptors
        self._unopened: list[Choices] = []
        self._registry = registry
        self._registered: object = None
        self._open_all(sources)
        self._sync_gauges()

    def _open_all(self, sources: Iterable[Choices]) -> None:
        absent = []
        for choices in sources:
            probe = self._open(choices)
            if probe is None:
                absent.append(choices)
            else:
                self._slots.append(_Slot(probe))
        self._budgeted = [slot for slot in self._slots if slot.probe.budgeted]
        # absent only because this process may open no file now: try again later
        self._unopened = absent if absent and _no_descriptor_left() else []

    def _sync_gauges(self) -> None:
        """Add a slot for each registered gauge; retire removed ones until `rebuild_schema`."""
        registry = self._registry
        if registry is None or registry.version is self._registered:
            return
        self._registered = registry.version
        gauges = {gauge.name: gauge for gauge in registry.all()}
        for slot in self._slots:
            if isinstance(slot.probe, CustomProbe) and not slot.probe.retired:
                gauge = gauges.get(slot.probe.names[0])
                if gauge is not None and slot.probe.matches(gauge):
                    slot.probe.gauge = gauges.pop(gauge.name)
                else:
                    slot.probe.retired = True
        self._slots += [_Slot(CustomProbe(gauge)) for gauge in gauges.values()]

    def _open(self, choices: Choices) -> Probe | None:
        for choice in choices:
            try:
                return choice()
            except ProbeAbsentError:
                continue
            except Exception as error:  # noqa: BLE001 - outer boundary: a probe must not stop the host
                self.failures[_name(choice)] = error
        return None

    def read(self, now_ns: int) -> list[int]:
        """Return the current values, one a column of `metrics`; `now_ns` is monotonic."""
        if self._unopened and not _no_descriptor_left():
            self._open_all(self._unopened)
        self._sync_gauges()
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
                    self._read_probe(slot, now_ns)
                    if probe.min_period_s:
                        slot.due_ns = now_ns + int(probe.min_period_s * 1e9)
                else:
                    # CPU time, because waiting on a busy machine must not use up the budget.
                    # Reading that clock is expensive; adjacent probes share one reading
                    began_ns = cpu_ns or thread_time_ns()
                    self._read_probe(slot, now_ns)
                    cpu_ns = thread_time_ns()
                    # also after a failure, because a failing probe may be expensive too
                    slot.cost_s = (cpu_ns - began_ns) / 1e9
                    spent.append(slot)
                took_ns = monotonic_ns() - then_ns
                then_ns += took_ns
                if took_ns >= _SLOW_NS:
                    self._report_slow(probe, took_ns)
            if slot.in_schema:
                values += slot.last
            if slot.present is not slot.in_schema:
                outdated = True
        if spent:
            self._schedule(spent, now_ns)
        self.outdated = outdated and (
            self._schema_changed_ns is None
            or now_ns - self._schema_changed_ns >= _MIN_SCHEMA_AGE_NS
        )
        return values

    def _read_probe(self, slot: _Slot, now_ns: int) -> None:
        try:
            result = slot.probe.read()
            if result is None:
                slot.present = False
            elif slot.probe.exact:
                slot.last = result
                slot.present = True
            else:
                if not isinstance(result, tuple):
                    raise TypeError(f"{type(result).__name__} instead of a tuple of integers")
                # packing checks their count, their type and their size
                slot.last = slot.cells.unpack(slot.cells.pack(*result))
                slot.present = True
            slot.failing_ns = None
        except BaseException as error:
            # SystemExit and similar come from the probe itself, except where the host's signal
            # handlers run: in the main thread, in start()
            if not isinstance(error, Exception) and on_main_thread():
                raise
            self._note_failure(slot, now_ns, error)

    def _note_failure(self, slot: _Slot, now_ns: int, error: BaseException) -> None:
        if slot.failing_ns is None:
            slot.failing_ns = now_ns
            self.failures[_name(slot.probe)] = error
        elif slot.present and now_ns - slot.failing_ns >= _STALE_NS:
            # without a free descriptor the log could not begin a segment for another schema
            slot.present = _no_descriptor_left()

    def _report_slow(self, probe: Probe, took_ns: int) -> None:
        name = f"{_name(probe)} (slow)"
        self.failures[name] = TimeoutError(
            f"took {took_ns / 1e9:.1f} s (or the process stalled); other probes waited"
        )

    def _schedule(self, spent: list[_Slot], now_ns: int) -> None:
        """Schedule the next run of the budgeted probes that have just run."""
        budgeted = self._budgeted
        costs_s = [slot.cost_s for slot in budgeted]
        periods = periods_s(costs_s, self.interval_s, self.budget)
        for slot, period_s in zip(budgeted, periods, strict=True):
            if slot in spent:
                slot.due_ns = now_ns + int(max(period_s, slot.probe.min_period_s) * 1e9)

    def rebuild_schema(self, now_ns: int) -> list[int]:
        """Rebuild the schema from the sources that have values; return the values for it."""
        if self.metrics:
            self._schema_changed_ns = now_ns
        self.outdated = False
        self._slots = [slot for slot in self._slots if not slot.probe.retired]
        rows: list[tuple[str, str, str]] = []
        values: list[int] = []
        for slot in self._slots:
            slot.in_schema = slot.present
            if slot.in_schema:
                rows += slot.probe.rows
                values += slot.last
        self.metrics = tuple(rows)
        return values

    def close(self) -> None:
        """Close all probes; never raises."""
        for slot in self._slots:
            try:
                slot.probe.close()
            except Exception as error:  # noqa: BLE001 - outer boundary, as above
                self.failures[_name(slot.probe)] = error
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
