"""The kind of a rise: a line, a slowing rise, or a few steps."""

import numpy as np
import pytest

from pprofplus_tui.analysis.curve_fits import LINE, SLOWING, STEPS, what_rise

X = np.linspace(0, 1, 48)


def noisy(shape, size=0.02, seed=1):
    return shape + np.random.default_rng(seed).normal(0, size, len(shape))


def kind(shape, *, from_start=True, size=0.02):
    kinds = {what_rise(X, noisy(shape, size, s), from_start=from_start).kind for s in range(20)}
    assert len(kinds) == 1, kinds
    return kinds.pop()


def test_a_line_is_a_line():
    assert kind(X) == LINE
    assert kind(X, from_start=False) == LINE


@pytest.mark.parametrize("fast", [0.01, 0.04])
def test_a_line_after_a_short_warm_up_is_a_line(fast):
    assert kind(X + 1 - np.exp(-X / fast)) == LINE


@pytest.mark.parametrize("begin", [0.3, 0.5, 0.7])
def test_a_line_that_begins_late_is_a_line_with_a_turn(begin):
    rise = what_rise(X, noisy((X - begin).clip(0)), from_start=True)
    assert rise.kind == LINE
    assert rise.begin == pytest.approx(begin, abs=0.11)
    assert rise.per_unit == pytest.approx(1, rel=0.35)


@pytest.mark.parametrize(
    "shape",
    [1 - np.exp(-X / 0.2), np.log1p(X / 0.01) / np.log(101), X**0.2, np.minimum(X, 0.5)],
    ids=["exponential", "logarithm", "root", "stop"],
)
def test_a_rise_that_slows_down_or_stops_is_slowing(shape):
    assert kind(shape) == SLOWING


def test_a_rise_that_stopped_has_no_rise_in_its_last_third():
    assert what_rise(X, noisy(np.minimum(X, 0.5)), from_start=True).late < 0.01
    assert what_rise(X, noisy(np.log1p(X / 0.01)), from_start=True).late > 0.05


@pytest.mark.parametrize("at", [(0.5,), (0.2, 0.7), (0.2, 0.5, 0.8)])
def test_one_to_three_steps_are_steps(at):
    assert kind(sum((place < X).astype(float) for place in at)) == STEPS


def test_a_staircase_of_many_steps_is_a_line():
    assert kind(np.floor(X * 14) / 14) == LINE


def test_one_outlier_is_no_step():
    shape = X.copy()
    shape[20] += 5
    assert kind(shape) == LINE


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_points_are_a_line(count):
    assert what_rise(np.arange(count), np.arange(count) ** 0.1, from_start=True).kind == LINE
