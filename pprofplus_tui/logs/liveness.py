"""Whether a run's process is still there: the kernel knows, by the lock on the newest segment."""

import fcntl
from enum import Enum, auto

from pprofplus.errors import LogFormatError
from pprofplus_tui.logs.files import opened
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.runs import DIED, EXITED, LIVE, STALLED

_LEAST_SILENCE_MS = 5000
_SILENT_INTERVALS = 3


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
    """Return LIVE, STALLED, EXITED or DIED; `now_ms` is unix time.

    Without a lock to ask, a run whose samples are fresh is taken for live.
    """
    interval_ms = run.interval_ms
    last = run.last_events()
    for event in last:
        if event.kind == "interval":
            # the page that has the new interval begins with the next sample only
            interval_ms = max(interval_ms, event.value // 1000)
    if last and last[-1].kind == "stop" and last[-1].t_ms >= run.last_sample_ms:
        return EXITED
    silent = now_ms - run.last_sample_ms > max(_SILENT_INTERVALS * interval_ms, _LEAST_SILENCE_MS)
    if lock is Lock.HELD:
        return STALLED if silent else LIVE
    return DIED if silent or lock is Lock.FREE else LIVE
