import itertools

from hypothesis import given
from hypothesis import strategies as st

from kit import reference
from kit.summary_page import SummaryPage
from pprofplus.log import format as fmt
from pprofplus.log.page import PageBuilder
from pprofplus.log.summary import MIN_PAGES, Summary
from pprofplus.log.writer import Writer

METRICS = (("rss", "B", "gauge"), ("cpu", "us", "counter"))
COUNTERS = (False, True)
SCHEMA = fmt.RunHeader(service="s", pid=1, start_ms=0, metrics=METRICS).schema
NOW_MS = 1_795_169_333_907

VALUES = st.integers(-(1 << 64), 1 << 64)
PAGES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 5000), VALUES, VALUES), max_size=4),  # samples
        st.integers(-5000, 5000),  # a step of the wall clock
        st.booleans(),  # an event
    ),
    min_size=1,
    max_size=24,
)


def filled(plan):
    """Return finished pages, without pages that have neither samples nor events."""
    page, pages, mono_ms, step_ms = PageBuilder(SCHEMA, COUNTERS, 5, 1000), [], 0, 10_000_000
    for samples, step, eventful in plan:
        step_ms += step
        for elapsed, *values in samples:
            mono_ms += elapsed
            page.add(mono_ms, mono_ms + step_ms, values)
        if eventful or not samples:
            page.add_event(fmt.Event(fmt.MARK, mono_ms, mono_ms + step_ms, 0, "x"))
        pages.append(page)
        page = page.follow(page.number + 1, 1000)
    return pages


@given(PAGES, st.integers(1, 100))
def test_a_summary_agrees_with_the_heads_of_its_pages(plan, room):
    pages = filled(plan)
    summary = Summary(SCHEMA, 2, room)
    for slot, page in enumerate(pages, 3):
        summary.add_page(page, slot)
    if len(pages) > 16 * -(-room // 16):
        return  # more than fit in the segment
    found = SummaryPage(summary.page(least_pages=1))
    assert (found.schema, found.columns, found.interval_ms) == (SCHEMA, 2, 1000)
    assert (found.prefix.number, found.slot, found.pages) == (5, 3, len(pages))
    heads = [fmt.read_data_page(bytes(page)).head for page in pages]
    begins = range(0, len(heads), found.row_pages)
    for row, at in itertools.zip_longest(found.rows, begins):
        mine = heads[at : at + found.row_pages]
        sampled = [head for head in mine if head.samples]
        offsets = [head.first_unix_ms - head.first_mono_ms for head in mine]
        assert row.samples == sum(head.samples for head in mine)
        assert row.events_bytes == sum(head.events_bytes for head in mine)
        assert (row.offset_ms, row.end_offset_ms) == (min(offsets), offsets[-1])
        assert row.first_mono_ms == (sampled or mine)[0].first_mono_ms
        if sampled:
            assert row.last_mono_ms == sampled[-1].last_mono_ms
            assert row.first == sampled[0].first
            assert row.lo == tuple(map(min, zip(*(head.lo for head in sampled), strict=True)))
            assert row.hi == tuple(map(max, zip(*(head.hi for head in sampled), strict=True)))


def recorded(log_directory, samples, metrics=METRICS, **kwargs):
    writer = Writer(
        str(log_directory),
        fmt.RunHeader(service="api", pid=1, start_ms=NOW_MS, metrics=metrics),
        **kwargs,
    )
    for i in range(samples):
        noise = i * 7919 % 1_000_003
        writer.add(1000 * i, NOW_MS + 1000 * i, [noise << 40, i * i * i] * (len(metrics) // 2))
    return writer


def summaries(directory):
    """Return the pages of each segment; the last one may be a summary."""
    found = []
    for path in reference.segments(directory):
        data = path.read_bytes()
        pages = [data[at : at + fmt.PAGE_SIZE] for at in range(0, len(data), fmt.PAGE_SIZE)]
        kinds = [fmt.read_prefix(page).type for page in pages]
        assert fmt.SUMMARY not in kinds[:-1]
        summary = SummaryPage(pages[-1]) if kinds[-1] == fmt.SUMMARY else None
        found.append((summary, kinds.count(fmt.DATA), len(data)))
    return found


def test_a_segment_that_is_full_ends_with_a_summary_of_all_its_pages(tmp_path, monkeypatch):
    monkeypatch.setattr("pprofplus.log.run_directory._FIRST_BYTES", 1 << 20)
    writer = recorded(tmp_path, 150_000)
    writer.close()
    (first, pages, size_bytes), *rest = summaries(writer.directory)
    assert rest
    assert first.pages == pages > MIN_PAGES
    assert size_bytes <= 1 << 20
    run = reference.Run(writer.directory)
    assert run.bad == 0
    assert len(run.samples) == 150_000


def test_a_long_run_that_ends_normally_has_a_summary(tmp_path, monkeypatch):
    monkeypatch.setattr("pprofplus.log.run_directory._FIRST_BYTES", 1 << 20)
    writer = recorded(tmp_path / "long", 60_000)
    writer.close()
    ((summary, pages, _),) = summaries(writer.directory)
    assert summary.pages == pages >= MIN_PAGES
    writer = recorded(tmp_path / "short", 2_000)
    writer.close()
    ((summary, pages, _),) = summaries(writer.directory)
    assert summary is None
    assert pages < MIN_PAGES


def test_a_segment_of_the_smallest_runs_has_no_summary(tmp_path):
    writer = recorded(tmp_path, 60_000, max_bytes=256 << 10)
    writer.close()
    found = summaries(writer.directory)
    assert [summary for summary, _, _ in found] == [None] * len(found)


def test_a_segment_with_two_intervals_has_no_summary(tmp_path):
    writer = recorded(tmp_path, 40_000)
    writer.set_interval(100)
    for i in range(20_000):
        at = 40_000_000 + 100 * i
        writer.add(at, NOW_MS + at, [i * 7919 % 1_000_003 << 40, i])
    writer.close()
    assert summaries(writer.directory)[0][0] is None


def test_a_writer_that_is_killed_leaves_no_summary_and_every_sample(tmp_path):
    writer = recorded(tmp_path, 60_000)
    writer.abandon()  # like a SIGKILL
    assert summaries(writer.directory)[0][0] is None
    assert len(reference.Run(writer.directory).samples) == 60_000


def test_the_widest_schema_has_a_summary_in_one_page():
    metrics = tuple((f"m{i}", "B", "gauge") for i in range(fmt.MAX_COLUMNS))
    header = fmt.RunHeader(service="s", pid=1, start_ms=0, metrics=metrics)
    page = PageBuilder(header.schema, header.counters, 0, 1000)
    summary = Summary(header.schema, len(metrics), 126)
    for slot in range(126):
        page.add(slot, slot, list(range(len(metrics))))
        summary.add_page(page, slot)
        page = page.follow(page.number + 1, 1000)
    image = summary.page()
    assert len(image) <= fmt.PAGE_SIZE
    assert len(SummaryPage(image).rows) == 1
