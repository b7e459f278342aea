r"""The log format, version 1: the specification, and functions to read and pack it. No I/O.

A **segment** (`000001.pplog`) is a sequence of **pages** of one size: that in their prefix, 8 KiB
by default. Page i starts at i x size. All integers are little-endian. The last page may be shorter:
the file ends after its used bytes.

**Prefix** of every page, 28 bytes. Magic, type, the three lengths and the two CRCs stay at the same
offsets in all future versions::

     0  4s  magic b"PPLG"
     4  B   major version: 1
     5  B   page type: 0 blank, 1 header, 2 data, 3 summary; a reader skips unknown types
     6  B   log2 of the page size, 9 to 20
     7  B   0
     8  I   length: bytes used in this page, prefix included
    12  I   head length, at most 64 KiB: the head is [0, head length), the body the rest
    16  I   number: data pages count up through the run; header pages count from 0 in the segment;
            a summary has that of its first page
    20  I   CRC-32 of the body
    24  I   CRC-32 of the head without these 4 bytes

**Header pages** come first in each segment and together hold one JSON object: the process recorded
and the schema (see `RunHeader`). Head: prefix, H part, H parts, I bytes that the segment may grow
to; the last field may be missing. Body: this part of the JSON.

**Data pages** hold the samples and events of a period of time. Head::

    28  I   schema id: CRC-32 of the schema's JSON, so no page is read with another schema
    32  I   samples, at most 4096
    36  H   columns: metrics in the schema
    38  H   bytes of events, after the streams
    40  q   monotonic ms of the first sample (of the first event if there is no sample)
    48  q   unix ms at that same instant
    56  q   monotonic ms of the last sample
    64  I   interval in ms: the sampling interval when the page was begun
    68  I   0
    72  q x columns   first value
        q x columns   smallest
        q x columns   largest
        H x (columns + 1)   bytes in the stream of the times, then of each column

Of a *gauge* the head has the smallest and largest **value**; of a *counter*, whose values only
grow, the smallest and largest **rate** from one sample to the next, in thousandths per second:
`(value - previous) * 1_000_000 // max(1, milliseconds between)`. For the first sample of a page,
`previous` is the last sample of the previous page; the first sample of a run has the rate 0. So a
zoomed-out chart needs the heads only, and no spike is averaged away.

Body: the streams in that order, directly followed by the events. A **stream** holds the differences
from sample to sample (of the times: minus the interval, so that a sample that is exactly on time is
a 0) modulo 2**64, zig-zag coded, as LEB128 varints. A varint 0 is not a difference but begins a
zero run: the next varint is its length. Values missing at a stream's end are zeros. So a column
that does not change takes no bytes.

**Summary page**, since 1.1: the last page of a segment that its writer has finished. With it, a
reader that draws a year need not read the head of each page; it contains nothing that the heads do
not contain. It may be missing: a killed writer leaves none, nor does a writer that found a page out
of order. It covers pages with consecutive numbers in consecutive slots, all with this segment's
schema and one interval, in rows of a fixed number of pages; the last row may have fewer. Head::

    28  I   schema id
    32  H   columns
    34  H   rows, at least 1
    36  H   slot of the first page
    38  H   pages
    40  H   pages a row
    42  H   0
    44  I   interval in ms

Body, per row::

     0  I   samples
     4  I   bytes of events
     8  q   monotonic ms of the first sample (of the first event if the row has no sample)
    16  q   monotonic ms of the last sample
    24  q   unix minus monotonic ms: the smallest of its pages
    32  q   the same, of its last page
    40  q x columns   first value
        q x columns   smallest
        q x columns   largest

First, smallest and largest cover those pages of the row that have samples, and mean the same as in
a page's head. A reader ignores a summary that contradicts its segment.

**Events** are packed one after the other: B kind, q monotonic ms, q unix ms, q value, H length,
UTF-8 text. See `EVENT_KINDS`. Events after a malformed one are lost with it, samples are not.

**Versions of a page.** While a page is filled, it is written again at every sample, alternately to
two adjacent slots. So one complete version is always on disk: a write that a full disk or a SIGKILL
truncates (the kernel checks for signals between any two blocks; the OOM killer may act during this
very call) costs no sample that had been taken. Two data pages with the same number are versions of
the same page: of those with an intact head and body, the one with more samples and events counts,
and a reader ignores the others. Where a version could not be written completely, its writer puts a
**blank page**, a prefix only, because a head without its body announces samples that are not there.
A writer that is killed before that, or whose disk refuses that write too, leaves such a head.

**Liveness.** The writer holds an exclusive `flock` on its newest segment, which the kernel releases
when the process ends for any reason. It takes the lock before the file gets its name, so a reader
that tries a shared lock to check never disturbs it. A page without samples and events has no
meaning.

**Clocks.** Inside a page, unix time is the first unix ms plus the monotonic time elapsed. A wall
clock step of more than a second begins a new page. Monotonic time never decreases within a run. A
page with a monotonic time outside of [0, 2**53) or a unix time outside of [0, 9999-01-01) is
damaged: no clock shows such times, and sums with them could exceed 64 bits.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import pairwise
from struct import Struct
from struct import error as StructError  # noqa: N812 - as a class should be called
from zlib import crc32

from pprofplus.errors import LogFormatError, LogVersionError
from pprofplus.metrics import COUNTER

MAJOR = 1
MINOR = 1
MAGIC = b"PPLG"
PAGE_SIZE = 8192
PAGE_SIZE_LOG2 = 13
BLANK = 0
HEADER = 1
DATA = 2
SUMMARY = 3

MAX_SAMPLES = 4096
MAX_COLUMNS = 256
MAX_HEADER_BYTES = 1 << 18
MAX_HEAD_BYTES = 1 << 16
MAX_TEXT_BYTES = 1024
MAX_SEGMENT_BYTES = 1 << 26
MAX_MONO_MS = 1 << 53  # exclusive
MAX_UNIX_MS = 253_370_764_800_000  # exclusive: 9999-01-01T00:00Z
INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1
_MASK = (1 << 64) - 1

PREFIX = Struct("<4sBBBBIIIII")
HEADER_HEAD = Struct("<HHI")
HEADER_PART = Struct("<HH")
DATA_HEAD = Struct("<IIHHqqqII")
SUMMARY_HEAD = Struct("<IHHHHHHI")
SUMMARY_ROW = Struct("<IIqqqq")
EVENT = Struct("<BqqqH")
CRC = Struct("<I")
CRC_OFFSET = 24
DATA_HEAD_OFFSET = PREFIX.size
COLUMNS_OFFSET = PREFIX.size + DATA_HEAD.size
assert PREFIX.size == 28  # pinned by the format
assert COLUMNS_OFFSET == 72  # pinned by the format
assert SUMMARY_HEAD.size == 20  # pinned by the format
assert SUMMARY_ROW.size == 40  # pinned by the format
assert EVENT.size == 27  # pinned by the format

EVENT_KINDS: dict[int, str] = {
    1: "start",  # sampling began
    2: "stop",  # the process ended normally, or the program stopped recording
    3: "mark",  # text: what the user wrote
    4: "interval",  # value: the new interval in microseconds
    5: "pause",
    6: "resume",
    7: "lost",  # value: samples that could not be written; text: why
    8: "fork",  # value: pid of the parent
}
START, STOP, MARK, INTERVAL, PAUSE, RESUME, LOST, FORK = EVENT_KINDS


def head_size(columns: int) -> int:
    """Return the bytes of a data page's head."""
    return COLUMNS_OFFSET + 24 * columns + 2 * (columns + 1)


