"""Decodes the blocks of a file of stacks, as `pprofplus.log.stack_format` specifies them. No I/O.

The content is untrusted: each function needs time and memory in proportion to the bytes that it is
given, or raises LogFormatError.
"""

import zlib
from struct import error as StructError  # noqa: N812 - as a class should be called

import numpy as np
import numpy.typing as npt

from pprofplus.errors import LogFormatError
from pprofplus.log.format import MAX_MONO_MS, MAX_UNIX_MS
from pprofplus.log.stack_format import (
    BEGINS_PERIOD,
    BLOCK_HEAD,
    CPU_USED,
    HEADER_BLOCK,
    INDEX_BLOCK,
    INDEX_DICTIONARY_BYTES,
    INDEX_HEAD,
    INDEX_PERIOD_BYTES,
    MAX_BODY_BYTES,
    MAX_UNPACKED_BYTES,
    PACKED_HEAD,
    PERIOD_BEGIN,
    PERIOD_HEAD,
    PERIOD_ROW_BYTES,
    PERIOD_THREAD_BYTES,
    PLAIN,
    STACK_CHANGED,
    STATE_SHIFT,
    THREAD_BEGINS,
    THREAD_ENDED,
    ZLIB,
    block_length,
)
from pprofplus_tui.model.points import Ints

_MAX_VARINT_BYTES = 9
_MAX_NUMBER = 1 << 32
_FEW_BYTES = 256
# what a search for an intact block after a damaged one may check, in bytes
_SEARCH_BYTES = 32 << 20
_SEARCH_STEP_BYTES = 128  # for each place, so that the number of places is limited too
_SEARCHED_AT_ONCE = 64
_MAX_BLOCK_BYTES = BLOCK_HEAD.size + MAX_BODY_BYTES


class Blocks:
    """The blocks of a file, as found from its start.

    Attributes:
        found: (offset, type, length of the body) of each intact block.
        damaged: places in which something else is.
        end: where the next block may begin.
        abandoned: so much was damaged that the search for intact blocks was given up.
    """

    def __init__(self) -> None:
        self.found: list[tuple[int, int, int]] = []
        self.damaged = 0
        self.end = 0
        self.abandoned = False
        self._search_bytes = _SEARCH_BYTES

    def extend(self, data: bytes, base: int) -> None:
        """Find the blocks in `data`, which begins at the offset `base` of the file."""
        view, at = memoryview(data), self.end - base
        plausible: Ints | None = None  # places where a block may begin
        while at + BLOCK_HEAD.size <= len(data) and not self.abandoned:
            length = self._intact(view, at)
            if length is not None:
                self.found.append((base + at, data[at + 3], length))
                at += BLOCK_HEAD.size + length
                self.end = base + at
                continue
            if plausible is None:
                plausible = _plausible(data)
            following = self._search(view, plausible[np.searchsorted(plausible, at + 1) :])
            if following is None:
                # the end of the file, or a write that is not complete yet
                self.abandoned |= len(data) - at > _MAX_BLOCK_BYTES and any(view[at:])
                break
            self.damaged += 1
            at = following

    def _intact(self, view: memoryview, at: int) -> int | None:
        """Return the length of the body of an intact block, None if there is none."""
        try:
            _, length = block_length(bytes(view[at : at + BLOCK_HEAD.size]))
        except LogFormatError:
            return None
        end = at + BLOCK_HEAD.size + length
        if end > len(view):
            return None
        crc = zlib.crc32(view[at + BLOCK_HEAD.size : end], zlib.crc32(view[at : at + 4]))
        return length if crc == int.from_bytes(view[at + 4 : at + 8], "little") else None

    def _search(self, view: memoryview, places: Ints) -> int | None:
        """Return the first place at which an intact block begins."""
        for begin in range(0, len(places), _SEARCHED_AT_ONCE):
            for place in places[begin : begin + _SEARCHED_AT_ONCE].tolist():
                length = int.from_bytes(view[place : place + 3], "little")
                self._search_bytes -= _SEARCH_STEP_BYTES + length
                if self._search_bytes < 0:
                    self.abandoned = True
                    return None
                if self._intact(view, place) is not None:
                    return int(place)
        return None


