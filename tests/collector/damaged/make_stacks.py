"""Makes the corpus of damaged files of stacks, in memory: a file a case, see README.md."""

import random
import zlib
from pathlib import Path

from pprofplus.log import stack_format as fmt

GOLDEN = Path(__file__).parents[1] / "golden" / "stacks-1.0.ppstacks"


def blocks():
    """Return (type, body) of each block of the golden file."""
    data, at, found = GOLDEN.read_bytes(), 0, []
    while at < len(data):
        kind, body = fmt.read_block(data, at)
        found.append((kind, body))
        at += fmt.BLOCK_HEAD.size + len(body)
    return found


def joined(some):
    """Return a file of blocks."""
    return b"".join(fmt.pack_block(kind, body) for kind, body in some)


def place(kind, number=0):
    """Return the index of a block of this type."""
    return [i for i, (each, _) in enumerate(blocks()) if each == kind][number]


def without(*places):
    return joined([block for i, block in enumerate(blocks()) if i not in places])


def replaced(at, kind, body):
    some = blocks()
    some[at] = kind, body
    return joined(some)


def flipped(at):
    data = bytearray(GOLDEN.read_bytes())
    data[at] ^= 0x40
    return bytes(data)


def cases():
    """Return by name (content of the file, ticks that must still be read at least)."""
    data, some = GOLDEN.read_bytes(), blocks()
    dictionary, ticks = place(fmt.DICTIONARY_BLOCK), place(fmt.TICKS_BLOCK, 3)
    period, index = place(fmt.PERIOD_BLOCK, 1), place(fmt.INDEX_BLOCK)
    huge = fmt.PACKED_HEAD.pack(fmt.ZLIB, 1 << 31) + zlib.compress(b"x")
    wrong = fmt.PACKED_HEAD.pack(fmt.ZLIB, 100) + b"not compressed"
    head = some[period][1][: fmt.PERIOD_HEAD.size]
    late = fmt.PERIOD_HEAD.pack(*fmt.PERIOD_HEAD.unpack(head)[:1], -1, -1, -2, 1, 1, 0, 0, 0, 0)
    begin = bytes((fmt.BEGINS_PERIOD,)) + fmt.PERIOD_BEGIN.pack(1 << 60, 1 << 60, 0)
    return {
        "intact": (data, 160),
        "no index": (joined(some[:-1]), 160),
        "no dictionary": (without(dictionary), 160),
        "no header": (joined(some[1:-1]), 160),
        "no first ticks": (joined(some[: place(fmt.TICKS_BLOCK)] + some[4:-1]), 100),
        "a block of ticks is missing": (without(ticks, index), 100),
        "a period is missing": (without(period, index), 150),
        "an empty block of ticks": (replaced(ticks, fmt.TICKS_BLOCK, b""), 100),
        "an empty period": (replaced(period, fmt.PERIOD_BLOCK, b""), 100),
        "an empty dictionary": (replaced(dictionary, fmt.DICTIONARY_BLOCK, b""), 160),
        "an empty index": (replaced(index, fmt.INDEX_BLOCK, b""), 160),
        "a huge dictionary": (replaced(dictionary, fmt.DICTIONARY_BLOCK, huge), 160),
        "a dictionary that is not compressed": (
            replaced(dictionary, fmt.DICTIONARY_BLOCK, wrong),
            160,
        ),
        "a period with impossible times": (replaced(period, fmt.PERIOD_BLOCK, late + huge), 100),
        "ticks with impossible times": (replaced(ticks, fmt.TICKS_BLOCK, begin), 100),
        "an index that contradicts the file": (
            replaced(index, fmt.INDEX_BLOCK, some[index][1][:-4][::-1] + some[index][1][-4:]),
            0,
        ),
        "a flipped bit in the header": (flipped(20), 160),
        "a flipped bit in a length": (flipped(len(data) // 2), 60),
        "twice": (data + data, 160),
        "noise before": (random.Random(1).randbytes(1000) + data, 160),
        "noise between": (
            joined(some[:9]) + random.Random(2).randbytes(999) + joined(some[9:]),
            60,
        ),
        "zeros after": (data + bytes(5000), 160),
        "empty": (b"", 0),
        "one byte": (b"\x20", 0),
        "a log": (b"PPLG" + bytes(8188), 0),
    }
