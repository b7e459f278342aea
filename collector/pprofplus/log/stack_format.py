r"""The format of stored stacks, version 1: the specification, and functions to pack it. No I/O.

A **stack file** (`000001-01.ppstacks`) has the stacks of all threads from the time in which segment
1 of the log was written; `01` is its part, because a segment may need several of these files. Each
file is complete by itself. It is removed with its segment, or earlier: stacks may take only a share
of what a run may take. All integers are little-endian.

A file is a sequence of **blocks**, which are only appended. A write appends one or more complete
blocks, so a process that is killed loses no tick whose write has returned. Block::

     0  I   length of the body in the lower 24 bits, at most 256 KiB; type in the upper 8 bits:
            1 header, 2 dictionary, 3 ticks, 4 period, 5 index; a reader skips unknown types
     4  I   CRC-32 of the first 4 bytes and the body
     8      body

A reader that meets a damaged block searches for the next intact one. Zeros at the end of a file
are no block.

A **varint** is LEB128, at most 64 bits. *Packed* data begin with B encoding (0 plain, 1 zlib) and
I, their length when unpacked, at most 1 MiB.

**Header**: the first block. Body::

     0  4s  magic b"PPST"
     4  B   major version: 1
     5  B   minor version
     6  H   0
     8  I   bytes that the file may grow to
    12  q   monotonic ms when the file was begun
    20  q   unix ms at that instant

**Dictionary**: what later blocks refer to by number. All dictionaries of a file together are one.
Body, packed: I bytes of numbers, the numbers as varints, then the UTF-8 text of the strings, one
directly after the other. The numbers are four tables; each has the number of its first entry and
the count of its entries, then the entries::

    strings     bytes of the text                                 numbered from 0
    functions   string of the name, string of the file, first line           from 0
    stacks      difference to the parent, function, zig-zag (line - first line)   from 1
    threads     native thread id, string of the name                          from 1

A stack is its last frame and its parent, the stack of the callers: its number minus the difference.
The parent 0 is the empty stack. Stack 0 and thread 0 stand for those that did not fit.

**Ticks**: B flags. Flag 1: this block begins a period, and q monotonic ms, q unix ms at that
instant, I ticks lost since the previous period follow. Without it, a varint follows: how many
blocks of ticks precede this one in its period. If one is missing, those after it cannot be read.
Then ticks up to the end of the block::

    varint  2 x ms since the previous tick or the begin of the period, plus 1 if it is *biased*
    varint  changes, then each of them:
        varint  slot minus the slot of the previous change minus 1 (of the first: slot)
        B       flags: 1 thread, 2 stack, 4 CPU, 8 end; state in the upper 4 bits
        varint  with flag 1: thread, which begins to use the slot
        varint  with flag 2: stack
        varint  with flag 4: ms of CPU time since the last tick of this thread that has any

A thread keeps its slot as long as it lives, and its stack and state until they change. With flag 8,
which stands alone, the slot is free from this tick on. At the begin
of a period all slots are free. CPU time is cut to whole ms, and the rest is part of the next tick.

A tick is biased if the interpreter chose its moment: it was taken where a thread released the
interpreter lock (GIL). What it shows of a thread that uses no CPU is exact; of threads that compete
for the lock, shares of time must be taken from the other ticks, whose moments are random.

**Period**: the sum of the ticks since the first of these; it follows the last one. A new period
begins after some minutes, after a gap, and when the wall clock was set. Body::

     0  I   offset of its first block of ticks
     4  q   monotonic ms of its begin
    12  q   unix ms at that instant
    20  q   monotonic ms of its last tick
    28  I   biased ticks
    32  I   other ticks
    36  I   ticks lost before it
    40  I   ticks that were due and could not be taken
    44  I   rows
    48  I   threads
    52      packed columns: of the rows I thread, I stack, B state, H biased ticks, H other ticks;
            then of the threads I thread, I ms of CPU time

So a window of days is read from the periods, and only its ends from ticks. There is no period block
for the last ticks of a killed process.

**Index**: the last block of a file that its writer has finished. Body::

     0  I   periods
     4  I   dictionaries
     8      columns: of the periods I offset of the block, q monotonic ms of the begin, q unix ms
            at that instant, q monotonic ms of the last tick; of the dictionaries I offset
        I   length of this body, so that it is found from the end of the file

Ticks without a period block may be after the last period. A reader ignores an index that
contradicts the file.

**States**: see `STACK_STATES`. Times are in the same range as in `format`.
"""

from __future__ import annotations

from struct import Struct
from zlib import compress, crc32

from pprofplus.errors import LogFormatError, LogVersionError

STACK_MAJOR = 1
STACK_MINOR = 0
STACK_MAGIC = b"PPST"
HEADER_BLOCK = 1
DICTIONARY_BLOCK = 2
TICKS_BLOCK = 3
PERIOD_BLOCK = 4
INDEX_BLOCK = 5

MAX_BODY_BYTES = 1 << 18
MAX_UNPACKED_BYTES = 1 << 20
MAX_STACK_FILE_BYTES = 1 << 20
MAX_PERIOD_TICKS = 4096
MAX_STRING_BYTES = 512
MAX_LINE = (1 << 31) - 1

