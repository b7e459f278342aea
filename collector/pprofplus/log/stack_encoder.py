"""Encoder of one stack file: takes ticks, returns the blocks to append. No I/O."""

from __future__ import annotations

from struct import Struct

from pprofplus.log.page import append_varint
from pprofplus.log.stack_format import (
    BEGINS_PERIOD,
    BLOCK_HEAD,
    CPU_USED,
    DICTIONARY_BLOCK,
    MAX_LINE,
    MAX_PERIOD_TICKS,
    MAX_STRING_BYTES,
    PACKED_HEAD,
    PERIOD_BEGIN,
    PERIOD_BLOCK,
    PERIOD_HEAD,
    PERIOD_ROW_BYTES,
    PERIOD_THREAD_BYTES,
    STACK_CHANGED,
    STATE_SHIFT,
    THREAD_BEGINS,
    THREAD_ENDED,
    TICKS_BLOCK,
    index_size,
    pack_block,
    pack_data,
    pack_index,
)

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from typing import Protocol

    Frame = tuple[str, str, int, int]  # name, file, first line, line
    # native thread id, key of the stack, state, ms of CPU time since the thread's last tick
    ThreadTick = tuple[int, Hashable, int, int]

    class StackNames(Protocol):
        """What the keys in ticks stand for."""

        def frames(self, stack: Hashable) -> Sequence[Frame]:
            """Return the frames of a stack, the outermost first."""

        def thread_name(self, native_id: int) -> str:
            """Return the name of a thread, or ""."""

        def abandon(self) -> None:
            """In a forked child: close what belongs to the parent."""


MAX_THREADS = 8192  # in a tick
_MAX_DEPTH = 256
_MAX_NODES = 8192
_MAX_ROWS = 8192
_MAX_KNOWN_STACKS = 4096
_FLUSH_BYTES = 48 << 10  # then the next tick begins another block
_MAX_U32 = (1 << 32) - 1
# estimates of the bytes that an entry takes in a dictionary
_FUNCTION_BYTES, _NODE_BYTES, _THREAD_BYTES = 5, 4, 5


class _Slot:
    """One thread that lives, and its last stack and state in the current period."""

    __slots__ = ("index", "key", "node", "row", "seen", "state", "thread")

    def __init__(self, index: int, thread: int) -> None:
        self.index = index
        self.thread = thread
        self.key: Hashable = None
        self.node = -1
        self.state = -1
        self.row = [0, 0]
        self.seen = 0


