"""Many curves in buckets: a band, a total, and the most important runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.series import points_of
from kit.units import HOUR_MS
from pprofplus_tui.analysis.across_runs import (
    band,
    in_buckets,
    most_important_runs,
    total,
    up_to_present,
)
from pprofplus_tui.analysis.layer_verdicts import classify_curve
from pprofplus_tui.model.lifetimes import Lifetime
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.time_buckets import TimeBuckets


def curve(times, values, breaks=()):
    return points_of(values, times, breaks)


def alive(begin_ms, last_ms, newest, present_ms=None):
    present_ms = last_ms if present_ms is None else present_ms
    return Lifetime.of_live_run(begin_ms, last_ms, 1000, present_ms, newest)


def buckets(width_ms, count):
    return TimeBuckets.of_width(0, count * width_ms, width_ms)


EIGHT = buckets(100, 8)


def test_in_buckets_a_value_holds_until_the_next_but_not_over_a_gap():
    points = curve([0, 300, 900], [1, 3, 9], breaks=[2])
    levels = in_buckets(points, buckets(100, 12))
    assert levels.lo[:4].tolist() == [1, 1, 1, 3]
    assert np.isnan(levels.lo[4:9]).all()
    assert levels.lo[9] == 9
    assert np.isnan(levels.lo[10:]).all()


def test_the_band_goes_from_the_smallest_to_the_largest():
    curves = [curve([0, 100, 200], values) for values in ([1, 2, 3], [9, 8, 7], [4, 4, 4])]
    points = band([in_buckets(one, buckets(100, 3)) for one in curves], buckets(100, 3))
    assert points.lo.tolist() == [1, 2, 3]
    assert points.hi.tolist() == [9, 8, 7]


def together(curves, lives, width_ms, count):
    levels = [in_buckets(one, buckets(width_ms, count)) for one in curves]
    return total(levels, lives, buckets(width_ms, count))


def test_the_sum_counts_the_runs_that_have_a_value():
    curves = [curve([0, 100, 200], [1, 2, 3]), curve([100, 200], [10, 10])]
    points = together(
        curves, [Lifetime.of_ended_run(0, 200), Lifetime.of_ended_run(100, 200)], 100, 3
    )
    assert points.hi.tolist() == [1, 12, 13]


def test_where_no_run_has_a_value_there_is_a_gap():
    one = curve([0, 500], [1, 2], breaks=[1])
    points = together([one], [Lifetime.of_ended_run(0, 500)], 100, 6)
    assert points.breaks.tolist() == [False, True]


def test_successive_runs_within_a_bucket_are_not_added_up():
    curves = [curve([500], [10]), curve([500], [20]), curve([500], [3])]
    lives = [
        Lifetime.of_ended_run(0, 400),
        Lifetime.of_ended_run(600, 999),
        Lifetime.of_ended_run(0, 5000),
    ]
    points = together(curves, lives, 1000, 1)
    assert (points.lo.tolist(), points.hi.tolist()) == ([3], [23])


def test_a_sum_at_the_live_edge_has_every_live_run_in_its_unfinished_bucket():
    lives = [alive(0, 300, 5.0, 300), alive(0, 190, 7.0, 300), Lifetime.of_ended_run(0, 100)]
    curves = [
        curve([0, 100, 200, 300], [5, 5, 5, 5]),
        curve([0, 100], [7, 7]),  # read earlier; its sample at 190 is known separately
        curve([0, 100], [9, 9]),
    ]
    levels = [
        up_to_present(in_buckets(one, EIGHT), EIGHT, life, 300)
        for one, life in zip(curves, lives, strict=True)
    ]
    points = total(levels, lives, EIGHT)
    assert points.t_ms.tolist() == [50, 150, 250, 350]
    assert points.hi.tolist() == [21, 21, 12, 12]
    assert points.lo.tolist() == [21, 12, 12, 12]


def test_a_bucket_newer_than_the_present_of_all_is_not_drawn():
    read_later = curve([0, 100, 200, 300], [5, 5, 5, 5])
    levels = up_to_present(in_buckets(read_later, EIGHT), EIGHT, alive(0, 200, 5.0), 200)
    assert np.flatnonzero(~np.isnan(levels.hi)).tolist() == [0, 1, 2]


def test_a_rate_has_no_newest_value_but_is_held_to_the_present_too():
    levels = up_to_present(
        in_buckets(curve([0, 100], [5, 7]), EIGHT), EIGHT, alive(0, 190, None, 300), 300
    )
    assert levels.hi[:4].tolist() == [5, 7, 7, 7]
    assert np.isnan(levels.hi[4:]).all()


def test_a_live_run_that_is_stale_is_in_no_sum():
    lives = [alive(0, 20_000, 5.0), alive(0, 1000, 7.0)]
    curves = [curve(range(0, 20_001, 1000), [5] * 21), curve([0, 1000], [7, 7])]
    seconds = buckets(1000, 21)
    levels = [
        up_to_present(in_buckets(one, seconds), seconds, life, 20_000)
        for one, life in zip(curves, lives, strict=True)
    ]
    points = total(levels, lives, seconds)
    assert points.hi.tolist() == [12] * 6 + [5] * 15


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 60), st.integers(1, 9)), max_size=8))
def test_the_sum_within_a_bucket_is_what_ran_at_one_time(runs):
    curves, lives = [], []
    for begin, lasted, value in runs:
        times = range(begin, begin + lasted + 1)
        curves.append(curve(times, [value] * len(times)))
        lives.append(Lifetime.of_ended_run(begin, begin + lasted))
    points = together(curves, lives, 20, 8)
    sums = [sum(v for begin, lasted, v in runs if begin <= t <= begin + lasted) for t in range(160)]
    known = dict(zip((points.t_ms // 20).tolist(), points.hi.tolist(), strict=True))
    for bucket in range(8):
        here = [size for size in sums[bucket * 20 : bucket * 20 + 20] if size]
        assert known.get(bucket, 0) == pytest.approx(max(here, default=0))
    lows = dict(zip((points.t_ms // 20).tolist(), points.lo.tolist(), strict=True))
    for bucket, low in lows.items():
        here = [size for size in sums[bucket * 20 : bucket * 20 + 20] if size]
        assert low == pytest.approx(min(here))


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
    points = band([in_buckets(one, buckets(50, 20)) for one in curves], buckets(50, 20))
    for one in curves:
        for t_ms, value in zip(one.t_ms.tolist(), one.lo.tolist(), strict=True):
            at = int(np.searchsorted(points.t_ms, t_ms // 50 * 50))
            assert points.lo[at] <= value <= points.hi[at]


def test_the_most_important_runs_grow_most_or_are_largest():
    times = np.arange(0, HOUR_MS, 60_000)
    curves = {
        "steady": curve(times, np.full(60, 100.0)),
        "leak": curve(times, np.arange(60.0)),
        "none": Points.empty(),
        "slow": curve(times, np.arange(60.0) / 10),
    }
    verdicts = {name: classify_curve(points, "count") for name, points in curves.items()}
    assert most_important_runs(curves, verdicts, by_size=False, top=2) == ("leak", "slow")
    assert most_important_runs(curves, verdicts, by_size=True, top=2) == ("steady", "leak")
    assert "none" not in most_important_runs(curves, verdicts, by_size=True, top=9)


def test_a_curve_too_short_for_a_verdict_ranks_below_any_other():
    times = np.arange(0, HOUR_MS, 60_000)
    curves = {
        "child": curve(range(0, 16_000, 1000), np.arange(16.0) * 1e6),
        "sinking": curve(times, 1e9 - 1e7 * np.arange(60.0)),
        "leak": curve(times, 1e6 * np.arange(60.0)),
    }
    verdicts = {name: classify_curve(points) for name, points in curves.items()}
    assert most_important_runs(curves, verdicts, by_size=False) == ("leak", "sinking", "child")
