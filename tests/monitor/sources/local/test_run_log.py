"""The log of a run that grows, rotates and has events."""

import os

import pytest

from kit.run_logs import open_run
from pprofplus.errors import PprofplusError
from pprofplus.log import format as fmt
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.window_query import query


def test_a_refresh_without_new_data_is_not_a_change(write_run):
    writer = write_run()
    writer.add(0, [1, 2, 3])
    run = open_run(writer)
    assert not run.refresh()
    writer.add(1000, [1, 2, 3])
    assert run.refresh()
    assert run.samples == 2
    assert not run.refresh()


def test_pages_that_were_read_are_not_read_again(write_run, monkeypatch):
    writer = write_run()
    for n in range(60):
        writer.new_page()
        writer.add(n * 1000, [n, n, n])
    run = open_run(writer)
    read = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: read.append(args) or pread(*args))
    writer.add(60_000, [1, 60, 3])
    assert run.refresh()
    assert len(read) <= 4
    assert all(at >= 58 * fmt.PAGE_SIZE for _, _, at in read)


def test_rotation_removes_the_oldest_segment_and_adds_the_newest(write_run):
    writer = write_run(slots_per_segment=3)
    run = open_run(writer)
    for n in range(30):
        writer.new_page()
        writer.add(n * 1000, [n, n, n])
        if writer.segment > 3:
            writer.segment_path(writer.segment - 3).unlink(missing_ok=True)
        run.refresh()
        fresh = open_run(writer)
        assert run.samples == fresh.samples
        assert (run.begin_ms, run.end_ms) == (fresh.begin_ms, fresh.end_ms)
    assert run.begin_ms > writer.start_ms
    assert run.last() == {"rss": 29, "cpu_user": 29, "threads": 29}


def test_a_clock_set_back_moves_earlier_pages_back_and_times_never_overlap(write_run):
    writer = write_run()
    start = writer.start_ms
    for n in range(10):
        writer.add(n * 1000, [n, n, n])
    run = open_run(writer)
    writer.new_page()
    writer.add(10_000, [10, 10, 10], start + 4_000)
    run.refresh()
    points = query(run, start - 60_000, start + 60_000, 100, [("rss", False)])["rss", False]
    assert points.lo.tolist() == list(range(11))
    assert points.t_ms[0] == start - 6_000
    assert not points.breaks.any()


def test_a_clock_set_forward_leaves_a_gap(write_run):
    writer = write_run()
    writer.add(0, [0, 0, 0])
    writer.add(1000, [1, 1, 1])
    writer.new_page()
    writer.add(2000, [2, 2, 2], writer.start_ms + 3_600_000)
    run = open_run(writer)
    points = query(run, run.begin_ms, run.end_ms + 1, 100, [("rss", False)])["rss", False]
    assert points.breaks.tolist() == [False, False, True]


def test_a_smaller_step_back_after_a_larger_one_gives_correct_times(write_run):
    """The memo of a window becomes invalid when pages before the tail move."""
    writer = write_run()
    start = writer.start_ms
    steps = [0, 60_000, 60_000, 60_000, 60_000, 60_000, 40_000]
    run = open_run(writer)
    for page, step in enumerate(steps):
        if page:
            writer.new_page()
        for i in range(20):
            mono = page * 20_000 + i * 1000
            writer.add(mono, [page, mono, i], start + mono + step, write=False)
        writer._write()
        run.refresh()
        window = (start, start + 300_000, 30, [("rss", False), ("threads", False)])
        seen, wanted = query(run, *window), query(open_run(writer), *window)
        for request, points in wanted.items():
            assert seen[request].t_ms.tolist() == points.t_ms.tolist()
            assert seen[request].hi.tolist() == points.hi.tolist()


def test_events_are_in_order_with_their_raw_text(write_run):
    writer = write_run()
    writer.event(fmt.START, 0)
    writer.add(0, [1, 1, 1])
    writer.event(fmt.MARK, 500, text="deploy \x1b[31m")
    run = open_run(writer)
    writer.new_page()
    writer.add(1000, [1, 1, 1])
    writer.event(fmt.STOP, 1500)
    run.refresh()
    assert [(e.kind, e.t_ms - writer.start_ms, e.text) for e in run.events()] == [
        ("start", 0, ""),
        ("mark", 500, "deploy \x1b[31m"),
        ("stop", 1500, ""),
    ]
    assert [e.kind for e in run.last_events()] == ["start", "mark", "stop"]


def test_metrics_of_all_segments_are_listed(write_run):
    writer = write_run()
    writer.add(0, [1, 1, 1])
    writer.change_metrics((*writer.header.metrics, ("queue", "jobs", "gauge")))
    writer.add(1000, [1, 1, 1, 9])
    run = open_run(writer)
    assert run.metrics == writer.header.metrics
    assert run.last()["queue"] == 9
    points = query(run, run.begin_ms, run.end_ms + 1, 10, [("queue", False)])["queue", False]
    assert points.lo.tolist() == [9.0]


def test_a_header_of_several_pages_is_read(write_run):
    table = tuple((f"metric_{i}_{'x' * 80}", "count", "gauge") for i in range(100))
    writer = write_run(metrics=table)
    writer.add(0, list(range(100)))
    run = open_run(writer)
    assert run.metrics == table
    assert list(run.last().values()) == list(range(100))
    assert run.damaged_pages == 0


def test_a_path_that_is_not_a_run_directory_raises_a_clear_error(tmp_path):
    with pytest.raises(PprofplusError, match="not a run directory"):
        RunLog(str(tmp_path / "api" / "what"))
