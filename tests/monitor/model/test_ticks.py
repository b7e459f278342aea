import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.units import GIB, MIB
from pprofplus_tui.model.ticks import LABEL_CELLS, fit_axis

UNITS = ("B", "B/s", "count", "us", "us/s", "count/s", "jobs")

axes = {
    "data_lo": st.floats(),
    "data_hi": st.floats(),
    "unit": st.sampled_from(UNITS),
    "rows": st.integers(0, 60),
    "log": st.booleans(),
    "ascii_only": st.booleans(),
}


def labels(axis):
    return [label for _, label in axis.ticks]


@given(**axes)
def test_any_data_get_an_axis_of_some_height_with_ticks_inside(**asked):
    axis = fit_axis(None, **asked)
    assert math.isfinite(axis.lo)
    assert axis.lo < axis.hi
    for value, label in axis.ticks:
        slack = (axis.hi - axis.lo) * 1e-6
        assert axis.lo - slack <= value <= axis.hi + slack
        assert len(label) <= LABEL_CELLS
        assert label.isascii() or not asked["ascii_only"]


@given(st.floats(0, 2**50), st.floats(0, 2**50), st.sampled_from(UNITS), st.integers(1, 60))
def test_the_data_fit_in_their_axis(one, other, unit, rows):
    axis = fit_axis(None, min(one, other), max(one, other), unit, rows)
    assert axis.lo <= min(one, other) * (1 + 1e-6)
    assert axis.hi >= max(one, other) * (1 - 1e-6)


@given(st.floats(0, 2**45), st.floats(1, 2**45), st.sampled_from(UNITS), st.integers(4, 60))
def test_fitting_the_same_data_again_keeps_the_axis(lo, height, unit, rows):
    axis = fit_axis(None, lo, lo + height, unit, rows)
    assert fit_axis(axis, lo, lo + height, unit, rows) == axis


@given(st.floats(2**12, 2**42), st.floats(0, 0.2), st.integers(4, 60))
def test_an_axis_has_labels_in_one_unit_and_precision(lo, share, rows):
    axis = fit_axis(None, lo, lo * (1 + share), "B", rows)
    assert len(axis.ticks) >= 2
    assert len({label.split(" ")[1] for label in labels(axis)}) == 1
    assert len({len(label.split(" ")[0].partition(".")[2]) for label in labels(axis)}) == 1


def test_a_leak_of_5_mib_in_400_fills_the_chart():
    axis = fit_axis(None, 400 * MIB, 405 * MIB, "B", 20)
    assert (axis.lo, axis.hi) == (400 * MIB, 405 * MIB)
    assert labels(axis)[0] == "400 MiB"


def test_a_constant_level_lies_in_the_middle_of_an_axis_that_hides_its_noise():
    axis = fit_axis(None, 400 * MIB, 400 * MIB, "B", 20)
    assert MIB <= axis.hi - axis.lo <= 8 * MIB
    assert 0.2 < float(axis.fractions(np.array([400.0 * MIB]))[0]) < 0.8


@pytest.mark.parametrize("unit", ["us", "us/s", "count", "count/s", "B/s"])
def test_rates_pauses_and_counts_start_at_zero(unit):
    assert fit_axis(None, 9_000, 10_000, unit, 10).lo == 0


def test_bytes_start_at_zero_when_the_data_nearly_do():
    assert fit_axis(None, 10 * MIB, 400 * MIB, "B", 10).lo == 0


def test_bytes_start_at_zero_on_request():
    assert fit_axis(None, 400 * MIB, 405 * MIB, "B", 10, zero_based=True).lo == 0


def test_an_axis_stays_while_the_data_fit_and_use_two_fifths_of_it():
    axis = fit_axis(None, 400 * MIB, 420 * MIB, "B", 20)
    assert fit_axis(axis, 402 * MIB, 411 * MIB, "B", 20) is axis


