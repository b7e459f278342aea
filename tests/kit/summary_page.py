"""Reads a complete summary page; tests compare the monitor's reader with this one."""

from itertools import pairwise
from struct import Struct

from pprofplus.errors import LogFormatError
from pprofplus.log.format import (
    MAX_COLUMNS,
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


class SummaryRow:
    """The summary of a block of pages; pprofplus.log.format describes each field."""

    __slots__ = (
        "end_offset_ms",
        "events_bytes",
        "first",
        "first_mono_ms",
        "hi",
        "last_mono_ms",
        "lo",
        "offset_ms",
        "samples",
    )

    def __init__(self, data, at, columns):
        (
            self.samples,
            self.events_bytes,
            self.first_mono_ms,
            self.last_mono_ms,
            self.offset_ms,
            self.end_offset_ms,
        ) = SUMMARY_ROW.unpack_from(data, at)
        cells = Struct(f"<{3 * columns}q").unpack_from(data, at + SUMMARY_ROW.size)
        self.first = cells[:columns]
        self.lo = cells[columns : 2 * columns]
        self.hi = cells[2 * columns :]
        if not (
            0 <= self.first_mono_ms <= self.last_mono_ms < MAX_MONO_MS
            and self.first_mono_ms + self.offset_ms >= 0
            and self.offset_ms <= self.end_offset_ms < MAX_UNIX_MS - self.last_mono_ms
        ):
            raise LogFormatError("a summary has an impossible time")


class SummaryPage:
    """A complete summary page; pprofplus.log.format describes each field."""

    __slots__ = (
        "columns",
        "interval_ms",
        "pages",
        "prefix",
        "row_pages",
        "rows",
        "schema",
        "slot",
    )

    def __init__(self, page):
        """Read a page. Raises LogFormatError if it is no summary, or an invalid one."""
        self.prefix = prefix = read_prefix(page)
        if prefix.type != SUMMARY or prefix.head_length < PREFIX.size + SUMMARY_HEAD.size:
            raise LogFormatError("not a summary page")
        check_body(prefix, page)
        self.schema, self.columns, rows, self.slot, self.pages, self.row_pages, _, interval = (
            SUMMARY_HEAD.unpack_from(page, PREFIX.size)
        )
        self.interval_ms = interval
        size = summary_row_size(self.columns)
        if (
            self.columns > MAX_COLUMNS
            or not self.pages
            or not self.row_pages
            or rows != -(-self.pages // self.row_pages)
            or rows * size > prefix.length - prefix.head_length
        ):
            raise LogFormatError("a summary page has impossible counts")
        begin = prefix.head_length
        self.rows = [SummaryRow(page, begin + i * size, self.columns) for i in range(rows)]
        for i, row in enumerate(self.rows):
            pages = min(self.row_pages, self.pages - i * self.row_pages)
            if row.samples > pages * MAX_SAMPLES or not (row.samples or row.events_bytes):
                raise LogFormatError("a summary page has impossible counts")
        if any(b.first_mono_ms < a.last_mono_ms for a, b in pairwise(self.rows)):
            raise LogFormatError("a summary page has times that decrease")
