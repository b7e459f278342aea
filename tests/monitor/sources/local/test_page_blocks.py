"""Blocks: invalid summaries, and pages of blocks that are damaged or removed."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.run_logs import open_run
from kit.summary_page import SummaryPage
from pprofplus.errors import LogFormatError
from pprofplus.log import format as fmt
from pprofplus_tui.sources.local import page_blocks as blocks_module
from pprofplus_tui.sources.local.ended_run import read_ended_run
from pprofplus_tui.sources.local.event_search import search_events
from pprofplus_tui.sources.local.page_blocks import summary_blocks
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.sample_at import read_at
from pprofplus_tui.sources.local.window_query import query

REQUESTS = [("rss", False), ("cpu_user", True), ("cpu_user", False), ("threads", False)]
_HEAD = fmt.SUMMARY_HEAD
_ROWS_FROM = fmt.PREFIX.size + _HEAD.size


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks_module, "MIN_PAGES", 2)
    monkeypatch.setattr(blocks_module, "_BLOCK_PAGES", 3)


@pytest.fixture
def long_run(write_run):
    """Make a run of three segments of eight pages, with a mark in the middle one."""
    writer = write_run(summarised=True, slots_per_segment=9)
    mono = 0
    for page in range(26):
        for i in range(10):
            mono += 1000
            writer.add(mono, [mono % 7919, mono * 3 + i, 4], write=False)
        if page == 12:
            writer.event(fmt.MARK, mono, text="deploy")
        writer.new_page()
    writer.add(mono + 1000, [1, 4 * mono, 4])
    writer.close()
    return writer


def drawn(run, buckets=10):
    return {
        request: [column.tolist() for column in (points.t_ms, points.lo, points.hi, points.breaks)]
        for request, points in query(run, run.begin_ms, run.end_ms + 1, buckets, REQUESTS).items()
    }


def summary_of(path):
    """Return (the position of a segment's last page, that page)."""
    data = path.read_bytes()
    at = (len(data) - 1) // fmt.PAGE_SIZE * fmt.PAGE_SIZE
    assert fmt.read_prefix(data[at:]).type == fmt.SUMMARY
    return at, data[at:]


def replace_summary(path, *, number=None, body=None, **changed):
    """Replace a segment's summary by one with other values and correct CRCs."""
    at, page = summary_of(path)
    names = ("schema", "columns", "rows", "slot", "pages", "row_pages", "zero", "interval_ms")
    head = dict(zip(names, _HEAD.unpack_from(page, fmt.PREFIX.size), strict=True)) | changed
    prefix = fmt.read_prefix(page)
    content = page[prefix.head_length :] if body is None else body
    number = prefix.number if number is None else number
    replaced = fmt.pack_page(fmt.SUMMARY, number, _HEAD.pack(*head.values()), bytes(content))
    path.write_bytes(path.read_bytes()[:at] + replaced)


def test_a_run_in_blocks_reads_only_the_heads_that_a_window_needs(long_run):
    whole, run = open_run(long_run), open_run(long_run, in_blocks=True)
    assert run.table.blocks.sum() >= 6
    assert run.table.count < whole.table.count
    assert (run.samples, run.begin_ms, run.end_ms) == (whole.samples, whole.begin_ms, whole.end_ms)
    assert run.last() == whole.last()
    assert run.events() == whole.events()
    assert drawn(run) == drawn(whole)
    extent = whole.begin_ms, whole.end_ms
    assert search_events(run, *extent, most=64, kinds={"mark"}, exact=False) == search_events(
        whole, *extent, most=64, kinds={"mark"}, exact=False
    )


def test_blocks_are_released_after_a_load_and_read_again_for_a_rebuild(
    long_run,
):
    run = open_run(long_run, in_blocks=True)
    *older, newest = (run._segments[number] for number in sorted(run._segments))
    assert all(segment.released and not len(segment.heads) for segment in older)
    assert not newest.released
    before = run.table.count
    assert not run.refresh()
    assert run.table.count == before
    min(long_run.path.glob("*.pplog")).unlink()
    assert run.refresh()
    fresh = open_run(long_run)
    assert run.table.count < before
    assert (run.samples, run.begin_ms, run.end_ms) == (
        fresh.samples,
        fresh.begin_ms,
        fresh.end_ms,
    )
    assert drawn(run) == drawn(fresh)


def test_damage_in_a_released_segment_is_counted(long_run):
    run = open_run(long_run, in_blocks=True)
    first, second, *_ = sorted(long_run.path.glob("*.pplog"))
    at, _ = summary_of(second)
    data = bytearray(second.read_bytes())
    data[at + 40] ^= 1  # the summary is invalid now: the heads are read
    second.write_bytes(data)
    first.unlink()
    assert run.refresh()
    assert drawn(run) == drawn(open_run(long_run))


def test_events_are_the_same_as_in_a_run_without_blocks(write_run):
    writer = write_run(summarised=True, slots_per_segment=9)
    step_ms = mono = 0
    for page in range(40):
        step_ms += {9: 5000, 15: -60_000, 22: 3_600_000, 30: -2000}.get(page, 0)
        for i in range(5):
            mono += 1000
            writer.add(mono, [i, mono, 4], writer.start_ms + mono + step_ms, write=False)
        if page % 7 == 0:
            writer.event(fmt.MARK, mono, text=f"mark {page}")
        writer.new_page()
    whole, run = open_run(writer), open_run(writer, in_blocks=True)
    assert run.table.blocks.any()
    found = search_events(whole, most=100)
    assert [event.kind for event in found].count("clock") == 4
    assert search_events(run, most=100) == found
    assert search_events(run, most=100) == found
    begin, end = whole.begin_ms, whole.end_ms + 1
    assert search_events(run, begin, end, most=64, exact=False) == search_events(
        whole, begin, end, most=64, exact=False
    )


def test_the_sample_at_any_time_is_the_same_as_in_a_run_without_blocks(long_run):
    whole, run = open_run(long_run), open_run(long_run, in_blocks=True)
    for at_ms in range(run.begin_ms - 1000, run.end_ms + 1000, 3700):
        assert read_at(run, at_ms, 500, REQUESTS) == read_at(whole, at_ms, 500, REQUESTS)


def test_the_record_of_a_run_that_ends_with_a_summary_has_its_last_sample(write_run):
    writer = write_run(summarised=True)
    for i in range(20):
        writer.add(1000 * i, [i, i, 4])
        writer.new_page()
    writer._summarise()
    writer.close()
    record = read_ended_run(str(writer.path), "rss", 1 << 62)
    assert (record.last, record.end_ms) == (19, writer.start_ms + 19_000)


def test_a_live_log_uses_blocks_for_a_segment_once_it_is_finished(write_run):
    writer = write_run(summarised=True, slots_per_segment=9)
    run = RunLog(str(writer.path), in_blocks=True)
    mono = 0
    for _ in range(20):
        for i in range(7):
            mono += 1000
            writer.add(mono, [mono % 7919, mono * 3 + i, 4])
        run.refresh()
        assert drawn(run) == drawn(open_run(writer))
        writer.new_page()
        run.refresh()
        assert run.samples == open_run(writer).samples
    assert run.table.blocks.any()
    assert run.damaged_pages == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 1},
        {"columns": 2},
        {"columns": 256},
        {"columns": 65535},
        {"rows": 0},
        {"rows": 65535},
        {"slot": 2},
        {"slot": 0},
        {"pages": 0},
        {"pages": 7},
        {"pages": 65535},
        {"row_pages": 0},
        {"row_pages": 65535},
    ],
    ids=str,
)
def test_an_impossible_summary_is_ignored(long_run, changes):
    true = drawn(open_run(long_run))
    replace_summary(long_run.segment_path(2), **changes)
    run = open_run(long_run, in_blocks=True)
    assert drawn(run) == true
    assert run.damaged_pages == 0


