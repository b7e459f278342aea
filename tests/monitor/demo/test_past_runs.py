"""The past runs of the demo: a plausible week, written by the real writer."""

import time

import numpy as np
import pytest

from kit.run_logs import open_catalog, open_run
from kit.units import DAY_MS
from pprofplus_tui.demo.past_runs import past_runs, write_history, write_run
from pprofplus_tui.demo.shapes import INTERVAL_MS
from pprofplus_tui.sources.local.window_query import query

BEGIN_MS = 1_700_000_000_000


def curve(log, metric):
    """Return a metric's highest values in 200 buckets, as an array."""
    points = query(log, log.begin_ms, log.end_ms + 1, 200, ((metric, False),))[metric, False]
    return points.hi


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """A week that ended just now, as the demo writes it; and the run to open on."""
    path = tmp_path_factory.mktemp("week")
    path.chmod(0o700)
    end_ms = time.time_ns() // 1_000_000
    first = write_history(path, begin_ms=end_ms - 7 * DAY_MS, end_ms=end_ms)
    catalog = open_catalog(path)
    return first, catalog.runs, end_ms


def logs_of(week, service):
    return [open_run(info.id) for info in week[1] if info.service == service]


def test_every_service_of_the_demo_has_past_runs(week):
    assert {info.service for info in week[1]} == {"api", "worker", "imaging", "reports", "batch"}
    assert len(week[1]) == len(past_runs())


def test_killed_runs_have_died_and_the_others_have_exited(week):
    states = {(info.service, info.pid): info.state for info in week[1]}
    wanted = {(past.service, past.pid): "died" if past.killed else "exited" for past in past_runs()}
    assert states == wanted


def test_no_past_log_is_damaged(week):
    assert [
        log.problems for log in map(open_run, (info.id for info in week[1])) if log.problems
    ] == []
    assert all(info.damaged_pages == 0 for info in week[1])


def test_the_week_is_complete_with_one_sample_per_minute(week):
    first, _, end_ms = week
    log = open_run(first)
    assert log.samples == 7 * DAY_MS // INTERVAL_MS
    assert log.begin_ms == end_ms - 7 * DAY_MS
    assert end_ms - log.end_ms <= INTERVAL_MS


def test_the_demo_opens_on_the_leaking_service(week):
    log = open_run(week[0])
    assert log.service == "api"
    used, malloc = curve(log, "heap_used"), curve(log, "malloc_used")
    assert used[-1] > 5 * used[0]
    assert malloc[-1] < 1.5 * malloc[0]
    assert [event.text for event in log.events() if event.kind == "mark"] == ["deploy 1.4.2"]


def test_the_workers_saw_tooth_and_do_not_grow(week):
    for log in logs_of(week, "worker"):
        used = curve(log, "heap_used")
        assert (np.diff(used) < -0.1 * used.max()).sum() > 3
        assert used[150:].max() < 1.1 * used[:50].max()


def test_imaging_grows_only_in_the_c_heap(week):
    for log in logs_of(week, "imaging"):
        used, malloc = curve(log, "heap_used"), curve(log, "malloc_used")
        assert malloc[-1] > 1.4 * malloc[0]  # how much depends on the hour of the day
        assert used[-1] < 1.3 * used[0]


def test_reports_frees_its_objects_but_keeps_its_heap(week):
    (log,) = logs_of(week, "reports")
    used, held = curve(log, "heap_used"), curve(log, "heap_sys")
    assert used[-1] < 0.5 * used.max()
    assert held[-1] > 0.9 * held.max()


def test_the_layers_never_exceed_the_whole(week):
    for info in week[1]:
        log = open_run(info.id)
        rss, heap, malloc = (curve(log, name) for name in ("rss", "heap_sys", "malloc_used"))
        assert (heap + 0.9 * malloc <= rss).all()
        assert (curve(log, "heap_used") <= heap).all()


def test_a_past_run_that_cannot_be_written_is_an_error(tmp_path):
    path = tmp_path / "file"
    path.write_text("in the way")
    with pytest.raises(OSError, match="file"):
        write_run(path, past_runs()[0], BEGIN_MS, BEGIN_MS + 10 * INTERVAL_MS)
