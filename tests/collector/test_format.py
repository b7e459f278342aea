"""The format: what is packed is read back, and damage is refused."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pprofplus.errors import LogFormatError, LogVersionError
from pprofplus.log.format import (
    CRC,
    CRC_OFFSET,
    HEADER,
    INT64_MAX,
    INT64_MIN,
    MARK,
    MAX_SAMPLES,
    PAGE_SIZE,
    PREFIX,
    Event,
    RunHeader,
    crc32,
    header_part,
    pack_header,
    pack_page,
    parse_header,
    rate_milli,
    read_data_page,
    read_prefix,
    read_stream,
)
from pprofplus.log.page import PageBuilder

EXTREMES = (INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX)
VALUES = st.one_of(st.sampled_from(EXTREMES), st.integers(INT64_MIN, INT64_MAX), st.integers(0, 9))
STEPS = st.one_of(st.just(1000), st.integers(0, 5000), st.just(1 << 40))


@st.composite
def histories(draw):
    columns = draw(st.integers(0, 5))
    counters = tuple(draw(st.lists(st.booleans(), min_size=columns, max_size=columns)))
    row = st.lists(VALUES, min_size=columns, max_size=columns)
    rows = draw(st.lists(st.tuples(STEPS, row, st.integers(1, 4)), min_size=1, max_size=40))
    return counters, rows


def filled(counters, rows, previous=None):
    """Return (builder, times, values) of a page with those rows, each repeated."""
    builder = PageBuilder(7, counters, 3, 1000, previous)
    mono_ms, times, values = 50_000, [], []
    for step, row, repeats in rows:
        for _ in range(repeats):
            mono_ms += step
            if not builder.add(mono_ms, mono_ms + 10**12, list(row)):
                return builder, times, values
            times.append(mono_ms)
            values.append(row)
    return builder, times, values


@given(histories())
def test_samples_are_read_back_unchanged(history):
    counters, rows = history
    builder, times, values = filled(counters, rows)
    page = read_data_page(bytes(builder))
    assert page.mono_ms == times
    assert page.unix_ms == [time + 10**12 for time in times]
    assert page.columns == [list(column) for column in zip(*values, strict=True)]
    assert len(bytes(builder)) == builder.size <= PAGE_SIZE


@given(histories(), st.booleans())
def test_the_head_has_each_gauges_range_and_each_counters_range_of_rates(history, follows):
    counters, rows = history
    previous = (49_000, [5] * len(counters)) if follows else None
    builder, times, values = filled(counters, rows, previous)
    head = read_data_page(bytes(builder)).head
    for column, is_counter in enumerate(counters):
        series = [row[column] for row in values]
        if is_counter:
            earlier = ([5, *series], [49_000, *times]) if follows else (series, times)
            points = list(zip(*earlier, strict=True))
            measures = [rate_milli(b - a, then - now) for (a, now), (b, then) in pairwise(points)]
            if not follows:
                measures.append(0)
        else:
            measures = series
        assert (head.lo[column], head.hi[column]) == (min(measures), max(measures))


@pytest.mark.parametrize("is_counter", [False, True])
def test_values_beyond_64_bits_are_clipped(is_counter):
    builder = PageBuilder(7, (is_counter,), 0, 1000)
    for i, value in enumerate((1 << 70, -(1 << 70), 1 << 63, 0)):
        assert builder.add(i * 1000, i * 1000, [value])
    page = read_data_page(bytes(builder))
    assert page.columns == [[INT64_MAX, INT64_MIN, INT64_MAX, 0]]


def test_a_counter_that_decreases_and_then_stays_has_the_largest_rate_0():
    builder = PageBuilder(7, (True,), 1, 1000, (0, [100]))
    for i, value in enumerate((50, 50)):
        builder.add(i * 1000 + 1000, 0, [value])
    head = read_data_page(bytes(builder)).head
    assert (head.lo, head.hi) == ((-50_000,), (0,))


def test_a_full_page_accepts_nothing_more_and_stays_readable():
    builder = PageBuilder(7, (False,) * 30, 0, 1000)
    added = 0
    while builder.add(added * 1000, added * 1000, [(added * 7919 + i) << 20 for i in range(30)]):
        added += 1
    before = bytes(builder)
    assert not builder.add(added * 1000, added * 1000, list(range(30)))
    assert bytes(builder) == before
    assert read_data_page(before).head.samples == added
    assert PAGE_SIZE - 30 * 10 < len(before) <= PAGE_SIZE


def test_a_page_of_unchanged_values_ends_at_the_maximum_of_samples():
    builder = PageBuilder(7, (False, True), 0, 1000)
    added = 0
    while builder.add(added * 1000, added * 1000, [5, 6]):
        added += 1
    assert added == MAX_SAMPLES
    assert len(read_data_page(bytes(builder)).mono_ms) == MAX_SAMPLES


def test_events_are_read_back_and_a_long_text_is_truncated_at_a_character():
    builder = PageBuilder(7, (), 0, 1000)
    events = [
        Event(1, 5, 6),
        Event(MARK, -7, 8, INT64_MIN, "déploy\x1b[31m \udc80"),
        Event(99, 1, 2),
    ]
    for event in events:
        assert builder.add_event(event)
    assert builder.add_event(Event(MARK, 0, 0, 1 << 80, "é" * 2000))
    first, second, third, last = read_data_page(bytes(builder)).events
    assert (first, third) == (events[0], events[2])
    assert (second.value, second.text) == (INT64_MIN, "déploy\x1b[31m ?")
    assert (last.value, last.text) == (INT64_MAX, "é" * 512)


def test_an_event_without_room_changes_nothing():
    builder = PageBuilder(7, (), 0, 1000)
    while builder.add_event(Event(MARK, 0, 0, 0, "x" * 1000)):
        pass
    before = bytes(builder)
    assert not builder.add_event(Event(MARK, 0, 0, 0, "x" * 1000))
    assert bytes(builder) == before


def page_for_damage():
    builder, _, _ = filled((False, True), [(1000, [i * 997, i], 2) for i in range(30)])
    builder.add_event(Event(MARK, 1, 2, 3, "deploy"))
    return bytes(builder)


def test_a_page_cut_at_any_byte_is_refused():
    page = page_for_damage()
    for length in range(len(page)):
        with pytest.raises(LogFormatError):
            read_data_page(page[:length])


def test_a_page_with_any_bit_flipped_is_refused():
    page = page_for_damage()
    for at in range(len(page)):
        for bit in range(8):
            damaged = bytearray(page)
            damaged[at] ^= 1 << bit
            with pytest.raises(LogFormatError):
                read_data_page(bytes(damaged))


@settings(max_examples=300)
@given(st.binary(max_size=300), st.binary(max_size=300))
@example(b"\0" * 44, b"")
def test_a_random_page_with_valid_checksums_is_refused_or_read(rest, body):
    page = pack_page(2, 0, rest, body)
    try:
        found = read_data_page(page)
    except LogFormatError:
        return
    assert found.head.samples <= MAX_SAMPLES


@given(st.binary(max_size=64), st.integers(0, 50))
def test_a_random_stream_is_refused_or_has_the_requested_length(stream, count):
    try:
        assert len(read_stream(stream, count)) == count
    except LogFormatError:
        return


TEXTS = st.text(max_size=20)


@given(
    TEXTS,
    st.integers(0, INT64_MAX),
    st.lists(TEXTS, max_size=5),
    st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from(["gauge", "counter"])), max_size=8),
)
def test_a_header_is_read_back(host, pid, argv, metrics):
    table = tuple({name: (name, unit, kind) for name, unit, kind in metrics}.values())
    header = RunHeader(
        service="api", pid=pid, start_ms=5, metrics=table, host=host, argv=tuple(argv)
    )
    parts = [header_part(read_prefix(page), page) for page in pack_header(header)]
    assert parse_header(b"".join(text for _, _, text in parts)) == header


def test_a_long_header_spans_pages():
    table = tuple((f"gauge_{i}", "B" * 60, "gauge") for i in range(256))
    header = RunHeader(service="api", pid=1, start_ms=5, metrics=table)
    pages = pack_header(header)
    assert len(pages) > 1
    assert [read_prefix(page).type for page in pages] == [HEADER] * len(pages)
    text = b"".join(header_part(read_prefix(page), page)[2] for page in pages)
    assert parse_header(text) == header


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(b"[" * 100_000)
@example(b'{"metrics":[["a","B","gauge"],["a","B","gauge"]]}')
@example(b'{"metrics":[["a","B"]]}')
@example(b'{"metrics":[],"pid":-1}')
@example(b'{"metrics":[],"argv":[1]}')
@example(b'{"metrics":[],"service":1}')
def test_a_random_header_is_refused(text):
    with pytest.raises(LogFormatError):
        parse_header(text)


def test_a_page_of_a_later_major_version_is_refused_with_its_version():
    page = bytearray(page_for_damage())
    page[4] = 2
    length = PREFIX.unpack_from(page)[6]
    sum_of_head = crc32(page[PREFIX.size : length], crc32(page[:CRC_OFFSET]))
    page[CRC_OFFSET : CRC_OFFSET + 4] = CRC.pack(sum_of_head)
    with pytest.raises(LogVersionError, match="upgrade"):
        read_data_page(bytes(page))
