"""Whether the process of a run still records: the lock on the newest segment shows it."""

from collections.abc import Container
from enum import Enum, auto

import numpy as np

from pprofplus.errors import LogFormatError
from pprofplus.log.format import RunHeader
from pprofplus.system.locks import is_locked
from pprofplus_tui.model.death import CONTINUED, SEEN_FROM_OUTSIDE, WATCH_ENDED
from pprofplus_tui.model.lifetimes import stale_ms
from pprofplus_tui.model.runs import DIED, EXITED, LIVE, PACKED, PAUSED, STALLED, UNRECORDED
from pprofplus_tui.sources.local.ending_files import read_ending_files
from pprofplus_tui.sources.local.machine import process_of
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.safe_files import opened

_LATE_SAMPLE_MS = 1000  # a sample in progress when the pause begins is written after it


class Lock(Enum):
    """The state of a segment's lock."""

    HELD = auto()
    FREE = auto()
    UNKNOWN = auto()  # no file, no permission, or no locks on this file system


def lock_of(path: str) -> Lock:
    """Return whether a writer holds the lock of the segment at `path`."""
    try:
        with opened(path) as (file, _):
            return lock_on(file)
    except (OSError, LogFormatError):
        return Lock.UNKNOWN


def lock_on(file: int) -> Lock:
    """Return whether a writer holds the lock of the segment with this descriptor."""
    try:
        locked = is_locked(file)
    except OSError:
        return Lock.UNKNOWN
    if locked is None:
        return Lock.UNKNOWN
    return Lock.HELD if locked else Lock.FREE


def last_mono_ms(run: RunLog) -> int:
    """Return the time of the last sample on the monotonic clock; 0 if there is none."""
    rows = np.flatnonzero(run.table.rows["samples"] > 0)
    return int(run.table.rows["last_mono_ms"][rows[-1]]) if len(rows) else 0


def ended_state(  # noqa: PLR0911, PLR0913 - one return for each kind of evidence; values that callers have
    path: str,
    stop: str | None,
    pid: int,
    header: RunHeader | None,
    last_mono_ms: int,
    *,
    names: Container[str] | None = None,
) -> str:
    """Return the state of a run that has ended: EXITED, DIED, UNRECORDED or PACKED.

    Args:
        path: the run directory; without a stop event, up to three files in it and /proc are read.
        stop: the text of its stop event, None if it has none after its last sample.
        pid: its process id.
        header: of its log.
        last_mono_ms: of its last sample, on the monotonic clock.
        names: of the files in the run directory, None if it was not listed.
    """
    if stop is not None and (stop == WATCH_ENDED or stop.startswith(CONTINUED)):
        return UNRECORDED
    if stop is not None and stop != SEEN_FROM_OUTSIDE:
        return EXITED
    notes = read_ending_files(path, names)
    if notes.outcome is not None:
        return EXITED if notes.outcome.in_order else DIED
    if stop is not None:
        return EXITED
    # the log of a packed run ends when it was packed, which says nothing about the process
    if notes.packed:
        return PACKED
    process = process_of(path, pid, header, last_mono_ms)
    if process is not None and not process.ended:
        return UNRECORDED
    return DIED if notes.cause is None or notes.cause.is_death else EXITED


def is_silent(since_ms: int, interval_ms: int, now_ms: int) -> bool:
    """Return whether a run has missed samples; `since_ms` is the last time in its log."""
    return now_ms - since_ms > stale_ms(interval_ms)


def state_of(run: RunLog, lock: Lock, now_ms: int) -> str:
    """Return one of the states of `model.runs`; `now_ms` is unix time.

    If the state of the lock is unknown, a run with recent samples counts as live.
    """
    events = run.last_events()
    sampled_ms = active_ms = run.last_sample_ms
    if events and events[-1].kind == "stop" and events[-1].t_ms >= sampled_ms:
        return _ended(run, events[-1].text)
    interval_ms = run.interval_ms
    paused = False
    for event in events:
        if event.kind == "interval" and event.t_ms >= sampled_ms:
            # the page with the new interval begins only with the next sample
            interval_ms = event.value // 1000
        if event.kind in {"interval", "resume"}:
            active_ms = max(active_ms, event.t_ms)
        if event.kind in {"pause", "resume"}:
            # a sample long after a pause shows that the resume event could not be written
            paused = event.kind == "pause" and sampled_ms - event.t_ms <= _LATE_SAMPLE_MS
    if paused and lock is Lock.HELD:
        return PAUSED
    silent = is_silent(active_ms, interval_ms, now_ms)
    if lock is Lock.HELD:
        return STALLED if silent else LIVE
    if not silent and lock is not Lock.FREE:
        return LIVE
    return _ended(run, None)


def _ended(run: RunLog, stop: str | None) -> str:
    return ended_state(run.path, stop, run.pid, run.header, last_mono_ms(run))
