"""The pages behind blocks: their heads read when a window asks for them, and kept for a while."""

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

_SHELF_BYTES = 10 << 20
_HEAD_OVERHEAD_BYTES = 2000
_Place = tuple[int, int, int]  # segment, slot, pages


class PageView(Protocol):
    """Pages in a table, and how to read them: a run's, or those behind some of its blocks."""

    @property
    def table(self) -> PageTable:
        """The rows."""

    @property
    def pages(self) -> PageStore:
        """Reads them whole."""

    @property
    def cache(self) -> PageCache:
        """Decodes them."""

    def behind(self, rows: Ints) -> "Detail":
        """Return the pages behind these rows, blocks or pages. Raises PagesLostError."""


class Detail:
    """Single pages of a run, in a table of their own, which is not kept up to date.

    Attributes:
        table: of these pages; before each that was asked for is the one that it follows on.
        pages, cache: read the pages, and share with the run what was read.
        asked: the rows that were asked for.
    """

    def __init__(self, table: PageTable, pages: PageStore, cache: PageCache, asked: Ints) -> None:
        self.table = table
        self.pages = pages
        self.cache = cache
        self.asked = asked

    def behind(self, rows: Ints) -> "Detail":
        """Return these rows alone: there are no blocks here."""
        return Detail(self.table, self.pages, self.cache, rows)


class HeadShelf:
    """Reads the heads behind blocks; the most recently used stay, bounded in bytes."""

    def __init__(self, segments: Mapping[int, SegmentReader]) -> None:
        self._segments = segments
        self._kept: OrderedDict[_Place, PageHeads] = OrderedDict()
        self._size_bytes = 0

    def clear(self) -> None:
        """Forget all heads."""
        self._kept.clear()
        self._size_bytes = 0

    def get(self, places: list[_Place]) -> list[PageHeads]:
        """Return the pages of each place; those that are damaged or gone are left out."""
        missing: dict[int, list[_Place]] = {}
        for place in places:
            if place in self._kept:
                self._kept.move_to_end(place)
            else:
                missing.setdefault(place[0], []).append(place)
        fresh: dict[_Place, PageHeads] = {}
        alike: dict[tuple[int | None, int, int], list[_Place]] = {}
        for number, wanted in missing.items():
            segment = self._segments[number]
            kind = segment.schema, segment.columns, segment.page_size
            alike.setdefault(kind, []).extend(wanted)
        for wanted in alike.values():
            fresh.update(zip(wanted, self._read(wanted), strict=True))
        answer = [fresh[place] if place in fresh else self._kept[place] for place in places]
        for place, heads in fresh.items():
            self._kept[place] = heads
            self._size_bytes += _size_of(heads)
        while self._size_bytes > _SHELF_BYTES:
            _, heads = self._kept.popitem(last=False)
            self._size_bytes -= _size_of(heads)
        return answer

    def _read(self, places: list[_Place]) -> list[PageHeads]:
        """Read the heads of places in segments of one table; all are checked at once."""
        segment = self._segments[places[0][0]]
        size = head_size(segment.columns)
        raw: list[bytes] = []
        sizes_bytes: list[int] = []
        for number, mine in groupby(places, itemgetter(0)):
            segment = self._segments[number]
            some = [slot for _, first, count in mine for slot in range(first, first + count)]
            raw += segment.raw_heads(some, size)
            sizes_bytes += [segment.size_bytes] * len(some)
        slots = np.concatenate([np.arange(slot, slot + count) for _, slot, count in places])
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
        for number, slot, count in places:
            if heads is not None and good.all() and len(heads) == len(slots):
                found.append(heads.take(slice(at, at + count)).copy())
            else:
                found.append(self._read_each(number, slot, count))
            at += count
        return found

    def _read_each(self, number: int, slot: int, count: int) -> PageHeads:
        """Read heads among which not all are as they ought to be."""
        segment = self._segments[number]
        try:
            return segment.heads_in(slot, count)
        except (OSError, LogFormatError):
            return PageHeads.empty(segment.columns)


def _size_of(heads: PageHeads) -> int:
    return heads.cells.nbytes + heads.fixed.nbytes + _HEAD_OVERHEAD_BYTES


class Contradiction(PagesLostError):  # noqa: N818 - what a block says and its pages do not
    """Some segments' pages are not what their blocks said: their heads must be read.

    Attributes:
        segments: their numbers.
    """

    def __init__(self, segments: set[int]) -> None:
        super().__init__()
        self.segments = segments


def detail_of(
    table: PageTable, pages: PageStore, cache: PageCache, shelf: HeadShelf, rows: Ints
) -> Detail:
    """Return the pages behind these rows of a run's table. Raises Contradiction."""
    context = table.before[rows]
    asked = np.zeros(table.count, np.bool_)
    asked[rows] = True
    context = context[context >= 0]
    context = context[~asked[context]]
    every = np.sort(np.concatenate((rows, context)))
    info = table.rows[every]
    single = ~table.blocks[every]
    is_context = np.zeros(len(every), np.bool_)
    is_context[np.searchsorted(every, context)] = True
    fine = table.like()
    numbers: set[int] = set()
    numbers.update((info["number"] + info["pages"] - 1)[is_context].tolist())
    blocks = np.flatnonzero(~single)
    places = [
        (segment, slot + count - 1, 1) if last else (segment, slot, count)
        for segment, slot, count, last in zip(
            info["segment"][blocks].tolist(),
            info["slot"][blocks].tolist(),
            info["pages"][blocks].tolist(),
            is_context[blocks].tolist(),
            strict=True,
        )
    ]
    found = shelf.get(places)
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
        _agree(heads, info[of_block])
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


def _agree(heads: PageHeads, blocks: "np.ndarray[tuple[int], np.dtype[np.void]]") -> None:
    """Raise Contradiction unless each page is within what its block said."""
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
        raise Contradiction(set(blocks["segment"][wrong].tolist()))