def test_an_axis_from_zero_is_renewed_for_data_far_above_it():
    week = fit_axis(None, 150 * MIB, 1024 * MIB, "B", 12)
    assert week.lo == 0
    hours = fit_axis(week, 880 * MIB, 1024 * MIB, "B", 12)
    assert hours.lo >= 800 * MIB
    assert fit_axis(week, 500 * MIB, 1024 * MIB, "B", 12) is week


def test_an_axis_is_renewed_when_the_data_leave_it():
    axis = fit_axis(None, 400 * MIB, 420 * MIB, "B", 20)
    assert fit_axis(axis, 400 * MIB, 430 * MIB, "B", 20).hi >= 430 * MIB
    assert fit_axis(axis, 390 * MIB, 420 * MIB, "B", 20).lo <= 390 * MIB


def test_an_axis_is_renewed_when_the_data_use_little_of_it():
    axis = fit_axis(None, 400 * MIB, 600 * MIB, "B", 20)
    assert fit_axis(axis, 400 * MIB, 410 * MIB, "B", 20).hi < 450 * MIB


def test_a_nearly_constant_level_does_not_make_its_axis_jump():
    axis = fit_axis(None, 400 * MIB, 400 * MIB, "B", 20)
    for kib in range(-500, 500, 7):
        level = 400 * MIB + kib * 1024
        assert fit_axis(axis, level, level + 4096, "B", 20) is axis


def test_an_axis_of_another_unit_or_height_is_not_kept():
    axis = fit_axis(None, 0, 100, "count", 20)
    assert fit_axis(axis, 0, 100, "us", 20).unit == "us"
    assert fit_axis(axis, 0, 100, "count", 4).rows == 4


def test_large_values_with_a_small_range_use_a_unit_that_stays_round():
    assert all("." not in label for label in labels(fit_axis(None, 1400 * MIB, 1405 * MIB, "B", 4)))


def test_values_off_the_axis_lie_on_its_edge():
    axis = fit_axis(None, 0, 100, "count", 10)
    places = axis.fractions(np.array([-5.0, 1e12, math.nan]))
    assert places.tolist() == [0.0, 1.0, 0.0]


def test_on_a_logarithmic_axis_each_doubling_has_the_same_height():
    axis = fit_axis(None, MIB, GIB, "B", 20, log=True)
    places = axis.fractions(np.array([2.0, 4.0, 8.0]) * MIB)
    assert places[1] - places[0] == pytest.approx(places[2] - places[1])
    assert len(axis.ticks) >= 3


def test_a_logarithmic_axis_survives_zeros():
    axis = fit_axis(None, 0, GIB, "B", 20, log=True)
    assert axis.lo > 0
    assert fit_axis(axis, 0, GIB, "B", 20, log=True) is axis


@given(st.floats(1, 2**44), st.floats(1.01, 1e4), st.sampled_from(UNITS), st.integers(4, 60))
def test_ticks_of_a_logarithmic_axis_are_1_2_or_5_of_a_unit_and_enclose_the_data(
    lo, times, unit, rows
):
    axis = fit_axis(None, lo, lo * times, unit, rows, log=True)
    assert len(axis.ticks) >= 2
    assert all(label.lstrip("0.")[0] in "125" for label in labels(axis))
    assert axis.lo <= lo * (1 + 1e-6)
    assert axis.hi >= lo * times * (1 - 1e-6)
    assert len(axis.ticks) <= max(2, rows // 2)


def test_a_logarithmic_axis_of_bytes_has_round_figures_in_every_unit():
    axis = fit_axis(None, 300 * MIB, 3 * GIB, "B", 40, log=True)
    assert labels(axis) == ["200 MiB", "500 MiB", "1 GiB", "2 GiB", "5 GiB"]
    low = fit_axis(None, 300 * MIB, 3 * GIB, "B", 6, log=True)
    assert (low.lo, low.hi) == (axis.lo, axis.hi)


def test_a_constant_level_on_a_logarithmic_axis_has_an_axis_too():
    axis = fit_axis(None, 100 * MIB, 100 * MIB, "B", 10, log=True)
    assert axis.lo <= 100 * MIB < axis.hi
