"""Evidence of an OOM kill in the other runs of a cgroup: how much its count of OOM kills rose."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pprofplus_tui.model.death import OomKills
from pprofplus_tui.model.runs import RUNNING, RunId
from pprofplus_tui.sources.local.cgroup_counts import OOM_KILLS, oom_kills_now
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.sample_at import read_at
from pprofplus_tui.sources.local.window_query import query
from pprofplus_tui.sources.port import NoRunError, RunInfo

USED, LIMIT = "cgroup_used", "cgroup_limit"
_AFTER_MS = 10_000  # this long after the end, other runs of the cgroup have a sample
_SUCCESSOR_MS = 60_000  # the successor of a worker begins within that time
_OWN_SPAN_MS = 30_000
_MAX_DEATH_AGE_MS = 900_000  # later, the count of the cgroup may have risen for another reason
_MAX_SIBLINGS = 4
_CLOSE = 0.1  # of the limit: two runs of one cgroup read its usage at different moments
_ABOUT = 1.5  # sampling intervals: the use between two samples is between their values
_LAST_SLOTS, _LAST_MS = 8, 300_000  # this many pages cover this time, at one sample a second


@dataclass(frozen=True)
class Sibling:
    """Another run that may share the cgroup: its run directory and its extent, unix ms."""

    path: RunId
    begin_ms: int
    end_ms: int
    pid: int = 0
    running: bool = False

    @classmethod
    def of(cls, info: RunInfo) -> "Sibling":
        """Return a run of the catalogue as a sibling."""
        running = info.state in RUNNING
        return cls(info.id, info.begin_ms, info.end_ms, info.pid, running)


class Siblings:
    """The logs of the runs that may share a cgroup with one run, cached between two searches."""

    def __init__(self) -> None:
        self._logs: dict[str, RunLog] = {}

    def kills(
        self,
        log: RunLog,
        last: Mapping[str, int],
        others: Iterable[Sibling],
        *,
        same_host: bool,
    ) -> OomKills:
        """Return how much the OOM kills of a run's cgroup rose around its end.

        Args:
            log: of the run, refreshed.
            last: its last value of each metric.
            others: all other runs.
            same_host: the pids of other runs are pids of this host.
        """
        count = last.get(OOM_KILLS)
        if count is None:
            return OomKills()
        end_ms = log.last_sample_ms
        before = _values_at(log, max(end_ms - _OWN_SPAN_MS, log.begin_ms)).get(OOM_KILLS)
        own = 0 if before is None else count - int(before)
        seen, ours = 0, ["self"]
        for other in _candidates(log, others, end_ms):
            rise = self._rise_in(other, log, last, end_ms)
            if rise is not None:
                seen = max(seen, rise)
                if other.running and same_host:
                    ours.insert(0, str(other.pid))
        now = 0
        if 0 <= time.time_ns() // 1_000_000 - end_ms < _MAX_DEATH_AGE_MS:
            now = _rise_until_now(count, ours[:2], last.get(LIMIT))
        return OomKills(max(own, 0), seen, now)

    def _rise_in(
        self, other: Sibling, log: RunLog, last: Mapping[str, int], end_ms: int
    ) -> int | None:
        """Return how much the count rose in another run; None if that is in another cgroup."""
        theirs = self._opened(other, end_ms)
        if theirs is None or theirs.header is None or log.header is None:
            return None
        if theirs.header.boot_id != log.header.boot_id:
            return None
        shared_ms = max(end_ms, theirs.begin_ms)
        then = _values_at(theirs, shared_ms)
        limit, count = last.get(LIMIT), last[OOM_KILLS]
        if OOM_KILLS not in then or then.get(LIMIT) != limit:
            return None
        # a successor begins with the memory freed; a run at that time read the same usage
        if other.begin_ms <= end_ms and USED in last and USED in then:
            about_ms = int(_ABOUT * theirs.header.interval_ms)
            used = _use_within(
                log, last[USED], end_ms - int(_ABOUT * log.header.interval_ms), end_ms
            )
            theirs_used = _use_within(theirs, then[USED], end_ms - about_ms, end_ms + about_ms)
            if not _are_close(used, theirs_used, limit):
                return None
        after = _values_at(theirs, min(shared_ms + _AFTER_MS, theirs.end_ms)).get(OOM_KILLS)
        return max(int(after) - count, 0) if after is not None else None

    def _opened(self, other: Sibling, end_ms: int) -> RunLog | None:
        log = self._logs.get(other.path)
        if log is None:
            recent = 0 <= time.time_ns() // 1_000_000 - end_ms < _LAST_MS
            try:
                log = (
                    RunLog(other.path, last_slots=_LAST_SLOTS)
                    if recent
                    else RunLog(other.path, in_blocks=True)
                )
            except NoRunError:
                return None
            self._logs[other.path] = log
        log.refresh()
        return log


def _rise_until_now(count: int, processes: Iterable[str], limit: int | None) -> int:
    """Return how much the current count in the cgroup of these processes exceeds `count`."""
    risen = 0
    for process in processes:
        found = oom_kills_now(process)
        # our own cgroup may be another one: it counts only if the limit is the same
        if found is not None and (process != "self" or (limit and found[1] == limit)):
            risen = max(risen, found[0] - count)
    return risen


def _candidates(log: RunLog, others: Iterable[Sibling], end_ms: int) -> list[Sibling]:
    """Return the runs that continued or began soon after the end, its own service first."""
    found = [
        other
        for other in others
        if other.path != log.path
        and other.end_ms > end_ms
        and other.begin_ms < end_ms + _SUCCESSOR_MS
    ]
    service = str(Path(log.path).parent)
    found.sort(key=lambda other: (str(Path(other.path).parent) != service, other.begin_ms))
    return found[:_MAX_SIBLINGS]


def _use_within(log: RunLog, known: float, begin_ms: int, end_ms: int) -> tuple[float, float]:
    """Return the least and the greatest use of the cgroup in a time, `known` among them.

    Before an OOM kill the use may grow to the limit within one sampling interval.
    """
    points = query(log, begin_ms, end_ms + 1, 1, [(USED, False)])[USED, False]
    return float(min(known, *points.lo)), float(max(known, *points.hi))


def _are_close(used: tuple[float, float], theirs: tuple[float, float], limit: int | None) -> bool:
    """Return whether two ranges of a cgroup's use may be of the same cgroup."""
    apart = max(used[0], theirs[0]) - min(used[1], theirs[1])
    return apart <= _CLOSE * (limit or max(used[1], theirs[1]))


def _values_at(log: RunLog, at_ms: int) -> dict[str, float]:
    """Return the cgroup values of the sample nearest to a time; empty without a sample."""
    wanted = [(name, False) for name in (OOM_KILLS, LIMIT, USED)]
    values = read_at(log, at_ms, _OWN_SPAN_MS, wanted).values
    return {name: value for (name, _), value in values.items()}