def _plausible(data: bytes) -> Ints:
    """Return the places in `data` where a block with a known type may begin."""
    raw = np.frombuffer(data, np.uint8)
    kinds, highest = raw[3:], raw[2:-1]
    found = (kinds >= HEADER_BLOCK) & (kinds <= INDEX_BLOCK) & (highest <= MAX_BODY_BYTES >> 16)
    return np.flatnonzero(found)


class StackIndex:
    """Where the periods and dictionaries of a file are.

    Attributes:
        offsets: of the period blocks, shape (n,).
        begin_ms: monotonic ms of the begins, shape (n,).
        unix_ms: unix ms at these instants, shape (n,).
        end_ms: monotonic ms of the last ticks, shape (n,).
        dictionaries: offsets of the dictionary blocks.
    """

    def __init__(self, body: bytes) -> None:
        """Read the body of an index block. Raises LogFormatError."""
        if len(body) < INDEX_HEAD.size:
            raise LogFormatError("an index of stacks is cut short")
        periods, dictionaries = INDEX_HEAD.unpack_from(body)
        size = INDEX_HEAD.size + INDEX_PERIOD_BYTES * periods
        size += INDEX_DICTIONARY_BYTES * dictionaries + 4
        if size != len(body) or body[-4:] != size.to_bytes(4, "little"):
            raise LogFormatError("an index of stacks contradicts its length")
        at = INDEX_HEAD.size
        self.offsets = np.frombuffer(body, "<u4", periods, at).astype(np.int64)
        times = np.frombuffer(body, "<i8", 3 * periods, at + 4 * periods).reshape(3, periods)
        self.begin_ms, self.unix_ms, self.end_ms = times.astype(np.int64)
        self.dictionaries = np.frombuffer(
            body, "<u4", dictionaries, at + INDEX_PERIOD_BYTES * periods
        ).tolist()
        check_times(self.begin_ms, self.unix_ms, self.end_ms)


class PeriodSum:
    """The content of a period block.

    Attributes:
        ticks_at: offset of its first block of ticks.
        begin_ms, unix_ms, end_ms: see StackIndex.
        biased, other: numbers of ticks.
        lost: ticks lost before it.
        missed: ticks that could not be taken.
        rows: thread, stack, state, biased ticks, other ticks; shape (5, n).
        cpu: thread and ms of CPU time; shape (2, m).
    """

    def __init__(self, body: bytes) -> None:
        """Read the body of a period block. Raises LogFormatError."""
        if len(body) < PERIOD_HEAD.size:
            raise LogFormatError("a period of stacks is cut short")
        (
            self.ticks_at,
            self.begin_ms,
            self.unix_ms,
            self.end_ms,
            self.biased,
            self.other,
            self.lost,
            self.missed,
            rows,
            threads,
        ) = PERIOD_HEAD.unpack_from(body)
        check_times(self.begin_ms, self.unix_ms, self.end_ms)
        size = PERIOD_ROW_BYTES * rows + PERIOD_THREAD_BYTES * threads
        data = unpack_data(body[PERIOD_HEAD.size :])
        if len(data) != size:
            raise LogFormatError("a period of stacks contradicts its length")
        self.rows: Ints = np.empty((5, rows), np.int64)
        at = 0
        for column, kind in enumerate(("<u4", "<u4", "u1", "<u2", "<u2")):
            self.rows[column] = np.frombuffer(data, kind, rows, at)
            at += rows * np.dtype(kind).itemsize
        self.cpu: Ints = (
            np.frombuffer(data, "<u4", 2 * threads, at).reshape(2, threads).astype(np.int64)
        )


def check_times(begin_ms: Ints | int, unix_ms: Ints | int, end_ms: Ints | int) -> None:
    """Raise LogFormatError if times of a period are out of range."""
    begin, unix, end = np.asarray(begin_ms), np.asarray(unix_ms), np.asarray(end_ms)
    bad = (begin < 0) | (end < begin) | (end >= MAX_MONO_MS) | (unix < 0) | (unix >= MAX_UNIX_MS)
    if bad.any():
        raise LogFormatError("a period of stacks has impossible times")


def unpacked_size(packed: bytes) -> int:
    """Return the bytes that packed data claim to have when unpacked; at least their own."""
    size = PACKED_HEAD.unpack_from(packed)[1] if len(packed) >= PACKED_HEAD.size else 0
    return max(len(packed), min(size, MAX_UNPACKED_BYTES))


