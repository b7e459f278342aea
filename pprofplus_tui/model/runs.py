"""The list of runs: states, order, neighbours, which one to open on."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby
from operator import attrgetter
from typing import NewType

from pprofplus_tui.model.charts import STANDARD, ChartTable
from pprofplus_tui.model.verdict import Verdict

# Identifies a run. It can be hashed, sorted and printed; only its source depends on its content.
RunId = NewType("RunId", str)

LIVE, PAUSED, STALLED, EXITED, DIED, UNRECORDED, PACKED = STATES = (
    *("live", "paused", "stalled", "exited", "died"),
    *("unrecorded", "packed"),
)
RUNNING = frozenset({LIVE, PAUSED, STALLED})
SIGNS = {
    LIVE: "●",
    PAUSED: "‖",
    STALLED: "◌",
    EXITED: "○",
    DIED: "✝",
    UNRECORDED: "◐",
    PACKED: "◎",
}
PLAIN_SIGNS = {
    LIVE: "*",
    PAUSED: "=",
    STALLED: "~",
    EXITED: "-",
    DIED: "x",
    UNRECORDED: "?",
    PACKED: "+",
}
# labels of the states whose name is not their label
_LABELS = {UNRECORDED: "no longer recorded", PACKED: "live when packed"}
PIN_SIGN, PLAIN_PIN_SIGN = "◆", "#"
PINNED_MEANING = "retention never removes the run"
MEANINGS = {
    LIVE: "running; samples arrive",
    PAUSED: "running; sampling is paused",
    STALLED: "running, but no sample for several intervals: suspended, or the GIL is held",
    EXITED: "ended normally, or pprofplus watch saw it end",
    DIED: "ended without a stop event: SIGKILL, OOM killer, crash, power loss",
    UNRECORDED: "the log ends before the process: end of pprofplus watch, exec, change of user",
    PACKED: "live when this bundle was packed; the bundle ends there",
}


def state_label(state: str) -> str:
    """Return a state as it is shown."""
    return _LABELS.get(state, state)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one process. There may be a hundred thousand.

    Attributes:
        id: identifies it.
        service: its service's name.
        pid: its process id.
        state: one of STATES.
        begin_ms: unix milliseconds of its first sample.
        end_ms: of its last.
        rss_bytes: resident set at the last sample, or None if the log has none.
        spark: its recent resident set as a sparkline, or "".
        charts: the charts that its metrics have.
        pinned: retention never removes it.
        growth: the verdict on its resident set, None before there is one.
    """

    id: RunId
    service: str
    pid: int
    state: str
    begin_ms: int
    end_ms: int
    rss_bytes: int | None = None
    spark: str = ""
    charts: ChartTable = STANDARD
    pinned: bool = False
    growth: Verdict | None = None

    @property
    def running(self) -> bool:
        """Whether the process still runs."""
        return self.state in RUNNING


@dataclass(frozen=True, slots=True)
class Group:
    """The runs of one service: those from `begin` to `end`, of which `running` run."""

    service: str
    begin: int
    end: int
    running: int


