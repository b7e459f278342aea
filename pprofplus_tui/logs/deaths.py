"""The end of a run: collects the evidence for its cause, and what it held then."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pprofplus.errors import PprofplusError
from pprofplus_tui.logs.cgroups import OOM_KILLS, oom_kills_now
from pprofplus_tui.logs.instant import read_at
from pprofplus_tui.logs.kernel import KernelLog
from pprofplus_tui.logs.liveness import last_mono_ms, packed_cause, was_packed
from pprofplus_tui.logs.machine import (
    Machine,
    monotonic_now_ms,
    process_of,
    same_command,
    this_machine,
)
from pprofplus_tui.logs.outcome import read_outcome
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.death import (
    KNOWN,
    Cause,
    Death,
    Evidence,
    KernelRecord,
    OomKills,
    decide,
)
from pprofplus_tui.model.runs import RUNNING

if TYPE_CHECKING:
    from pprofplus_tui.logs.catalog import RunInfo

_USED, _LIMIT = "cgroup_used", "cgroup_limit"
_AFTER_MS = 10_000  # so long after the end, other runs of the cgroup have a sample
_SUCCESSOR_MS = 60_000  # a worker's successor begins within that time
_OWN_MS = 30_000
_NOW_MS = 900_000  # later, what the cgroup counts may have another reason
_MOST_SIBLINGS = 4
_CLOSE = 0.1  # of the limit: two runs of one cgroup read its use at different moments
# The kernel's clock is not corrected by NTP: it may be off by a part of the time since the start.
_SLACK_MS, _DRIFT = 5000, 2e-4
_LATE_MS = 600_000  # a process may get no time for a sample for minutes before it is killed
_SOON_S, _SETTLED_S, _LOOK_S, _SELDOM_S = 15.0, 180.0, 1.0, 15.0


@dataclass(frozen=True)
class Sibling:
    """Another run that may share the cgroup: its directory and the time it covers, unix ms."""

    path: str
    begin_ms: int
    end_ms: int
    pid: int = 0
    running: bool = False

    @classmethod
    def of(cls, info: "RunInfo") -> "Sibling":
        """Return a run of the catalogue as a sibling."""
        running = info.state in RUNNING
        return cls(info.path, info.begin_ms, info.end_ms, info.pid, running)


class CauseFinder:
    """Finds the causes of deaths; keeps what it needs for the next. Use it from one thread."""

    def __init__(self) -> None:
        self._kernel = KernelLog()
        self._machine = this_machine()
        self._path = ""
        self._key: tuple[str, int] = ("", 0)
        self._death: Death | None = None
        self._first_s = self._next_s = 0.0

    def death_of(self, log: RunLog, state: str, others: Iterable[Sibling] = ()) -> Death | None:
        """Return how the run of a log that was refreshed ended, None if it is running.

        Evidence may come later than the death, from a parent or from other runs: so it is looked
        for again, often at first, until the cause is known or some minutes have passed.
        """
        if state in RUNNING:
            self._path = ""
            return None
        now_s = time.monotonic()
        key = state, log.end_ms
        if self._path != log.path or self._key != key:
            self._path, self._key, self._first_s, self._next_s = log.path, key, now_s, now_s
            self._death = None
        if now_s >= self._next_s:
            self._death = self._look(log, others)
            age_s = now_s - self._first_s
            self._next_s = now_s + (_LOOK_S if age_s < _SOON_S else _SELDOM_S)
            if self._death.cause.certainty == KNOWN or age_s > _SETTLED_S:
                self._next_s = float("inf")
        return self._death

    def _look(self, log: RunLog, others: Iterable[Sibling]) -> Death:
        last = log.last()
        return Death(
            log.last_sample_ms,
            decide(self._evidence(log, last, others)),
            last.get("rss"),
            peak_of(log),
            last.get(_USED),
            last.get(_LIMIT),
        )

    def _evidence(
        self, log: RunLog, last: Mapping[str, int], others: Iterable[Sibling]
    ) -> Evidence:
        header, machine = log.header, self._machine
        events = log.last_events()
        stop = None
        if events and events[-1].kind == "stop" and events[-1].t_ms >= log.last_sample_ms:
            stop = events[-1].text
        host, boot_id = (header.host, header.boot_id) if header is not None else ("", "")
        here = bool(boot_id) and boot_id == machine.boot_id
        elsewhere, booted_ms = _elsewhere(machine, host, boot_id, log.last_sample_ms)
        found = process_of(log.path, log.pid, header, last_mono_ms(log)) if here else None
        return Evidence(
            stop=stop,
            packed=was_packed(log.path),
            packed_cause=packed_cause(log.path),
            outcome=read_outcome(log.path),
            kernel=self._kernel_record(log) if here else None,
            kills=_kills(log, last, others, host == machine.host) if here else OomKills(),
            used_bytes=last.get(_USED),
            limit_bytes=last.get(_LIMIT),
            lives=found is not None and not found.ended,
            renamed=found is not None
            and header is not None
            and not same_command(found.argv, header.argv),
            wait_status=found.wait_status if found is not None and found.ended else None,
            last_ms=log.last_sample_ms,
            booted_ms=booted_ms,
            elsewhere=elsewhere,
        )

    def _kernel_record(self, log: RunLog) -> KernelRecord | None:
        last_ms = last_mono_ms(log)
        early_ms = _SLACK_MS + int(_DRIFT * last_ms)
        late_ms = early_ms + _LATE_MS + 2 * log.interval_ms
        found = self._kernel.end_of(log.pid, last_ms - early_ms, last_ms + late_ms)
        if found is None:
            return None
        now_ms, _ = monotonic_now_ms()
        t_ms = time.time_ns() // 1_000_000 - (now_ms - found.mono_ms)
        return KernelRecord(found.oom, t_ms, found.text)


def quick_cause(  # noqa: PLR0913 - what the header, the last page and the directory say
    path: str,
    *,
    stop: str | None,
    last_ms: int,
    host: str,
    boot_id: str,
    used_bytes: int | None,
    limit_bytes: int | None,
    machine: Machine,
) -> Cause:
    """Return the cause of a run's end by what a list has at hand: it opens two files at most.

    Args:
        path: the run's directory.
        stop: text of its stop event, None if its last page has none after the last sample.
        last_ms: unix ms of the last sample.
        host: of its header.
        boot_id: of its header.
        used_bytes: last value of cgroup_used, None if there is none.
        limit_bytes: last value of cgroup_limit, None if there is none.
        machine: `machine.this_machine()`.
    """
    elsewhere, booted_ms = _elsewhere(machine, host, boot_id, last_ms)
    return decide(
        Evidence(
            stop=stop,
            packed=was_packed(path),
            packed_cause=packed_cause(path),
            outcome=read_outcome(path),
            used_bytes=used_bytes,
            limit_bytes=limit_bytes,
            last_ms=last_ms,
            booted_ms=booted_ms,
            elsewhere=elsewhere,
        )
    )


def peak_of(log: RunLog) -> int | None:
    """Return the largest resident set in a log, None if it has none; reads nothing."""
    table = log.table
    column = table.column("rss")
    if column is None:
        return None
    rows = np.flatnonzero(table.rows["samples"] > 0)
    has = table.kinds(column)[table.rows["schema"][rows]] != 0
    return int(table.hi(column)[rows[has]].max()) if has.any() else None


def _elsewhere(machine: Machine, host: str, boot_id: str, last_ms: int) -> tuple[str, int | None]:
    """Return (name of another machine that a run is from, when this one started after its end)."""
    if not boot_id or not machine.boot_id or boot_id == machine.boot_id:
        return "", None
    if host != machine.host:
        return host, None
    booted_ms = machine.booted_ms
    return "", booted_ms if booted_ms is not None and booted_ms > last_ms else None


def _kills(
    log: RunLog,
    last: Mapping[str, int],
    others: Iterable[Sibling],
    same_host: bool,  # noqa: FBT001
) -> OomKills:
    """Return how the OOM kills of the run's cgroup rose about its end."""
    count = last.get(OOM_KILLS)
    if count is None:
        return OomKills()
    end_ms = log.last_sample_ms
    before = _count_at(log, end_ms - _OWN_MS)
    own = count - before if before is not None else 0
    siblings = now = 0
    ours: list[str] = ["self"]
    for other in _candidates(log, others, end_ms):
        rise = _rise_in(other, log, last, end_ms)
        if rise is not None:
            siblings = max(siblings, rise)
            if other.running and same_host:
                ours.insert(0, str(other.pid))
    if 0 <= time.time_ns() // 1_000_000 - end_ms < _NOW_MS:
        for who in ours[:2]:
            found = oom_kills_now(who)
            if found is not None and (who != "self" or found[1] == last.get(_LIMIT)):
                now = max(now, found[0] - count)
    return OomKills(max(own, 0), siblings, now)