class Prefix:
    """The fields of a page's prefix; sizes in bytes."""

    __slots__ = ("body_crc", "head_length", "length", "number", "page_size", "type")

    def __init__(
        self, kind: int, page_size: int, length: int, head_length: int, number: int, body_crc: int
    ) -> None:
        self.type = kind
        self.page_size = page_size
        self.length = length
        self.head_length = head_length
        self.number = number
        self.body_crc = body_crc


def read_prefix(head: bytes | memoryview) -> Prefix:
    """Return the prefix of a page whose complete head is in `head`; the head's CRC is checked.

    Raises LogFormatError if it is not an intact page, LogVersionError if its major version is
    newer.
    """
    if len(head) < PREFIX.size:
        raise LogFormatError(f"a page is cut short: {len(head)} bytes")
    magic, major, kind, log2, _, length, head_length, number, body_crc, head_crc = (
        PREFIX.unpack_from(head)
    )
    if magic != MAGIC:
        raise LogFormatError("not a pprofplus log page")
    if not (
        9 <= log2 <= 20  # from the spec
        and PREFIX.size <= head_length <= min(length, MAX_HEAD_BYTES)
        and length <= 1 << log2
    ):
        raise LogFormatError("a page has impossible lengths")
    if head_length > len(head):
        raise LogFormatError("a page is cut short in its head")
    if crc32(head[PREFIX.size : head_length], crc32(head[:CRC_OFFSET])) != head_crc:
        raise LogFormatError("a page has a damaged head (CRC)")
    if major > MAJOR:
        raise LogVersionError(
            f"log format {major} is newer than this pprofplus reads ({MAJOR}.{MINOR}): upgrade it"
        )
    return Prefix(kind, 1 << log2, length, head_length, number, body_crc)


