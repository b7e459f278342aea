"""The end of a run: the evidence for its cause, and the memory that it used then."""

import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

import numpy as np

from pprofplus_tui.model.death import (
    KNOWN,
    OOM,
    STOPPED,
    UNKNOWN,
    UNWATCHED,
    Cause,
    Death,
    Evidence,
    KernelRecord,
)
from pprofplus_tui.model.death_causes import decide
from pprofplus_tui.model.runs import RUNNING
from pprofplus_tui.sources.local.cgroup_siblings import LIMIT, USED, Sibling, Siblings
from pprofplus_tui.sources.local.ending_files import read_ending_files
from pprofplus_tui.sources.local.kernel_log import KernelLog
from pprofplus_tui.sources.local.liveness import last_mono_ms
from pprofplus_tui.sources.local.machine import (
    Machine,
    monotonic_now_ms,
    process_of,
    same_command,
    this_machine,
)
from pprofplus_tui.sources.local.run_log import RunLog

# The kernel's clock is not corrected by NTP: its error grows with the time since the start.
_SLACK_MS, _DRIFT = 5000, 2e-4
_LATE_MS = 600_000  # a process may be unable to take a sample for minutes before it is killed
_FREQUENT_S, _FINAL_S = 15.0, 180.0  # after the first search: the searches get rare, and end
_SHORT_DELAY_S, _LONG_DELAY_S = 1.0, 15.0
_RECENT_S = 600.0  # later, no new evidence of a death appears
_MAX_TIME_SHARE = 0.05  # the maximum share of the time to spend on searches


class CauseFinder:
    """Finds the causes of deaths; caches what several searches need. Use it from one thread."""

    def __init__(self, kernel: KernelLog | None = None) -> None:
        """Make a finder; several may share the kernel's log."""
        self._kernel = KernelLog() if kernel is None else kernel
        self._machine = this_machine()
        self._path = ""
        self._key: tuple[str, int] = ("", 0)
        self._death: Death | None = None
        self._siblings = Siblings()
        self._first_s = self._next_s = 0.0

    def death_of(
        self, log: RunLog, state: str, others: Iterable[Sibling] = (), *, at_once: bool = False
    ) -> Death | None:
        """Return how the run of a refreshed log ended, None if it is in progress.

        With `at_once`, the first search takes a millisecond: it omits the kernel's log and other
        runs, which take longer, and the next search reads them.

        Evidence from a parent or from other runs may appear after the death, so the search is
        repeated, often at first, until some minutes have passed.
        """
        if state in RUNNING:
            self._path = ""
            return None
        now_s = time.monotonic()
        key = state, log.end_ms
        if self._path != log.path or self._key != key:
            self._path, self._key, self._first_s, self._next_s = log.path, key, now_s, now_s
            self._death, self._siblings = None, Siblings()
        if at_once and self._death is None:
            self._death = self._find_cause(log, None)
        elif now_s >= self._next_s:
            self._death = _more_certain(self._death, self._find_cause(log, others))
            self._next_s = self._next_search_s(self._death, now_s)
        return self._death

    def _next_search_s(self, death: Death, began_s: float) -> float:
        """Return the monotonic time of the next search, after one that began at `began_s`."""
        now_s = time.monotonic()
        still_runs = death.cause.kind in {STOPPED, UNWATCHED}
        if not still_runs and death.cause.kind == OOM and death.cause.certainty == KNOWN:
            return float("inf")
        age_s = time.time() - death.t_ms / 1000
        recent = 0 <= age_s < _RECENT_S
        if not still_runs and (not recent or now_s - self._first_s > _FINAL_S):
            return float("inf")
        frequent = recent and now_s - self._first_s < _FREQUENT_S
        delay_s = _SHORT_DELAY_S if frequent else _LONG_DELAY_S
        # a small share of the time, however long the kernel's log is
        return now_s + max(delay_s, (now_s - began_s) / _MAX_TIME_SHARE)

    def _find_cause(self, log: RunLog, others: Iterable[Sibling] | None) -> Death:
        last = log.last()
        return Death(
            log.last_sample_ms,
            decide(self._evidence(log, last, others)),
            last.get("rss"),
            peak_of(log),
            last.get(USED),
            last.get(LIMIT),
        )

    def _evidence(
        self, log: RunLog, last: Mapping[str, int], others: Iterable[Sibling] | None
    ) -> Evidence:
        header, machine = log.header, self._machine
        events = log.last_events()
        stop = None
        if events and events[-1].kind == "stop" and events[-1].t_ms >= log.last_sample_ms:
            stop = events[-1].text
        host, boot_id = (header.host, header.boot_id) if header is not None else ("", "")
        here = bool(boot_id) and boot_id == machine.boot_id
        thorough = here and others is not None
        other_machine, booted_ms = _other_machine(machine, host, boot_id, log.last_sample_ms)
        found = process_of(log.path, log.pid, header, last_mono_ms(log)) if here else None
        notes = read_ending_files(log.path)
        evidence = Evidence(
            stop=stop,
            packed=notes.packed,
            packed_cause=notes.cause,
            outcome=notes.outcome,
            kernel=self._kernel_record(log) if thorough else None,
            used_bytes=last.get(USED),
            limit_bytes=last.get(LIMIT),
            still_runs=found is not None and not found.ended,
            other_command_line=found is not None
            and header is not None
            and not same_command(found.argv, header.argv),
            wait_status=found.wait_status if found is not None and found.ended else None,
            last_ms=log.last_sample_ms,
            booted_ms=booted_ms,
            other_machine=other_machine,
        )
        if not thorough or others is None or decide(evidence).kind == OOM:
            return evidence
        # other logs are opened only if they may add evidence
        kills = self._siblings.kills(log, last, others, same_host=host == machine.host)
        return replace(evidence, kills=kills)

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


