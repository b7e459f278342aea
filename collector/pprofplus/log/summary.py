"""The summary of a segment's pages, updated while they are written. No I/O."""

from __future__ import annotations

from struct import Struct

from pprofplus.log.format import (
    PAGE_SIZE,
    PREFIX,
    SUMMARY,
    SUMMARY_HEAD,
    SUMMARY_ROW,
    pack_page,
    summary_row_size,
)
from pprofplus.log.page import PageBuilder

MIN_PAGES = 32  # with fewer pages, their heads are read as fast as a summary page
_MAX_ROWS = 16
_ROOM = PAGE_SIZE - PREFIX.size - SUMMARY_HEAD.size


class Summary:
    """Builder of a segment's summary page, from its finished pages."""

    __slots__ = (
        "_cells",
        "_columns",
        "_end_offset_ms",
        "_events_bytes",
        "_first",
        "_first_mono_ms",
        "_hi",
        "_in_row",
        "_interval_ms",
        "_last_mono_ms",
        "_lo",
        "_number",
        "_offset_ms",
        "_pages",
        "_row_pages",
        "_rows",
        "_samples",
        "_schema",
        "_slot",
        "_valid",
    )

    def __init__(self, schema: int, columns: int, pages: int) -> None:
        """Begin the summary of a segment with a schema, and room for `pages` pages."""
        rows = max(1, min(_MAX_ROWS, _ROOM // summary_row_size(columns)))
        self._schema = schema
        self._columns = columns
        self._row_pages = max(1, -(-pages // rows))
        self._cells = Struct(f"<{3 * columns}q")
        self._rows: list[bytes] = []
        self._number = self._slot = self._pages = self._interval_ms = 0
        self._valid = True
        self._begin_row()

    def _begin_row(self) -> None:
        self._in_row = self._samples = self._events_bytes = 0
        self._first_mono_ms = self._last_mono_ms = self._offset_ms = self._end_offset_ms = 0
        self._first: list[int] = [0] * self._columns
        self._lo = self._hi = self._first

    def discard(self) -> None:
        """Discard the summary: a page is not in its expected slot."""
        self._valid = False

    def add_page(self, page: PageBuilder, slot: int) -> None:
        """Add a finished page in its slot."""
        if not self._pages:
            self._number, self._slot, self._interval_ms = page.number, slot, page.interval_ms
        elif (page.number - self._number, slot - self._slot, page.interval_ms) != (
            self._pages,
            self._pages,
            self._interval_ms,
        ):
            self._valid = False
        if not self._valid:
            return
        if self._in_row == self._row_pages:
            self._rows.append(self._row())
            self._begin_row()
        offset_ms = page.anchor_ms
        self._offset_ms = min(self._offset_ms, offset_ms) if self._in_row else offset_ms
        self._end_offset_ms = offset_ms
        if page.samples and self._samples:
            _, lo, hi = page.measures
            self._lo = list(map(min, self._lo, lo))
            self._hi = list(map(max, self._hi, hi))
            self._last_mono_ms = page.last_mono_ms
        elif page.samples or not self._in_row:
            self._first, self._lo, self._hi = page.measures
            self._first_mono_ms, self._last_mono_ms = page.first_mono_ms, page.last_mono_ms
        self._samples += page.samples
        self._events_bytes += page.events_bytes
        self._in_row += 1
        self._pages += 1

    def _row(self) -> bytes:
        return SUMMARY_ROW.pack(
            self._samples,
            self._events_bytes,
            self._first_mono_ms,
            self._last_mono_ms,
            self._offset_ms,
            self._end_offset_ms,
        ) + self._cells.pack(*self._first, *self._lo, *self._hi)

    def page(self, least_pages: int = MIN_PAGES) -> bytes | None:
        """Return the summary page, None if there are too few pages or one is out of order."""
        if not self._valid or self._pages < least_pages:
            return None
        rows = [*self._rows, self._row()]
        head = SUMMARY_HEAD.pack(
            self._schema,
            self._columns,
            len(rows),
            self._slot,
            self._pages,
            self._row_pages,
            0,
            self._interval_ms,
        )
        return pack_page(SUMMARY, self._number, head, b"".join(rows))
