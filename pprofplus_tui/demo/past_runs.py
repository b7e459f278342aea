"""The demo's history: runs of the last week, written by the real writer with a shifted clock."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pprofplus import __version__
from pprofplus.log.format import MARK, START, STOP, Event, RunHeader
from pprofplus.log.writer import Writer
from pprofplus.metrics import BY_NAME
from pprofplus_tui.demo.shapes import (
    INTERVAL_MS,
    MIB,
    Shape,
    c_leaking,
    columns,
    fragmenting,
    leaking,
    racing,
    saw_toothed,
)

_LIMIT_BYTES = 1024 * MIB
_MAX_BYTES = 64 * MIB


@dataclass(frozen=True)
class PastRun:
    """A run of the past.

    Attributes:
        service: its service.
        pid: an unused process id.
        shape: its memory use over time.
        begin: where in the week it began, 0 to 1.
        end: where it ended.
        killed: whether it ended without a stop event.
        limit_bytes: its cgroup's limit.
    """

    service: str
    pid: int
    shape: Shape
    begin: float
    end: float
    killed: bool
    limit_bytes: int = _LIMIT_BYTES


def past_runs() -> tuple[PastRun, ...]:
    """Return the runs of the week, the one to open on first."""
    night = tuple(
        PastRun(
            "batch",
            30_211 + 977 * day,
            racing,
            (day + 0.45) / 7,
            (day + 0.45) / 7 + 0.0035,
            killed=day in {2, 5},
            limit_bytes=768 * MIB,
        )
        for day in range(7)
    )
    return (
        PastRun("api", 21_408, leaking, 0.0, 1.0, killed=True),
        PastRun("worker", 21_411, saw_toothed, 0.0, 1.0, killed=False),
        PastRun("worker", 21_412, saw_toothed, 0.0, 1.0, killed=False),
        PastRun("imaging", 21_436, c_leaking, 0.0, 0.71, killed=True),
        PastRun("imaging", 28_977, c_leaking, 0.711, 1.0, killed=False),
        PastRun("reports", 21_459, fragmenting, 0.0, 1.0, killed=False),
        *night,
    )


def write_history(log_directory: Path, *, begin_ms: int, end_ms: int) -> Path:
    """Write the week [begin_ms, end_ms) and return the path of the run to open on."""
    first: Path | None = None
    for past in past_runs():
        span_ms = end_ms - begin_ms
        path = write_run(
            log_directory,
            past,
            begin_ms + int(span_ms * past.begin),
            begin_ms + int(span_ms * past.end),
        )
        first = first or path
    if first is None:
        raise ValueError("no runs in the past")
    return first


def write_run(log_directory: Path, past: PastRun, begin_ms: int, end_ms: int) -> Path:
    """Write one run with a sample a minute; return its directory. Raises OSError if it cannot."""
    unix_ms = np.arange(begin_ms, end_ms, INTERVAL_MS, dtype=np.int64)
    # the load follows the local time of day
    local_s = unix_ms / 1000 + time.localtime(begin_ms / 1000).tm_gmtoff
    found = columns(local_s, past.shape, np.random.default_rng(past.pid), past.limit_bytes)
    header = RunHeader(
        service=past.service,
        pid=past.pid,
        start_ms=begin_ms,
        metrics=tuple((name, BY_NAME[name].unit, BY_NAME[name].kind) for name in found),
        host="demo",
        argv=("python", "-m", past.service),
        python="CPython",
        collector=__version__,
        interval_ms=INTERVAL_MS,
    )
    writer = Writer(str(log_directory), header, max_bytes=_MAX_BYTES)
    writer.add_event(Event(START, 0, begin_ms))
    rows = np.stack(list(found.values()), axis=1).tolist()
    deploy = len(rows) // 2 if past.service == "api" else -1
    for i, (at_ms, row) in enumerate(zip(unix_ms.tolist(), rows, strict=True)):
        writer.add(at_ms - begin_ms, at_ms, row)
        if i == deploy:
            writer.add_event(Event(MARK, at_ms - begin_ms, at_ms, text="deploy 1.4.2"))
    if not past.killed:
        writer.add_event(Event(STOP, end_ms - begin_ms, end_ms))
        writer.close()
    else:
        # as SIGKILL leaves it: no stop event
        writer.abandon()
    if writer.write_error is not None:
        raise OSError(f"cannot write the demo's history: {writer.write_error}")
    return Path(writer.directory)
