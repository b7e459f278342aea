"""The end of a segment, read without arrays: its metric table and its last pages.

Nothing here repairs anything: what is damaged, or not as the collector writes it, raises
LogFormatError, and is left to `Segment`, which knows what to make of it.
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

# Pages at the end of a run that tell of its present: a quarter of an hour at one sample a second.
LAST_SLOTS = 8
_LONGEST_SHIFT = 63  # ten bytes hold 64 bits
_AT_ONCE_BYTES = 64 << 10  # a file that is not larger is read with one call
_MOST_SLOTS = 128  # whose heads are read here: arrays are faster for more
_MOST_TABLES = 1024  # kept, so that runs with the same metrics share one

Metrics = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The metrics of a segment.

    Attributes:
        metrics: (name, unit, kind) a column; untrusted.
        schema: the CRC by which pages name it.
        host: name of the machine that recorded it; untrusted.
        boot_id: of that machine's kernel, "" if unknown.
    """

    metrics: Metrics
    schema: int
    host: str
    boot_id: str

    def column(self, metric: str) -> int | None:
        """Return the column of a metric, None if there is none of that name."""
        return next((i for i, row in enumerate(self.metrics) if row[0] == metric), None)


_tables: dict[tuple[Metrics, str, str], Table] = {}
_by_text: dict[bytes, Table] = {}
# A header as the collector writes it: what differs from run to run comes before and after the
# rest, which is most of the text. Where these match, the rest alone says what is in the middle.
_TEXT = rb'"(?:[ !#-\[\]-~]|\\["\\/bfnrt]|\\u[0-9a-f]{4})*"'
_NUMBER = rb"(?:0|[1-9][0-9]{0,17})"
_BEFORE = re.compile(rb'\{"format":"1\.[0-9]","argv":\[(?:%b(?:,%b)*)?\]' % (_TEXT, _TEXT))
_AFTER = re.compile(
    rb',"pid":%b,"python":%b,"service":%b,"start_ms":%b\}' % (_NUMBER, _TEXT, _TEXT, _NUMBER)
)
_AFTER_BEGINS = b',"pid":'


def _shared(header: RunHeader) -> Table:
    """Return the table of a header; the same object for all that say the same."""
    key = header.metrics, header.host, header.boot_id
    table = _tables.get(key)
    if table is None:
        if len(_tables) >= _MOST_TABLES:
            _tables.clear()
        table = _tables[key] = Table(header.metrics, header.schema, header.host, header.boot_id)
    return table


def table_of(text: bytes) -> Table:
    """Return what a header's JSON says of the metrics. Raises LogFormatError.

    Of headers that differ only in pid, start and arguments, one is parsed.
    """
    before = _BEFORE.match(text)
    at = text.rfind(_AFTER_BEGINS)
    if before is None or at < before.end() or _AFTER.fullmatch(text, at) is None:
        return _shared(parse_header(text))
    middle = text[before.end() : at]
    table = _by_text.get(middle)
    if table is None:
        if len(_by_text) >= _MOST_TABLES:
            _by_text.clear()
        table = _by_text[middle] = _shared(parse_header(text))
    return table


@dataclass(slots=True, eq=False)  # not frozen: that triples what making one costs
class Page:
    """A data page: its head, and its bytes if its body was checked, else b""."""

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
        """Return what happened in it."""
        at = self.head.prefix.head_length + sum(self.head.lengths)
        return read_events(self.data[at : at + self.head.events_bytes])

    def last(self, column: int) -> int:
        """Return the last value of a column. Raises LogFormatError."""
        head = self.head
        at = head.prefix.head_length
        times, lengths = head.lengths[0], head.lengths
        passed_ms = (head.samples - 1) * head.interval_ms
        passed_ms += _rise(self.data[at : at + times], head.samples)
        if wrap(head.first_mono_ms + passed_ms) != head.last_mono_ms:
            raise LogFormatError("a page whose times do not end where it says")
        at += sum(lengths[: column + 1])
        stream = self.data[at : at + lengths[column + 1]]
        return wrap(head.first[column] + _rise(stream, head.samples))


