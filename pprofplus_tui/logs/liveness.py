"""Whether a run's process is still there: the kernel knows, by the lock on the newest segment."""

import fcntl
import os
from enum import Enum, auto

from pprofplus.errors import LogFormatError
from pprofplus_tui.logs.files import opened
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.lives import stale_ms
from pprofplus_tui.model.runs import DIED, EXITED, LIVE, PAUSED, STALLED

# A file that the unpacking of a bundle puts into a run that went on when it was packed.
PACKED_NAME = "packed"
_LATE_SAMPLE_MS = 1000  # one that was being taken when the pause came is written after it


class Lock(Enum):
    """What is known of a segment's lock."""

    HELD = auto()
    FREE = auto()
    UNKNOWN = auto()  # no file, no permission, or a file system without locks


def lock_of(path: str) -> Lock:
    """Return whether a writer holds the segment at `path`."""
    try:
        with opened(path) as (file, _):
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Lock.HELD
            fcntl.flock(file, fcntl.LOCK_UN)
    except (OSError, LogFormatError):
        return Lock.UNKNOWN
    return Lock.FREE


def state_of(run: RunLog, lock: Lock, now_ms: int) -> str:
    """Return LIVE, PAUSED, STALLED, EXITED or DIED; `now_ms` is unix time.

    Without a lock to ask, a run whose samples are fresh is taken for live.
    """
    events = run.last_events()
    sampled_ms = told_ms = run.last_sample_ms
    if events and events[-1].kind == "stop" and events[-1].t_ms >= sampled_ms:
        return EXITED
    interval_ms = run.interval_ms
    paused = False
    for event in events:
        if event.kind == "interval" and event.t_ms >= sampled_ms:
            # the page that has the new interval begins with the next sample only
            interval_ms = event.value // 1000
        if event.kind in {"interval", "resume"}:
            told_ms = max(told_ms, event.t_ms)
        if event.kind in {"pause", "resume"}:
            # what is sampled long after a pause tells of a resumption that could not be written
            paused = event.kind == "pause" and sampled_ms - event.t_ms <= _LATE_SAMPLE_MS
    if paused and lock is Lock.HELD:
        return PAUSED
    silent = now_ms - told_ms > stale_ms(interval_ms)
    if lock is Lock.HELD:
        return STALLED if silent else LIVE
    if not silent and lock is not Lock.FREE:
        return LIVE
    # the log of one that was packed ends there, and that tells nothing of its process
    return EXITED if os.path.lexists(f"{run.path}/{PACKED_NAME}") else DIED