def _more_certain(before: Death | None, now: Death) -> Death:
    """Return `now`, or `before` if it was more certain: evidence such as a zombie disappears."""
    gone = before is not None and before.cause.is_death and now.cause.certainty == UNKNOWN
    return before if gone and before is not None else now


def quick_cause(  # noqa: PLR0913 - values of the header, the last page and the run directory
    path: str,
    *,
    stop: str | None,
    last_ms: int,
    host: str,
    boot_id: str,
    used_bytes: int | None,
    limit_bytes: int | None,
    names: Container[str] | None = None,
) -> Cause:
    """Return the cause of a run's end from the data that a list has; opens two files at most.

    Args:
        path: the run directory.
        stop: text of the stop event, None if the last page has none after the last sample.
        last_ms: unix ms of the last sample.
        host: of its header.
        boot_id: of its header.
        used_bytes: last value of cgroup_used, None if there is none.
        limit_bytes: last value of cgroup_limit, None if there is none.
        names: of the files in the run directory, None if it was not listed.
    """
    notes = read_ending_files(path, names)
    other_machine, booted_ms = _other_machine(this_machine(), host, boot_id, last_ms)
    return decide(
        Evidence(
            stop=stop,
            packed=notes.packed,
            packed_cause=notes.cause,
            outcome=notes.outcome,
            used_bytes=used_bytes,
            limit_bytes=limit_bytes,
            last_ms=last_ms,
            booted_ms=booted_ms,
            other_machine=other_machine,
        )
    )


def peak_of(log: RunLog) -> int | None:
    """Return the largest resident set in a log, None if it has none; reads no file."""
    table = log.table
    column = table.column("rss")
    if column is None:
        return None
    rows = np.flatnonzero(table.rows["samples"] > 0)
    has = table.kinds(column)[table.rows["schema"][rows]] != 0
    return int(table.hi(column)[rows[has]].max()) if has.any() else None


def _other_machine(
    machine: Machine, host: str, boot_id: str, last_ms: int
) -> tuple[str, int | None]:
    """Return (host of the run if it is another machine, start of this machine after the end)."""
    if not boot_id or not machine.boot_id or boot_id == machine.boot_id:
        return "", None
    if host != machine.host:
        return host, None
    booted_ms = machine.booted_ms
    return "", booted_ms if booted_ms is not None and booted_ms > last_ms else None
