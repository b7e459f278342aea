"""The single pages of blocks: their heads are read when a window needs them, and cached."""

from collections import OrderedDict
from collections.abc import Mapping
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Protocol

import numpy as np

from pprofplus.errors import LogFormatError
from pprofplus.log.format import head_size
from pprofplus_tui.model.points import Bools, Ints
from pprofplus_tui.sources.local.page_cache import PageCache, PagesLostError
from pprofplus_tui.sources.local.page_index import PageHeads, check_heads, data_heads
from pprofplus_tui.sources.local.page_store import PageStore
from pprofplus_tui.sources.local.page_table import PageTable
from pprofplus_tui.sources.local.segment_reader import SegmentReader

_MAX_CACHED_BYTES = 10 << 20
_HEAD_OVERHEAD_BYTES = 2000
_Location = tuple[int, int, int]  # segment, first slot, number of pages


class PageView(Protocol):
    """Pages in a table, and how to read them: those of a run, or of some of its blocks."""

    @property
    def table(self) -> PageTable:
        """The rows."""

    @property
    def pages(self) -> PageStore:
        """Reads them whole."""

    @property
    def cache(self) -> PageCache:
        """Decodes them."""

    def single_pages(self, rows: Ints) -> "Detail":
        """Return the single pages of these rows. Raises PagesLostError."""


class Detail:
    """Single pages of a run in a separate table, which is not updated.

    Attributes:
        table: the requested pages, and before each of them its predecessor.
        pages, cache: read the pages, and share their cache with the run.
        requested: the rows of the requested pages.
    """

    def __init__(
        self, table: PageTable, pages: PageStore, cache: PageCache, requested: Ints
    ) -> None:
        self.table = table
        self.pages = pages
        self.cache = cache
        self.requested = requested

    def single_pages(self, rows: Ints) -> "Detail":
        """Return only these rows: this table has no blocks."""
        return Detail(self.table, self.pages, self.cache, rows)


class PageHeadCache:
    """Reads the page heads of blocks; caches the most recently used ones, limited in bytes."""

    def __init__(self, segments: Mapping[int, SegmentReader]) -> None:
        self._segments = segments
        self._entries: OrderedDict[_Location, PageHeads] = OrderedDict()
        self._size_bytes = 0

    def clear(self) -> None:
        """Drop all heads."""
        self._entries.clear()
        self._size_bytes = 0

    def get(self, locations: list[_Location]) -> list[PageHeads]:
        """Return the pages of each location without those that are damaged or missing."""
        missing: dict[int, list[_Location]] = {}
        for location in locations:
            if location in self._entries:
                self._entries.move_to_end(location)
            else:
                missing.setdefault(location[0], []).append(location)
        fresh: dict[_Location, PageHeads] = {}
        alike: dict[tuple[int | None, int, int], list[_Location]] = {}
        for number, wanted in missing.items():
            segment = self._segments[number]
            kind = segment.schema, segment.columns, segment.page_size
            alike.setdefault(kind, []).extend(wanted)
        for wanted in alike.values():
            fresh.update(zip(wanted, self._read(wanted), strict=True))
        answer = [
            fresh[location] if location in fresh else self._entries[location]
            for location in locations
        ]
        for location, heads in fresh.items():
            self._entries[location] = heads
            self._size_bytes += _size_of(heads)
        while self._size_bytes > _MAX_CACHED_BYTES:
            _, heads = self._entries.popitem(last=False)
            self._size_bytes -= _size_of(heads)
        return answer

    def _read(self, locations: list[_Location]) -> list[PageHeads]:
        """Read the heads of locations in segments of one schema; check all at once."""
        segment = self._segments[locations[0][0]]
        size = head_size(segment.columns)
        raw: list[bytes] = []
        sizes_bytes: list[int] = []
        for number, mine in groupby(locations, itemgetter(0)):
            segment = self._segments[number]
            some = [slot for _, first, count in mine for slot in range(first, first + count)]
            raw += segment.raw_heads(some, size)
            sizes_bytes += [segment.size_bytes] * len(some)
        slots = np.concatenate([np.arange(slot, slot + count) for _, slot, count in locations])
        checked = check_heads(raw, size, segment.page_size.bit_length() - 1)
        fixed = checked.fixed
        ours = (
            checked.data
            & (fixed["schema"] == segment.schema)
            & (fixed["columns"] == segment.columns)
            & (slots * segment.page_size + fixed["length"] <= sizes_bytes)
        )
        heads, good = data_heads(raw, fixed, slots, segment.columns) if ours.all() else (None, ours)
        found, at = [], 0
        for number, slot, count in locations:
            if heads is not None and good.all() and len(heads) == len(slots):
                found.append(heads.take(slice(at, at + count)).copy())
            else:
                found.append(self._read_each(number, slot, count))
            at += count
        return found

    def _read_each(self, number: int, slot: int, count: int) -> PageHeads:
        """Read heads one block at a time, because some of them are not valid."""
        segment = self._segments[number]
        try:
            return segment.heads_in(slot, count)
        except (OSError, LogFormatError):
            return PageHeads.empty(segment.columns)


