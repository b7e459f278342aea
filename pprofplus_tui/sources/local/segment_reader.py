"""One segment file: its header, its page index, and its live tail."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from pprofplus.errors import LogFormatError
from pprofplus.log.format import (
    COLUMNS_OFFSET,
    DATA,
    MAX_HEAD_BYTES,
    PAGE_SIZE_LOG2,
    PREFIX,
    RunHeader,
    check_body,
    head_size,
    read_prefix,
)
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.page_blocks import PageBlocks, blocks_of, summary_blocks
from pprofplus_tui.sources.local.page_index import PageHeads, check_heads, data_heads, fixed_parts
from pprofplus_tui.sources.local.page_versions import body_is_whole, unique_pages
from pprofplus_tui.sources.local.safe_files import opened
from pprofplus_tui.sources.local.segment_header import read_header

TAIL_SLOTS = 2  # the writer alternates between two adjacent slots for the versions of a page
# Larger than any real segment: a malicious sparse file can have any size.
_MAX_SLOTS = 1 << 15
_MAX_BYTES = 1 << 28
_CHUNK_SLOTS = 1024  # indexed at once, which limits memory
_CHUNK_BYTES = 4 << 20  # of heads that are longer than expected
_TRIES = 3  # reads of a tail page before it counts as damaged and not as being written
_FIRST_HEAD_BYTES = 1024  # bytes to read of a head before the header is known


class SegmentReader:
    """The page index of one segment; `poll` updates it, and reads only what is new.

    No file stays open between calls. Attributes:
        path: of the file.
        header: None if it is damaged or not yet written.
        heads: each undamaged data page once, ordered by number. All have one schema. With
            `in_blocks`, many pages are `PageBlocks`. Of the bodies, only those of the last pages
            and of pages with several versions are verified: see `page_versions`.
        schema: CRC of the schema, None if there is no header and no page.
        columns: number of metrics in it.
        released: the heads were dropped; a poll reads them again.
        damaged_pages: pages that were skipped.
        size_bytes: of the file.
        written_ns: unix ns of the last write to it.
        problem: set if a later format version wrote some of it, else "".
        unread: why the last attempt to read it failed, else "". A removed file is not a failure.
    """

    def __init__(
        self, path: str, last_slots: int | None = None, *, in_blocks: bool = False
    ) -> None:
        """Make a reader; with `last_slots`, only that many of the last pages are indexed.

        With `in_blocks`, a segment that no longer grows has blocks instead of most heads.
        """
        self.path = path
        self._last_slots = last_slots
        self._in_blocks = in_blocks
        self.size_bytes = 0
        self.written_ns = 0
        self.unread = ""
        self._identity: tuple[int, int] | None = None
        self._reset()

    def _reset(self) -> None:
        self.header: RunHeader | None = None
        self.schema: int | None = None
        self.columns = 0
        self.heads = PageHeads.empty()
        self.released = False
        self.problem = ""
        self._summarised = False
        self._final = PageHeads.empty()
        self._final_slots = 0
        self._final_damaged = 0
        self._tail_damaged = 0
        self._tail: dict[int, bytes] = {}
        self._page_size_log2 = PAGE_SIZE_LOG2
        self._header_slots = 0
        self._header_damaged = 0
        self._head_bytes = _FIRST_HEAD_BYTES

    @property
    def damaged_pages(self) -> int:
        """Pages that were skipped because they are damaged or have another schema."""
        return self._final_damaged + self._tail_damaged + self._header_damaged

    @property
    def page_size(self) -> int:
        """Bytes of a slot."""
        return 1 << self._page_size_log2

    def poll(self, *, growing: bool) -> int | None:
        """Read what is new; return the first row of `heads` that changed, None if none did.

        `growing`: a writer may still be active, so the last pages are kept for comparison.
        Raises OSError if the file is missing, LogFormatError if it is not a regular file.
        """
        with self._opened() as (file, status):
            identity = (status.st_dev, status.st_ino)
            restarted = identity != self._identity or status.st_size < self.size_bytes
            if isinstance(self.heads, PageBlocks):  # it was complete, but was written to
                restarted |= status.st_size != self.size_bytes or not self._in_blocks
            if restarted and self._identity is not None:
                self._reset()
            self._identity = identity
            self.size_bytes, self.written_ns = status.st_size, status.st_mtime_ns
            self.released = False
            if self.header is None:
                self._read_header(file)
            changed = self._read_pages(file, growing=growing)
        self.unread = ""
        return 0 if restarted else changed

    @contextmanager
    def _opened(self) -> Iterator[tuple[int, os.stat_result]]:
        """Open the file with `opened`; store the reason in `unread` if that fails."""
        try:
            with opened(self.path) as found:
                yield found
        except FileNotFoundError:
            raise
        except (OSError, LogFormatError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self.unread = f"cannot be read: {reason}".replace(f"{self.path}: ", "")
            raise

    def _read_header(self, file: int) -> None:
        if not self.size_bytes:
            return
        found = read_header(file)
        self._page_size_log2, self._header_slots = found.page_size_log2, found.slots
        self._header_damaged = found.damaged_pages
        self.problem = found.problem or self.problem
        self.header = found.header
        if self.header is not None:
            self.schema = self.header.schema
            self.columns = len(self.header.metrics)
            self._head_bytes = head_size(self.columns)

    def _read_pages(self, file: int, *, growing: bool) -> int | None:
        size_bytes = min(self.size_bytes, _MAX_BYTES)
        slots = min(-(-size_bytes // self.page_size), _MAX_SLOTS)
        slots = max(slots, self._header_slots)
        begin = max(self._final_slots, self._header_slots)
        if self._last_slots is not None and not self._final_slots:
            begin = max(begin, slots - self._last_slots)
        if not growing:
            if isinstance(self.heads, PageBlocks):
                return None
            if self._in_blocks and self._read_summary(file, slots):
                return 0
            if not self._tail:
                final, damaged = self._index(file, range(begin, slots), None)
                before = self.heads
                self._add_final(file, final, damaged, slots)
                self.heads, self._tail_damaged = self._final, 0
                return (
                    0
                    if self._merge_into_blocks(slots)
                    else _first_change(before, self.heads, set())
                )
        return self._read_growing(file, range(begin, slots), growing=growing)

    def _read_growing(self, file: int, new: range, *, growing: bool) -> int | None:
        """Read the new slots, the last of which may have several versions of a page."""
        begin, slots = new.start, new.stop
        tail = max(begin, slots - TAIL_SLOTS)
        pages = self._read_tail(file, range(tail, slots))
        if tail == begin and pages == self._tail and self._final_slots == begin:
            self._tail = pages if growing else {}
            return None
        final, damaged = self._index(file, range(begin, tail), None)
        old_tail, before = set(self._tail), self.heads
        live, self._tail_damaged = self._index(file, range(tail, slots), pages)
        self._add_final(file, final, damaged, tail)
        self._tail = pages if growing else {}
        heads = self._final.joined(live) if len(self._final) else live
        # bodies in the tail are verified already; only earlier slots must be read
        self.heads, torn = unique_pages(
            heads, lambda slot: slot >= tail or self._is_whole(file, slot)
        )
        if len(torn):
            self._final = self._final.take(~np.isin(self._final.slot, torn))
            self._final_damaged += len(torn)
        if not growing and self._merge_into_blocks(slots):
            return 0
        return _first_change(before, self.heads, old_tail)

    def _read_summary(self, file: int, slots: int) -> bool:
        """Use the summary in the last slot instead of all heads; return False if it is invalid."""
        if slots <= self._header_slots:
            return False
        page = os.pread(file, self.page_size, (slots - 1) * self.page_size)
        places = range(self._header_slots, slots)
        blocks = summary_blocks(page, self.page_size, self.schema, self.columns, places)
        if blocks is None:
            return False
        self._take_blocks(blocks, 0, slots)
        self._summarised = True
        return True

    def _merge_into_blocks(self, slots: int) -> bool:
        """Replace all heads by blocks, if enabled and if that saves memory."""
        if not self._in_blocks:
            return False
        blocks = blocks_of(self.heads, slots - TAIL_SLOTS - 1)
        if blocks is not None:
            self._take_blocks(blocks, self.damaged_pages - self._header_damaged, slots)
        return blocks is not None

    def _take_blocks(self, blocks: PageBlocks, damaged: int, slots: int) -> None:
        self.heads, self._final = blocks, PageHeads.empty()
        self._final_slots, self._final_damaged, self._tail_damaged = slots, damaged, 0
        self._tail = {}

    def release(self) -> None:
        """Drop the blocks of a summary once they are in a table, which saves 10 MB for a year."""
        if self._summarised and isinstance(self.heads, PageBlocks):
            self.heads, self.released = PageHeads.empty(), True
            self._final_slots = 0

    def disable_blocks(self) -> None:
        """Read the heads at the next poll, because they contradict the blocks."""
        self._in_blocks = False

    def heads_in(self, slot: int, count: int) -> PageHeads:
        """Return the pages in these slots, read from the disk.

        Raises OSError, LogFormatError as `poll`.
        """
        with self._opened() as (file, _):
            heads, _ = self._index(file, range(slot, slot + count), None)
            return unique_pages(heads, lambda slot: self._is_whole(file, slot))[0]

    def raw_heads(self, slots: Sequence[int], size: int) -> list[bytes]:
        """Return the first `size` bytes of each slot, unchecked; b"" if they cannot be read."""
        page_size, pread = self.page_size, os.pread
        try:
            with self._opened() as (file, _):
                return [pread(file, size, slot * page_size) for slot in slots]
        except (OSError, LogFormatError):
            return [b""] * len(slots)

    def _add_final(self, file: int, heads: PageHeads, damaged: int, slots: int) -> None:
        """Add pages that will not change any more, up to slot `slots`."""
        joined = self._final.joined(heads) if len(self._final) else heads
        self._final, torn = unique_pages(joined, lambda slot: self._is_whole(file, slot))
        self._final_damaged += damaged + len(torn)
        self._final_slots = slots

    def _is_whole(self, file: int, slot: int) -> bool:
        return body_is_whole(os.pread(file, self.page_size, slot * self.page_size))

    def _read_tail(self, file: int, slots: range) -> dict[int, bytes]:
        """Read whole pages; read a page again if it is being written.

        The last slot is read first: if it has the next page, the page before it is complete.
        """
        pages = dict.fromkeys(slots, b"")
        for slot in reversed(slots):
            page = b""
            for _ in range(_TRIES):
                page = os.pread(file, self.page_size, slot * self.page_size)
                try:
                    prefix = read_prefix(page)
                    check_body(prefix, page)
                except LogFormatError:
                    continue
                page = page[: prefix.length]
                break
            pages[slot] = page
        return pages

    def _index(
        self, file: int, slots: range, pages: dict[int, bytes] | None
    ) -> tuple[PageHeads, int]:
        """Return (the data pages in these slots, number of damaged pages).

        Only heads are read, unless `pages` has the whole pages: then bodies are verified too.
        """
        found: list[PageHeads] = []
        damaged = 0
        for begin in range(slots.start, slots.stop, _CHUNK_SLOTS):
            chunk = range(begin, min(begin + _CHUNK_SLOTS, slots.stop))
            if pages is None and _is_hole(
                file, begin * self.page_size, len(chunk) * self.page_size
            ):
                damaged += len(chunk)
                continue
            damaged += self._index_chunk(file, chunk, pages, found)
        return (found[0] if len(found) == 1 else PageHeads.of(found, self.columns)), damaged

    def _index_chunk(
        self, file: int, slots: range, pages: dict[int, bytes] | None, found: list[PageHeads]
    ) -> int:
        """Append the data pages in these slots to `found`; return the number of damaged pages."""
        size, guess = self.page_size, self._head_bytes
        if pages is None:
            pread = os.pread
            heads = [pread(file, guess, slot * size) for slot in slots]
        else:
            heads = [page[:guess] for page in pages.values()]
        lengths = fixed_parts(heads)["head_length"]
        places = np.arange(slots.start, slots.stop)
        possible = (lengths >= PREFIX.size) & (lengths <= min(size, MAX_HEAD_BYTES))
        damaged = int(len(heads) - possible.sum())
        for length in sorted(set(lengths[possible].tolist())):
            alike = np.flatnonzero(lengths == length)
            most = max(1, _CHUNK_BYTES // length)
            for at in range(0, len(alike), most):
                same = alike[at : at + most]
                if pages is not None:
                    some = [pages[int(places[i])][:length] for i in same]
                elif length > guess:
                    some = [os.pread(file, length, int(places[i]) * size) for i in same]
                elif length < guess:
                    some = [heads[i][:length] for i in same]
                else:
                    some = heads if len(same) == len(heads) else [heads[i] for i in same]
                bodies = None if pages is None else [pages[int(places[i])] for i in same]
                healthy, bad = self._sift(some, length, places[same], bodies)
                damaged += bad
                if len(healthy):
                    found.append(healthy)
        return damaged

    def _sift(
        self, heads: Sequence[bytes], length: int, places: Ints, bodies: Sequence[bytes] | None
    ) -> tuple[PageHeads, int]:
        """Return (data pages of this segment's schema, damaged pages) of heads of one length."""
        checked = check_heads(heads, length, self._page_size_log2)
        fixed = checked.fixed
        ends = places * self.page_size + fixed["length"]
        whole = checked.whole & (ends <= self.size_bytes)
        if bodies is not None:
            whole &= np.array([body_is_whole(body) for body in bodies])
        if (whole & checked.newer).any() and not self.problem:
            self.problem = "not fully read: some pages have a newer log format, upgrade pprofplus"
        data = whole & checked.data
        if self.schema is None and data.any():
            first = fixed[int(np.argmax(data))]
            self.schema, self.columns = int(first["schema"]), int(first["columns"])
        damaged = int(len(heads) - whole.sum())
        ours = data & (fixed["schema"] == self.schema) & (fixed["columns"] == self.columns)
        damaged += int(data.sum() - ours.sum())
        if ours.all():
            found, good = data_heads(heads, fixed, places, self.columns)
        else:
            rows = np.flatnonzero(ours).tolist()
            found, good = data_heads(
                [heads[i] for i in rows], fixed[rows], places[rows], self.columns
            )
        if len(found):
            self._head_bytes = length
        return found, damaged + int(len(good) - good.sum())

    def read_pages(self, slots: Sequence[int], crcs: Sequence[int]) -> list[bytes | None]:
        """Return whole pages, None for each that is damaged or no longer the indexed one.

        `crcs` are the CRCs in the indexed heads. Raises OSError, LogFormatError as `poll`.
        """
        size = self.page_size
        tail = self._tail
        if all(slot in tail for slot in slots):
            return [_checked_page(tail[s], crc) for s, crc in zip(slots, crcs, strict=True)]
        with self._opened() as (file, _):
            return [
                _checked_page(tail[s] if s in tail else os.pread(file, size, s * size), crc)
                for s, crc in zip(slots, crcs, strict=True)
            ]


def _is_hole(file: int, at: int, size_bytes: int) -> bool:
    """Return whether that part of a file was never written; False if unknown."""
    try:
        return os.lseek(file, at, os.SEEK_DATA) >= at + size_bytes
    except OSError as error:
        return error.errno == errno.ENXIO
    except AttributeError:  # a platform without SEEK_DATA
        return False


def _checked_page(page: bytes, head_crc: int) -> bytes | None:
    """Return `page` if it is undamaged and has this head, else None."""
    try:
        prefix = read_prefix(page)
        check_body(prefix, page)
    except LogFormatError:
        return None
    if prefix.type != DATA or prefix.head_length < COLUMNS_OFFSET:
        return None
    return page[: prefix.length] if int.from_bytes(page[24:28], "little") == head_crc else None


def _first_change(before: PageHeads, after: PageHeads, old_tail: set[int]) -> int:
    """Return the first row that may differ; all pages of the old tail may."""
    steady = len(before)
    while steady and (int(before.slot[steady - 1]) in old_tail):
        steady -= 1
    steady = min(steady, len(after))
    same = before.fixed["head_crc"][:steady] == after.fixed["head_crc"][:steady]
    # the same head may be in two slots, only one of which has its body
    same &= before.slot[:steady] == after.slot[:steady]
    return steady if same.all() else int(np.argmin(same))
