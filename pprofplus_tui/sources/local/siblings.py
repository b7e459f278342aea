"""Other runs of a run's cgroup as witnesses: by how much the count of its OOM kills rose."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pprofplus.errors import PprofplusError
from pprofplus_tui.model.death import OomKills
from pprofplus_tui.model.runs import RUNNING
from pprofplus_tui.sources.local.cgroup_counts import OOM_KILLS, oom_kills_now
from pprofplus_tui.sources.local.run_info import RunInfo
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.sample_at import read_at

USED, LIMIT = "cgroup_used", "cgroup_limit"
_AFTER_MS = 10_000  # so long after the end, other runs of the cgroup have a sample
_SUCCESSOR_MS = 60_000  # a worker's successor begins within that time
_OWN_MS = 30_000
_NOW_MS = 900_000  # later, what the cgroup counts may have another reason
_MOST = 4
_CLOSE = 0.1  # of the limit: two runs of one cgroup read its use at different moments
_LAST_SLOTS, _LAST_MS = 8, 300_000  # pages that reach back as far as that, at one sample a second


@dataclass(frozen=True)
class Sibling:
    """Another run that may share the cgroup: its directory and the time it covers, unix ms."""

    path: str
    begin_ms: int
    end_ms: int
    pid: int = 0
    running: bool = False

    @classmethod
    def of(cls, info: RunInfo) -> "Sibling":
        """Return a run of the catalogue as a sibling."""
        running = info.state in RUNNING
        return cls(info.path, info.begin_ms, info.end_ms, info.pid, running)


class Siblings:
    """The logs of the runs that may have shared a cgroup with one run; kept between two looks."""

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
        """Return how the OOM kills of a run's cgroup rose about its end.

        Args:
            log: of the run, refreshed.
            last: its last value of each metric.
            others: all other runs that there are.
            same_host: a pid of the run's time is one of ours.
        """
        count = last.get(OOM_KILLS)
        if count is None:
            return OomKills()
        end_ms = log.last_sample_ms
        before = _values_at(log, max(end_ms - _OWN_MS, log.begin_ms)).get(OOM_KILLS)
        own = 0 if before is None else count - int(before)
        seen, ours = 0, ["self"]
        for other in _candidates(log, others, end_ms):
            rise = self._rise_in(other, log, last, end_ms)
            if rise is not None:
                seen = max(seen, rise)
                if other.running and same_host:
                    ours.insert(0, str(other.pid))
        now = 0
        if 0 <= time.time_ns() // 1_000_000 - end_ms < _NOW_MS:
            now = _risen_since(count, ours[:2], last.get(LIMIT))
        return OomKills(max(own, 0), seen, now)

    def _rise_in(
        self, other: Sibling, log: RunLog, last: Mapping[str, int], end_ms: int
    ) -> int | None:
        """Return by how much another run saw the count rise; None if it is of another cgroup."""
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
        used, theirs_used = last.get(USED), then.get(USED)
        # a successor finds the memory freed; one that was there used as much
        both = other.begin_ms <= end_ms and used is not None and theirs_used is not None
        if both and not _is_close(used or 0, theirs_used or 0, limit):
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
            except PprofplusError:
                return None
            self._logs[other.path] = log
        log.refresh()
        return log


def _risen_since(count: int, processes: Iterable[str], limit: int | None) -> int:
    """Return by how much the count of the cgroup of some processes is above `count` by now."""
    risen = 0
    for who in processes:
        found = oom_kills_now(who)
        # our own cgroup need not be the run's: its limit has to be the same
        if found is not None and (who != "self" or (limit and found[1] == limit)):
            risen = max(risen, found[0] - count)
    return risen


def _candidates(log: RunLog, others: Iterable[Sibling], end_ms: int) -> list[Sibling]:
    """Return the runs that went on after a run's end or began soon after, its service's first."""
    found = [
        other
        for other in others
        if other.path != log.path
        and other.end_ms > end_ms
        and other.begin_ms < end_ms + _SUCCESSOR_MS
    ]
    service = str(Path(log.path).parent)
    found.sort(key=lambda other: (str(Path(other.path).parent) != service, other.begin_ms))
    return found[:_MOST]


def _is_close(used: float, theirs: float, limit: int | None) -> bool:
    """Tell whether two readings of a cgroup's use may be of one cgroup."""
    return abs(used - theirs) <= _CLOSE * (limit or max(used, theirs))


def _values_at(log: RunLog, at_ms: int) -> dict[str, float]:
    """Return the figures of the cgroup in a run's sample nearest to a time, none without one."""
    wanted = [(name, False) for name in (OOM_KILLS, LIMIT, USED)]
    values = read_at(log, at_ms, _OWN_MS, wanted).values
    return {name: value for (name, _), value in values.items()}
