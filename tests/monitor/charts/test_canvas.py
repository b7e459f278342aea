"""Lines on the canvas: gaps, spikes, owners of cells, markers, any size."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.series import points_of
from pprofplus_tui.charts.canvas import Canvas, markers
from pprofplus_tui.charts.spec import ChartSpec, Line, plot_area
from pprofplus_tui.charts.strokes import cell_at
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.ticks import YAxis

AXIS = YAxis(0.0, 100.0, (), "count", 8)


def picture(*series, begin=0, end=100, width=60, height=12, **changes):
    lines = tuple(Line(f"l{i}", i, each) for i, each in enumerate(series))
    return ChartSpec("t", width, height, begin, end, AXIS, lines=lines, **changes)


def drawn(canvas_picture):
    grid = Canvas().draw(canvas_picture)
    return [
        (column, row)
        for row, owners in enumerate(grid.owners)
        for column, owner in enumerate(owners)
        if owner
    ]


def test_a_flat_line_fills_its_row_and_no_other():
    cells = drawn(picture(points_of([50.0] * 101)))
    assert len({row for _, row in cells}) == 1
    assert {column for column, _ in cells} == set(range(plot_area(60, 12).width))


def test_the_grid_is_as_large_as_the_plot_in_any_terminal(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((20, 5)))
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "5")
    grid = Canvas().draw(picture(points_of([50.0] * 101), width=300, height=90))
    area = plot_area(300, 90)
    assert (len(grid.chars), len(grid.chars[0])) == (area.height, area.width)
    assert any(grid.owners[area.height // 2])


def test_a_gap_is_not_crossed_by_a_line():
    times = [*range(30), *range(70, 101)]
    columns = {x for x, _ in drawn(picture(points_of([50.0] * 61, times, breaks=[30])))}
    width = plot_area(60, 12).width
    assert not columns & set(range(int(width * 0.33), int(width * 0.67)))


def test_without_a_break_the_line_is_continuous():
    times = [*range(30), *range(70, 101)]
    columns = {x for x, _ in drawn(picture(points_of([50.0] * 61, times)))}
    assert columns == set(range(plot_area(60, 12).width))


@pytest.mark.parametrize("count", [11, 101, 1_000, 20_000, 300_000])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_spike_of_one_sample_reaches_the_top_at_every_zoom(count, ascii_only):
    values = np.full(count, 10.0)
    values[count // 3] = 100.0
    cells = drawn(picture(points_of(values), end=count - 1, ascii_only=ascii_only))
    assert max(row for _, row in cells) == plot_area(60, 12).height - 1


def test_a_dip_of_one_sample_reaches_the_bottom():
    values = np.full(5_000, 90.0)
    values[1_234] = 0.0
    assert min(row for _, row in drawn(picture(points_of(values), end=4_999))) == 0


def test_a_bucket_is_drawn_from_its_low_to_its_high():
    cells = drawn(picture(points_of([100.0], [50], lows=[0.0])))
    assert {row for _, row in cells} == set(range(plot_area(60, 12).height))


def test_a_spike_in_a_bucket_whose_middle_lies_just_outside_is_kept():
    assert drawn(picture(points_of([100.0], [-1])))
    assert drawn(picture(points_of([100.0], [101])))
    assert not drawn(picture(points_of([100.0], [-30])))


def test_only_a_stroke_imports_plotext():
    # close points are drawn as bars, and most points of a first chart are close
    code = """
import sys
import numpy as np
from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.spec import Line, ChartSpec
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.ticks import YAxis
for count, loaded in ((100, False), (3, True)):
    times = np.linspace(0, 99, count).astype(np.int64)
    points = Points(times, times * 1.0, times * 1.0, np.zeros(count, np.bool_))
    axis = YAxis(0.0, 100.0, (), "count", 8)
    grid = Canvas().draw(ChartSpec("t", 60, 12, 0, 100, axis, lines=(Line("a", 0, points),)))
    assert any(map(any, grid.owners))
    assert ("plotext" in sys.modules) == loaded, count
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_single_sample_is_a_single_dot():
    grid = Canvas().draw(picture(points_of([50.0], [50])))
    dots = [char for row in grid.chars for char in row if char != " "]
    assert len(dots) == 1
    assert (ord(dots[0]) - 0x2800).bit_count() == 1


