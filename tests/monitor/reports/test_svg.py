"""The SVG of a chart: the positions of gaps, spikes and names."""

import re
from itertools import pairwise

import numpy as np

from pprofplus_tui.charts.spec import ChartSpec, Line
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.ticks import YAxis
from pprofplus_tui.reports.svg import HEIGHT, WIDTH, draw


def picture(*lines):
    axis = YAxis(0.0, 100.0, ((0.0, "0"), (100.0, "100")))
    return ChartSpec("t", 100, 20, 0, 1000, axis, ((500, "noon"),), lines)


def line(t_ms, lo, hi, breaks=None, label="x"):
    times = np.array(t_ms, np.int64)
    gaps = np.zeros(len(times), np.bool_) if breaks is None else np.array(breaks, np.bool_)
    return Line(label, 0, Points(times, np.array(lo, float), np.array(hi, float), gaps))


def path_of(svg, kind):
    return re.findall(rf'<path class="{kind} c0[^"]*" d="([^"]*)"', svg)


def test_buckets_of_one_value_are_an_open_line_without_a_band():
    svg = draw(picture(line([0, 500, 1000], [0, 50, 100], [0, 50, 100])))
    (path,) = path_of(svg, "line")
    assert path.count("M") == 1
    assert "Z" not in path
    assert path_of(svg, "band") == []


def test_a_spike_of_one_sample_reaches_its_height():
    svg = draw(picture(line([0, 500, 1000], [10, 10, 10], [10, 100, 10])))
    (band,) = path_of(svg, "band")
    assert min(float(y) for y in re.findall(r" ([0-9.]+)", band)) == 16.0  # the top of the plot


def test_no_line_crosses_a_gap():
    svg = draw(picture(line([0, 100, 900, 1000], [1] * 4, [1] * 4, [0, 0, 1, 0])))
    (path,) = path_of(svg, "line")
    assert path.count("M") == 2


def test_a_single_point_is_visible():
    svg = draw(picture(line([500], [50], [50])))
    (path,) = path_of(svg, "line")
    assert path.endswith("h.1")


def test_without_points_the_chart_is_empty():
    svg = draw(picture(line([], [], [])))
    assert path_of(svg, "line") == []
    assert "noon" in svg


def test_names_do_not_overlap_and_are_inside():
    lines = [line([0, 1000], [1, v], [1, v], label=f"n{v}") for v in (0, 1, 2, 50, 51)]
    svg = draw(picture(*lines))
    rows = sorted(float(y) for y in re.findall(r'class="name [^"]*" x="[^"]*" y="([^"]*)"', svg))
    assert len(rows) == 5
    assert min(b - a for a, b in pairwise(rows)) >= 12.9
    assert rows[-1] <= HEIGHT


def test_every_coordinate_is_inside_the_image():
    svg = draw(picture(line([-5000, 500, 9000], [-1e9, 0, 5], [0, 1e12, 1e300])), ((-7, "1"),))
    (path,) = path_of(svg, "line")
    for x, y in re.findall(r"([0-9.]+) ([0-9.]+)", path):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT
