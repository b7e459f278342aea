"""Reads files of stacks tick by tick, from the specification: slow, simple, and correct."""

import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

NAME = re.compile(r"[0-9]{6,9}-[0-9]{2,5}\.ppstacks")
HEADER, DICTIONARY, TICKS, PERIOD, INDEX = 1, 2, 3, 4, 5
OTHER_STACK = ()


@dataclass
class Tick:
    """One tick: by (native thread id, name) the frames, the state and the CPU time."""

    mono_ms: int
    unix_ms: int
    biased: bool
    threads: dict


@dataclass
class Period:
    """A period block: ticks by (thread, frames, state), CPU time by thread."""

    begin_ms: int
    unix_ms: int
    end_ms: int
    biased: int
    other: int
    lost: int
    missed: int
    rows: dict
    cpu_ms: dict


@dataclass
class StackContent:
    """What a file has."""

    ticks: list = field(default_factory=list)
    periods: list = field(default_factory=list)
    lost: int = 0
    capacity: int = 0
    blocks: list = field(default_factory=list)  # (offset, type)
    finished: bool = False
    damaged: bool = False


def stack_files(directory):
    """Return the files of stacks in a run directory, in order."""
    return sorted(path for path in Path(directory).iterdir() if NAME.fullmatch(path.name))


def read_run(directory):
    """Return the ticks of all files of a run."""
    return [tick for path in stack_files(directory) for tick in read_file(path.read_bytes()).ticks]


def blocks_of(data):
    """Yield (offset, type, body) of all blocks up to the first that is not intact."""
    at = 0
    while at + 8 <= len(data):
        word, crc = struct.unpack_from("<II", data, at)
        length, kind = word & 0xFFFFFF, word >> 24
        body = data[at + 8 : at + 8 + length]
        if not kind or len(body) < length or zlib.crc32(data[at : at + 4] + body) != crc:
            return
        yield at, kind, body
        at += 8 + length


def number(data, at):
    """Return (varint at an offset, the offset after it)."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7


def unpacked(data):
    encoding, length = struct.unpack_from("<BI", data)
    content = data[5:] if encoding == 0 else zlib.decompress(data[5:])
    assert len(content) == length
    return content


class Dictionary:
    def __init__(self):
        self.strings, self.functions, self.nodes, self.threads = {}, {}, {}, {}

    def add(self, body):
        content = unpacked(body)
        (size,) = struct.unpack_from("<I", content)
        numbers, texts = content[4 : 4 + size], content[4 + size :]
        values, at = [], 0
        while at < size:
            value, at = number(numbers, at)
            values.append(value)
        values.reverse()
        first, count = values.pop(), values.pop()
        at = 0
        for i in range(first, first + count):
            length = values.pop()
            self.strings[i] = texts[at : at + length].decode()
            at += length
        assert at == len(texts)
        first, count = values.pop(), values.pop()
        for i in range(first, first + count):
            name, file, line = values.pop(), values.pop(), values.pop()
            self.functions[i] = self.strings[name], self.strings[file], line
        first, count = values.pop(), values.pop()
        for i in range(first, first + count):
            parent, function, line = i - values.pop(), values.pop(), values.pop()
            delta = line >> 1 if line % 2 == 0 else ~(line >> 1)
            self.nodes[i] = parent, function, delta
        first, count = values.pop(), values.pop()
        for i in range(first, first + count):
            native_id, name = values.pop(), values.pop()
            self.threads[i] = native_id, self.strings[name]
        assert not values

    def frames(self, stack):
        """Return (name, file, first line, line) of each frame, the outermost first."""
        found = []
        while stack:
            stack, function, delta = self.nodes[stack]
            name, file, first_line = self.functions[function]
            found.append((name, file, first_line, first_line + delta))
        return tuple(reversed(found))

    def thread(self, thread):
        return self.threads[thread] if thread else (0, "")


def read_file(data):
    """Return the content of a file, up to the first damaged block."""
    content, dictionary = StackContent(), Dictionary()
    period = None
    end = 0
    for at, kind, body in blocks_of(data):
        end = at + 8 + len(body)
        content.blocks.append((at, kind))
        if kind == HEADER:
            magic, major, _, _, content.capacity, _, _ = struct.unpack("<4sBBHIqq", body)
            assert (at, magic, major) == (0, b"PPST", 1)
        elif kind == DICTIONARY:
            dictionary.add(body)
        elif kind == TICKS:
            period = read_ticks(content, dictionary, period, body)
        elif kind == PERIOD:
            content.periods.append(read_period(dictionary, body))
        elif kind == INDEX:
            content.finished = True
            check_index(content, data, body)
    content.damaged = any(data[end:])
    return content


def read_ticks(content, dictionary, period, body):
    if body[0] & 1:
        mono_ms, unix_ms, lost = struct.unpack_from("<qqI", body, 1)
        content.lost += lost
        period = {"now": mono_ms, "offset": unix_ms - mono_ms, "slots": {}, "blocks": 0}
        at = 21
    else:
        blocks, at = number(body, 1)
        assert blocks == period["blocks"]
    period["blocks"] += 1
    slots = period["slots"]
    while at < len(body):
        step, at = number(body, at)
        period["now"] += step >> 1
        changes, at = number(body, at)
        slot = -1
        for each in slots.values():
            each["cpu_ms"] = 0
        for _ in range(changes):
            gap, at = number(body, at)
            slot += gap + 1
            at = read_change(slots, slot, body, at)
        threads = {}
        for index, one in slots.items():
            key = dictionary.thread(one["thread"])
            if not one["thread"]:
                key = (0, index)
            threads[key] = (dictionary.frames(one["stack"]), one["state"], one["cpu_ms"])
        now = period["now"]
        content.ticks.append(Tick(now, now + period["offset"], bool(step & 1), threads))
    return period


def read_change(slots, slot, body, at):
    flags, at = body[at], at + 1
    if flags & 8:
        assert flags == 8
        del slots[slot]
        return at
    if flags & 1:
        thread, at = number(body, at)
        slots[slot] = {"thread": thread, "stack": 0, "cpu_ms": 0}
    one = slots[slot]
    if flags & 2:
        one["stack"], at = number(body, at)
    if flags & 4:
        one["cpu_ms"], at = number(body, at)
    one["state"] = flags >> 4
    return at


def read_period(dictionary, body):
    _, begin, unix, end, biased, other, lost, missed, rows, threads = struct.unpack_from(
        "<IqqqIIIIII", body
    )
    values = struct.unpack(
        f"<{rows}I{rows}I{rows}B{rows}H{rows}H{threads}I{threads}I", unpacked(body[52:])
    )
    columns = [values[i * rows : (i + 1) * rows] for i in range(5)]
    found = {}
    for thread, stack, state, row_biased, row_other in zip(*columns, strict=True):
        key = dictionary.thread(thread), dictionary.frames(stack), state
        before = found.get(key, (0, 0))
        found[key] = before[0] + row_biased, before[1] + row_other
    rest = values[5 * rows :]
    cpu_ms = {}
    for thread, used_ms in zip(rest[:threads], rest[threads:], strict=True):
        key = dictionary.thread(thread)
        cpu_ms[key] = cpu_ms.get(key, 0) + used_ms
    return Period(begin, unix, end, biased, other, lost, missed, found, cpu_ms)


def check_index(content, data, body):
    """Check that the index agrees with the blocks before it."""
    periods, dictionaries = struct.unpack_from("<II", body)
    layout = f"<{periods}I{3 * periods}q{dictionaries}II"
    values = struct.unpack_from(layout, body, 8)
    assert values[-1] == len(body)
    by_type = {}
    for at, kind in content.blocks:
        by_type.setdefault(kind, []).append(at)
    assert list(values[:periods]) == by_type.get(PERIOD, [])
    assert list(values[4 * periods : -1]) == by_type.get(DICTIONARY, [])
    expected = [each.begin_ms for each in content.periods]
    expected += [each.unix_ms for each in content.periods]
    expected += [each.end_ms for each in content.periods]
    assert list(values[periods : 4 * periods]) == expected


def summed(ticks):
    """Return {(thread, frames, state): [biased ticks, other ticks]} and {thread: CPU ms}."""
    rows, cpu_ms = {}, {}
    for tick in ticks:
        for thread, (frames, state, used_ms) in tick.threads.items():
            row = rows.setdefault((thread, frames, state), [0, 0])
            row[not tick.biased] += 1
            if used_ms:
                cpu_ms[thread] = cpu_ms.get(thread, 0) + used_ms
    return rows, cpu_ms