class SegmentTail:
    """The end of a segment that nobody writes to any more.

    Attributes:
        table: its metrics.
        pages: the data pages read, each once, in order; the last has samples and its body.
        first: the first data page in the file, None if it was not read.
        complete: whether all pages were read.
    """

    def __init__(self, file: int, size_bytes: int, *, every: bool) -> None:
        """Read the segment with this descriptor; `every` page if there are not too many.

        Raises LogFormatError, OSError.
        """
        self._file = file
        self._start = os.pread(file, min(size_bytes, _AT_ONCE_BYTES), 0)
        slots = -(-size_bytes // PAGE_SIZE)
        self.table, header_slots = self._read_header()
        begin = max(header_slots, slots - LAST_SLOTS)
        if every and slots <= _MOST_SLOTS:
            begin = header_slots
        self.complete = begin == header_slots
        self.first: Page | None = None
        self.pages = self._read_pages(range(begin, slots))
        if not self.complete:
            self.first = None

    def _page(self, slot: int) -> bytes:
        at = slot * PAGE_SIZE
        if at < len(self._start):
            return self._start[at : at + PAGE_SIZE]
        return os.pread(self._file, PAGE_SIZE, at)

    def _read_header(self) -> tuple[Table, int]:
        """Return (the metric table, the slots that the header takes)."""
        page = self._page(0)
        prefix = read_prefix(page)
        if prefix.type != HEADER or prefix.page_size != PAGE_SIZE:
            raise LogFormatError("no header of the usual size")
        part, parts, text = header_part(prefix, page)
        if (part, parts) == (0, 1):
            return table_of(text), 1
        found = read_header(self._file)
        if found.header is None or found.damaged_pages:
            raise LogFormatError("a damaged header")
        return _shared(found.header), found.slots

    def _read_pages(self, slots: range) -> list[Page]:
        """Return the data pages in these slots, each once, in order."""
        found: dict[int, Page] = {}
        for slot in slots:
            page = self._read_page(slot, whole=slot >= slots.stop - TAIL_SLOTS)
            if page is None:
                continue
            self.first = self.first or page
            number = page.head.prefix.number
            before = found.get(number)
            if before is not None and not before.data:
                raise LogFormatError("versions of a page that is not the last")
            if before is None or _fullness(before) <= _fullness(page):
                found[number] = page
        pages = [page for _, page in sorted(found.items())]
        if not pages or not pages[-1].head.samples or not pages[-1].data:
            raise LogFormatError("no samples at the end")
        check_order(pages)
        return pages

    def _read_page(self, slot: int, *, whole: bool) -> Page | None:
        """Return the data page in a slot, None if there is another; its body, too, if `whole`."""
        data = self._page(slot)
        prefix = read_prefix(data)
        if whole:
            check_body(prefix, data)
        if prefix.page_size != PAGE_SIZE or prefix.type not in {DATA, SUMMARY}:
            raise LogFormatError("another page than one of samples")
        if prefix.type == SUMMARY:
            return None  # its writer had finished the page before it
        head = DataHead(prefix, data)
        if head.schema != self.table.schema or head.columns != len(self.table.metrics):
            raise LogFormatError("a page of another table")
        if not head.samples and not head.events_bytes:
            return None  # it says nothing, not even a time
        return Page(head, data if whole else b"")


def check_order(pages: Sequence[Page]) -> None:
    """Raise LogFormatError if time or the wall clock ever runs back from page to page."""
    for page, after in pairwise(pages):
        if after.head.first_mono_ms < page.head.last_mono_ms or after.offset_ms < page.offset_ms:
            raise LogFormatError("time runs back")


def _fullness(page: Page) -> tuple[int, int]:
    return page.head.samples, page.head.events_bytes


def _rise(stream: bytes, samples: int) -> int:
    """Return the sum of the differences in the stream of so many samples.

    Raises LogFormatError if it is malformed.
    """
    total = token = shift = count = 0
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
            count += token
        elif token:
            total += (token >> 1) ^ -(token & 1)
            count += 1
        else:
            in_run = True
        token = shift = 0
    if shift or in_run or count >= max(samples, 1):
        raise LogFormatError("a stream in a page is cut short or too long")
    return total
