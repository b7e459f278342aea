"""The format of stored stacks: golden files stay readable, and damage is detected."""

import pytest

from kit import stack_reference
from kit.scripts import GOLDEN, load_script
from kit.written_stacks import decoded
from pprofplus.errors import LogFormatError, LogVersionError
from pprofplus.log import stack_format as fmt

FILE = GOLDEN / "stacks-1.0.ppstacks"


def load_maker():
    return load_script(GOLDEN / "make_stacks.py")


def comparable(data):
    """Return the blocks with their packed data unpacked: compressors differ, bytes must not."""
    found = []
    for _, kind, body in stack_reference.blocks_of(data):
        if kind == fmt.DICTIONARY_BLOCK:
            body = stack_reference.unpacked(body)  # noqa: PLW2901
        elif kind == fmt.PERIOD_BLOCK:
            # the offset of its ticks depends on the length of compressed blocks
            size = fmt.PERIOD_HEAD.size
            body = body[4:size] + stack_reference.unpacked(body[size:])  # noqa: PLW2901
        elif kind == fmt.INDEX_BLOCK:
            body = len(body)  # noqa: PLW2901 - offsets, see below
        found.append((kind, body))
    return found


def test_this_release_writes_the_bytes_of_format_1_0():
    assert comparable(load_maker().content()) == comparable(FILE.read_bytes())


def test_the_golden_file_is_read():
    make, data = load_maker(), FILE.read_bytes()
    content = stack_reference.read_file(data)  # it checks the index
    assert (content.finished, content.damaged, content.capacity) == (True, False, make.CAPACITY)
    assert content.lost == 3
    assert [period.missed for period in content.periods] == [0, 0, 1, 0]
    names = make.Names()
    expected = []
    for mono_ms, unix_ms, threads, biased in make.ticks():
        found = {
            (thread, names.thread_name(thread)): (tuple(names.frames(stack)), state, cpu_ms)
            for thread, stack, state, cpu_ms in threads
        }
        expected.append((mono_ms, unix_ms, biased, found))
    assert [decoded(tick) for tick in content.ticks] == expected


def test_each_changed_bit_of_a_block_is_detected():
    block = fmt.pack_block(fmt.TICKS_BLOCK, b"0123456789")
    assert fmt.read_block(block, 0) == (fmt.TICKS_BLOCK, b"0123456789")
    for bit in range(8 * len(block)):
        made = bytearray(block)
        made[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LogFormatError):
            fmt.read_block(made, 0)


def test_a_newer_major_version_is_refused_with_the_reason():
    header = fmt.STACK_HEADER.pack(b"PPST", 2, 7, 0, 1, 2, 3)
    with pytest.raises(LogVersionError, match=r"stack format 2 is newer"):
        fmt.check_stack_header(fmt.pack_block(fmt.HEADER_BLOCK, header))


@pytest.mark.parametrize("start", [b"", b"PPLG" * 20, bytes(64)])
def test_another_file_is_no_file_of_stacks(start):
    with pytest.raises(LogFormatError):
        fmt.check_stack_header(start)


def test_the_capacity_is_read_from_the_header_only():
    header = fmt.pack_stack_header(123_456, 1, 2)
    assert fmt.stack_file_capacity(header) == 123_456
    assert fmt.stack_file_capacity(header[:20]) == 0
    assert fmt.stack_file_capacity(b"\xff" * 64) == 0
    assert fmt.stack_file_capacity(fmt.pack_stack_header(1 << 30, 1, 2)) == 1 << 20


def test_the_numbers_of_the_states_are_pinned():
    assert [fmt.STACK_STATES[number] for number in range(10)] == [
        *("unknown", "running", "gil", "lock", "io", "sleep", "poll", "child", "other", "ready")
    ]