def _candidates(log: RunLog, others: Iterable[Sibling], end_ms: int) -> list[Sibling]:
    found = [
        other
        for other in others
        if other.path != log.path
        and other.end_ms > end_ms
        and other.begin_ms < end_ms + _SUCCESSOR_MS
    ]
    service = str(Path(log.path).parent)
    found.sort(key=lambda other: (str(Path(other.path).parent) != service, other.begin_ms))
    return found[:_MOST_SIBLINGS]


def _rise_in(other: Sibling, log: RunLog, last: Mapping[str, int], end_ms: int) -> int | None:
    """Return by how much another run saw the count rise; None if it is of another cgroup."""
    try:
        theirs = RunLog(other.path, in_blocks=True)
    except PprofplusError:
        return None
    theirs.refresh()
    header, mine = theirs.header, log.header
    if header is None or mine is None or header.boot_id != mine.boot_id:
        return None
    shared_ms = max(end_ms, theirs.begin_ms)
    then = _values_at(theirs, shared_ms)
    limit, count = last.get(_LIMIT), last[OOM_KILLS]
    if OOM_KILLS not in then or then.get(_LIMIT) != limit:
        return None
    if other.begin_ms <= end_ms:
        used, theirs_used = last.get(_USED), then.get(_USED)
        if used is None or theirs_used is None:
            return None
        if abs(used - theirs_used) > _CLOSE * (limit or max(used, theirs_used)):
            return None
    after = _values_at(theirs, min(shared_ms + _AFTER_MS, theirs.end_ms)).get(OOM_KILLS)
    return max(int(after) - count, 0) if after is not None else None


def _values_at(log: RunLog, at_ms: int) -> dict[str, float]:
    wanted = [(name, False) for name in (OOM_KILLS, _LIMIT, _USED)]
    values = read_at(log, at_ms, _OWN_MS, wanted).values
    return {name: value for (name, _), value in values.items()}


def _count_at(log: RunLog, at_ms: int) -> int | None:
    found = _values_at(log, max(at_ms, log.begin_ms)).get(OOM_KILLS)
    return None if found is None else int(found)
