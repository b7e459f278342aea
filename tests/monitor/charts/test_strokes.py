"""Strokes and bars of a line: their number, their breaks and their positions."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.series import points_of
from pprofplus_tui.charts.spec import ChartSpec, Line, plot_area
from pprofplus_tui.charts.strokes import cell_at, last_place, paths, visible
from pprofplus_tui.model.ticks import YAxis

AXIS = YAxis(0.0, 100.0, (), "count", 8)
AREA = plot_area(60, 12)


@given(st.integers(1, 3_000), st.randoms(use_true_random=False))
def test_a_line_never_has_more_than_four_hundred_points(count, random):
    values = [random.uniform(0, 100) for _ in range(count)]
    series = points_of(values, lows=[v / 2 for v in values])
    strokes, bars = paths(series, 0, count, AXIS, plot_area(60, 12))
    assert sum(len(x) for x, _ in strokes) <= 400
    places = [place for stroke in strokes for axis in stroke for place in axis]
    assert all(0 <= place <= 1 for place in [*places, *(place for bar in bars for place in bar)])


def test_noise_as_high_as_the_plot_has_no_strokes():
    values = [0.0, 100.0] * 90
    strokes, _ = paths(points_of(values), 0, 179, AXIS, plot_area(200, 50))
    assert strokes == []


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=60, max_size=200))
def test_bars_of_adjacent_points_leave_no_hole(pairs):
    area = plot_area(60, 20)
    series = points_of([max(pair) for pair in pairs], lows=[min(pair) for pair in pairs])
    strokes, bars = paths(series, 0, len(pairs) - 1, AXIS, area)
    assert strokes == []
    columns: dict[int, list[int]] = {}
    for x, low, high in bars:
        dots = columns.setdefault(cell_at(x, 1, 2 * area.width), [])
        dots += [cell_at(low, 1, 4 * area.height), cell_at(high, 1, 4 * area.height)]
    assert sorted(columns) == list(range(2 * area.width))
    for left, right in pairwise(columns[at] for at in sorted(columns)):
        assert min(right) - max(left) <= 2
        assert min(left) - max(right) <= 2


@pytest.mark.parametrize(("lows", "between"), [([10, 20], (20, 80)), ([85, 20], (80, 85))])
def test_the_columns_between_two_bars_have_their_overlap_or_connect_them(lows, between):
    area = plot_area(60, 20)
    step = 3 / (2 * area.width - 1)  # of the plot, so that two columns lie between
    series = points_of([90, 80], times=[0, round(1e6 * step)], lows=lows)
    _, bars = paths(series, 0, 1_000_000, AXIS, area)
    bars = [(low, high) for x, low, high in sorted(bars) if 0 < x < 0.9 * step]
    assert len(bars) == 2
    assert all(between[0] / 100 <= low <= high <= between[1] / 100 for low, high in bars)
    if lows == [10, 20]:
        assert set(bars) == {(0.2, 0.8)}


def test_a_break_begins_a_new_stroke():
    strokes, _ = paths(points_of([1, 2, 3, 4], breaks=[2]), 0, 3, AXIS, AREA)
    assert [len(x) for x, _ in strokes] == [2, 2]


def test_the_strokes_touch_every_bar():
    series = points_of([30, 90, 60], lows=[10, 50, 20])
    ((xs, ys),), bars = paths(series, 0, 2, AXIS, AREA)
    for x, y, (at, low, high) in zip(xs, ys, bars, strict=True):
        assert x == at
        assert low <= y <= high


def test_an_empty_window_has_no_strokes():
    assert paths(points_of([1, 2]), 5, 5, AXIS, AREA) == ([], [])


def test_points_far_outside_the_window_are_left_out():
    assert visible(points_of([1, 2, 3], [-500, 50, 600]), 0, 100, 50).t_ms.tolist() == [50]


def test_a_line_ends_at_its_last_visible_point():
    line = Line("a", 0, points_of([0, 100, 50], [0, 100, 900]))
    shown = ChartSpec("t", 60, 12, 0, 100, AXIS, lines=(line,))
    assert last_place(line, shown, AREA) == (AREA.width - 1, AREA.height - 1)


@given(st.integers(1, 300), st.sampled_from([1, 2, 4]))
def test_the_ends_of_an_axis_are_its_first_and_last_cell(cells, dots):
    assert (cell_at(0, dots, cells), cell_at(1, dots, cells)) == (0, cells - 1)
