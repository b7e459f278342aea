"""The list of runs as the screen sees it: order, neighbours, which to open on."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from pprofplus_tui.model.charts import STANDARD, ChartTable
from pprofplus_tui.model.verdict import Verdict

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
# how a state is shown; the others by their own names
_LABELS = {UNRECORDED: "not recorded here any more", PACKED: "live when packed"}
PIN_SIGN, PLAIN_PIN_SIGN = "◆", "#"
PINNED_MEANING = "retention leaves the run alone, however old it is"
MEANINGS = {
    LIVE: "running, samples arrive",
    PAUSED: "running, but told to take no samples",
    STALLED: "running, but no sample for several intervals: stopped, or the GIL is held",
    EXITED: "ended in order, or was seen to end by pprofplus watch",
    DIED: "ended without a word: SIGKILL, OOM killer, crash, power",
    UNRECORDED: "this log ended before the process: its watch ended, an exec, or another user",
    PACKED: "live when this bundle was packed, which has no more of it",
}


def state_label(state: str) -> str:
    """Return a state as it is shown."""
    return _LABELS.get(state, state)


@dataclass(frozen=True)
class Run:
    """One run of one process.

    Attributes:
        path: its directory; what tells runs apart.
        service: its service's name.
        pid: its process id.
        state: one of STATES.
        begin_ms: unix milliseconds of its first sample.
        end_ms: of its last.
        rss_bytes: resident set at the last sample, or None if the log has none.
        spark: its recent resident set as a sparkline, or "".
        charts: what it can be seen in.
        pinned: retention leaves it alone.
        growth: what its resident set did of late, None while that was not judged.
    """

    path: str
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
        """Whether the process is still there."""
        return self.state in RUNNING


def ordered(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return the runs by service name; within one, running before ended, then newest first."""
    return tuple(
        sorted(runs, key=lambda r: (r.service, not r.running, -r.begin_ms, -r.pid, r.path))
    )


def by_service(runs: tuple[Run, ...]) -> tuple[tuple[str, tuple[Run, ...]], ...]:
    """Return (service, its runs) in the order given."""
    return tuple((name, tuple(group)) for name, group in groupby(runs, lambda run: run.service))


def find(runs: tuple[Run, ...], path: str | None) -> Run | None:
    """Return the run of that path, or None."""
    return next((run for run in runs if run.path == path), None)


def neighbour(runs: tuple[Run, ...], path: str | None, step: int) -> Run | None:
    """Return the run `step` places down the list (up if negative), stopping at the ends."""
    if not runs:
        return None
    at = next((i for i, run in enumerate(runs) if run.path == path), None)
    if at is None:
        return runs[0]
    return runs[min(max(at + step, 0), len(runs) - 1)]


def sibling(runs: tuple[Run, ...], path: str | None, step: int) -> Run | None:
    """Return the next run of the same service, round and round."""
    here = find(runs, path)
    if here is None:
        return neighbour(runs, path, step)
    same = [run for run in runs if run.service == here.service]
    return same[(same.index(here) + step) % len(same)]


def opening(runs: tuple[Run, ...]) -> Run | None:
    """Return the run to open on: the newest one running, else the one that ended last."""
    running = [run for run in runs if run.running]
    if running:
        return max(running, key=lambda run: (run.begin_ms, run.pid))
    return max(runs, key=lambda run: (run.end_ms, run.pid), default=None)


def counted(runs: tuple[Run, ...]) -> tuple[int, int, int]:
    """Return how many services, running runs and ended runs there are."""
    running = sum(run.running for run in runs)
    return len({run.service for run in runs}), running, len(runs) - running
