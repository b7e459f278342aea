"""The record of an ended run: read once from the end of its log, without arrays.

Reading a run with `RunLog` costs a millisecond and 40 kB, which is 14 s for ten thousand runs that
are not visible. If this module cannot be certain, it returns None, and `RunLog` must be used.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from pprofplus.errors import LogFormatError
from pprofplus.log import log_directory
from pprofplus.log.format import INTERVAL, STOP
from pprofplus_tui.model.runs import DIED
from pprofplus_tui.sources.local.cgroup_siblings import LIMIT, USED
from pprofplus_tui.sources.local.death_evidence import quick_cause
from pprofplus_tui.sources.local.liveness import Lock, ended_state, is_silent, lock_on
from pprofplus_tui.sources.local.machine import this_machine
from pprofplus_tui.sources.local.safe_files import opened
from pprofplus_tui.sources.local.segment_end import (
    SegmentEnd,
    SegmentSchema,
    TailPage,
    check_order,
)
from pprofplus_tui.sources.local.segment_header import begin_on_axis, first_instant

_FEW_SEGMENTS = 4  # up to half a megabyte, because segments grow with their run
RECENT_NS = 60_000_000_000  # after its last write, a run is checked each second for this long


@dataclass(slots=True, eq=False)  # not frozen: that triples the cost of a new one
class EndedRun:
    """The record of an ended run.

    Attributes:
        state: one of `model.runs.STATES` in which the process does not run.
        begin_ms: unix ms of the first sample or event that rotation has not removed.
        end_ms: unix ms of the last.
        interval_ms: between samples.
        size_bytes: on disk.
        schema: the newest.
        last: the last value of the requested metric, None if the run lacks it.
        samples: None unless they were counted.
        first: the first value of that metric, None unless samples were counted.
        peak: its largest value, as `first`.
        cause: why the process ended, as a list shows it; None if unknown, or as `first`.
        pinned: retention does not remove the run.
        newest: number of the newest segment.
        written: its inode, unix ns of the last write to it and its size, when it was read.
        settled: the process ended some time ago, so that only retention and operators can change
            the run.
    """

    state: str
    begin_ms: int
    end_ms: int
    interval_ms: int
    size_bytes: int
    schema: SegmentSchema
    last: int | None
    samples: int | None
    first: int | None
    peak: int | None
    cause: str | None
    pinned: bool
    newest: int
    written: tuple[int, int, int]
    settled: bool


def read_ended_run(
    path: str, metric: str, now_ns: int, *, counting: bool = False
) -> EndedRun | None:
    """Return the record of the run at `path`; None if it may still run, or its log is unusual.

    With `counting`, all page heads are read if the run has few segments. `now_ns` is unix time.
    Raises nothing.
    """
    try:
        return _read_ended_run(path, metric, now_ns, counting=counting)
    except (OSError, LogFormatError):
        return None


def _read_ended_run(path: str, metric: str, now_ns: int, *, counting: bool) -> EndedRun | None:
    """Do what `read_ended_run` does; raises OSError, LogFormatError if the log is unusual."""
    names = os.listdir(path)
    numbers = _segments(names)
    if not numbers:
        return None
    newest, few = numbers[-1], counting and len(numbers) <= _FEW_SEGMENTS
    with opened(f"{path}/{log_directory.segment_name(newest)}") as (file, status):
        lock = lock_on(file)
        recent = now_ns - status.st_mtime_ns < RECENT_NS
        if lock is Lock.HELD or (lock is Lock.UNKNOWN and recent):
            return None
        # the writer may have released this segment because it began the next one
        if recent and _segments(os.listdir(path)) != numbers:
            return None
        ending = SegmentEnd(file, status.st_size, every=few)
    page = ending.pages[-1]
    if lock is Lock.UNKNOWN and not _is_silent_page(page, now_ns // 1_000_000):
        return None
    pid = log_directory.parse_run_name(path.rpartition("/")[2])
    stop = _stop_of(page)
    if pid is None or (stop is None and _may_exist(ending.schema, pid[0])):
        return None
    pages = _every_page(path, numbers, ending) if few and ending.complete else None
    column = ending.schema.column(metric)
    begin_ms = _begin_ms(path, numbers, ending, pages)
    first = peak = samples = None
    if pages is not None:
        sampled = [each.head for each in pages if each.head.samples]
        samples = sum(head.samples for head in sampled)
        if column is not None:
            first, peak = sampled[0].first[column], max(head.hi[column] for head in sampled)
    state = ended_state(path, stop, pid[0], None, page.head.last_mono_ms, names=names)
    cause = (
        _cause_of_death(path, ending.schema, page, names) if counting and state == DIED else None
    )
    return EndedRun(
        state,
        min(begin_ms, page.end_ms),
        page.end_ms,
        page.head.interval_ms,
        status.st_size + _size(path, numbers[:-1]),
        ending.schema,
        None if column is None else page.last(column),
        samples,
        first,
        peak,
        cause,
        log_directory.PIN_NAME in names,
        newest,
        (status.st_ino, status.st_mtime_ns, status.st_size),
        lock is Lock.FREE and not recent,
    )


def _cause_of_death(
    path: str, schema: SegmentSchema, page: TailPage, names: list[str]
) -> str | None:
    """Return why a run died, from its run directory, header and last page."""
    used, limit = (
        None if column is None else page.last(column)
        for column in map(schema.column, (USED, LIMIT))
    )
    return quick_cause(
        path,
        stop=None,
        last_ms=page.end_ms,
        host=schema.host,
        boot_id=schema.boot_id,
        used_bytes=used,
        limit_bytes=limit,
        names=names,
    ).listed


def _every_page(path: str, numbers: list[int], ending: SegmentEnd) -> list[TailPage] | None:
    """Return the data pages of all segments in order, None if there are too many.

    `ending` is the end of the newest segment. Raises OSError, LogFormatError.
    """
    found: list[TailPage] = []
    for number in numbers[:-1]:
        with opened(f"{path}/{log_directory.segment_name(number)}") as (file, status):
            before = SegmentEnd(file, status.st_size, every=True)
        if not before.complete or before.schema is not ending.schema:
            return None
        found += before.pages
    found += ending.pages
    if any(b.head.prefix.number <= a.head.prefix.number for a, b in pairwise(found)):
        return None  # a page was written again to the next segment
    check_order(found)
    return found


def _begin_ms(
    path: str, numbers: list[int], ending: SegmentEnd, pages: list[TailPage] | None
) -> int:
    """Return the unix ms of the first instant that rotation has not removed, as `RunLog` does."""
    if pages is not None:
        return int(pages[0].head.first_unix_ms)
    if len(numbers) == 1 and ending.first is not None:
        return int(ending.first.head.first_unix_ms)
    first = first_instant(f"{path}/{log_directory.segment_name(numbers[0])}")
    if first is None:
        raise LogFormatError("no sample at the beginning")
    return begin_on_axis(first, ending.pages[0].offset_ms)


def _segments(names: Iterable[str]) -> list[int]:
    """Return the numbers of the segments among the names in a run directory, in order."""
    found = []
    for name in names:
        number = log_directory.parse_segment_name(name)
        # not 0000001.pplog, which is a different file from 000001.pplog
        if number and log_directory.segment_name(number) == name:
            found.append(number)
    found.sort()
    return found


def _size(path: str, numbers: Iterable[int]) -> int:
    """Return the size of these segments. Raises OSError, LogFormatError if one is not a file."""
    total = 0
    for number in numbers:
        status = os.lstat(f"{path}/{log_directory.segment_name(number)}")
        if not stat.S_ISREG(status.st_mode):
            raise LogFormatError("not a regular file")
        total += status.st_size
    return total


def _may_exist(schema: SegmentSchema, pid: int) -> bool:
    """Return whether a process exists that may be that of the run and no longer records."""
    here = schema.boot_id and schema.boot_id == this_machine().boot_id
    return bool(here) and os.path.lexists(f"/proc/{pid}")


def _stop_of(page: TailPage) -> str | None:
    """Return the text of a stop event after the last sample, None if there is none."""
    event = next(iter(page.events()[-1:]), None)
    stopped = event is not None and event.kind == STOP and event.mono_ms >= page.head.last_mono_ms
    return event.text if event is not None and stopped else None


def _is_silent_page(page: TailPage, now_ms: int) -> bool:
    """Return whether a run without a usable lock has ended; unknown if the interval changed."""
    if any(event.kind == INTERVAL for event in page.events()):
        return False
    return is_silent(page.end_ms, page.head.interval_ms, now_ms)
