"""Window queries compared with every sample of the reference reader."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.page_writer import PageWriter
from kit.reference import Timeline
from kit.run_logs import open_run
from pprofplus.log import format as fmt
from pprofplus_tui.sources.local import buckets as buckets_module
from pprofplus_tui.sources.local import page_blocks as blocks_module
from pprofplus_tui.sources.local import page_cache as samples_module
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.window_query import query

TABLES = (
    (("rss", "B", "gauge"), ("cpu_user", "us", "counter"), ("threads", "count", "gauge")),
    (("threads", "count", "gauge"), ("cpu_user", "us", "counter"), ("queue", "jobs", "gauge")),
    (("cpu_user", "us", "counter"), ("rss", "B", "counter")),
)
REQUESTS = [
    ("rss", False),
    ("rss", True),
    ("cpu_user", True),
    ("cpu_user", False),
    ("threads", False),
    ("threads", True),
    ("queue", False),
    ("nothing", False),
]


def brute_buckets(reference, request, begin, end, buckets):
    """{bucket: (lo, hi, first time, last time, interval before, interval after)}."""
    width = -(-(end - begin) // buckets)
    found = {}
    for t_ms, interval, value in reference.series(request, begin, end):
        at = (t_ms - begin) // width
        values, first, _, left, _ = found.get(at, ([], t_ms, t_ms, interval, interval))
        known = [] if value is None else [value]
        found[at] = ([*values, *known], first, t_ms, left, interval)
    return width, {
        at: (min(values), max(values), *times) for at, (values, *times) in found.items() if values
    }


def check(run, reference, begin, end, buckets):
    inside = sum(begin <= sample[0] < end for sample in reference.samples)
    answers = query(run, begin, end, buckets, REQUESTS)
    assert list(answers) == REQUESTS
    for request, points in answers.items():
        assert len(points) <= buckets
        assert (np.diff(points.t_ms) > 0).all()
        if inside <= buckets:
            wanted = {}
            for t_ms, _, value in reference.series(request, begin, end):
                if value is None:
                    continue
                lo, hi = wanted.get(t_ms, (value, value))
                wanted[t_ms] = (min(lo, value), max(hi, value))
            assert points.t_ms.tolist() == list(wanted)
            assert list(zip(points.lo.tolist(), points.hi.tolist(), strict=True)) == list(
                wanted.values()
            )
            continue
        width, wanted = brute_buckets(reference, request, begin, end, buckets)
        assert ((points.t_ms - begin) // width).tolist() == sorted(wanted)
        ordered = [wanted[at] for at in sorted(wanted)]
        assert points.lo.tolist() == [row[0] for row in ordered]
        assert points.hi.tolist() == [row[1] for row in ordered]
        check_breaks(points, sorted(wanted), ordered)


def check_breaks(points, places, ordered):
    for i in range(1, len(places)):
        gap = ordered[i][2] - ordered[i - 1][3]
        limit = max(3 * max(ordered[i][4], ordered[i - 1][5]), 1000)
        assert points.breaks[i] == (places[i] - places[i - 1] > 1 and gap > limit)


@st.composite
def logs(draw):
    """A plan of a log: segments of pages of samples, with gaps and clock steps."""
    plan = []
    for _ in range(draw(st.integers(1, 4))):
        table = draw(st.integers(0, len(TABLES) - 1))
        pages = draw(
            st.lists(
                st.tuples(
                    st.integers(1, 25),  # samples
                    st.sampled_from([0, 0, 0, 5_000, 90_000]),  # a gap before
                    st.sampled_from([0, 0, 0, -3_000, 4_000]),  # a step of the wall clock
                    st.sampled_from([1000, 1000, 100]),  # interval
                ),
                min_size=1,
                max_size=9,
            )
        )
        plan.append((table, pages))
    return plan, draw(st.integers(0, 2**32 - 1))


def written(root, plan, seed, **kwargs):
    rng = np.random.default_rng(seed)
    writer = PageWriter(root, metrics=TABLES[plan[0][0]], **kwargs)
    mono, step, levels = 1000, 0, {}
    table = plan[0][0]
    for number, (wanted, pages) in enumerate(plan):
        if number:
            if wanted == table:
                writer.interval_ms = pages[0][3]
                writer.close_page()
                writer._open()
                writer._begin_page()
            else:
                writer.change_metrics(TABLES[wanted])
            table = wanted
        for i, (samples, gap, jump, interval) in enumerate(pages):
            writer.interval_ms = interval
            mono, step = mono + gap, step + jump
            if i:
                writer.new_page()
            for _ in range(samples):
                mono += interval + int(rng.choice([0, 0, 0, 1, -1, -interval, 3 * interval]))
                values = []
                for name, _, kind in TABLES[table]:
                    if kind == "counter":
                        levels[name] = max(levels.get(name, 0), 0) + int(rng.choice([0, 1, 7, 900]))
                    else:
                        levels[name] = int(rng.choice([levels.get(name, 0), rng.integers(-99, 99)]))
                    values.append(levels[name])
                writer.add(mono, values, writer.start_ms + mono + step)
    writer.close()
    return writer.path


WINDOW = st.tuples(st.floats(-0.1, 1.1), st.floats(-0.1, 1.1), st.integers(1, 60))
STEPS = st.lists(st.integers(-70, 70), max_size=6)


def moved(begin, end, buckets, steps):
    """Yield windows, each shifted by whole buckets from the one before."""
    width = -(-(end - begin) // buckets)
    for step in steps:
        begin += step * width
        yield begin, begin + buckets * width


def check_near(run, reference, begin, end, buckets):
    """Check that no extreme is lost, or moved by more than a quarter of a bucket."""
    if sum(begin <= sample[0] < end for sample in reference.samples) <= buckets:
        return
    width = -(-(end - begin) // buckets)
    for request, points in query(run, begin, end, buckets, REQUESTS, exact=False).items():
        series = [
            (t_ms, value)
            for t_ms, _, value in reference.series(request, begin, end)
            if value is not None
        ]
        places = ((points.t_ms - begin) // width).tolist()
        extremes = list(zip(points.lo.tolist(), points.hi.tolist(), strict=True))
        near = [
            {
                value
                for t_ms, value in series
                if -width / 4 <= t_ms - begin - at * width <= width * 1.25
            }
            for at in places
        ]
        for (lo, hi), values in zip(extremes, near, strict=True):
            assert {lo, hi} <= values
        for t_ms, value in series:
            assert any(
                lo <= value <= hi and -width / 4 <= t_ms - begin - at * width <= width * 1.25
                for at, (lo, hi) in zip(places, extremes, strict=True)
            )


@settings(max_examples=150, deadline=None)
@given(logs(), st.lists(WINDOW, min_size=1, max_size=5), STEPS)
def test_any_window_has_the_extremes_of_every_bucket(log, windows, steps):
    root = Path(tempfile.mkdtemp())
    try:
        path = written(root, *log)
        reference = Timeline(path)
        run = open_run(path)
        assert run.damaged_pages == 0
        assert run.samples == len(reference.samples)
        begin, end = reference.samples[0][0], reference.samples[-1][0] + 1
        check(run, reference, begin, end, 10)
        for left, right, buckets in windows:
            span = end - begin
            a, b = sorted((begin + int(left * span), begin + int(right * span) + 1))
            check(run, reference, a, b, buckets)
            check(run, reference, a, b, buckets)  # from its memo
            for c, d in moved(a, b, buckets, steps):
                check(run, reference, c, d, buckets)
            check_near(run, reference, a, b, buckets)
    finally:
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "MIN_PAGES", 2)
        patch.setattr(blocks_module, "_BLOCK_PAGES", 3)
        yield


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=150, deadline=None)
@given(logs(), st.booleans(), st.lists(WINDOW, min_size=1, max_size=5), STEPS)
def test_any_window_of_a_run_in_blocks_has_the_extremes_of_every_bucket(
    log, summarised, windows, steps
):
    root = Path(tempfile.mkdtemp())
    try:
        path = written(root, *log, summarised=summarised)
        reference = Timeline(path)
        run = open_run(path, in_blocks=True)
        assert run.damaged_pages == 0
        assert run.samples == len(reference.samples)
        begin, end = reference.samples[0][0], reference.samples[-1][0] + 1
        assert (run.begin_ms, run.end_ms) == (begin, end - 1)
        check(run, reference, begin, end, 10)
        for left, right, buckets in windows:
            span = end - begin
            a, b = sorted((begin + int(left * span), begin + int(right * span) + 1))
            check(run, reference, a, b, buckets)
            check(run, reference, a, b, buckets)  # from its memo
            for c, d in moved(a, b, buckets, steps):
                check(run, reference, c, d, buckets)
            check_near(run, reference, a, b, buckets)
        assert run.damaged_pages == 0
    finally:
        shutil.rmtree(root)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 80))
def test_a_live_window_stays_correct_while_the_log_grows(seed, buckets):
    root = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(seed)
    try:
        writer = PageWriter(root, slots_per_segment=6)
        run = RunLog(str(writer.path))
        mono, cpu = 0, 0
        for _ in range(25):
            for _ in range(int(rng.integers(1, 12))):
                mono += 1000
                cpu += int(rng.integers(0, 50))
                writer.add(mono, [int(rng.integers(0, 1000)), cpu, 4])
            if rng.random() < 0.4:
                writer.new_page()
            run.refresh()
            reference = Timeline(writer.path)
            check(run, reference, writer.start_ms, writer.start_ms + 200_000, buckets)
        writer.close()
    finally:
        shutil.rmtree(root)


@settings(max_examples=30, deadline=None)
@given(logs(), st.integers(1, 60), st.integers(1, 40))
def test_a_window_decoded_in_parts_is_the_same(log, buckets, samples):
    root = Path(tempfile.mkdtemp())
    try:
        path = written(root, *log)
        reference = Timeline(path)
        run = open_run(path)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(buckets_module, "_STRETCH_SAMPLES", samples)
            patched.setattr(samples_module, "_BATCH_STREAMS", 4)
            patched.setattr(samples_module, "_CACHE_BYTES", 2000)
            check(run, reference, run.begin_ms + 1, run.end_ms + 1, buckets)
    finally:
        shutil.rmtree(root)


def test_a_window_without_samples_has_no_points(write_run):
    writer = write_run()
    writer.add(0, [1, 1, 1])
    run = open_run(writer.path)
    begin = writer.start_ms + 1
    assert len(query(run, begin, begin + 1000, 10, [("rss", False)])["rss", False]) == 0
    assert len(query(run, begin, begin - 5, 10, [("rss", False)])["rss", False]) == 0


@pytest.mark.parametrize("buckets", [5, 40, 1000])
def test_a_change_of_the_interval_is_not_a_gap_but_a_pause_is(write_run, buckets):
    writer = write_run()
    for second in range(0, 600, 1):
        writer.add(second * 1000, [second, 0, 1])
    writer.event(fmt.INTERVAL, 600_000, value=60_000_000)
    writer.interval_ms = 60_000
    writer.new_page()
    for second in range(600, 6000, 60):
        writer.add(second * 1000, [second, 0, 1])
    writer.event(fmt.PAUSE, 5_990_000)
    writer.event(fmt.RESUME, 20_000_000)
    for second in range(20_000, 26_000, 60):
        writer.add(second * 1000, [second, 0, 1])
    run = open_run(writer.path)
    points = query(run, run.begin_ms, run.end_ms + 1, buckets, [("rss", False)])["rss", False]
    after = points.t_ms[points.breaks] - run.begin_ms
    assert len(after) == 1
    assert 15_000_000 < after[0] < 25_000_000


def test_a_pause_shorter_than_the_interval_is_a_gap(write_run):
    writer = write_run(interval_ms=60_000)
    for minute in range(4):
        writer.add(minute * 60_000, [minute, 0, 1])
    writer.event(fmt.PAUSE, 181_000)
    writer.event(fmt.RESUME, 260_000)
    for minute in range(4):
        writer.add(260_000 + minute * 60_000, [minute, 0, 1])
    run = open_run(writer.path)
    points = query(run, run.begin_ms, run.end_ms + 1, 100, [("rss", False)])["rss", False]
    assert np.flatnonzero(points.breaks).tolist() == [4]


def test_zero_buckets_raise_a_clear_error(write_run):
    run = RunLog(str(write_run().path))
    with pytest.raises(ValueError, match="0 buckets"):
        query(run, 0, 1, 0, [])


def test_a_spike_of_one_sample_is_visible_at_every_zoom(write_run):
    writer = write_run()
    for i in range(5000):
        writer.add(i * 1000, [10**6 if i == 3210 else i % 7, 0, 1], write=False)
    writer.close_page()
    run = open_run(writer.path)
    for buckets in (1, 7, 100, 399):
        points = query(run, run.begin_ms, run.end_ms + 1, buckets, [("rss", False)])["rss", False]
        assert points.hi.max() == 10**6


def test_a_pause_breaks_the_line_and_a_late_sample_does_not(write_run):
    writer = write_run()
    for i in [0, 1, 2, 5, 6, 30, 31]:
        writer.add(i * 1000, [i, i, i])
    run = open_run(writer.path)
    raw = query(run, run.begin_ms, run.end_ms + 1, 100, [("rss", False)])["rss", False]
    assert raw.breaks.tolist() == [False, False, False, False, False, True, False]
    wide = query(run, run.begin_ms, run.end_ms + 1, 6, [("rss", False)])["rss", False]
    assert wide.breaks.tolist() == [False, False, True]


def test_only_the_first_sample_of_a_run_has_no_rate(write_run):
    writer = write_run()
    writer.add(0, [1, 500, 1])
    writer.add(1000, [1, 600, 1])
    writer.new_page()
    writer.add(2000, [1, 900, 1])
    run = open_run(writer.path)
    points = query(run, run.begin_ms, run.end_ms + 1, 10, [("cpu_user", True)])["cpu_user", True]
    assert points.lo.tolist() == [100.0, 300.0]


@pytest.mark.parametrize("buckets", [1, 3, 7, 50])
def test_the_undefined_first_rate_is_in_no_bucket(write_run, buckets):
    writer = write_run()
    for i in range(400):
        if i % 90 == 0 and i:
            writer.new_page()
        writer.add(i * 1000, [1, 5000 + 700 * i, 1])
    run = open_run(writer.path)
    points = query(run, run.begin_ms, run.end_ms + 1, buckets, [("cpu_user", True)])
    assert set(points["cpu_user", True].lo.tolist()) == {700.0}


@pytest.mark.parametrize("buckets", [1, 3, 7, 50, 400])
def test_a_counter_that_appears_later_begins_without_a_rate(write_run, buckets):
    writer = write_run(metrics=(("rss", "B", "gauge"),))
    for i in range(100):
        writer.add(i * 1000, [i])
    writer.change_metrics((("rss", "B", "gauge"), ("done", "jobs", "counter")))
    for i in range(100, 300):
        writer.add(i * 1000, [i, 1000 + 4 * i])
    run = open_run(writer.path)
    points = query(run, run.begin_ms, run.end_ms + 1, buckets, [("done", True)])["done", True]
    assert set(points.lo.tolist()) == {4.0}
    assert not points.breaks.any()


def test_a_spike_at_the_start_of_a_page_is_kept_without_the_page_before(write_run):
    writer = write_run(slots_per_segment=2)
    writer.add(0, [1, 0, 1])
    writer.new_page()
    writer.add(1000, [1, 90_000, 1])
    writer.add(2000, [1, 90_001, 1])
    writer.segment_path(1).unlink()
    run = open_run(writer.path)
    points = query(run, run.begin_ms, run.end_ms + 1, 10, [("cpu_user", True)])["cpu_user", True]
    assert points.hi.tolist() == [90_000.0, 1.0]
