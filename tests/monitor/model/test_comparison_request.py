"""A request for a comparison: its runs, its window, and their alignment."""

import math

from kit.fake_runs import fake_run
from kit.units import HOUR_MS
from pprofplus_tui.model.comparison_request import COMPARE, SERVICE, ComparisonRequest
from pprofplus_tui.model.runs import DIED, LIVE, Run


def run(pid, begin_ms, end_ms, state=DIED):
    return fake_run("api", pid, state, begin_ms=begin_ms, end_ms=end_ms)


def test_runs_that_do_not_overlap_are_aligned_at_first():
    before, after = run(1, 0, HOUR_MS), run(2, 2 * HOUR_MS, 5 * HOUR_MS)
    request = ComparisonRequest(COMPARE, ("/api/1", "/api/2")).opened((before, after), 9 * HOUR_MS)
    assert request.aligned
    assert request.window.begin_ms <= 0 < 3 * HOUR_MS <= request.window.end_ms + 1


def test_runs_that_overlap_are_shown_by_time():
    one, other = run(1, 0, HOUR_MS), run(2, HOUR_MS // 2, 5 * HOUR_MS, LIVE)
    request = ComparisonRequest(COMPARE, ("/api/1", "/api/2")).opened((one, other), 5 * HOUR_MS)
    assert not request.aligned
    assert request.window.following
    turned = request.realigned((one, other), 5 * HOUR_MS)
    assert turned.aligned
    assert turned.realigned((one, other), 5 * HOUR_MS).window == request.window


def test_a_service_has_all_its_runs_and_no_others():
    runs = (run(1, 0, 1), run(2, 0, 1), Run("/api2/3", "api2", 3, LIVE, 0, 1))
    assert ComparisonRequest(SERVICE, service="api").members(runs) == runs[:2]


def test_a_cursor_stays_in_the_window():
    request = ComparisonRequest(SERVICE, service="api", cursor_ms=5).opened(
        (run(1, 0, HOUR_MS),), 2 * HOUR_MS
    )
    moved = request.with_window(request.window.zoom_in())
    assert moved.window.begin_ms <= moved.cursor_ms < moved.window.end_ms


def test_a_comparison_without_runs_is_valid():
    request = ComparisonRequest(SERVICE, service="gone").opened((), 1)
    assert request.members(()) == ()
    assert math.isfinite(request.window.span_ms)