def _size_of(heads: PageHeads) -> int:
    return heads.values.nbytes + heads.fixed.nbytes + _HEAD_OVERHEAD_BYTES


class BlockMismatchError(PagesLostError):
    """The pages of some segments contradict their blocks: all their heads must be read.

    Attributes:
        segments: the numbers of the segments.
    """

    def __init__(self, segments: set[int]) -> None:
        super().__init__()
        self.segments = segments


def detail_of(
    table: PageTable, pages: PageStore, cache: PageCache, head_cache: PageHeadCache, rows: Ints
) -> Detail:
    """Return the single pages of these rows of a run's table. Raises BlockMismatchError."""
    context = table.before[rows]
    requested = np.zeros(table.count, np.bool_)
    requested[rows] = True
    context = context[context >= 0]
    context = context[~requested[context]]
    every = np.sort(np.concatenate((rows, context)))
    info = table.rows[every]
    single = ~table.blocks[every]
    is_context = np.zeros(len(every), np.bool_)
    is_context[np.searchsorted(every, context)] = True
    fine = table.like()
    numbers: set[int] = set()
    numbers.update((info["number"] + info["pages"] - 1)[is_context].tolist())
    blocks = np.flatnonzero(~single)
    locations = [
        (segment, slot + count - 1, 1) if last else (segment, slot, count)
        for segment, slot, count, last in zip(
            info["segment"][blocks].tolist(),
            info["slot"][blocks].tolist(),
            info["pages"][blocks].tolist(),
            is_context[blocks].tolist(),
            strict=True,
        )
    ]
    found = head_cache.get(locations)
    caps = np.append(table.offset_ms, np.iinfo(np.int64).max)[every + 1]
    schema = info["schema"][blocks]
    edges = [0, *(np.flatnonzero(np.diff(schema)) + 1).tolist(), len(blocks)]
    for begin, end in pairwise(edges):
        if begin == end:
            continue
        parts, mine = found[begin:end], blocks[begin:end]
        counts = [len(part) for part in parts]
        of_block = np.repeat(mine, counts)
        columns = len(table.schemas[int(schema[begin])].metrics)
        heads = PageHeads.of(parts, columns)
        _check_against_blocks(heads, info[of_block])
        at = fine.count
        fine.append(info["segment"][of_block], int(schema[begin]), heads)
        fine.rows["cap_ms"][at:] = caps[of_block]
    if single.any():
        at = fine.count
        fine.adopt(table, every[single])
        fine.rows["cap_ms"][at:] = caps[single]
    fine.finish()
    store = PageStore(fine, pages.segments, pages)
    store.drop_bad(0)
    kept = np.array([n not in numbers for n in fine.rows["number"].tolist()], np.bool_)
    return Detail(fine, store, PageCache(store, cache), np.flatnonzero(kept))


def _check_against_blocks(
    heads: PageHeads, blocks: "np.ndarray[tuple[int], np.dtype[np.void]]"
) -> None:
    """Raise BlockMismatchError unless each page is within the range of its block."""
    fixed = heads.fixed
    number = fixed["number"].astype(np.int64) - blocks["number"]
    sampled = fixed["samples"] > 0
    wrong: Bools = (
        (number < 0)
        | (number >= blocks["pages"])
        | (number != heads.slot - blocks["slot"])
        | (fixed["interval_ms"] != blocks["interval_ms"])
        | (sampled & (fixed["first_mono_ms"] < blocks["first_mono_ms"]))
        | (sampled & (fixed["last_mono_ms"] > blocks["last_mono_ms"]))
    )
    if wrong.any():
        raise BlockMismatchError(set(blocks["segment"][wrong].tolist()))
