"""Reading the nearest sample: exact for gauges and counters, none in a gap."""

import numpy as np
import pytest

from kit.run_logs import open_run
from pprofplus_tui.sources.local.sample_at import read_at
from pprofplus_tui.sources.local.window_query import query

RSS, CPU, CPU_RATE = ("rss", False), ("cpu_user", False), ("cpu_user", True)
ALL = [RSS, CPU, CPU_RATE, ("threads", True), ("no_such", False)]


@pytest.fixture
def many_pages(write_run):
    """A run of 4,000 samples at 1 Hz on many pages, with a gap of 100 s in the middle."""
    writer = write_run()
    rng = np.random.default_rng(3)
    values = rng.integers(0, 1 << 40, 4000)
    for i in range(4000):
        mono_ms = i * 1000 + (100_000 if i >= 2000 else 0)
        writer.add(mono_ms, [int(values[i]), i * i * 10, 4], write=False)
    writer.close_page()
    run = open_run(writer.path)
    return run, writer.start_ms, values


def test_at_any_time_the_nearest_sample_is_read_exactly(many_pages):
    run, begin_ms, values = many_pages
    assert run.table.count > 3
    for i in (0, 1, 777, 1500, 1999, 2000, 3333, 3999):
        t_ms = begin_ms + i * 1000 + (100_000 if i >= 2000 else 0)
        for at_ms in (t_ms - 400, t_ms, t_ms + 499):
            reading = read_at(run, at_ms, 0, ALL)
            assert reading.t_ms == t_ms
            assert reading.values[RSS] == values[i]
            assert reading.values[CPU] == i * i * 10


def test_the_sample_equals_that_of_a_window_query(many_pages):
    run, begin_ms, _ = many_pages
    points = query(run, begin_ms + 1_200_000, begin_ms + 1_300_000, 200, [RSS, CPU_RATE])
    for at, t_ms in enumerate(points[RSS].t_ms.tolist()):
        reading = read_at(run, t_ms, 0, [RSS, CPU_RATE])
        assert reading.values[RSS] == points[RSS].hi[at]
        assert reading.values[CPU_RATE] == points[CPU_RATE].hi[at]


def test_first_samples_and_gauges_have_no_rate_and_unknown_metrics_no_value(many_pages):
    run, begin_ms, _ = many_pages
    assert set(read_at(run, begin_ms, 0, ALL).values) == {RSS, CPU}
    assert set(read_at(run, begin_ms + 5000, 0, ALL).values) == {RSS, CPU, CPU_RATE}


def test_in_a_gap_there_is_no_sample_unless_the_gap_is_narrower_than_the_cursor(many_pages):
    run, begin_ms, _ = many_pages
    middle_ms = begin_ms + 2_049_000
    assert read_at(run, middle_ms, 0, ALL).t_ms is None
    assert read_at(run, middle_ms, 0, ALL).values == {}
    assert read_at(run, middle_ms, 60_000, ALL).t_ms == begin_ms + 1_999_000


def test_there_is_no_sample_before_and_after_the_run(many_pages):
    run, begin_ms, _ = many_pages
    assert read_at(run, begin_ms - 60_000, 0, ALL).t_ms is None
    assert read_at(run, run.end_ms + 60_000, 0, ALL).t_ms is None
    assert read_at(run, run.end_ms + 1000, 0, ALL).t_ms == run.end_ms


def test_a_run_without_samples_gives_no_sample(write_run):
    run = open_run(write_run().path)
    assert read_at(run, 1_760_000_000_000, 0, ALL).t_ms is None


def test_a_damaged_page_is_skipped(many_pages):
    run, begin_ms, _ = many_pages
    row = run.table.count // 2
    at_ms = int(run.table.begin_ms[row]) + 5000
    segment = run._segments[int(run.table.rows["segment"][row])].path
    with open(segment, "r+b") as file:
        file.seek(int(run.table.rows["slot"][row]) * 8192 + 7000)
        file.write(b"\xff" * 100)
    reading = read_at(run, at_ms, 0, ALL)
    assert reading.t_ms is None or abs(reading.t_ms - at_ms) > 3000
    assert run.damaged_pages == 1
    assert read_at(run, begin_ms, 0, ALL).t_ms == begin_ms
