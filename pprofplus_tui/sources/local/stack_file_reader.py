"""Reads one file of stacks: its index, its dictionary, and the sums of the ticks in a window."""

import os

import numpy as np

from pprofplus.errors import LogFormatError, LogVersionError
from pprofplus.log.stack_format import (
    BEGINS_PERIOD,
    BLOCK_HEAD,
    DICTIONARY_BLOCK,
    INDEX_BLOCK,
    MAX_BODY_BYTES,
    MAX_STACK_FILE_BYTES,
    PERIOD_BLOCK,
    PERIOD_HEAD,
    STACK_HEADER_BYTES,
    TICKS_BLOCK,
    block_length,
    check_stack_header,
    read_block,
)
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.safe_files import opened
from pprofplus_tui.sources.local.stack_decode import (
    Blocks,
    DictionaryPart,
    PeriodSum,
    StackIndex,
    TickSum,
    rows_array,
    unpacked_size,
)
from pprofplus_tui.sources.local.stack_tree import FileNumbers, StackTree

# what the dictionaries of a file may unpack to, and its periods in one pass; the collector's files
# are of half a MiB, and shrink to a fourth
_MAX_UNPACKED_BYTES = 16 << 20
_DAMAGED = "is damaged: some stacks are missing"


class Budget:
    """Limits what is unpacked: the sizes in a file are untrusted."""

    __slots__ = ("_left_bytes",)

    def __init__(self) -> None:
        self._left_bytes = _MAX_UNPACKED_BYTES

    def spend(self, packed: bytes) -> None:
        """Count the size of packed data when unpacked. Raises LogFormatError if it is too much."""
        self._left_bytes -= unpacked_size(packed)
        if self._left_bytes < 0:
            raise LogFormatError("stacks unpack to more than a file can have")


class Period:
    """A period of a file: where it is, and on which time.

    Attributes:
        begin_ms, end_ms: monotonic ms of the begin and of the last tick.
        offset_ms: unix minus monotonic ms, as recorded.
        at: offset of its period block, -1 if there is none.
        ticks: offsets of its blocks of ticks, if they were searched.
    """

    __slots__ = ("at", "begin_ms", "end_ms", "offset_ms", "ticks")

    def __init__(self, begin_ms: int, unix_ms: int, end_ms: int, at: int) -> None:
        self.begin_ms = begin_ms
        self.end_ms = end_ms
        self.offset_ms = unix_ms - begin_ms
        self.at = at
        self.ticks: list[int] = []


class WindowSum:
    """What a window has of one file, with the file's numbers.

    Attributes:
        rows: thread, stack, state, biased ticks, other ticks; arrays of shape (5, n).
        cpu: thread and ms of CPU time; arrays of shape (2, m).
        biased, other, lost, missed: numbers of ticks.
        budget: of what may be unpacked.
    """

    def __init__(self) -> None:
        self.budget = Budget()
        self.rows: list[Ints] = []
        self.cpu: list[Ints] = []
        self.biased = self.other = self.lost = self.missed = 0


