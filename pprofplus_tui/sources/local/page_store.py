"""Reads whole pages of the page table, and removes damaged pages from it."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np

from pprofplus.errors import LogFormatError
from pprofplus.log.format import DATA_HEAD, DATA_HEAD_OFFSET, Event
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.page_table import PageTable
from pprofplus_tui.sources.local.run_events import events_of, placed
from pprofplus_tui.sources.local.segment_reader import TAIL_SLOTS, SegmentReader

_PAGES_AT_ONCE = 64
_MAX_EVENTS_BYTES = 4 << 20  # some 100,000 events
_Key = tuple[int, int]  # page number, CRC of its head
# segment, slot, CRC of the head: two versions may have the same head
_Location = tuple[int, int, int]


class PageStore:
    """Reads the pages in a table's rows.

    Attributes:
        table: the rows.
        segments: of the run, by number.
        bad: pages whose body is damaged.
    """

    def __init__(
        self,
        table: PageTable,
        segments: Mapping[int, SegmentReader],
        shared: "PageStore | None" = None,
    ) -> None:
        """Make a store for a table; with `shared`, it uses the results of that store."""
        self.table = table
        self.segments = segments
        self.bad: set[_Location] = set()
        self._events: dict[_Key, list[Event]] = {}
        if shared is not None:
            self.bad, self._events = shared.bad, shared._events

    def read_pages(self, rows: Ints) -> list[bytes | None]:
        """Return the pages of these rows whole, bodies verified; None if damaged or missing."""
        picked = self.table.rows[rows]
        pages: list[bytes | None] = []
        segments = picked["segment"]
        starts = [0, *(np.flatnonzero(np.diff(segments)) + 1).tolist(), len(segments)]
        for begin, end in pairwise(starts):
            if begin == end:
                continue
            segment = self.segments.get(int(segments[begin]))
            slots, crcs = picked["slot"][begin:end], picked["head_crc"][begin:end]
            found: list[bytes | None] = [None] * (end - begin)
            if segment is not None:
                with suppress(OSError, LogFormatError):
                    found = segment.read_pages(slots.tolist(), crcs.tolist())
            pages += map(self._if_unchanged, found, picked[begin:end])
        return pages

    def _if_unchanged(self, page: bytes | None, row: np.void) -> bytes | None:
        """Return `page` if it is the indexed one: another page could have the same CRC."""
        if page is None:
            return None
        schema, samples, columns, events_bytes, first_mono_ms, _, last_mono_ms, interval_ms, _ = (
            DATA_HEAD.unpack_from(page, DATA_HEAD_OFFSET)
        )
        index = row["schema"]
        same = (
            (schema, columns) == (self.table.crcs[index], len(self.table.schemas[index].metrics))
            and (samples, events_bytes) == (row["samples"], row["events_bytes"])
            and (first_mono_ms, last_mono_ms) == (row["first_mono_ms"], row["last_mono_ms"])
            and interval_ms == row["interval_ms"]
        )
        return page if same else None

    def exclude(self, rows: Sequence[int]) -> None:
        """Remove damaged pages from the table, and count them.

        Pages of a segment that no longer exists are removed without being counted.
        """
        places = self._locations(np.array(rows))
        for place in places:
            segment = self.segments.get(place[0])
            if segment is not None and os.path.lexists(segment.path):
                self.bad.add(place)
        self._drop(set(places), 0)

    def drop_bad(self, begin: int) -> None:
        """Remove pages known to be damaged from the rows from `begin` on."""
        if self.bad:
            self._drop(self.bad, begin)

    def exclude_torn_versions(self, begin: int) -> None:
        """Remove versions with a damaged body of pages that are in the table several times.

        Each page of a segment is in the table once, but a writer whose disk failed continues with
        the same page in another segment. Call it before `table.finish`, which keeps the fullest
        version; the rows from `begin` on are new.
        """
        rows = self.table.repeated(begin)
        if len(rows):
            pages = self.read_pages(rows)
            torn = [row for row, page in zip(rows.tolist(), pages, strict=True) if page is None]
            if torn:
                self.exclude(torn)

    def _locations(self, rows: Ints | slice) -> list[_Location]:
        picked = self.table.rows[rows]
        columns = (picked[field].tolist() for field in ("segment", "slot", "head_crc"))
        return list(zip(*columns, strict=True))

    def _keys(self, rows: Ints | slice) -> list[_Key]:
        picked = self.table.rows[rows]
        return list(zip(picked["number"].tolist(), picked["head_crc"].tolist(), strict=True))

    def _drop(self, places: set[_Location], begin: int) -> None:
        mask = np.zeros(self.table.count, np.bool_)
        mask[begin:] = [place in places for place in self._locations(slice(begin, None))]
        if mask.any():
            self.table.remove(mask)

    def events(self, rows: Ints) -> tuple[RunEvent, ...]:
        """Return the events in these rows, in order of time; reads each page once.

        If there are too many, the newest are returned.
        """
        rows = self._newest(rows)
        keys = self._keys(rows)
        new = np.array([key not in self._events for key in keys], np.bool_)
        if new.any():
            places = np.flatnonzero(new)
            for begin in range(0, len(places), _PAGES_AT_ONCE):
                some = places[begin : begin + _PAGES_AT_ONCE]
                for at, page in zip(some.tolist(), self.read_pages(rows[some]), strict=True):
                    self._events[keys[at]] = events_of(page)
            # without this, former versions of the live page would accumulate
            present = set(self._keys(slice(-TAIL_SLOTS, None)))
            tail = {number for number, _ in present}
            for key in [k for k in self._events if k[0] in tail and k not in present]:
                del self._events[key]
        found = [
            placed(event, int(self.table.offset_ms[row]))
            for row, key in zip(rows.tolist(), keys, strict=True)
            for event in self._events[key]
        ]
        return tuple(sorted(found, key=lambda event: event.t_ms))

    def _newest(self, rows: Ints) -> Ints:
        """Return the last of these rows, as many as the limit for events allows."""
        sizes = np.cumsum(self.table.rows["events_bytes"][rows][::-1])
        return rows[len(rows) - int(np.searchsorted(sizes, _MAX_EVENTS_BYTES, side="right")) :]
