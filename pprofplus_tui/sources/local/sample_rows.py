"""The rows of an export: every sample page after page, and instants as text."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone, tzinfo

import numpy as np

from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.decode import PageBatch
from pprofplus_tui.sources.local.run_log import RunLog

_BATCH_STREAMS = 528  # 16 pages of the usual schema
_MIN_STREAMS = 8  # a page with fewer counts as this many, because pages may be large
_MINUTE_MS = 60_000


def batches(run: RunLog, rows: Ints) -> Iterator[Ints]:
    """Split rows of the run's table into batches of pages of one schema."""
    schema = run.table.rows["schema"][rows]
    for part in np.split(rows, np.flatnonzero(np.diff(schema)) + 1):
        if len(part):
            table = run.table.schemas[int(run.table.rows["schema"][part[0]])]
            pages = _BATCH_STREAMS // max(_MIN_STREAMS, len(table.metrics)) or 1
            for at in range(0, len(part), pages):
                yield part[at : at + pages]


def page_values(run: RunLog, rows: Ints, order: Sequence[int]) -> Iterator[tuple[Ints, Ints]]:
    """Yield (unix ms, values of shape (columns, samples)) of each page, empty if damaged.

    All rows must have one schema; `order` selects columns of it.
    """
    table = run.table
    columns = len(table.schemas[int(table.rows["schema"][rows[0]])].metrics)
    pages = run.pages.read_pages(rows)
    nothing = np.zeros(0, np.int64), np.zeros((len(order), 0), np.int64)
    whole = [(int(row), page) for row, page in zip(rows, pages, strict=True) if page is not None]
    for _ in range(len(pages) - len(whole)):
        yield nothing
    if not whole:
        return
    batch = PageBatch([page for _, page in whole], columns)
    mono, bad = batch.times()
    of_page = np.repeat(np.arange(len(whole)), len(order))
    values, bad_streams = batch.columns(of_page, np.tile(np.array(order, np.int64), len(whole)))
    bad[of_page[bad_streams]] = True
    at = 0
    for i, (row, _) in enumerate(whole):
        count = int(batch.fixed["samples"][i])
        begin = at * len(order)
        block = values[begin : begin + count * len(order)].reshape(len(order), count)
        t_ms = mono[at : at + count] + table.offset_ms[row]
        at += count
        yield nothing if bad[i] else (t_ms, block)


def iso_times(times_ms: Sequence[int], zone: tzinfo | None = None) -> list[str]:
    """Return each instant in ISO 8601 with milliseconds and offset; `zone` None is the local one.

    An instant that no calendar has is "".
    """
    texts = []
    minute, begin, end = None, "", ""
    for t_ms in times_ms:
        if t_ms // _MINUTE_MS != minute:
            minute = t_ms // _MINUTE_MS
            begin, end = _minute_texts(minute, zone)
        rest = t_ms - minute * _MINUTE_MS
        if begin:
            texts.append(f"{begin}:{rest // 1000:02d}.{rest % 1000:03d}{end}")
        else:
            texts.append(_iso(t_ms, zone))
    return texts


def _minute_texts(minute: int, zone: tzinfo | None) -> tuple[str, str]:
    """Return what stands before and behind the seconds; "" if the offset has seconds itself."""
    try:
        instant = moment(minute * _MINUTE_MS, zone)
        offset = instant.utcoffset() or timedelta(0)
    except (ValueError, OverflowError, OSError):
        return "", ""
    if offset % timedelta(minutes=1):
        return "", ""
    text = instant.isoformat(timespec="minutes")
    length = len("2026-11-20T14:05")
    return text[:length], text[length:]


def _iso(t_ms: int, zone: tzinfo | None) -> str:
    try:
        return moment(t_ms, zone).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ""


def moment(unix_ms: int, zone: tzinfo | None) -> datetime:
    """Return the instant in a time zone. Raises ValueError, OverflowError past the calendar."""
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (epoch + timedelta(milliseconds=unix_ms)).astimezone(zone)
