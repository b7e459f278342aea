"""Stacked areas: each part has its share of the height and its own pattern; gaps stay gaps."""

from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.units import MIB
from pprofplus_tui.charts.areas import signs
from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.compose import compose
from pprofplus_tui.charts.spec import ChartSpec, Line, plot_area
from pprofplus_tui.model.cell_rows import width_of
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.ticks import fit_axis


def band(low, high, breaks=()):
    lo, hi = (np.array(edge, dtype=float) * MIB for edge in (low, high))
    broken = np.isin(np.arange(len(lo)), breaks)
    return Points(np.arange(len(lo), dtype=np.int64), lo, hi, broken)


def stack(*bands, width=60, height=14, **changes):
    lines = tuple(Line(f"part {i}", i, points, f"{i} MiB") for i, points in enumerate(bands))
    axis = fit_axis(None, 0, 100 * MIB, "B", plot_area(width, height).height, zero_based=True)
    end_ms = max(map(len, bands))
    return ChartSpec("stack", width, height, 0, end_ms, axis, lines=lines, stacked=True, **changes)


def owners(picture):
    """Return for each row from below and each column the part it belongs to, -1 for none."""
    return [[owner - 1 for owner in row] for row in Canvas().draw(picture).owners]


def flat(count, *edges):
    return [band([a] * count, [b] * count) for a, b in pairwise(edges)]


@pytest.mark.parametrize("plain", [False, True])
def test_each_part_has_its_share_of_the_height(plain):
    found = owners(stack(*flat(100, 0, 25, 75, 100), ascii_only=plain))
    column = [row[20] for row in found]
    assert [column.count(part) for part in (0, 1, 2, -1)] == [3, 6, 3, 0]
    assert column == sorted(column)


def test_every_part_has_its_own_pattern_also_in_ascii():
    parts = flat(100, 0, 10, 20, 30, 40, 50, 60)
    assert len(set(signs(stack(*parts)))) == 6
    plain = signs(stack(*parts, ascii_only=True))
    assert len(set(plain)) == 6
    assert all(sign.isascii() for sign in plain)


def test_the_legend_has_the_patterns_and_the_bands_have_the_names():
    rows = [
        "".join(run.text for run in row) for row in compose(stack(*flat(100, 0, 50, 100)), Canvas())
    ]
    assert "⣿ part 0 0 MiB" in rows[0]
    assert [sum(f" part {i} " in row for row in rows[1:-1]) for i in (0, 1)] == [1, 1]


def test_with_little_room_the_legend_has_the_largest_parts():
    top = compose(stack(*flat(100, 0, 10, 15, 80, 100), width=50), Canvas())[0]
    text = "".join(run.text for run in top)
    assert "part 2" in text
    assert "part 1" not in text


def test_a_gap_is_a_gap():
    points = band([0] * 10, [100] * 10, breaks=[5])
    shown = owners(stack(points, width=100))[0]
    assert [part for part, _ in groupby(shown)] == [0, -1, 0, -1]


def test_before_and_after_the_data_nothing_is_filled():
    picture = stack(*flat(50, 0, 100))
    half = ChartSpec(**{**vars(picture), "end_ms": 100})
    shown = owners(half)[0]
    assert set(shown[: len(shown) // 2 - 1]) == {0}
    assert set(shown[len(shown) // 2 + 2 :]) == {-1}


def test_the_cursor_is_visible_on_a_stack():
    picture = ChartSpec(**{**vars(stack(*flat(100, 0, 50, 100))), "cursor_ms": 50})
    rows = compose(picture, Canvas())
    assert sum(any(run.style == "cursor" for run in row) for row in rows[1:-1]) >= 10


@given(
    st.integers(0, 70),
    st.integers(0, 20),
    st.lists(st.floats(0, 1e12), max_size=30),
    st.booleans(),
)
def test_any_sizes_fill_the_chart_exactly(width, height, values, plain):
    data = np.array(values)
    points = [
        Points(np.arange(len(values), dtype=np.int64), data * low, data * high, data < 0)
        for low, high in ((0, 0.5), (0.5, 1))
    ]
    axis = fit_axis(None, 0, 1e12, "B", plot_area(width, height).height, zero_based=True)
    lines = tuple(Line(str(i), i, part) for i, part in enumerate(points))
    picture = ChartSpec(
        "s", width, height, 0, 20, axis, lines=lines, stacked=True, ascii_only=plain
    )
    rows = compose(picture, Canvas())
    assert [width_of(row) for row in rows] == [width] * height
