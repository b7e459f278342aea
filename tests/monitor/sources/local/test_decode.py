"""The numpy decoder compared with the reference decoder of `format`."""

from zlib import crc32

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pprofplus.errors import LogFormatError
from pprofplus.log import format as fmt
from pprofplus.log.page import PageBuilder
from pprofplus_tui.sources.local.decode import PageBatch, decode_streams

EXTREMES = st.sampled_from([fmt.INT64_MIN, fmt.INT64_MAX, 0, 1, -1, 63, 64, -64, -65])
VALUES = st.one_of(EXTREMES, st.integers(fmt.INT64_MIN, fmt.INT64_MAX), st.integers(-300, 300))


def decode_one(stream, count, first=0):
    values, bad = decode_streams(
        stream, np.array([len(stream)]), np.array([count + 1]), np.array([first])
    )
    return None if bad[0] else values


def reference(stream, count, first=0):
    try:
        deltas = fmt.read_stream(stream, count)
    except LogFormatError:
        return None
    values = [first]
    for delta in deltas:
        values.append(fmt.wrap(values[-1] + delta))
    return values


def same(found, wanted):
    assert (found is None) == (wanted is None)
    if wanted is not None:
        assert found.tolist() == wanted


@given(
    st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 0x7F, 0x80, 0x80, 0x81, 0xFF]), max_size=40).map(
        bytes
    ),
    st.integers(0, 40),
    VALUES,
)
@example(b"\0\0", 3, 0)
@example(b"\0\0\0\0\0\2\5", 3, 0)
@example(b"\x80" * 9 + b"\x02", 3, 0)
@example(b"\x80" * 9 + b"\x01", 3, 0)
@example(b"\0" + b"\x80" * 9 + b"\x02", 3, 0)
@example(b"\0" + b"\xff" * 9 + b"\x01", 3, 0)
@example(b"\xff" * 10 + b"\x01", 3, 0)
@example(b"\x80\0\2", 3, 0)
@example(b"\5\x80", 3, 0)
def test_any_stream_decodes_as_the_reference_decodes_it(stream, count, first):
    same(decode_one(stream, count, first), reference(stream, count, first))


@given(st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 20), VALUES), max_size=8))
def test_a_malformed_stream_does_not_affect_other_streams(streams):
    data = b"".join(stream for stream, _, _ in streams)
    lengths = np.array([len(stream) for stream, _, _ in streams], np.int64)
    counts = np.array([count + 1 for _, count, _ in streams], np.int64)
    firsts = np.array([first for _, _, first in streams], np.int64)
    values, bad = decode_streams(data, lengths, counts, firsts)
    assert len(values) == counts.sum()
    ends = np.cumsum(counts)
    for i, (stream, count, first) in enumerate(streams):
        got = None if bad[i] else values[ends[i] - counts[i] : ends[i]]
        same(got, reference(stream, count, first))


def test_a_sequence_of_2_to_the_63_zeros_allocates_no_memory():
    stream = b"\0" + b"\xff" * 8 + b"\x7f"
    assert decode_one(stream, 4) is None


ROWS = st.lists(
    st.tuples(st.integers(0, 5000), VALUES, VALUES, st.just(7)), min_size=1, max_size=60
)


def packed(rows, interval_ms=1000, number=0):
    page = PageBuilder(99, (False, True, False), number, interval_ms)
    mono = 0
    for step, *values in rows:
        mono += step
        if not page.add(mono, 10**12 + mono, list(values)):
            break
    return bytes(page)


@given(st.lists(st.tuples(ROWS, st.sampled_from([50, 1000])), min_size=1, max_size=5))
def test_whole_pages_decode_as_the_reference_decodes_them(pages):
    made = [packed(rows, interval) for rows, interval in pages]
    batch = PageBatch(made, 3)
    times, bad = batch.times()
    assert not bad.any()
    of_page = np.repeat(np.arange(len(made)), 3)
    of_column = np.tile(np.arange(3), len(made))
    values, bad = batch.columns(of_page, of_column)
    assert not bad.any()
    wanted = [fmt.read_data_page(page) for page in made]
    assert times.tolist() == [t for page in wanted for t in page.mono_ms]
    assert values.tolist() == [v for page in wanted for column in page.columns for v in column]


@given(ROWS, st.data())
def test_both_decoders_reject_a_page_with_a_forged_body(rows, data):
    page = bytearray(packed(rows))
    prefix = fmt.read_prefix(page)
    if prefix.length == prefix.head_length:
        return
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(prefix.head_length, prefix.length - 1))
        page[at] = data.draw(st.integers(0, 255))
    page[20:24] = crc32(page[prefix.head_length : prefix.length]).to_bytes(4, "little")
    page[24:28] = crc32(page[28 : prefix.head_length], crc32(page[:24])).to_bytes(4, "little")
    batch = PageBatch([bytes(page)], 3)
    times, bad_page = batch.times()
    values, bad = batch.columns(np.zeros(3, np.int64), np.arange(3))
    try:
        wanted = fmt.read_data_page(bytes(page))
    except LogFormatError:
        assert bad_page.any() or bad.any()
        return
    assert not bad_page.any()
    assert not bad.any()
    assert times.tolist() == wanted.mono_ms
    assert values.tolist() == [v for column in wanted.columns for v in column]


def test_a_page_with_a_wrong_last_time_is_bad():
    page = bytearray(packed([(5, 1, 1, 7), (1000, 2, 2, 7)]))
    page[56:64] = (77_777).to_bytes(8, "little")
    head_length = fmt.head_size(3)
    page[24:28] = crc32(page[28:head_length], crc32(page[:24])).to_bytes(4, "little")
    with pytest.raises(LogFormatError):
        fmt.read_data_page(bytes(page))
    assert PageBatch([bytes(page)], 3).times()[1].tolist() == [True]
