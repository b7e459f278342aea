"""The measured change of a metric."""

import pytest

from kit.series import points_of
from kit.units import HOUR_MS
from pprofplus_tui.model.change import change_between, change_over
from pprofplus_tui.model.points import Points


def curve(times, values, breaks=()):
    return points_of(values, times, breaks)


def test_a_change_is_the_last_measured_value_less_the_first():
    change = change_over(curve([1000, 2000, 299_000], [188.4, 500.0, 274.1]))
    assert change.amount == pytest.approx(85.7)
    assert change.span_ms == 298_000


def test_fewer_than_two_values_have_no_change():
    assert change_over(curve([1000], [1])) is None
    assert change_over(Points.empty()) is None
    assert change_between(None, 0, 5, 1000) is None
    assert change_between(1, 1000, 5, 1000) is None


def test_a_trend_that_differs_from_the_measured_change_is_detected():
    change = change_between(100.0, 0, 200.0, HOUR_MS)
    assert change.along(50.0) == 50.0
    assert change.differs_from(50.0)
    assert not change.differs_from(95.0)
