"""The end of a segment, read without arrays: its schema and its last pages.

This module repairs nothing: if anything is damaged, or not as the collector writes it, it raises
LogFormatError, and the caller uses `SegmentReader`, which handles damage.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pprofplus.errors import LogFormatError
from pprofplus.log.format import (
    DATA,
    HEADER,
    PAGE_SIZE,
    SUMMARY,
    DataHead,
    Event,
    RunHeader,
    check_body,
    header_part,
    parse_header,
    read_events,
    read_prefix,
    wrap,
)
from pprofplus_tui.sources.local.segment_header import read_header
from pprofplus_tui.sources.local.segment_reader import TAIL_SLOTS

# Pages at the end of a run for its current state: a quarter of an hour at one sample a second.
LAST_SLOTS = 8
_LONGEST_SHIFT = 63  # ten bytes hold 64 bits
_AT_ONCE_BYTES = 64 << 10  # a file up to this size is read with one call
_MAX_SLOTS = 128  # of which all heads are read; for more, arrays are faster
_MAX_SCHEMAS = 1024  # cached, so that runs with the same metrics share one

Metrics = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class SegmentSchema:
    """The metrics of a segment, and its machine.

    Attributes:
        metrics: (name, unit, kind) of each column; untrusted.
        crc: by which pages refer to it.
        host: name of the machine that recorded it; untrusted.
        boot_id: of that machine's kernel, "" if unknown.
    """

    metrics: Metrics
    crc: int
    host: str
    boot_id: str

    def column(self, metric: str) -> int | None:
        """Return the column of a metric, None if there is none with that name."""
        return next((i for i, row in enumerate(self.metrics) if row[0] == metric), None)


_schemas: dict[tuple[Metrics, str, str], SegmentSchema] = {}
_by_text: dict[bytes, SegmentSchema] = {}
# A header as the collector writes it: the parts that differ between runs are at its start and end.
# If these match, the middle, which is most of the text, determines the schema.
_TEXT = rb'"(?:[ !#-\[\]-~]|\\["\\/bfnrt]|\\u[0-9a-f]{4})*"'
_NUMBER = rb"(?:0|[1-9][0-9]{0,17})"
_BEFORE = re.compile(rb'\{"format":"1\.[0-9]","argv":\[(?:%b(?:,%b)*)?\]' % (_TEXT, _TEXT))
_AFTER = re.compile(
    rb',"pid":%b,"python":%b,"service":%b,"start_ms":%b\}' % (_NUMBER, _TEXT, _TEXT, _NUMBER)
)
_AFTER_BEGINS = b',"pid":'


def _shared(header: RunHeader) -> SegmentSchema:
    """Return the schema of a header; equal headers share one object."""
    key = header.metrics, header.host, header.boot_id
    schema = _schemas.get(key)
    if schema is None:
        if len(_schemas) >= _MAX_SCHEMAS:
            _schemas.clear()
        schema = _schemas[key] = SegmentSchema(
            header.metrics, header.schema, header.host, header.boot_id
        )
    return schema


def schema_of(text: bytes) -> SegmentSchema:
    """Return the schema in a header's JSON. Raises LogFormatError.

    Of headers that differ only in pid, start and arguments, only one is parsed.
    """
    before = _BEFORE.match(text)
    at = text.rfind(_AFTER_BEGINS)
    if before is None or at < before.end() or _AFTER.fullmatch(text, at) is None:
        return _shared(parse_header(text))
    middle = text[before.end() : at]
    schema = _by_text.get(middle)
    if schema is None:
        if len(_by_text) >= _MAX_SCHEMAS:
            _by_text.clear()
        schema = _by_text[middle] = _shared(parse_header(text))
    return schema


@dataclass(slots=True, eq=False)  # not frozen: that triples the cost of a new one
class TailPage:
    """A data page: its head, and its bytes if its body was verified, else b""."""

    head: DataHead
    data: bytes

    @property
    def offset_ms(self) -> int:
        """Unix less monotonic ms."""
        offset_ms: int = self.head.first_unix_ms - self.head.first_mono_ms
        return offset_ms

    @property
    def end_ms(self) -> int:
        """Unix ms of its last sample; of its first event if it has no sample."""
        end_ms: int = self.head.last_mono_ms + self.offset_ms
        return end_ms

    def events(self) -> list[Event]:
        """Return its events."""
        at = self.head.prefix.head_length + sum(self.head.lengths)
        return read_events(self.data[at : at + self.head.events_bytes])

    def last(self, column: int) -> int:
        """Return the last value of a column. Raises LogFormatError."""
        head = self.head
        at = head.prefix.head_length
        times, lengths = head.lengths[0], head.lengths
        elapsed_ms = (head.samples - 1) * head.interval_ms
        elapsed_ms += _sum_of_differences(self.data[at : at + times], head.samples)
        if wrap(head.first_mono_ms + elapsed_ms) != head.last_mono_ms:
            raise LogFormatError("the times of a page do not end at the time in its head")
        at += sum(lengths[: column + 1])
        stream = self.data[at : at + lengths[column + 1]]
        return wrap(head.first[column] + _sum_of_differences(stream, head.samples))


class SegmentEnd:
    """The end of a segment that has no writer any more.

    Attributes:
        schema: of the segment.
        pages: the data pages read, each once, in order; the last has samples and its body.
        first: the first data page in the file, None if it was not read.
        complete: whether all pages were read.
    """

    def __init__(self, file: int, size_bytes: int, *, every: bool) -> None:
        """Read the segment with this descriptor; `every` page unless there are too many.

        Raises LogFormatError, OSError.
        """
        self._file = file
        self._start = os.pread(file, min(size_bytes, _AT_ONCE_BYTES), 0)
        slots = -(-size_bytes // PAGE_SIZE)
        self.schema, header_slots = self._read_header()
        begin = max(header_slots, slots - LAST_SLOTS)
        if every and slots <= _MAX_SLOTS:
            begin = header_slots
        self.complete = begin == header_slots
        self.first: TailPage | None = None
        self.pages = self._read_pages(range(begin, slots))
        if not self.complete:
            self.first = None

    def _page(self, slot: int) -> bytes:
        at = slot * PAGE_SIZE
        if at < len(self._start):
            return self._start[at : at + PAGE_SIZE]
        return os.pread(self._file, PAGE_SIZE, at)

    def _read_header(self) -> tuple[SegmentSchema, int]:
        """Return (the schema, the number of slots of the header)."""
        page = self._page(0)
        prefix = read_prefix(page)
        if prefix.type != HEADER or prefix.page_size != PAGE_SIZE:
            raise LogFormatError("no header with the usual page size")
        part, parts, text = header_part(prefix, page)
        if (part, parts) == (0, 1):
            return schema_of(text), 1
        found = read_header(self._file)
        if found.header is None or found.damaged_pages:
            raise LogFormatError("the header is damaged")
        return _shared(found.header), found.slots

    def _read_pages(self, slots: range) -> list[TailPage]:
        """Return the data pages in these slots, each once, in order."""
        found: dict[int, TailPage] = {}
        for slot in slots:
            page = self._read_page(slot, whole=slot >= slots.stop - TAIL_SLOTS)
            if page is None:
                continue
            self.first = self.first or page
            number = page.head.prefix.number
            before = found.get(number)
            if before is not None and not before.data:
                raise LogFormatError("a page that is not the last has several versions")
            if before is None or _fullness(before) <= _fullness(page):
                found[number] = page
        pages = [page for _, page in sorted(found.items())]
        if not pages or not pages[-1].head.samples or not pages[-1].data:
            raise LogFormatError("no samples at the end")
        check_order(pages)
        return pages

    def _read_page(self, slot: int, *, whole: bool) -> TailPage | None:
        """Return the data page in a slot, None for another type; with its body if `whole`."""
        data = self._page(slot)
        prefix = read_prefix(data)
        if whole:
            check_body(prefix, data)
        if prefix.page_size != PAGE_SIZE or prefix.type not in {DATA, SUMMARY}:
            raise LogFormatError("not a data page")
        if prefix.type == SUMMARY:
            return None  # the writer finished the page before it
        head = DataHead(prefix, data)
        if head.schema != self.schema.crc or head.columns != len(self.schema.metrics):
            raise LogFormatError("a page of another schema")
        if not head.samples and not head.events_bytes:
            return None  # it contains nothing, not even a time
        return TailPage(head, data if whole else b"")


def check_order(pages: Sequence[TailPage]) -> None:
    """Raise LogFormatError if monotonic or wall-clock time goes back between two pages."""
    for page, after in pairwise(pages):
        if after.head.first_mono_ms < page.head.last_mono_ms or after.offset_ms < page.offset_ms:
            raise LogFormatError("time goes back")


def _fullness(page: TailPage) -> tuple[int, int]:
    return page.head.samples, page.head.events_bytes


def _sum_of_differences(stream: bytes, samples: int) -> int:
    """Return the sum of the differences in the stream of that many samples.

    Raises LogFormatError if it is malformed.
    """
    total = token = shift = count = 0
    after_zero = False
    for byte in stream:
        if byte & 0x80:
            token |= (byte & 0x7F) << shift
            shift += 7
            if shift > _LONGEST_SHIFT:
                raise LogFormatError("a number in a page is too long")
            continue
        token |= byte << shift
        if after_zero:
            after_zero = False
            count += token
        elif token:
            total += (token >> 1) ^ -(token & 1)
            count += 1
        else:
            after_zero = True
        token = shift = 0
    if shift or after_zero or count >= max(samples, 1):
        raise LogFormatError("a stream in a page is truncated or too long")
    return total
