"""The least that tells how a run that has ended is: its last page, without arrays.

A look at a run as `RunLog` takes it costs milliseconds; of a thousand runs that nobody has
scrolled to, that is seconds. What a glance cannot be sure of is left to the look.
"""

import fcntl
import os
from dataclasses import dataclass

from pprofplus import home
from pprofplus.errors import LogFormatError
from pprofplus.format import (
    PAGE_SIZE,
    PAGE_SIZE_LOG2,
    STOP,
    DataHead,
    RunHeader,
    read_events,
    wrap,
)
from pprofplus_tui.logs.files import opened, segment_sizes
from pprofplus_tui.logs.header import begin_on_axis, first_instant, read_header
from pprofplus_tui.logs.liveness import ended_state
from pprofplus_tui.logs.segment import TAIL_SLOTS
from pprofplus_tui.logs.versions import newest_whole

_LONGEST_SHIFT = 63  # ten bytes hold 64 bits


@dataclass(frozen=True)
class Glance:
    """How an ended run is.

    Attributes:
        state: one of `model.runs.STATES` that is not of a running process.
        begin_ms: unix ms of the first sample or event that rotation has left.
        end_ms: unix ms of the last.
        interval_ms: between samples.
        size_bytes: on disk.
        metrics: (name, unit, kind) of the newest table; untrusted.
        last: the last value of the metric asked for, None if there is none of that name.
    """

    state: str
    begin_ms: int
    end_ms: int
    interval_ms: int
    size_bytes: int
    metrics: tuple[tuple[str, str, str], ...]
    last: int | None


def glance(path: str, metric: str, written_before_ns: int) -> Glance | None:
    """Return how the run at `path` ended; None if it may go on, or anything is out of order.

    A run goes on while its newest segment is locked, or if that was written to since
    `written_before_ns` (unix time). Raises nothing.
    """
    try:
        sizes = segment_sizes(path)
        if not sizes:
            return None
        newest = os.path.join(path, home.segment_name(max(sizes)))  # noqa: PTH118 - paths are str
        with opened(newest) as (file, status):
            if status.st_mtime_ns >= written_before_ns or _is_locked(file):
                return None
            found = read_header(file)
            header = found.header
            if header is None or found.damaged_pages or found.page_size_log2 != PAGE_SIZE_LOG2:
                return None
            slots = -(-status.st_size // PAGE_SIZE)
            tail = range(max(found.slots, slots - TAIL_SLOTS), slots)
            head, page = _last_page(file, header, tail)
        first = first_instant(os.path.join(path, home.segment_name(min(sizes))))  # noqa: PTH118
        if first is None:
            return None
        begin_ms = begin_on_axis(first, head.first_unix_ms - head.first_mono_ms)
        return _told(path, head, page, header, metric, begin_ms, sum(sizes.values()))
    except (OSError, LogFormatError):
        return None


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without locks
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _last_page(file: int, header: RunHeader, slots: range) -> tuple[DataHead, bytes]:
    """Return the last page in its fullest whole version. Raises LogFormatError if that is none."""
    found = newest_whole(os.pread(file, PAGE_SIZE, slot * PAGE_SIZE) for slot in slots)
    if found is None or not found[0].samples:
        raise LogFormatError("no samples at the end")
    head = found[0]
    if head.schema != header.schema or head.columns != len(header.metrics):
        raise LogFormatError("a page of another table")
    return found


def _told(  # noqa: PLR0913, PLR0917 - private: what was found
    path: str,
    head: DataHead,
    page: bytes,
    header: RunHeader,
    metric: str,
    begin_ms: int,
    size_bytes: int,
) -> Glance:
    """Return what the last page tells. Raises LogFormatError."""
    body = head.prefix.head_length
    events_at = body + sum(head.lengths)
    events = read_events(page[events_at : events_at + head.events_bytes])
    offset_ms = head.first_unix_ms - head.first_mono_ms
    stopped = bool(events) and events[-1].kind == STOP and events[-1].mono_ms >= head.last_mono_ms
    last = None
    names = [name for name, _, _ in header.metrics]
    if metric in names:
        column = names.index(metric)
        begin = body + sum(head.lengths[: column + 1])
        stream = page[begin : begin + head.lengths[column + 1]]
        last = wrap(head.first[column] + _rise(stream))
    end_ms = head.last_mono_ms + offset_ms
    return Glance(
        ended_state(
            path, events[-1].text if stopped else None, header.pid, header, head.last_mono_ms
        ),
        min(begin_ms, end_ms),
        end_ms,
        head.interval_ms,
        size_bytes,
        header.metrics,
        last,
    )


def _rise(stream: bytes) -> int:
    """Return the sum of a stream's differences. Raises LogFormatError if it is malformed."""
    total = token = shift = 0
    in_run = False
    for byte in stream:
        if byte & 0x80:
            token |= (byte & 0x7F) << shift
            shift += 7
            if shift > _LONGEST_SHIFT:
                raise LogFormatError("a number in a page is overlong")
            continue
        token |= byte << shift
        if in_run:
            in_run = False
        elif token:
            total += (token >> 1) ^ -(token & 1)
        else:
            in_run = True
        token = shift = 0
    if shift or in_run:
        raise LogFormatError("a stream in a page is cut short")
    return total
