"""Runs at one moment or one age: values, reasons for none, and ticks of ages."""

from hypothesis import given
from hypothesis import strategies as st

from kit.series import points_of
from pprofplus_tui.analysis.aligned_runs import age_ticks, shared_moment, shifted, value_at
from pprofplus_tui.model.lifetimes import Lifetime
from pprofplus_tui.model.window import Window


def curve(times, values, breaks=()):
    return points_of(values, times, breaks)


ALWAYS = Lifetime.of_ended_run(0, 10**15)


def alive(begin_ms, last_ms, newest, present_ms=None):
    present_ms = last_ms if present_ms is None else present_ms
    return Lifetime.of_live_run(begin_ms, last_ms, 1000, present_ms, newest)


def test_the_value_at_a_time_is_that_of_the_last_point_before():
    points = curve([1000, 2000, 3000], [1, 2, 3])
    assert value_at(points, 2500, 0, ALWAYS) == 2
    assert value_at(points, 999, 0, ALWAYS) is None


def test_in_a_gap_there_is_no_value():
    points = curve([1000, 2000, 100_000], [1, 2, 3], breaks=[2])
    assert value_at(points, 50_000, 100, ALWAYS) is None
    assert value_at(points, 2500, 100, ALWAYS) == 2


def test_an_ended_run_has_no_value_after_its_last_sample_in_buckets_of_any_width():
    points = curve([60_000], [7])
    assert value_at(points, 90_000, 120_000, Lifetime.of_ended_run(1000, 90_000)) == 7
    assert value_at(points, 90_001, 120_000, Lifetime.of_ended_run(1000, 90_000)) is None
    assert value_at(points, 999, 120_000, Lifetime.of_ended_run(1000, 90_000)) is None


def test_a_live_runs_newest_value_holds_until_it_is_stale():
    points = curve([1000, 2000], [1, 2])
    assert value_at(points, 2000, 1000, alive(1000, 2000, 9.0)) == 9
    assert value_at(points, 6999, 1000, alive(1000, 2000, 9.0)) == 9
    assert value_at(points, 7000, 1000, alive(1000, 2000, 9.0)) is None
    assert value_at(points, 9000, 1000, alive(1000, 2000, 9.0, present_ms=9000)) == 9


def test_the_reason_for_a_missing_value_is_known():
    assert Lifetime.of_ended_run(1000, 2000).reason_for_none(3000, aligned=False) == "ended"
    assert Lifetime.of_ended_run(1000, 2000).reason_for_none(500, aligned=False) == "not yet"
    assert alive(0, 2000, 1.0).reason_for_none(60_000, aligned=True) == "not yet"
    assert alive(0, 2000, 1.0).reason_for_none(60_000, aligned=False) == "no sample"


def test_the_shared_moment_is_the_last_at_which_both_runs_existed():
    window = Window.fit(0, 100_000)
    lives = [Lifetime.of_ended_run(1, 9), Lifetime.of_ended_run(3, 7)]
    assert shared_moment(lives, window) == 7
    assert shared_moment([Lifetime.of_ended_run(1, 2), Lifetime.of_ended_run(3, 7)], window) is None
    assert shared_moment([Lifetime.of_ended_run(1, 2)], window) is None


def test_an_age_is_a_time_less_the_start():
    assert shifted(curve([1000, 2000], [1, 2]), 1000).t_ms.tolist() == [0, 1000]


@given(st.integers(0, 10**12), st.integers(1, 10**12), st.integers(0, 400))
def test_ticks_of_ages_are_few_and_inside(begin_ms, span_ms, width):
    ticks = age_ticks(begin_ms, begin_ms + span_ms, width)
    assert all(begin_ms <= ms < begin_ms + span_ms for ms, _ in ticks)
    assert len(ticks) <= -(-width // 12)  # a label takes up to 12 cells
