"""Chart specs: the plot area, narrow texts and equality."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kit.series import points_of
from pprofplus_tui.charts.spec import ChartSpec, Line, plot_area, same_chart
from pprofplus_tui.model.text import cell_width, narrow
from pprofplus_tui.model.ticks import fit_axis


def ramp(top=9.0):
    return points_of(np.linspace(0, top, 10))


def picture(points=None, **changes):
    line = Line("rss", 0, ramp() if points is None else points, "9 B")
    axis = fit_axis(None, 0, 9, "count", 8)
    return ChartSpec("memory", 60, 10, 0, 10, axis, lines=(line,), **changes)


@given(st.integers(0, 300), st.integers(0, 100))
def test_the_plot_lies_inside_the_chart(width, height):
    area = plot_area(width, height)
    assert area.width == 0 or area.left + area.width < width
    assert area.height == 0 or area.top + area.height < height


def test_charts_of_one_width_share_their_columns():
    assert plot_area(80, 10).left == plot_area(80, 40).left


def test_the_smallest_chart_has_a_plot():
    area = plot_area(10, 4)
    assert (area.width, area.height) == (8, 2)


@given(st.text(max_size=20), st.booleans(), st.integers(0, 12))
def test_narrow_text_takes_one_cell_a_character(text, ascii_only, limit):
    shown = narrow(text, ascii_only=ascii_only, limit=limit)
    assert cell_width(shown) == len(shown) <= limit


def test_specs_with_equal_points_are_the_same_chart():
    assert same_chart(picture(), picture())


def test_specs_with_other_points_or_titles_are_not_the_same_chart():
    assert not same_chart(picture(), picture(ramp(8.0)))
    assert not same_chart(picture(), dataclasses.replace(picture(), title="heap"))
    assert not same_chart(picture(), dataclasses.replace(picture(), lines=()))
    assert not same_chart(None, picture())
