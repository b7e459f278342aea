from hypothesis import given
from hypothesis import strategies as st

from kit.series import points_of
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.sparkline import sparkline


def test_a_ramp_rises_from_the_lowest_bar_to_the_highest():
    assert sparkline(points_of([0, 1, 2, 3, 4, 5, 6, 7]), 8) == "▁▂▃▄▅▆▇█"


def test_a_flat_series_is_low():
    assert sparkline(points_of([5, 5, 5, 5]), 4) == "▁▁▁▁"


def test_a_gap_is_blank():
    assert sparkline(points_of([1, 1, 1], [0, 10, 90], breaks=[2]), 10) == "▁▁       ▁"


def test_slow_samples_without_a_gap_are_held():
    assert sparkline(points_of([0, 0, 7], [0, 50, 90]), 10) == "▁▁▁▁▁▁▁▁▁█"


def test_a_spike_of_one_sample_shows():
    values = [1.0] * 1000
    values[500] = 9.0
    assert sparkline(points_of(values), 10).count("█") == 1


def test_no_points_are_blanks():
    assert sparkline(Points.empty(), 5) == "     "
    assert sparkline(Points.empty(), 0) == ""


def test_one_point_is_the_newest_column():
    assert sparkline(points_of([3]), 4) == "   ▁"


def test_the_ascii_form_is_ascii():
    assert sparkline(points_of([0, 1, 2, 3, 4, 5, 6, 7]), 8, ascii_only=True) == "_.-=+*#@"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40), st.integers(0, 30))
def test_it_has_the_requested_width(values, width):
    assert len(sparkline(points_of(values), width)) == width