def check_body(prefix: Prefix, page: bytes | memoryview) -> None:
    """Raise LogFormatError unless the body of `page` is complete and its CRC is right."""
    if len(page) < prefix.length:
        raise LogFormatError("a page is cut short in its body")
    if crc32(page[prefix.head_length : prefix.length]) != prefix.body_crc:
        raise LogFormatError("a page has a damaged body (CRC)")


def pack_page(kind: int, number: int, head_rest: bytes, body: bytes) -> bytes:
    """Return a page of at most PAGE_SIZE: the prefix, `head_rest`, `body`, both CRCs."""
    head_length = PREFIX.size + len(head_rest)
    start = PREFIX.pack(
        MAGIC,
        MAJOR,
        kind,
        PAGE_SIZE_LOG2,
        0,
        head_length + len(body),
        head_length,
        number,
        crc32(body),
        0,
    )[:CRC_OFFSET]
    return b"".join((start, CRC.pack(crc32(head_rest, crc32(start))), head_rest, body))


BLANK_PAGE = pack_page(BLANK, 0, b"", b"")


class RunHeader:
    """The JSON header of a segment: which process and which metrics are recorded.

    Attributes:
        service: the service's name, as in the path.
        pid: process id in its own namespace.
        start_ms: unix milliseconds of the run's start, as in the path.
        host: host name.
        boot_id: the kernel's boot id, or "".
        argv: the command line, cut to a few KiB; untrusted text.
        python: implementation and version, as "CPython 3.11.7".
        collector: version of the pprofplus that wrote this.
        interval_ms: sampling interval at the start.
        metrics: (name, unit, kind) a column; a kind other than "counter" is read as a gauge.
    """

    __slots__ = (
        "argv",
        "boot_id",
        "collector",
        "host",
        "interval_ms",
        "metrics",
        "pid",
        "python",
        "service",
        "start_ms",
    )

    def __init__(
        self,
        *,
        service: str,
        pid: int,
        start_ms: int,
        metrics: tuple[tuple[str, str, str], ...],
        host: str = "",
        boot_id: str = "",
        argv: tuple[str, ...] = (),
        python: str = "",
        collector: str = "",
        interval_ms: int = 1000,
    ) -> None:
        self.service = service
        self.pid = pid
        self.start_ms = start_ms
        self.metrics = metrics
        self.host = host
        self.boot_id = boot_id
        self.argv = argv
        self.python = python
        self.collector = collector
        self.interval_ms = interval_ms

    def __eq__(self, other: object) -> bool:
        """Return whether all fields of two headers are equal."""
        return isinstance(other, RunHeader) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def schema(self) -> int:
        """The CRC-32 of the schema, by which a data page refers to it."""
        return _schema_of(self.metrics)

    @property
    def counters(self) -> tuple[bool, ...]:
        """Per column, whether it is a counter."""
        return tuple(kind == COUNTER for _, _, kind in self.metrics)