@pytest.mark.parametrize("changes", [{"number": 9}, {"interval_ms": 77}])
def test_pages_take_precedence_over_a_contradicting_block(long_run, changes):
    true = drawn(open_run(long_run), 40)
    replace_summary(long_run.segment_path(2), **changes)
    run = open_run(long_run, in_blocks=True)
    assert drawn(run, 40) == true


def test_a_summary_of_another_segment_raises_nothing(long_run):
    first, second = (long_run.segment_path(number) for number in (1, 2))
    at, page = summary_of(first)
    second.write_bytes(second.read_bytes()[:at] + page)
    run = open_run(long_run, in_blocks=True)
    for buckets in (3, 10, 100, 1000):
        drawn(run, buckets)
    run.events()
    run.last()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_queries_terminate_without_an_error_for_any_summary(long_run, tmp_path, data):
    copy = tmp_path / "copy" / "api" / long_run.path.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(long_run.path, copy)
    for number in data.draw(st.sets(st.integers(1, 3), min_size=1)):
        path = copy / f"{number:06d}.pplog"
        _, page = summary_of(path)
        body = bytearray(page[fmt.read_prefix(page).head_length :])
        row = fmt.summary_row_size(3)
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.integers(0, len(body) // row - 1)) * row
            at += data.draw(st.sampled_from([0, 4, *range(8, row, 8)]))
            size = 4 if at % row < 8 else 8
            old = int.from_bytes(body[at : at + size], "little", signed=True)
            new = data.draw(
                st.one_of(
                    st.integers(-100_000, 100_000).map(lambda by, old=old: old + by),
                    st.integers(-(1 << 63), (1 << 63) - 1),
                )
            )
            body[at : at + size] = (new % (1 << 8 * size)).to_bytes(size, "little")
        replace_summary(path, body=body, number=data.draw(st.sampled_from([None, 0, 3, 2**32 - 1])))
    run = open_run(copy, in_blocks=True)
    for buckets in (7, 60, 400):
        for begin, end in ((0, 1), (0.2, 0.7), (0.45, 0.55)):
            span = run.end_ms - run.begin_ms
            a, b = (run.begin_ms + int(part * span) for part in (begin, end))
            query(run, a, b + 1, buckets, REQUESTS)
    search_events(run, run.begin_ms, run.end_ms, most=64, kinds={"mark"}, exact=False)
    run.events()
    run.last()
    run.refresh()


@given(st.binary(max_size=300), st.integers(0, 300))
def test_both_readers_accept_the_same_summaries(junk, at):
    header = fmt.RunHeader(service="s", pid=1, start_ms=0, metrics=(("rss", "B", "gauge"),))
    values = (1, 1, 5)
    rows = b"".join(
        fmt.SUMMARY_ROW.pack(10, 0, 1000 * i, 1000 * i + 900, 10**12, 10**12)
        + b"".join(value.to_bytes(8, "little") for value in values)
        for i in range(3)
    )
    head = _HEAD.pack(header.schema, 1, 3, 1, 6, 2, 0, 1000)
    raw = bytearray(head + rows)
    raw[at : at + len(junk)] = junk
    page = fmt.pack_page(fmt.SUMMARY, 7, bytes(raw[: len(head)]), bytes(raw[len(head) :]))
    try:
        slow = SummaryPage(page)
    except LogFormatError:
        slow = None
    fast = None
    if slow is not None or not junk:
        fast = summary_blocks(
            page,
            fmt.PAGE_SIZE,
            slow.schema,
            slow.columns,
            range(slow.slot, slow.slot + slow.pages + 1),
        )
    else:
        assert summary_blocks(page, fmt.PAGE_SIZE, header.schema, 1, range(1, 8)) is None
    if fast is None:
        assert slow is None
        return
    assert fast.fixed["samples"].tolist() == [row.samples for row in slow.rows]
    assert fast.fixed["offset_ms"].tolist() == [row.offset_ms for row in slow.rows]
    assert fast.values.tolist() == [[*row.first, *row.lo, *row.hi] for row in slow.rows]


def test_a_damaged_page_of_a_block_is_left_out(long_run):
    path = long_run.segment_path(2)
    data = bytearray(path.read_bytes())
    data[3 * fmt.PAGE_SIZE + 40] ^= 1  # a head
    data[5 * fmt.PAGE_SIZE + 170] ^= 1  # a body
    path.write_bytes(data)
    run = open_run(long_run, in_blocks=True)
    drawn(run)
    drawn(run, 1000)
    span = run.end_ms - run.begin_ms
    for part in range(20):
        begin = run.begin_ms + span * part // 20
        query(run, begin, begin + span // 20, 300, REQUESTS)
    assert run.pages.bad


def test_a_removed_segment_with_blocks_is_left_out(long_run):
    run = open_run(long_run, in_blocks=True)
    drawn(run)
    long_run.segment_path(2).unlink()
    drawn(run, 37)
    drawn(run, 1000)
    run.events()
    run.refresh()
    assert drawn(run) == drawn(open_run(long_run))


def test_a_truncated_segment_with_blocks_is_left_out(long_run):
    run = open_run(long_run, in_blocks=True)
    drawn(run)
    path = long_run.segment_path(2)
    path.write_bytes(path.read_bytes()[: 3 * fmt.PAGE_SIZE])
    drawn(run, 37)
    drawn(run, 1000)
    run.refresh()
    drawn(run, 1000)
