"""The long-term trend of a layer over its whole run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.series import points_of
from kit.units import HOUR_MS, MIB
from pprofplus_tui.analysis.long_term import look_back, without_days
from pprofplus_tui.analysis.trend import classify
from pprofplus_tui.analysis.window_verdict import weigh
from pprofplus_tui.model.verdict import KINDS

BEGIN_MS = 1_700_000_000_000
LEAST = 256 * 1024


def run(level, span_h, begin_ms=BEGIN_MS):
    level = np.asarray(level, float) * MIB
    t_ms = begin_ms + np.linspace(0, span_h * HOUR_MS, len(level), endpoint=False).astype(np.int64)
    return points_of(level, t_ms)


def back(level, span_h):
    return look_back(run(level, span_h), BEGIN_MS, LEAST)


def noise(count=360, size=1.0, seed=1):
    return np.random.default_rng(seed).normal(0, size, count)


def day_wave(hours, height):
    return height * np.exp(-((((hours % 24) - 14.5) / 4.2) ** 2))


def test_the_daily_pattern_is_subtracted_and_its_share_is_returned():
    hours = np.linspace(0, 9 * 24, 432, endpoint=False)
    points = run(300 + day_wave(hours, 60) + noise(432), 9 * 24)
    flat, daily = without_days(points, points.lo)
    assert daily > 0.95
    assert np.std(flat) < 3 * MIB


def test_a_day_and_a_half_has_no_daily_pattern_to_subtract():
    points = run(300 + day_wave(np.linspace(0, 36, 400), 60), 36)
    flat, daily = without_days(points, points.lo)
    assert daily == 0
    assert flat is points.lo


@pytest.mark.parametrize("days", [3, 9, 28])
def test_a_leak_under_a_daily_wave_raises_the_floor(days):
    hours = np.linspace(0, 24 * days, 360, endpoint=False)
    wave = 300 + day_wave(hours, 60) + noise()
    assert not back(wave, 24 * days).rises
    found = back(wave + 60 * hours / hours[-1], 24 * days)
    assert found.rises
    assert found.line.slope * 24 * days == pytest.approx(60 * MIB, rel=0.3)


@pytest.mark.parametrize("count", [5, 6, 8])
def test_a_leak_under_a_few_large_teeth_raises_their_troughs(count):
    at = np.linspace(0, 1, 400, endpoint=False)
    teeth = 300 + 100 * ((count * at + 0.4) % 1) + noise(400, 0.5)
    assert not back(teeth, 100).rises
    assert back(teeth + 60 * at, 100).rises


def test_a_floor_that_falls_is_detected():
    assert back(300 - np.linspace(0, 60, 360) + noise(), 100).falls


def test_the_start_of_a_process_is_known_only_with_its_first_hour():
    points = run(300 + noise(), 100)
    assert look_back(points, BEGIN_MS - 1000, LEAST).from_start
    assert not look_back(points, BEGIN_MS - 50 * HOUR_MS, LEAST).from_start


def test_few_points_have_no_long_term_trend():
    assert look_back(run([300] * 23, 1), BEGIN_MS, LEAST) is None


def test_the_range_before_a_time_ignores_outliers():
    level = 300 + np.linspace(0, 10, 400)
    level[50] = 5000
    low, high = back(level, 100).range_before(BEGIN_MS + 50 * HOUR_MS)
    assert low == pytest.approx(300 * MIB, rel=0.01)
    assert high == pytest.approx(305 * MIB, rel=0.01)


def test_rises_at_the_same_hours_are_those_of_earlier_days():
    hours = np.linspace(0, 96, 384, endpoint=False)
    found = back(300 + day_wave(hours, 60), 96)
    young_ms = BEGIN_MS + 100 * HOUR_MS  # 4 o'clock of the fifth day
    rises = found.rises_at(young_ms + 4 * HOUR_MS, young_ms + 10 * HOUR_MS)
    assert len(rises) == 4
    assert rises == pytest.approx(np.full(4, 52 * MIB), rel=0.15)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(-(1 << 62), 1 << 62), min_size=0, max_size=400),
    st.lists(st.integers(1, 10**11), min_size=400, max_size=400),
    st.integers(0, 1 << 44),
)
def test_every_log_has_a_verdict_with_finite_figures(values, steps_ms, start_ms):
    t_ms = np.cumsum(np.array(steps_ms[: len(values)], np.int64))
    level = np.array(values, float)
    points = points_of(level, t_ms)
    past = look_back(points, start_ms, LEAST)
    verdict = weigh(classify(points), points, past, LEAST)
    assert verdict.kind in KINDS
    assert np.isfinite([verdict.per_hour, verdict.low, verdict.high, verdict.change]).all()