def unpack_data(packed: bytes) -> bytes:
    """Return packed data. Raises LogFormatError."""
    if len(packed) < PACKED_HEAD.size:
        raise LogFormatError("packed stacks are cut short")
    encoding, length = PACKED_HEAD.unpack_from(packed)
    data = packed[PACKED_HEAD.size :]
    if length > MAX_UNPACKED_BYTES or encoding not in {PLAIN, ZLIB}:
        raise LogFormatError("packed stacks have an unknown encoding or an impossible length")
    if encoding == ZLIB:
        try:
            data = zlib.decompressobj().decompress(data, length + 1)
        except zlib.error as error:
            raise LogFormatError("packed stacks are damaged") from error
    if len(data) != length:
        raise LogFormatError("packed stacks contradict their length")
    return data


def varints(raw: bytes) -> Ints:
    """Return all varints of a stream. Raises LogFormatError."""
    if len(raw) < _FEW_BYTES:
        return _few_varints(raw)
    data = np.frombuffer(raw, np.uint8)
    ends = np.flatnonzero(data < 0x80)  # the continuation bit
    if not len(ends) or ends[-1] != len(data) - 1:
        raise LogFormatError("a number of stacks is cut short")
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_VARINT_BYTES:
        raise LogFormatError("a number of stacks is too large")
    shifts = np.arange(len(data)) - np.repeat(starts, lengths)
    parts = (data & 0x7F).astype(np.int64) << 7 * shifts
    found: Ints = np.add.reduceat(parts, starts)
    return found


def _few_varints(raw: bytes) -> Ints:
    """Do what `varints` does, faster for a few bytes."""
    found, at = [], 0
    try:
        while at < len(raw):
            value, at = _varint(raw, at)
            found.append(value)
        return np.array(found, np.int64)
    except (IndexError, OverflowError) as error:
        raise LogFormatError("a number of stacks is cut short or too large") from error


class DictionaryPart:
    """The new entries in a dictionary block.

    Attributes:
        strings: number of the first, and the texts.
        functions: number of the first, and rows of name, file, first line; shape (n, 3).
        stacks: number of the first, and rows of difference to the parent, function, zig-zag of the
            line; shape (n, 3).
        threads: number of the first, and rows of native id, name; shape (n, 2).
    """

    def __init__(self, body: bytes) -> None:
        """Read the body of a dictionary block. Raises LogFormatError."""
        data = unpack_data(body)
        size = int.from_bytes(data[:4], "little")
        if len(data) < 4 + size:
            raise LogFormatError("a dictionary of stacks is cut short")
        numbers = varints(data[4 : 4 + size])
        self._at = 0
        first, lengths = self._table(numbers, 1)
        ends = 4 + size + np.cumsum(lengths[:, 0])
        if len(ends) and (ends[-1] > len(data) or (lengths < 0).any()):
            raise LogFormatError("the strings of a dictionary of stacks are cut short")
        texts, start = [], 4 + size
        for end in ends.tolist():
            texts.append(data[start:end].decode("utf-8", "replace"))
            start = end
        self.strings = first, texts
        self.functions = self._table(numbers, 3)
        self.stacks = self._table(numbers, 3)
        self.threads = self._table(numbers, 2)

    def _table(self, numbers: Ints, columns: int) -> tuple[int, Ints]:
        at = self._at
        if at + 2 > len(numbers):
            raise LogFormatError("a dictionary of stacks has too few tables")
        first, count = int(numbers[at]), int(numbers[at + 1])
        end = at + 2 + count * columns
        if end > len(numbers) or first > _MAX_NUMBER:
            raise LogFormatError("a dictionary of stacks has a table that is cut short")
        self._at = end
        return first, numbers[at + 2 : end].reshape(count, columns)