@lru_cache(8)
def _schema_of(metrics: tuple[tuple[str, str, str], ...]) -> int:
    """Return the CRC-32 of a schema; cached, because each new segment needs it."""
    return crc32(_compact(metrics))


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def header_text(header: RunHeader) -> bytes:
    """Return a header's JSON. Raises LogFormatError if it exceeds the limits of a reader."""
    text = _compact(
        {
            "format": f"{MAJOR}.{MINOR}",
            **{name: getattr(header, name) for name in RunHeader.__slots__},
        }
    )
    if len(text) > MAX_HEADER_BYTES or len(header.metrics) > MAX_COLUMNS:
        raise LogFormatError("a log header has too many metrics or too long a command line")
    return text


_HEADER_ROOM = PAGE_SIZE - PREFIX.size - HEADER_HEAD.size


def pack_header(header: RunHeader, segment_bytes: int = 0) -> list[bytes]:
    """Return the header pages of a segment that may grow to `segment_bytes`.

    Raises LogFormatError if the header exceeds the limits of a reader.
    """
    text = header_text(header)
    parts = [text[at : at + _HEADER_ROOM] for at in range(0, len(text), _HEADER_ROOM)]
    return [
        pack_page(HEADER, i, HEADER_HEAD.pack(i, len(parts), segment_bytes), part)
        for i, part in enumerate(parts)
    ]


def segment_capacity(start: bytes) -> int:
    """Return the bytes that a segment may grow to, from its first 36 bytes; 0 if unknown.

    Nothing is checked: retention reads only its own files, and a wrong answer is only a wrong size.
    """
    least = PREFIX.size + HEADER_HEAD.size
    if len(start) < least or start[5] != HEADER or int.from_bytes(start[12:16], "little") < least:
        return 0
    capacity: int = HEADER_HEAD.unpack_from(start, PREFIX.size)[2]
    return min(capacity, MAX_SEGMENT_BYTES)


def header_part(prefix: Prefix, page: bytes | memoryview) -> tuple[int, int, bytes]:
    """Return (part, parts, JSON bytes of this part) of a header page. Raises LogFormatError."""
    check_body(prefix, page)
    if prefix.head_length < PREFIX.size + HEADER_PART.size:
        raise LogFormatError("a header page is too short")
    part, parts = HEADER_PART.unpack_from(page, PREFIX.size)
    if not 0 <= part < parts <= MAX_HEADER_BYTES >> 9:
        raise LogFormatError("a header page has impossible part numbers")
    return part, parts, bytes(page[prefix.head_length : prefix.length])