def test_the_later_line_owns_the_cell_and_the_earlier_keeps_its_dots():
    low, high = points_of([50.0] * 101), points_of([52.5] * 101)
    alone = Canvas().draw(picture(low))
    both = Canvas().draw(picture(low, high))
    row = next(i for i, owners in enumerate(alone.owners) if any(owners))
    assert set(both.owners[row]) == {2}
    assert all(
        ord(one) & ord(merged) == ord(one)
        for one, merged in zip(alone.chars[row], both.chars[row], strict=True)
    )


def test_values_far_outside_the_limits_are_drawn_on_the_edge():
    rows = {row for _, row in drawn(picture(points_of([1e300, -1e300] * 20)))}
    assert rows == set(range(plot_area(60, 12).height))


def test_no_points_draw_nothing():
    assert drawn(picture(Points.empty())) == []
    assert drawn(picture()) == []


def test_the_same_lines_and_limits_are_drawn_once():
    canvas = Canvas()
    one = picture(points_of([50.0] * 101))
    assert canvas.draw(one) is canvas.draw(dataclasses.replace(one, title="u", cursor_ms=3))
    assert canvas.draw(one) is not canvas.draw(dataclasses.replace(one, end_ms=50))


def test_a_canvas_keeps_nothing_of_the_previous_chart():
    canvas = Canvas()
    canvas.draw(picture(points_of([90.0] * 101), points_of([80.0] * 101)))
    again = canvas.draw(picture(points_of([10.0] * 101)))
    fresh = Canvas().draw(picture(points_of([10.0] * 101)))
    assert (again.chars, again.owners) == (fresh.chars, fresh.owners)


def test_lines_without_colour_differ_in_their_markers():
    both = picture(points_of([10.0]), points_of([20.0]), points_of([30.0]), distinct=True)
    assert len(set(markers(both))) == 3
    assert markers(both)[-1] == "braille"
    assert markers(dataclasses.replace(both, ascii_only=True))[-1] == "*"


def test_ascii_charts_have_only_ascii_characters():
    grid = Canvas().draw(
        picture(points_of(range(100)), points_of(range(100, 0, -1)), ascii_only=True)
    )
    assert all(char.isascii() for row in grid.chars for char in row)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=60))
def test_a_line_is_unbroken_from_sample_to_sample(values):
    cells = set(drawn(picture(points_of(values), end=len(values) - 1)))
    for column, row in cells:
        near = {(column + dx, row + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)}
        assert len(near & cells) > 1
    assert {column for column, _ in cells} == set(range(plot_area(60, 12).width))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=90))
def test_every_sample_has_its_dot(values):
    shown = picture(points_of(values), end=max(len(values) - 1, 1))
    area = plot_area(60, 12)
    cells = set(drawn(shown))
    for at, value in enumerate(values):
        place = cell_at(at / (shown.end_ms), 2, area.width), cell_at(value / 100, 4, area.height)
        assert place in cells


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(-50, 150), st.floats(allow_nan=False, allow_infinity=False)),
        max_size=30,
        unique_by=lambda pair: pair[0],
    ),
    st.lists(st.integers(0, 29), max_size=5),
    st.integers(0, 40),
    st.integers(0, 12),
    st.booleans(),
)
def test_any_points_in_any_size_are_drawn_inside_the_plot(samples, gaps, width, height, distinct):
    samples.sort()
    series = points_of(
        [value for _, value in samples],
        [at for at, _ in samples],
        breaks=[gap for gap in gaps if gap < len(samples)],
    )
    grid = Canvas().draw(picture(series, series, width=width, height=height, distinct=distinct))
    area = plot_area(width, height)
    assert len(grid.chars) == area.height
    assert all(len(row) == area.width for row in grid.chars)