BLOCK_HEAD = Struct("<II")
STACK_HEADER = Struct("<4sBBHIqq")
PACKED_HEAD = Struct("<BI")
PERIOD_BEGIN = Struct("<qqI")
PERIOD_HEAD = Struct("<IqqqIIIIII")
INDEX_HEAD = Struct("<II")
PERIOD_ROW_BYTES = 13
PERIOD_THREAD_BYTES = 8
INDEX_PERIOD_BYTES = 28
INDEX_DICTIONARY_BYTES = 4
assert BLOCK_HEAD.size == 8  # pinned by the format
assert STACK_HEADER.size == 28  # pinned by the format
assert PACKED_HEAD.size == 5  # pinned by the format
assert PERIOD_BEGIN.size == 20  # pinned by the format
assert PERIOD_HEAD.size == 52  # pinned by the format

BEGINS_PERIOD = 1  # flag of a block of ticks
THREAD_BEGINS, STACK_CHANGED, CPU_USED, THREAD_ENDED = 1, 2, 4, 8  # flags of a change
STATE_SHIFT = 4
PLAIN, ZLIB = 0, 1

STACK_STATES: dict[int, str] = {
    0: "unknown",
    1: "running",
    2: "gil",  # it waits for the interpreter lock
    3: "lock",
    4: "io",
    5: "sleep",
    6: "poll",  # it waits for any of several descriptors
    7: "child",  # it waits for a child process
    8: "other",  # it waits in another system call
    9: "ready",  # it could run, but no processor is free
}

_LENGTH_MASK = (1 << 24) - 1
_MIN_ZLIB_BYTES = 128  # fewer bytes hardly shrink


def pack_block(kind: int, body: bytes) -> bytes:
    """Return a block."""
    start = (len(body) | kind << 24).to_bytes(4, "little")
    return b"".join((start, crc32(body, crc32(start)).to_bytes(4, "little"), body))


def block_length(head: bytes) -> tuple[int, int]:
    """Return (type, length of the body) from the first 8 bytes of a block.

    Raises LogFormatError if they cannot be those of a block.
    """
    if len(head) < BLOCK_HEAD.size:
        raise LogFormatError("a block of stacks is cut short")
    word = int.from_bytes(head[:4], "little")
    kind, length = word >> 24, word & _LENGTH_MASK
    if not kind or length > MAX_BODY_BYTES:
        raise LogFormatError("a block of stacks has an impossible type or length")
    return kind, length


def read_block(data: bytes | memoryview, at: int) -> tuple[int, bytes]:
    """Return (type, body) of the block at offset `at`. Raises LogFormatError if it is damaged."""
    head = bytes(data[at : at + BLOCK_HEAD.size])
    kind, length = block_length(head)
    body = bytes(data[at + BLOCK_HEAD.size : at + BLOCK_HEAD.size + length])
    if len(body) < length:
        raise LogFormatError("a block of stacks is cut short")
    if crc32(body, crc32(head[:4])) != int.from_bytes(head[4:], "little"):
        raise LogFormatError("a block of stacks is damaged (CRC)")
    return kind, body


def pack_stack_header(capacity: int, mono_ms: int, unix_ms: int) -> bytes:
    """Return the header block of a file that may grow to `capacity` bytes."""
    return pack_block(
        HEADER_BLOCK,
        STACK_HEADER.pack(STACK_MAGIC, STACK_MAJOR, STACK_MINOR, 0, capacity, mono_ms, unix_ms),
    )


STACK_HEADER_BYTES = BLOCK_HEAD.size + STACK_HEADER.size


def check_stack_header(start: bytes) -> None:
    """Check the first bytes of a stack file.

    Raises LogFormatError if it is no stack file, LogVersionError if its major version is newer.
    """
    kind, body = read_block(start, 0)
    if kind != HEADER_BLOCK or len(body) < STACK_HEADER.size or body[:4] != STACK_MAGIC:
        raise LogFormatError("not a file of stacks")
    if body[4] > STACK_MAJOR:
        raise LogVersionError(
            f"stack format {body[4]} is newer than this pprofplus reads"
            f" ({STACK_MAJOR}.{STACK_MINOR}): upgrade it"
        )


def stack_file_capacity(start: bytes) -> int:
    """Return the bytes that a stack file may grow to, from its first 36 bytes; 0 if unknown.

    Nothing is checked: retention reads only its own files, and a wrong answer is only a wrong size.
    """
    if len(start) < STACK_HEADER_BYTES or start[3] != HEADER_BLOCK:
        return 0
    capacity: int = STACK_HEADER.unpack_from(start, BLOCK_HEAD.size)[4]
    return min(capacity, MAX_STACK_FILE_BYTES)


def pack_data(data: bytes) -> bytes:
    """Return packed data, compressed if that is shorter."""
    if len(data) >= _MIN_ZLIB_BYTES:
        shorter = compress(data, 6)
        if len(shorter) < len(data):
            return PACKED_HEAD.pack(ZLIB, len(data)) + shorter
    return PACKED_HEAD.pack(PLAIN, len(data)) + data


def pack_index(periods: list[tuple[int, int, int, int]], dictionaries: list[int]) -> bytes:
    """Return the index block: periods as (offset, begin, unix at the begin, end), see above."""
    offsets, begins, unix, ends = zip(*periods, strict=True) if periods else ((), (), (), ())
    count = len(periods)
    body = INDEX_HEAD.pack(count, len(dictionaries)) + Struct(
        f"<{count}I{count}q{count}q{count}q{len(dictionaries)}I"
    ).pack(*offsets, *begins, *unix, *ends, *dictionaries)
    return pack_block(INDEX_BLOCK, body + (len(body) + 4).to_bytes(4, "little"))


def index_size(periods: int, dictionaries: int) -> int:
    """Return the bytes of an index block."""
    entries = INDEX_PERIOD_BYTES * periods + INDEX_DICTIONARY_BYTES * dictionaries
    return BLOCK_HEAD.size + INDEX_HEAD.size + entries + 4
