"""The set of probes: reads those that are due for a sample, and isolates their failures."""

from __future__ import annotations

import errno
import os
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
from pprofplus.probes.probe_slot import ProbeSlot
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

    from pprofplus.probes.probe_slot import Values

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

# a change of the resident set by more than this share hastens the probes that follow it
_RSS_SHARE = 0.01
# Of the budget for one sample: a probe that took less is timed by the wall clock, because reading
# the CPU clock is a system call. The wall clock never shows less than the CPU time. If it shows
# more than this share, the probe may have waited for a CPU, which must not use up the budget: its
# last cost stays, and its next run is timed by the CPU clock.
_CHEAP_SHARE = 0.1

Schema = tuple[tuple[str, str, str], ...]
Failures = dict[str, BaseException]


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
        self._slots: list[ProbeSlot] = []
        # The slots in groups. Most samples of a small process read the steady ones only: after a
        # pause the CPU's caches are cold, and fetching the objects that a sample uses from memory
        # takes most of its time.
        self._steady: list[ProbeSlot] = []
        self._others: list[ProbeSlot] = []
        self._others_due_ns = 0  # the next time that one of them is due
        self._budgeted: list[ProbeSlot] = []
        self._values: list[int] = []  # of the last sample
        self._changed: set[ProbeSlot] = (
            set()
        )  # those that have values, or are in the schema, not both
        self._has_rss = False
        self._rss_column = 0
        self._rss = 0  # when the probes that follow it were last hastened
        # sources that could not be opened for lack of descriptors
        self._unopened: list[Choices] = []
        self._registry = registry or GaugeRegistry()
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
                self._slots.append(ProbeSlot(probe))
        self._group_slots()
        # absent only because this process may open no file now: try again later
        self._unopened = absent if absent and _no_descriptor_left() else []

    def _group_slots(self) -> None:
        self._steady = [slot for slot in self._slots if slot.steady]
        self._others = [slot for slot in self._slots if not slot.steady]
        self._others_due_ns = 0
        self._budgeted = [slot for slot in self._slots if slot.probe.budgeted]

    def _update_sources(self) -> None:
        """Open sources that could not be opened before, and follow changes of the gauges."""
        if self._unopened and not _no_descriptor_left():
            self._open_all(self._unopened)
        if self._registry.version is not self._registered:
            self._sync_gauges()

    def _sync_gauges(self) -> None:
        """Add a slot for each registered gauge; retire removed ones until `rebuild_schema`."""
        self._registered = self._registry.version
        gauges = {gauge.name: gauge for gauge in self._registry.all()}
        for slot in self._slots:
            if isinstance(slot.probe, CustomProbe) and not slot.probe.retired:
                gauge = gauges.get(slot.probe.names[0])
                if gauge is not None and slot.probe.matches(gauge):
                    slot.probe.gauge = gauges.pop(gauge.name)
                else:
                    slot.probe.retired = True
        self._slots += [ProbeSlot(CustomProbe(gauge)) for gauge in gauges.values()]
        self._group_slots()

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
        if self._unopened or self._registry.version is not self._registered:
            self._update_sources()
        values = self._values.copy()
        then_ns = monotonic_ns()
        for slot in self._steady:
            try:
                result = slot.read()
            except BaseException as error:
                if not self._note_failure(slot, now_ns, error):
                    raise
            else:
                if slot.settled and result is not None:
                    slot.last = values[slot.begin : slot.end] = result
                elif slot.present or result is not None or slot.failing_ns is not None:
                    self._note_result(slot, result, values)
            took_ns = monotonic_ns() - then_ns
            then_ns += took_ns
            if took_ns >= _SLOW_NS:
                self._report_slow(slot.probe, took_ns)
        if self._others_due_ns <= now_ns or (
            self._has_rss and abs(values[self._rss_column] - self._rss) > self._rss * _RSS_SHARE
        ):
            self._read_others(now_ns, values)
        self._values = values
        self.outdated = bool(self._changed) and (
            self._schema_changed_ns is None
            or now_ns - self._schema_changed_ns >= _MIN_SCHEMA_AGE_NS
        )
        return values

    def _read_others(self, now_ns: int, values: list[int]) -> None:
        """Read the probes that are not read at each sample, if due or hastened."""
        if self._has_rss and abs(values[self._rss_column] - self._rss) > self._rss * _RSS_SHARE:
            self._rss = values[self._rss_column]
            self._hasten_followers()
        self._read_due(self._others, now_ns, values)
        self._others_due_ns = min((slot.due_ns for slot in self._others), default=0)

    def _hasten_followers(self) -> list[ProbeSlot]:
        """Let the probes that follow the resident set be due now, if the budget allows it."""
        followers = [slot for slot in self._others if slot.probe.follows_rss]
        for slot in followers:
            slot.due_ns = min(slot.due_ns, slot.budget_due_ns)
        self._others_due_ns = 0
        return followers

    def _read_due(self, slots: list[ProbeSlot], now_ns: int, values: list[int]) -> None:
        """Read those of `slots` that are due, and put their values into `values`."""
        due = [slot for slot in slots if slot.due_ns <= now_ns]
        for slot in due:
            self._read_slot(slot, now_ns, values)
        spent = [slot for slot in due if slot.probe.budgeted]
        if spent:
            self._schedule(spent, now_ns)

    def _read_slot(self, slot: ProbeSlot, now_ns: int, values: list[int]) -> None:
        probe = slot.probe
        then_ns = monotonic_ns()
        began_ns = thread_time_ns() if probe.budgeted and slot.by_cpu else 0
        try:
            result = slot.read()
            if result is not None and not probe.exact:
                result = slot.checked(result)
        except BaseException as error:
            if not self._note_failure(slot, now_ns, error):
                raise
        else:
            self._note_result(slot, result, values)
        took_ns = monotonic_ns() - then_ns
        if took_ns >= _SLOW_NS:
            self._report_slow(probe, took_ns)
        if probe.budgeted:
            # also after a failure, because a failing probe may be expensive too
            self._note_cost(slot, thread_time_ns() - began_ns if slot.by_cpu else took_ns)
        elif probe.min_period_s:
            slot.due_ns = now_ns + int(probe.min_period_s * 1e9)

    def _note_cost(self, slot: ProbeSlot, cost_ns: int) -> None:
        """Set the cost of a run, and how the next one is timed."""
        cheap = cost_ns <= self.budget * self.interval_s * _CHEAP_SHARE * 1e9
        if cheap or slot.by_cpu:
            slot.cost_s = cost_ns / 1e9
        slot.by_cpu = not cheap

    def _note_result(self, slot: ProbeSlot, result: Values | None, values: list[int]) -> None:
        """Set a slot's values, and put them into `values` if they are in the schema."""
        slot.failing_ns = None
        self._set_present(slot, present=result is not None)
        if result is not None:
            slot.last = result
            if slot.in_schema:
                values[slot.begin : slot.end] = result
                slot.settled = True

    def _set_present(self, slot: ProbeSlot, *, present: bool) -> None:
        slot.present = present
        slot.settled = False
        if present is slot.in_schema:
            self._changed.discard(slot)
        else:
            self._changed.add(slot)

    def _note_failure(self, slot: ProbeSlot, now_ns: int, error: BaseException) -> bool:
        """Note that a probe has failed; False if the error is not the probe's."""
        # SystemExit and similar come from the probe itself, except where the host's signal handlers
        # run: in the main thread, in start()
        if not isinstance(error, Exception) and on_main_thread():
            return False
        slot.settled = False
        if slot.failing_ns is None:
            slot.failing_ns = now_ns
            self.failures[_name(slot.probe)] = error
        elif slot.present and now_ns - slot.failing_ns >= _STALE_NS:
            # without a free descriptor the log could not begin a segment for another schema
            self._set_present(slot, present=_no_descriptor_left())
        return True

    def _report_slow(self, probe: Probe, took_ns: int) -> None:
        name = f"{_name(probe)} (slow)"
        self.failures[name] = TimeoutError(
            f"took {took_ns / 1e9:.1f} s (or the process stalled); other probes waited"
        )

    def _schedule(self, spent: list[ProbeSlot], now_ns: int) -> None:
        """Schedule the next run of the budgeted probes that have just run."""
        budgeted = self._budgeted
        costs_s = [slot.cost_s for slot in budgeted]
        periods = periods_s(costs_s, self.interval_s, self.budget)
        for slot, period_s in zip(budgeted, periods, strict=True):
            if slot in spent:
                slot.budget_due_ns = now_ns + int(period_s * 1e9)
                least_s = slot.probe.min_period_s
                if slot.probe.follows_rss:
                    least_s *= min(self.interval_s, 1.0)
                slot.due_ns = max(slot.budget_due_ns, now_ns + int(least_s * 1e9))

    def rebuild_schema(self, now_ns: int) -> list[int]:
        """Rebuild the schema from the sources that have values; return the values for it."""
        if self.metrics:
            self._schema_changed_ns = now_ns
            # they may have lost their values at the same moment, as pymalloc's to tracemalloc
            self._read_due(self._hasten_followers(), now_ns, self._values.copy())
        self.outdated = False
        self._slots = [slot for slot in self._slots if not slot.probe.retired]
        self._changed.clear()
        rows: list[tuple[str, str, str]] = []
        values: list[int] = []
        for slot in self._slots:
            slot.in_schema = slot.present
            slot.settled = slot.present and slot.failing_ns is None
            slot.begin = len(values)
            if slot.in_schema:
                rows += slot.probe.rows
                values += slot.last
            slot.end = len(values)
        self._group_slots()
        self.metrics = tuple(rows)
        names = [name for name, _, _ in rows]
        self._has_rss = "rss" in names
        if self._has_rss:
            self._rss_column = names.index("rss")
            self._rss = values[self._rss_column]
        self._values = values
        return values

    def close(self) -> None:
        """Close all probes; never raises."""
        for slot in self._slots:
            try:
                slot.probe.close()
            except Exception as error:  # noqa: BLE001 - outer boundary, as above
                self.failures[_name(slot.probe)] = error
        self._slots = []
        self._group_slots()


def _name(source: object) -> str:
    named = getattr(source, "label", "") or getattr(source, "__name__", "")
    return named or type(source).__name__


def _no_descriptor_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return False
