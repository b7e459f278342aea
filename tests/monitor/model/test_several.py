"""Several curves together: growth, values at one moment, a band and a sum of many."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.compare import age_ticks, shared_moment, shifted, value_at
from pprofplus_tui.model.fleet import band, on_grid, standing_out, total
from pprofplus_tui.model.growth import growth_per_h
from pprofplus_tui.model.runs import DIED, LIVE, Run
from pprofplus_tui.model.series import Points
from pprofplus_tui.model.study import COMPARE, SERVICE, Study

H_MS = 3_600_000


def curve(times, values, breaks=()):
    values = np.asarray(values, float)
    gaps = np.zeros(len(values), np.bool_)
    gaps[list(breaks)] = True
    return Points(np.asarray(times, np.int64), values, values, gaps)


# -- growth


def test_a_straight_line_grows_by_its_slope():
    times = np.arange(0, H_MS, 10_000)
    assert growth_per_h(curve(times, 5.0 * times / H_MS)) == pytest.approx(5.0)


def test_a_spike_does_not_move_the_growth():
    times = np.arange(0, H_MS, 10_000)
    values = 5.0 * times / H_MS
    values[100:110] += 1e6
    assert growth_per_h(curve(times, values)) == pytest.approx(5.0, rel=0.2)


def test_of_too_few_points_there_is_no_growth():
    assert growth_per_h(curve([1, 2, 3], [1, 2, 3])) is None
    assert growth_per_h(Points.empty()) is None


# -- one moment


def test_the_value_at_a_time_is_that_of_the_last_point_before():
    points = curve([1000, 2000, 3000], [1, 2, 3])
    assert value_at(points, 2500, 0) == 2
    assert value_at(points, 999, 0) is None


def test_in_a_gap_and_long_after_the_end_there_is_no_value():
    points = curve([1000, 2000, 100_000], [1, 2, 3], breaks=[2])
    assert value_at(points, 50_000, 100) is None
    assert value_at(points, 2500, 100) == 2
    assert value_at(points, 900_000, 100) is None


def test_the_shared_moment_is_the_last_at_which_both_were_there():
    assert shared_moment([curve([1, 9], [0, 0]), curve([3, 7], [0, 0])]) == 7
    assert shared_moment([curve([1, 2], [0, 0]), curve([3, 7], [0, 0])]) is None
    assert shared_moment([curve([1, 2], [0, 0])]) is None


def test_an_age_is_a_time_less_the_start():
    assert shifted(curve([1000, 2000], [1, 2]), 1000).t_ms.tolist() == [0, 1000]


@given(st.integers(0, 10**12), st.integers(1, 10**12), st.integers(0, 400))
def test_ticks_of_ages_are_few_and_inside(begin_ms, span_ms, width):
    ticks = age_ticks(begin_ms, begin_ms + span_ms, width)
    assert all(begin_ms <= ms < begin_ms + span_ms for ms, _ in ticks)
    assert len(ticks) <= max(1, width // 8)


# -- many


def test_on_the_grid_a_value_holds_to_the_next_but_not_over_a_gap():
    points = curve([0, 300, 900], [1, 3, 9], breaks=[2])
    levels = on_grid(points, 0, 100, 12)
    assert levels.lo[:4].tolist() == [1, 1, 1, 3]
    assert np.isnan(levels.lo[4:9]).all()
    assert levels.lo[9] == 9
    assert np.isnan(levels.lo[10:]).all()


def test_the_band_goes_from_the_smallest_to_the_largest():
    curves = [curve([0, 100, 200], values) for values in ([1, 2, 3], [9, 8, 7], [4, 4, 4])]
    points = band([on_grid(one, 0, 100, 3) for one in curves], 0, 100)
    assert points.lo.tolist() == [1, 2, 3]
    assert points.hi.tolist() == [9, 8, 7]


def test_the_sum_counts_who_is_there():
    curves = [curve([0, 100, 200], [1, 2, 3]), curve([100, 200], [10, 10])]
    points = total([on_grid(one, 0, 100, 3) for one in curves], 0, 100)
    assert points.hi.tolist() == [1, 12, 13]


def test_where_nobody_is_there_is_a_gap():
    one = curve([0, 500], [1, 2], breaks=[1])
    points = total([on_grid(one, 0, 100, 6)], 0, 100)
    assert points.breaks.tolist() == [False, True]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 999), st.floats(0, 1e12)), min_size=1, max_size=20),
        min_size=1,
        max_size=6,
    )
)
def test_no_sample_is_outside_of_the_band(samples):
    curves = []
    for given_rows in samples:
        rows = sorted(dict(given_rows).items())
        curves.append(curve([t for t, _ in rows], [v for _, v in rows]))
    points = band([on_grid(one, 0, 50, 20) for one in curves], 0, 50)
    for one in curves:
        for t_ms, value in zip(one.t_ms.tolist(), one.lo.tolist(), strict=True):
            at = int(np.searchsorted(points.t_ms, t_ms // 50 * 50))
            assert points.lo[at] <= value <= points.hi[at]


def test_what_grows_most_or_is_largest_stands_out():
    times = np.arange(0, H_MS, 60_000)
    curves = {
        "steady": curve(times, np.full(60, 100.0)),
        "leak": curve(times, np.arange(60.0)),
        "none": Points.empty(),
        "slow": curve(times, np.arange(60.0) / 10),
    }
    assert standing_out(curves, by_size=False, top=2)[0] == ("leak", "slow")
    assert standing_out(curves, by_size=True, top=2)[0] == ("steady", "leak")
    assert standing_out(curves, by_size=True, top=9)[1]["none"] is None


# -- what is asked


def run(pid, begin_ms, end_ms, state=DIED):
    return Run(f"/api/{pid}", "api", pid, state, begin_ms, end_ms)


def test_runs_that_never_ran_at_one_time_are_aligned_at_first():
    before, after = run(1, 0, H_MS), run(2, 2 * H_MS, 5 * H_MS)
    study = Study(COMPARE, ("/api/1", "/api/2")).opened((before, after), 9 * H_MS)
    assert study.aligned
    assert study.window.begin_ms <= 0 < 3 * H_MS <= study.window.end_ms + 1


def test_runs_that_ran_at_one_time_are_shown_in_time():
    one, other = run(1, 0, H_MS), run(2, H_MS // 2, 5 * H_MS, LIVE)
    study = Study(COMPARE, ("/api/1", "/api/2")).opened((one, other), 5 * H_MS)
    assert not study.aligned
    assert study.window.following
    turned = study.turned((one, other), 5 * H_MS)
    assert turned.aligned
    assert turned.turned((one, other), 5 * H_MS).window == study.window


def test_a_service_has_all_its_runs_and_no_others():
    runs = (run(1, 0, 1), run(2, 0, 1), Run("/api2/3", "api2", 3, LIVE, 0, 1))
    assert Study(SERVICE, service="api").members(runs) == runs[:2]


def test_a_cursor_stays_in_the_window():
    study = Study(SERVICE, service="api", cursor_ms=5).opened((run(1, 0, H_MS),), 2 * H_MS)
    moved = study.seen(study.window.zoom_in())
    assert moved.window.begin_ms <= moved.cursor_ms < moved.window.end_ms


def test_a_study_of_nothing_is_harmless():
    study = Study(SERVICE, service="gone").opened((), 1)
    assert study.members(()) == ()
    assert math.isfinite(study.window.span_ms)