class StackFileReader:
    """Reads one file of stacks, again as far as it has grown.

    Attributes:
        path: of the file.
        periods: in the order of the file.
        problem: why something may be missing, or "".
        walked: the index is not used: it contradicts the file, or a block that it names is damaged.
    """

    def __init__(self, path: str, tree: StackTree) -> None:
        self.path = path
        self.walked = False
        self.periods: list[Period] = []
        self.problem = ""
        self.numbers = FileNumbers(tree)
        self._seen: tuple[int, int, int] | None = None
        self._finished = self._refused = False
        self._blocks = Blocks()
        self._dictionaries: set[int] = set()
        self._unread: list[int] = []  # dictionaries of a finished file, read when needed
        self._budget = Budget()  # of dictionaries
        self._period_budget = Budget()  # of periods, in `_walk`

    def refresh(self) -> bool:
        """Read what is new; return whether anything changed. Raises OSError."""
        with opened(self.path) as (file, status):
            seen = status.st_ino, status.st_size, status.st_mtime_ns
            if seen == self._seen:
                return False
            before, self._seen = self._seen, seen
            if before is not None and (before[0] != seen[0] or seen[1] < before[1]):
                self._restart()
            size = min(status.st_size, MAX_STACK_FILE_BYTES)
            if not self._blocks.end and size >= STACK_HEADER_BYTES:
                self._check_header(file)
                self._finished = not (self._refused or self.walked) and self._read_index(file, size)
            if not (self._finished or self._refused) and size:
                self._walk(file, size)
        return True

    def add(self, into: WindowSum, period: Period, begin_ms: int, end_ms: int) -> None:
        """Add the part of a period in [begin_ms, end_ms), monotonic ms. Raises OSError.

        What is damaged is left out, and `problem` is set.
        """
        with opened(self.path) as (file, status):
            size = min(status.st_size, MAX_STACK_FILE_BYTES)
            unread, self._unread = self._unread, []
            for offset in unread:
                try:
                    self._add_dictionary(offset, self._body(file, offset, DICTIONARY_BLOCK))
                except LogFormatError:
                    self._damaged()
            try:
                inside = begin_ms <= period.begin_ms and period.end_ms < end_ms
                if inside and period.at >= 0:
                    self._add_sum(into, file, period)
                else:
                    self._add_ticks(into, file, size, period, begin_ms, end_ms)
            except LogFormatError:
                self._damaged()

    def _damaged(self) -> None:
        """Read all blocks at the next `refresh`: ticks may be intact where an index is not."""
        self.problem = _DAMAGED
        if self._finished:
            self._restart()
            self.walked, self._seen = True, None
            self.problem = _DAMAGED

    def _restart(self) -> None:
        self.periods.clear()
        self.numbers = FileNumbers(self.numbers.tree)
        self._blocks = Blocks()
        self._dictionaries.clear()
        self._unread = []
        self._budget, self._period_budget = Budget(), Budget()
        self._finished = self._refused = False
        self.problem = ""

    def _check_header(self, file: int) -> None:
        try:
            check_stack_header(os.pread(file, STACK_HEADER_BYTES, 0))
        except LogVersionError as error:
            self.problem, self._refused = f"is not read: {error}", True
        except LogFormatError:
            self.problem = _DAMAGED

    def _read_index(self, file: int, size: int) -> bool:
        """Read a finished file's periods and dictionary from its index; False without one."""
        length = int.from_bytes(os.pread(file, 4, size - 4), "little")
        if not 4 < length <= min(MAX_BODY_BYTES, size - BLOCK_HEAD.size):
            return False
        at = size - length - BLOCK_HEAD.size
        try:
            kind, body = read_block(os.pread(file, length + BLOCK_HEAD.size, at), 0)
            if kind != INDEX_BLOCK:
                return False
            index = StackIndex(body)
            self._check_index(file, index)
            self._unread = index.dictionaries
        except LogFormatError:
            self._restart()
            return False
        for begin, unix, end, offset in zip(
            index.begin_ms.tolist(),
            index.unix_ms.tolist(),
            index.end_ms.tolist(),
            index.offsets.tolist(),
            strict=True,
        ):
            self.periods.append(Period(begin, unix, end, offset))
        return True

    def _check_index(self, file: int, index: StackIndex) -> None:
        """Raise LogFormatError unless blocks of the right types seem to be at its offsets."""
        named = [(PERIOD_BLOCK, at) for at in index.offsets.tolist()]
        named += [(DICTIONARY_BLOCK, at) for at in index.dictionaries]
        for kind, at in named:
            if block_length(os.pread(file, BLOCK_HEAD.size, at))[0] != kind:
                raise LogFormatError("an index of stacks contradicts its file")

    def _walk(self, file: int, size: int) -> None:
        """Read the blocks that are new, from the first to the last."""
        blocks = self._blocks
        known, base = len(blocks.found), blocks.end
        data = os.pread(file, size - base, base)
        blocks.extend(data, base)
        for at, kind, length in blocks.found[known:]:
            body = data[at - base + BLOCK_HEAD.size :][:length]
            try:
                if kind == DICTIONARY_BLOCK:
                    self._add_dictionary(at, body)
                elif kind == TICKS_BLOCK:
                    self._note_ticks(at, body)
                elif kind == PERIOD_BLOCK:
                    self._note_period(at, body)
            except LogFormatError:
                self.problem = _DAMAGED
        if blocks.damaged or blocks.abandoned:
            self.problem = _DAMAGED

    def _note_ticks(self, at: int, body: bytes) -> None:
        if body[:1] and body[0] & BEGINS_PERIOD:
            found = TickSum(0, 0)
            found.add_block(body)
            self.periods.append(Period(*found.times_ms, -1))
            self._tail = found
        elif not self.periods or self.periods[-1].at >= 0:
            raise LogFormatError("the begin of a period is missing")
        else:
            self._tail.add_block(body)
            self.periods[-1].end_ms = self._tail.times_ms[2]
        self.periods[-1].ticks.append(at)

    def _note_period(self, at: int, body: bytes) -> None:
        self._period_budget.spend(body[PERIOD_HEAD.size :])
        found = PeriodSum(body)
        last = self.periods[-1] if self.periods else None
        if last is not None and last.at < 0 and last.ticks[0] == found.ticks_at:
            ticks = self.periods.pop().ticks
        else:
            ticks = []  # its begin is damaged
        period = Period(found.begin_ms, found.unix_ms, found.end_ms, at)
        period.ticks = ticks
        self.periods.append(period)

    def _add_sum(self, into: WindowSum, file: int, period: Period) -> None:
        body = self._body(file, period.at, PERIOD_BLOCK)
        into.budget.spend(body[PERIOD_HEAD.size :])
        found = PeriodSum(body)
        into.rows.append(found.rows)
        into.cpu.append(found.cpu)
        into.biased += found.biased
        into.other += found.other
        into.lost += found.lost
        into.missed += found.missed

    def _add_ticks(
        self, into: WindowSum, file: int, size: int, period: Period, begin_ms: int, end_ms: int
    ) -> None:
        ticks, found = TickSum(begin_ms, end_ms), 0
        try:
            for body in self._tick_bodies(file, size, period):
                ticks.add_block(body)
                found += 1
        finally:
            ticks.finish()
            into.rows.append(rows_array(ticks.rows))
            used = list(ticks.cpu_ms.items())
            into.cpu.append(np.array(used, np.int64).reshape(len(used), 2).T)
            into.biased += ticks.biased
            into.other += ticks.other
            if begin_ms <= period.begin_ms < end_ms:
                into.lost += ticks.lost
        if not found:
            raise LogFormatError("the ticks of a period are missing")

    def _tick_bodies(self, file: int, size: int, period: Period) -> list[bytes]:
        """Return the bodies of the blocks of ticks of a period. Raises LogFormatError."""
        if period.ticks:
            return [self._body(file, at, TICKS_BLOCK) for at in period.ticks]
        if period.at < 0:
            return []
        at = PeriodSum(self._body(file, period.at, PERIOD_BLOCK)).ticks_at
        if not at < period.at <= size:
            raise LogFormatError("a period has impossible offsets")
        # all blocks between the first and the period's own
        blocks = Blocks()
        blocks.end = at
        data = os.pread(file, period.at - at, at)
        blocks.extend(data, at)
        if blocks.damaged:
            self.problem = _DAMAGED
        return [
            data[offset - at + BLOCK_HEAD.size :][:length]
            for offset, kind, length in blocks.found
            if kind == TICKS_BLOCK
        ]

    def _add_dictionary(self, at: int, body: bytes) -> None:
        if at not in self._dictionaries:
            self._dictionaries.add(at)
            self._budget.spend(body)
            self.numbers.add(DictionaryPart(body))

    def _body(self, file: int, at: int, kind: int) -> bytes:
        """Return the body of a block of this type. Raises LogFormatError, OSError."""
        head = os.pread(file, BLOCK_HEAD.size, at)
        length = int.from_bytes(head[:3], "little")
        if length > MAX_BODY_BYTES:
            raise LogFormatError("a block of stacks has an impossible length")
        found, body = read_block(head + os.pread(file, length, at + BLOCK_HEAD.size), 0)
        if found != kind:
            raise LogFormatError("a block of stacks has another type")
        return body