class StackEncoder:
    """Encodes the ticks of one stack file.

    Attributes:
        ticks: ticks of which `take` has not returned the bytes yet.
        room_bytes: bytes that new entries of the dictionary may still take; stacks that do not fit
            are cut to their outermost frames.
        cut: stacks that were cut.
    """

    def __init__(self, names: StackNames, position: int, room_bytes: int) -> None:
        """Begin the content of a file after its first `position` bytes, its header."""
        self.ticks = 0
        self.room_bytes = room_bytes
        self.cut = 0
        self._names = names
        self._out = bytearray()
        self._taken = position  # bytes before `_out`
        # the dictionary
        self._strings: dict[str, int] = {}
        self._functions: dict[tuple[str, str, int], int] = {}
        self._nodes: dict[tuple[int, int, int], int] = {}
        self._stacks: dict[Hashable, int] = {}
        self._threads: dict[int, int] = {}
        self._thread_count = 0
        self._new_strings: list[bytes] = []
        self._new_functions = bytearray()
        self._new_nodes = bytearray()
        self._new_threads = bytearray()
        self._written = [0, 0, 0, 0]  # entries of each table in earlier blocks
        self._dictionaries: list[int] = []
        # the block of ticks
        self._body = bytearray()
        self._blocks = 0  # of ticks in this period
        # the period
        self._open = False
        self._period_at = 0
        self._begin_ms = self._begin_unix_ms = self._end_ms = 0
        self._lost = self._missed = 0
        self._counts = [0, 0]  # other ticks, biased ticks
        self._slots: dict[int, _Slot] = {}
        self._free: list[int] = []
        self._rows: dict[tuple[int, int, int], list[int]] = {}
        self._cpu_ms: dict[int, int] = {}
        self._tick = 0
        self._periods: list[tuple[int, int, int, int]] = []

    @property
    def _position(self) -> int:
        """The offset of the next block."""
        return self._taken + len(self._out)

    @property
    def period(self) -> tuple[int, int, int] | None:
        """(monotonic ms of its begin, of its last tick, unix minus monotonic ms) of the period."""
        if not self._open:
            return None
        return self._begin_ms, self._end_ms, self._begin_unix_ms - self._begin_ms

    @property
    def period_full(self) -> bool:
        """Whether the period must end before the next tick."""
        return sum(self._counts) >= MAX_PERIOD_TICKS or len(self._rows) > _MAX_ROWS

    @property
    def closing_bytes(self) -> int:
        """The most bytes that `finish` adds."""
        head = BLOCK_HEAD.size + PERIOD_HEAD.size + PACKED_HEAD.size
        rows = PERIOD_ROW_BYTES * len(self._rows) + PERIOD_THREAD_BYTES * len(self._cpu_ms)
        return head + rows + index_size(len(self._periods) + 1, len(self._dictionaries) + 1)

    def add(
        self,
        mono_ms: int,
        unix_ms: int,
        threads: Iterable[ThreadTick],
        *,
        biased: bool,
        lost: int = 0,
        missed: int = 0,
    ) -> None:
        """Add a tick; it begins a period if none is open.

        `mono_ms` is not less than that of the previous tick. `lost` are the ticks lost before it,
        which only the begin of a period can store, and `missed` those that could not be taken.
        """
        begins = not self._open
        if begins:
            self._begin_period(mono_ms, unix_ms, lost)
        elif len(self._body) > _FLUSH_BYTES or len(self._new_functions) > _FLUSH_BYTES:
            self._flush()
        self._tick = tick = self._tick + 1
        slots, other, seen = self._slots, 0 if biased else 1, 0
        changes: list[tuple[int, bytes]] = []
        for native_id, key, state, cpu_ms in threads:
            slot = slots.get(native_id)
            if slot is None:
                if len(slots) >= MAX_THREADS:
                    continue
                slot = slots[native_id] = self._new_slot(native_id)
            slot.seen = tick
            seen += 1
            if cpu_ms or state != slot.state or key != slot.key:
                change = self._change(slot, key, state, cpu_ms)
                if change:
                    changes.append((slot.index, change))
            slot.row[other] += 1
        if seen != len(slots):
            changes += self._end_threads(tick)
        if begins:  # forget the threads that ended between two periods
            self._threads = {each: slot.thread for each, slot in slots.items() if slot.thread}
        self._append(mono_ms, changes, biased=biased)
        self._missed += missed

    def _append(self, mono_ms: int, changes: list[tuple[int, bytes]], *, biased: bool) -> None:
        """Append a tick with these changes, each with its slot."""
        body, before = self._body, -1
        append_varint(body, (mono_ms - self._end_ms) << 1 | biased)
        append_varint(body, len(changes))
        for index, change in sorted(changes):
            append_varint(body, index - before - 1)
            body += change
            before = index
        self._end_ms = mono_ms
        self._counts[biased] += 1
        self.ticks += 1

    def take(self) -> bytes:
        """Return the blocks that are not written yet, and forget them."""
        self._flush()
        out, self._out = bytes(self._out), bytearray()
        self._taken += len(out)
        self.ticks = 0
        return out

    def end_period(self) -> None:
        """End the period; the next tick begins another one."""
        if not self._open:
            return
        self._flush()
        rows = sorted(self._rows.items())
        threads = sorted(self._cpu_ms.items())
        columns = Struct(
            f"<{len(rows)}I{len(rows)}I{len(rows)}B{2 * len(rows)}H{2 * len(threads)}I"
        )
        data = columns.pack(
            *(key[0] for key, _ in rows),
            *(key[1] for key, _ in rows),
            *(key[2] for key, _ in rows),
            *(counts[0] for _, counts in rows),
            *(counts[1] for _, counts in rows),
            *(thread for thread, _ in threads),
            *(cpu_ms for _, cpu_ms in threads),
        )
        head = PERIOD_HEAD.pack(
            self._period_at,
            self._begin_ms,
            self._begin_unix_ms,
            self._end_ms,
            self._counts[1],
            self._counts[0],
            self._lost,
            self._missed,
            len(rows),
            len(threads),
        )
        at = self._position
        self._out += pack_block(PERIOD_BLOCK, head + pack_data(data))
        self._periods.append((at, self._begin_ms, self._begin_unix_ms, self._end_ms))
        self._open = False

    def finish(self) -> None:
        """End the period, and add the index."""
        self.end_period()
        self._out += pack_index(self._periods, self._dictionaries)

    def _begin_period(self, mono_ms: int, unix_ms: int, lost: int) -> None:
        self._flush()
        self._open = True
        self._begin_ms = self._end_ms = mono_ms
        self._begin_unix_ms = unix_ms
        self._lost, self._missed = min(lost, _MAX_U32), 0
        self._counts = [0, 0]
        self._blocks = 0
        self._slots, self._free = {}, []
        self._rows, self._cpu_ms = {}, {}

    def _new_slot(self, native_id: int) -> _Slot:
        index = self._free.pop() if self._free else len(self._slots)
        thread = self._threads.get(native_id)
        if thread is None:
            thread = self._add_thread(native_id)
        return _Slot(index, thread)

    def _change(self, slot: _Slot, key: Hashable, state: int, cpu_ms: int) -> bytes:
        """Set the stack and state of a thread; return the change, b"" if nothing has changed."""
        flags = 0 if slot.node >= 0 else THREAD_BEGINS
        if key != slot.key or flags:
            slot.key = key
            node = self._stacks.get(key)
            if node is None:
                node = self._add_stack(key)
            if node != slot.node:
                slot.node = node
                flags |= STACK_CHANGED
        if flags or state != slot.state:
            slot.state = state
            slot.row = self._rows.setdefault((slot.thread, slot.node, state), [0, 0])
        elif not cpu_ms:
            return b""
        if cpu_ms:
            flags |= CPU_USED
            used_ms = self._cpu_ms.get(slot.thread, 0) + cpu_ms
            self._cpu_ms[slot.thread] = min(used_ms, _MAX_U32)
        change = bytearray((flags | state << STATE_SHIFT,))
        if flags & THREAD_BEGINS:
            append_varint(change, slot.thread)
        if flags & STACK_CHANGED:
            append_varint(change, slot.node)
        if cpu_ms:
            append_varint(change, cpu_ms)
        return bytes(change)

    def _end_threads(self, tick: int) -> list[tuple[int, bytes]]:
        """Free the slots of the threads that this tick has not seen; return the changes."""
        changes = []
        for native_id in [each for each, slot in self._slots.items() if slot.seen != tick]:
            index = self._slots.pop(native_id).index
            self._free.append(index)
            changes.append((index, bytes((THREAD_ENDED,))))
            self._threads.pop(native_id, None)  # the kernel may use the number again
        return changes

    def _add_thread(self, native_id: int) -> int:
        if self.room_bytes < _THREAD_BYTES + MAX_STRING_BYTES:
            return 0
        self._threads[native_id] = self._thread_count = number = self._thread_count + 1
        append_varint(self._new_threads, native_id)
        append_varint(self._new_threads, self._string(self._names.thread_name(native_id)))
        self.room_bytes -= _THREAD_BYTES
        return number

    def _add_stack(self, key: Hashable) -> int:
        """Return the number of a new stack, or of that part of it that the dictionary can hold."""
        frames = self._names.frames(key)
        node = 0
        for frame in frames[:_MAX_DEPTH]:
            found = self._add_node(node, *frame)
            if not found:
                break
            node = found
        else:
            self.cut -= len(frames) <= _MAX_DEPTH
        self.cut += 1
        if len(self._stacks) >= _MAX_KNOWN_STACKS:
            self._stacks.clear()
        self._stacks[key] = node
        return node

    def _add_node(self, parent: int, name: str, file: str, first: int, line: int) -> int:
        """Return the number of a stack with these callers, 0 if the dictionary has no room."""
        first_line = min(max(first, 0), MAX_LINE)
        function = self._functions.get((name, file, first_line))
        if function is None:
            function = self._add_function(name, file, first_line)
            if function is None:
                return 0
        nodes = self._nodes
        node = nodes.get((parent, function, line))
        if node is not None:
            return node
        if self.room_bytes < _NODE_BYTES or len(nodes) >= _MAX_NODES:
            return 0
        nodes[parent, function, line] = node = len(nodes) + 1
        delta = min(max(line, 0), MAX_LINE) - first_line
        append_varint(self._new_nodes, node - parent)
        append_varint(self._new_nodes, function)
        append_varint(self._new_nodes, delta << 1 if delta >= 0 else ~(delta << 1))
        self.room_bytes -= _NODE_BYTES
        return node

    def _add_function(self, name: str, file: str, first_line: int) -> int | None:
        """Return the number of a new function, None if the dictionary has no room for it."""
        # what a string takes is at most MAX_STRING_BYTES
        if self.room_bytes < _FUNCTION_BYTES + 2 * MAX_STRING_BYTES:
            return None
        number = self._functions[name, file, first_line] = len(self._functions)
        append_varint(self._new_functions, self._string(name))
        append_varint(self._new_functions, self._string(file))
        append_varint(self._new_functions, first_line)
        self.room_bytes -= _FUNCTION_BYTES
        return number

    def _string(self, text: str) -> int:
        number = self._strings.get(text)
        if number is None:
            number = self._strings[text] = len(self._strings)
            data = text.encode("utf-8", "replace")
            if len(data) > MAX_STRING_BYTES:
                data = data[:MAX_STRING_BYTES].decode("utf-8", "ignore").encode()
            self._new_strings.append(data)
            self.room_bytes -= len(data) + 1
        return number

    def _flush(self) -> None:
        """Make blocks of the new entries and ticks."""
        counts = [len(self._strings), len(self._functions), len(self._nodes), self._thread_count]
        if counts != self._written:
            self._dictionaries.append(self._position)
            self._out += pack_block(DICTIONARY_BLOCK, pack_data(self._dictionary(counts)))
            self._written = counts
        if self._body:
            if self._blocks:
                head = bytearray((0,))
                append_varint(head, self._blocks)
            else:
                self._period_at = self._position
                head = bytearray((BEGINS_PERIOD,))
                head += PERIOD_BEGIN.pack(self._begin_ms, self._begin_unix_ms, self._lost)
            self._blocks += 1
            body, self._body = self._body, bytearray()
            self._out += pack_block(TICKS_BLOCK, bytes(head + body))

    def _dictionary(self, counts: list[int]) -> bytes:
        """Return the content of a dictionary block with all new entries."""
        numbers = bytearray()
        lengths = bytearray()
        for text in self._new_strings:
            append_varint(lengths, len(text))
        tables = (lengths, self._new_functions, self._new_nodes, self._new_threads)
        firsts = (0, 0, 1, 1)
        for table, first, before, count in zip(tables, firsts, self._written, counts, strict=True):
            append_varint(numbers, first + before)
            append_varint(numbers, count - before)
            numbers += table
        texts = b"".join(self._new_strings)
        self._new_strings.clear()
        for table in tables:
            table.clear()
        return b"".join((len(numbers).to_bytes(4, "little"), numbers, texts))