class TickSum:
    """Sums the ticks of one period that are in a window of monotonic time.

    Attributes:
        biased, other: numbers of ticks in the window.
        lost: ticks lost before the period.
        times_ms: monotonic ms of the begin, unix ms at that instant, monotonic ms of the last tick.
        rows: by (thread, stack, state) biased and other ticks.
        cpu_ms: by thread.
    """

    def __init__(self, begin_ms: int, end_ms: int) -> None:
        """Sum the ticks in [begin_ms, end_ms)."""
        self.biased = self.other = self.lost = 0
        self.times_ms = (0, 0, 0)
        self.rows: dict[tuple[int, int, int], list[int]] = {}
        self.cpu_ms: dict[int, int] = {}
        self._window = begin_ms, end_ms
        self._now_ms = 0
        self._blocks = 0
        # by slot: thread, stack, state, and the two numbers of ticks when they were last counted
        self._slots: dict[int, list[int]] = {}

    def add_block(self, body: bytes) -> None:
        """Add a block of ticks. Raises LogFormatError; then no later block can be added."""
        try:
            at = self._begin(body)
            while at < len(body):
                at = self._tick(body, at)
        except (IndexError, KeyError, StructError) as error:
            raise LogFormatError("a block of ticks is damaged") from error
        self._blocks += 1

    def finish(self) -> None:
        """Count what has not changed since; call it once, after the last block."""
        for slot in self._slots.values():
            self._count(slot)

    def _begin(self, body: bytes) -> int:
        """Read the head of a block; return where the ticks begin."""
        if not body[0] & BEGINS_PERIOD:
            blocks, at = _varint(body, 1)
            if not self._blocks or blocks != self._blocks:
                raise LogFormatError("a block of ticks is missing before this one")
            return at
        if self._blocks:
            raise LogFormatError("a block of ticks belongs to another period")
        mono_ms, unix_ms, self.lost = PERIOD_BEGIN.unpack_from(body, 1)
        check_times(mono_ms, unix_ms, mono_ms)
        self.times_ms = mono_ms, unix_ms, mono_ms
        self._now_ms = mono_ms
        return 1 + PERIOD_BEGIN.size

    def _tick(self, body: bytes, at: int) -> int:
        step, at = _varint(body, at)
        changes, at = _varint(body, at)
        self._now_ms += step >> 1
        if self._now_ms >= MAX_MONO_MS:
            raise LogFormatError("a tick has an impossible time")
        self.times_ms = *self.times_ms[:2], self._now_ms
        begin_ms, end_ms = self._window
        inside = begin_ms <= self._now_ms < end_ms
        slot = -1
        for _ in range(changes):
            gap, at = _varint(body, at)
            slot += gap + 1
            at = self._change(body, at, slot, inside=inside)
        if inside:
            if step & 1:
                self.biased += 1
            else:
                self.other += 1
        return at

    def _change(self, body: bytes, at: int, slot: int, *, inside: bool) -> int:
        slots, flags = self._slots, body[at]
        at += 1
        if flags & THREAD_ENDED:
            self._count(slots.pop(slot))
            return at
        if flags & THREAD_BEGINS:
            thread, at = _varint(body, at)
            if slot in slots:
                self._count(slots[slot])
            one = slots[slot] = [thread, 0, 0, self.biased, self.other]
        else:
            one = slots[slot]
            self._count(one)
        if flags & STACK_CHANGED:
            one[1], at = _varint(body, at)
        one[2] = flags >> STATE_SHIFT
        if flags & CPU_USED:
            used_ms, at = _varint(body, at)
            if inside:
                self.cpu_ms[one[0]] = self.cpu_ms.get(one[0], 0) + min(used_ms, _MAX_NUMBER)
        return at

    def _count(self, slot: list[int]) -> None:
        """Count the ticks since a thread has its stack and state."""
        thread, stack, state, biased, other = slot
        if self.biased > biased or self.other > other:
            row = self.rows.setdefault((thread, stack, state), [0, 0])
            row[0] += self.biased - biased
            row[1] += self.other - other
            slot[3], slot[4] = self.biased, self.other


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and the offset after it. Raises IndexError, LogFormatError."""
    value = data[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    shift = 7
    while shift <= 7 * _MAX_VARINT_BYTES:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise LogFormatError("a number of stacks is too large")


def rows_array(rows: dict[tuple[int, int, int], list[int]]) -> npt.NDArray[np.int64]:
    """Return the rows of a TickSum as PeriodSum has them."""
    found = [(*key, *counts) for key, counts in rows.items()]
    return np.array(found, np.int64).reshape(len(found), 5).T