def parse_header(text: bytes) -> RunHeader:
    """Return the header whose JSON `text` is. Raises LogFormatError."""
    if len(text) > MAX_HEADER_BYTES:
        raise LogFormatError("a log header is too large")
    try:
        found = json.loads(str(text, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise LogFormatError("a log header is not JSON") from error
    if not isinstance(found, dict):
        raise LogFormatError("a log header is not a JSON object")

    def text_of(name: str) -> str:
        value = found.get(name, "")
        if not isinstance(value, str):
            raise LogFormatError(f"a log header has a {name} that is not text")
        return value

    def number_of(name: str) -> int:
        value = found.get(name, 0)
        if type(value) is not int or not 0 <= value <= INT64_MAX:
            raise LogFormatError(f"a log header has a {name} that is not a count")
        return value

    argv = found.get("argv", [])
    if not (isinstance(argv, list) and all(isinstance(word, str) for word in argv)):
        raise LogFormatError("a log header has an argv that is not a list of texts")
    return RunHeader(
        service=text_of("service"),
        pid=number_of("pid"),
        start_ms=number_of("start_ms"),
        metrics=_metrics(found.get("metrics")),
        host=text_of("host"),
        boot_id=text_of("boot_id"),
        argv=tuple(argv),
        python=text_of("python"),
        collector=text_of("collector"),
        interval_ms=number_of("interval_ms"),
    )


def _metrics(rows: object) -> tuple[tuple[str, str, str], ...]:
    """Return the schema in a header's JSON. Raises LogFormatError."""
    if not (isinstance(rows, list) and len(rows) <= MAX_COLUMNS):
        raise LogFormatError("a log header has no schema")
    schema = []
    for row in rows:
        if not (isinstance(row, list) and len(row) == 3):  # name, unit, kind
            raise LogFormatError("a log header has a malformed schema")
        name, unit, kind = row
        if not (isinstance(name, str) and isinstance(unit, str) and isinstance(kind, str)):
            raise LogFormatError("a log header has a malformed schema")
        # a kind of a later minor version is kept: the CRC-32 of the schema includes it
        schema.append((name, unit, kind))
    if len({name for name, _, _ in schema}) != len(schema):
        raise LogFormatError("a log header names a metric twice")
    return tuple(schema)


class DataHead:
    """The head of a data page; the module's docstring describes each field."""

    __slots__ = (
        "columns",
        "events_bytes",
        "first",
        "first_mono_ms",
        "first_unix_ms",
        "hi",
        "interval_ms",
        "last_mono_ms",
        "lengths",
        "lo",
        "prefix",
        "samples",
        "schema",
    )  # fmt: skip

    def __init__(self, prefix: Prefix, head: bytes | memoryview) -> None:
        try:
            (
                self.schema,
                self.samples,
                self.columns,
                self.events_bytes,
                self.first_mono_ms,
                self.first_unix_ms,
                self.last_mono_ms,
                self.interval_ms,
                _,
            ) = DATA_HEAD.unpack_from(head, DATA_HEAD_OFFSET)
            n = self.columns
            cells = Struct(f"<{3 * n}q{n + 1}H").unpack_from(head, COLUMNS_OFFSET)
        except StructError as error:
            raise LogFormatError("a data page is too short for its columns") from error
        self.prefix = prefix
        self.first: tuple[int, ...] = cells[:n]
        self.lo: tuple[int, ...] = cells[n : 2 * n]
        self.hi: tuple[int, ...] = cells[2 * n : 3 * n]
        self.lengths: tuple[int, ...] = cells[3 * n :]
        check_data_head(
            prefix.head_length,
            prefix.length - prefix.head_length,
            n,
            self.samples,
            sum(self.lengths) + self.events_bytes,
        )
        span_ms = self.last_mono_ms - self.first_mono_ms
        if not (
            0 <= self.first_mono_ms <= self.last_mono_ms < MAX_MONO_MS
            and 0 <= self.first_unix_ms < MAX_UNIX_MS - span_ms
        ):
            raise LogFormatError("a data page has an impossible time")


def check_data_head(
    head_length: int, body_length: int, columns: int, samples: int, used: int
) -> None:
    """Raise LogFormatError if a data page's counts and lengths contradict each other."""
    if columns > MAX_COLUMNS or samples > MAX_SAMPLES or head_length < head_size(columns):
        raise LogFormatError("a data page has impossible counts")
    if used > body_length:
        raise LogFormatError("a data page has impossible lengths")


class Event:
    """One event; EVENT_KINDS documents `value` and `text` of each kind."""

    __slots__ = ("kind", "mono_ms", "text", "unix_ms", "value")

    def __init__(
        self, kind: int, mono_ms: int, unix_ms: int, value: int = 0, text: str = ""
    ) -> None:
        self.kind = kind
        self.mono_ms = mono_ms
        self.unix_ms = unix_ms
        self.value = value
        self.text = text

    def __eq__(self, other: object) -> bool:
        """Return whether all fields of two events are equal."""
        return isinstance(other, Event) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return kind, time and text."""
        return f"Event({EVENT_KINDS.get(self.kind, self.kind)}, {self.unix_ms}, {self.text!r})"


def pack_event(event: Event) -> bytes:
    """Return the event's bytes; a text longer than MAX_TEXT_BYTES is cut at a character."""
    text = event.text.encode("utf-8", "replace")[:MAX_TEXT_BYTES]
    text = text.decode("utf-8", "ignore").encode("utf-8")
    value = min(max(event.value, INT64_MIN), INT64_MAX)
    return EVENT.pack(event.kind, event.mono_ms, event.unix_ms, value, len(text)) + text


def read_events(data: bytes | memoryview) -> list[Event]:
    """Return the events packed in `data`, up to the first that is malformed."""
    events, at = [], 0
    while at + EVENT.size <= len(data):
        kind, mono_ms, unix_ms, value, length = EVENT.unpack_from(data, at)
        at += EVENT.size
        text = bytes(data[at : at + length])
        if len(text) < length:
            break
        at += length
        events.append(Event(kind, mono_ms, unix_ms, value, text.decode("utf-8", "replace")))
    return events


def unzigzag(token: int) -> int:
    """Return the signed 64-bit difference that a zig-zag token encodes."""
    return (token >> 1) ^ -(token & 1)


def wrap(value: int) -> int:
    """Return `value` modulo 2**64 as a signed 64-bit integer."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def read_stream(stream: bytes | memoryview, count: int) -> list[int]:
    """Return the `count` differences of a stream; faster decoders must give the same result.

    Raises LogFormatError if the stream is truncated, overlong or holds more than `count`.
    """
    deltas: list[int] = []
    token, shift, in_run = 0, 0, False
    for byte in stream:
        token |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            if shift >= 70:  # ten bytes hold 64 bits
                raise LogFormatError("a page has an overlong varint")
            continue
        if in_run:
            if token > count - len(deltas):
                raise LogFormatError("a page has more samples than its head has")
            deltas.extend([0] * token)
            in_run = False
        elif token == 0:
            in_run = True
        else:
            deltas.append(unzigzag(token & _MASK))
        token = shift = 0
    if shift or in_run or len(deltas) > count:
        raise LogFormatError("a stream in a page is cut short or too long")
    return deltas + [0] * (count - len(deltas))


class DataPage:
    """A decoded data page.

    Attributes:
        head: its head.
        mono_ms: monotonic milliseconds of each sample, never decreasing.
        unix_ms: unix milliseconds of each sample, from the page's first unix time.
        columns: per column, the value at each sample.
        events: its events.
    """

    __slots__ = ("columns", "events", "head", "mono_ms", "unix_ms")

    def __init__(
        self, head: DataHead, mono_ms: list[int], columns: list[list[int]], events: list[Event]
    ) -> None:
        self.head = head
        self.mono_ms = mono_ms
        self.unix_ms = [time - head.first_mono_ms + head.first_unix_ms for time in mono_ms]
        self.columns = columns
        self.events = events


def read_data_page(page: bytes | memoryview) -> DataPage:
    """Return a data page decoded in plain Python. Raises LogFormatError."""
    prefix = read_prefix(page)
    if prefix.type != DATA:
        raise LogFormatError("not a data page")
    head = DataHead(prefix, page)
    check_body(prefix, page)
    at = prefix.head_length
    firsts = (head.first_mono_ms, *head.first)
    decoded: list[list[int]] = []
    for column, length in enumerate(head.lengths):
        values = []
        if head.samples:
            value = firsts[column]
            step = head.interval_ms if column == 0 else 0
            values.append(value)
            for delta in read_stream(page[at : at + length], head.samples - 1):
                value = wrap(value + delta + step)
                values.append(value)
        decoded.append(values)
        at += length
    times = decoded[0]
    if any(b < a for a, b in pairwise(times)):
        raise LogFormatError("a page has times that decrease")
    if head.samples and times[-1] != head.last_mono_ms:
        raise LogFormatError("a page's last time differs from that in its head")
    return DataPage(head, times, decoded[1:], read_events(page[at : at + head.events_bytes]))


def summary_row_size(columns: int) -> int:
    """Return the bytes of a summary's row."""
    return SUMMARY_ROW.size + 24 * columns


def rate_milli(delta: int, elapsed_ms: int) -> int:
    """Return a counter's rate in thousandths per second, clipped to 64 bits."""
    rate = delta * 1_000_000 // max(1, elapsed_ms)
    return min(max(rate, INT64_MIN), INT64_MAX)