class Runs(tuple[Run, ...]):  # noqa: SLOT001 - cached properties need a dict
    """Sorted runs, grouped by service, with a fast lookup by id.

    There may be a hundred thousand, and each second some of them have new figures: the tables of
    their places are computed once and passed on to the next value. So `layout` is the same object
    for values that have the same runs, in the same order and states.
    """

    @cached_property
    def layout(self) -> object:
        """An object that identifies the order of these runs."""
        return object()

    @cached_property
    def places(self) -> Mapping[RunId, int]:
        """Where each run is, by its id."""
        return {run.id: i for i, run in enumerate(self)}

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The services in order."""
        groups = []
        begin = 0
        for service, same in groupby(self, _service_of):
            states = list(map(_state_of, same))
            end = begin + len(states)
            running = sum(map(states.count, RUNNING))
            groups.append(Group(service, begin, end, running))
            begin = end
        return tuple(groups)

    @cached_property
    def _begins(self) -> list[int]:
        return [group.begin for group in self.groups]

    def group_at(self, place: int) -> int:
        """Return the index of the group of the run at a place."""
        return bisect_right(self._begins, place) - 1

    def of_service(self, service: str) -> "Runs":
        """Return the runs of a service."""
        found = [group for group in self.groups if group.service == service]
        return Runs(chain.from_iterable(self[group.begin : group.end] for group in found))

    def changed(self, new: Iterable[Run], gone: Iterable[RunId] = ()) -> "Runs":
        """Return these runs as `ordered` has them, with some added, some changed, some removed."""
        new, gone = list(new), set(gone)
        places = self.places
        before = [places.get(run.id) for run in new]
        if not gone and all(
            at is not None and _rank(self[at]) == _rank(run) and self[at].pinned == run.pinned
            for at, run in zip(before, new, strict=True)
        ):
            return self._with_figures(new)
        moved = gone.union(run.id for run in new)
        kept = [run for run in self if run.id not in moved] if places else []
        if len(new) <= _FEW:
            for run in new:
                insort(kept, run, key=_rank)
        else:
            kept += new
            kept.sort(key=_rank)
        return Runs(kept)

    def _with_figures(self, new: Iterable[Run]) -> "Runs":
        """Return these runs, some with new figures, at their places."""
        runs = list(self)
        for run in new:
            runs[self.places[run.id]] = run
        return Runs(runs).laid_out_as(self)

    def find_by(self, places: Mapping[RunId, int]) -> None:
        """Use these places of the runs, instead of making a table of them."""
        self.__dict__["places"] = places

    def laid_out_as(self, other: "Runs") -> "Runs":
        """Reuse the tables of places of a value with the same runs in the same order."""
        _ = other.layout
        for name in ("layout", "places", "groups", "_begins"):
            if name in other.__dict__:
                self.__dict__[name] = other.__dict__[name]
        return self


_FEW = 64  # runs that are inserted one by one
_service_of, _state_of = attrgetter("service"), attrgetter("state")


def _rank(run: Run) -> tuple[str, bool, int, int, str]:
    return run.service, not run.running, -run.begin_ms, -run.pid, run.id


def indexed(runs: tuple[Run, ...]) -> Runs:
    """Return runs that can be found by their ids."""
    return runs if isinstance(runs, Runs) else Runs(runs)


def ordered(runs: Iterable[Run]) -> Runs:
    """Return the runs by service name; within one, running before ended, then newest first."""
    return Runs(sorted(runs, key=_rank))


def find(runs: tuple[Run, ...], run_id: RunId | None) -> Run | None:
    """Return the run of that id, or None."""
    at = _place(runs, run_id)
    return None if at is None else runs[at]


def _place(runs: tuple[Run, ...], run_id: RunId | None) -> int | None:
    if run_id is None:
        return None
    if isinstance(runs, Runs):
        return runs.places.get(run_id)
    return next((i for i, run in enumerate(runs) if run.id == run_id), None)


def neighbour(runs: tuple[Run, ...], run_id: RunId | None, step: int) -> Run | None:
    """Return the run `step` places down the list (up if negative), stopping at the ends."""
    if not runs:
        return None
    at = _place(runs, run_id)
    if at is None:
        return runs[0]
    return runs[min(max(at + step, 0), len(runs) - 1)]


def sibling(runs: tuple[Run, ...], run_id: RunId | None, step: int) -> Run | None:
    """Return the next run of the same service; the first follows the last."""
    runs = indexed(runs)
    at = _place(runs, run_id)
    if at is None:
        return neighbour(runs, run_id, step)
    group = runs.groups[runs.group_at(at)]
    return runs[group.begin + (at - group.begin + step) % (group.end - group.begin)]


def opening(runs: tuple[Run, ...]) -> Run | None:
    """Return the run to open on: the newest one running, else the one that ended last."""
    running = [run for run in runs if run.running]
    if running:
        return max(running, key=lambda run: (run.begin_ms, run.pid))
    return max(runs, key=lambda run: (run.end_ms, run.pid), default=None)


def counted(runs: tuple[Run, ...]) -> tuple[int, int, int]:
    """Return how many services, running runs and ended runs there are."""
    groups = indexed(runs).groups
    running = sum(group.running for group in groups)
    return len({group.service for group in groups}), running, len(runs) - running
