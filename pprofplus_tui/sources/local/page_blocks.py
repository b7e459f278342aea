"""Blocks: several pages as one row, from the summary of a segment or from its page heads."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pprofplus.errors import LogFormatError
from pprofplus.log.format import (
    MAX_MONO_MS,
    MAX_SAMPLES,
    MAX_UNIX_MS,
    PREFIX,
    SUMMARY,
    SUMMARY_HEAD,
    SUMMARY_ROW,
    check_body,
    read_prefix,
    summary_row_size,
)
from pprofplus_tui.model.points import Bools, Ints
from pprofplus_tui.sources.local.page_index import PageHeads

MIN_PAGES = 32  # fewer stay single pages
_BLOCK_PAGES = 16
NO_HEAD = -1  # instead of the CRC of a page head
BLOCK_DTYPE = np.dtype(
    [
        ("number", "<i8"),
        ("pages", "<i8"),
        ("head_crc", "<i8"),
        ("samples", "<i8"),
        ("events_bytes", "<i8"),
        ("first_mono_ms", "<i8"),
        ("last_mono_ms", "<i8"),
        ("offset_ms", "<i8"),
        ("end_offset_ms", "<i8"),
        ("interval_ms", "<i8"),
    ]
)


class PageBlocks(PageHeads):
    """Blocks and single pages of one segment; see `page_table.PageTable`.

    `slot` is that of the first page, and the others follow it directly; `fixed` is BLOCK_DTYPE.
    """

    def take(self, which: Ints | Bools | slice) -> "PageBlocks":
        """Return the rows that `which` selects."""
        return PageBlocks(self.slot[which], self.fixed[which], self.values[which])


@lru_cache(8)
def _row_dtype(columns: int) -> "np.dtype[np.void]":
    dtype = np.dtype(
        [
            ("samples", "<u4"),
            ("events_bytes", "<u4"),
            ("first_mono_ms", "<i8"),
            ("last_mono_ms", "<i8"),
            ("offset_ms", "<i8"),
            ("end_offset_ms", "<i8"),
            ("values", "<i8", (3 * columns,)),
        ]
    )
    assert dtype.itemsize == summary_row_size(columns)
    assert SUMMARY_ROW.size + 24 * columns == dtype.itemsize
    return dtype


def summary_blocks(
    page: bytes, page_size: int, schema: int | None, columns: int, slots: range
) -> PageBlocks | None:
    """Return the blocks of a summary in the last of `slots`, None if it is invalid there.

    `page_size`, `schema` and `columns` are those of the segment, `slots` follow its header.
    """
    try:
        prefix = read_prefix(page)
        if prefix.type != SUMMARY or prefix.head_length < PREFIX.size + SUMMARY_HEAD.size:
            return None
        check_body(prefix, page)
    except LogFormatError:
        return None
    fields = SUMMARY_HEAD.unpack_from(page, PREFIX.size)
    its_schema, its_columns, count, slot, pages, row_pages, _, interval_ms = fields
    if (
        (prefix.page_size, its_schema, its_columns) != (page_size, schema, columns)
        or (slot, pages) != (slots.start, len(slots) - 1)
        or not pages
        or not row_pages
        or count != -(-pages // row_pages)
        or count * summary_row_size(columns) > prefix.length - prefix.head_length
    ):
        return None
    rows = np.frombuffer(page, _row_dtype(columns), count, prefix.head_length)
    begins = np.arange(count) * row_pages
    fixed = np.empty(count, BLOCK_DTYPE)
    for name in ("samples", "events_bytes", "first_mono_ms", "last_mono_ms"):
        fixed[name] = rows[name]
    fixed["offset_ms"], fixed["end_offset_ms"] = rows["offset_ms"], rows["end_offset_ms"]
    fixed["number"] = prefix.number + begins
    fixed["pages"] = np.minimum(row_pages, pages - begins)
    fixed["head_crc"] = NO_HEAD
    fixed["interval_ms"] = interval_ms
    if not _is_plausible(fixed):
        return None
    return PageBlocks(slot + begins, fixed, rows["values"])


def _is_plausible(rows: npt.NDArray[np.void]) -> bool:
    """Return whether the rows of a summary are possible for any pages."""
    first, last = rows["first_mono_ms"], rows["last_mono_ms"]
    least, end = rows["offset_ms"], rows["end_offset_ms"]
    samples = rows["samples"]
    # a sum overflows 64 bits only if one of its operands is out of range already
    possible = (
        (first >= 0)
        & (last >= first)
        & (last < MAX_MONO_MS)
        & (least > -MAX_MONO_MS)
        & (end >= least)
        & (end < MAX_UNIX_MS)
        & (first + least >= 0)
        & (last + end < MAX_UNIX_MS)
        & (samples <= rows["pages"] * MAX_SAMPLES)
        & ((samples > 0) | (rows["events_bytes"] > 0))
    )
    possible[1:] &= first[1:] >= last[:-1]
    return bool(possible.all())


def blocks_of(heads: PageHeads, final_slots: int) -> PageBlocks | None:
    """Return the pages as blocks of consecutive ones; None if that saves nothing.

    Pages from slot `final_slots` on may have another version: they stay single.
    """
    fixed, slot = heads.fixed, heads.slot
    if len(heads) < MIN_PAGES:
        return None
    number = fixed["number"].astype(np.int64)
    samples, interval_ms = fixed["samples"], fixed["interval_ms"]
    plain = (samples > 0) & (slot < final_slots)
    joint = (
        (np.diff(number) == 1)
        & (np.diff(slot) == 1)
        & (interval_ms[1:] == interval_ms[:-1])
        & (fixed["first_mono_ms"][1:] >= fixed["last_mono_ms"][:-1])
        & plain[1:]
        & plain[:-1]
    )
    index = np.arange(len(heads))
    fresh = np.append(True, ~joint)
    begin = np.maximum.accumulate(np.where(fresh, index, 0))
    starts = np.flatnonzero((index - begin) % _BLOCK_PAGES == 0)
    ends = np.append(starts[1:], len(heads)) - 1
    columns = heads.values.shape[1] // 3
    values = np.empty((len(starts), 3 * columns), np.int64)
    values[:, :columns] = heads.values[starts, :columns]
    lo, hi = slice(columns, 2 * columns), slice(2 * columns, 3 * columns)
    if columns:
        values[:, lo] = np.minimum.reduceat(heads.values[:, lo], starts, axis=0)
        values[:, hi] = np.maximum.reduceat(heads.values[:, hi], starts, axis=0)
    offset_ms = fixed["first_unix_ms"] - fixed["first_mono_ms"]
    rows = np.empty(len(starts), BLOCK_DTYPE)
    rows["number"], rows["pages"] = number[starts], ends - starts + 1
    rows["head_crc"] = np.where(
        rows["pages"] > 1, NO_HEAD, fixed["head_crc"][starts].astype(np.int64)
    )
    rows["samples"] = np.add.reduceat(samples.astype(np.int64), starts)
    rows["events_bytes"] = np.add.reduceat(fixed["events_bytes"].astype(np.int64), starts)
    rows["first_mono_ms"] = fixed["first_mono_ms"][starts]
    rows["last_mono_ms"] = fixed["last_mono_ms"][ends]
    rows["offset_ms"] = np.minimum.reduceat(offset_ms, starts)
    rows["end_offset_ms"] = offset_ms[ends]
    rows["interval_ms"] = interval_ms[starts]
    return PageBlocks(slot[starts], rows, values)
