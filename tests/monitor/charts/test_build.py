"""From points to a chart: which lines lag, which axes stay, what is omitted."""

from datetime import timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.series import points_of
from kit.units import MIB
from pprofplus_tui.charts.build import (
    MAX_BUCKETS,
    ChartBuilder,
    ChartStyle,
    buckets_for,
    wanted_by,
)
from pprofplus_tui.charts.spec import plot_area
from pprofplus_tui.model.charts import CHARTS, STANDARD, charts_for
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.window import JUMPS, Window

NOW_MS = 1_700_000_000_000
SPAN_MS = 300_000
MEMORY, GC, CPU = (STANDARD.by_id[name] for name in ("memory", "gc", "cpu"))
SHAPE = Shape("memory", 80, 16)
FOLLOWING = Window.live(NOW_MS, SPAN_MS)
PAST = Window.fit(NOW_MS - SPAN_MS, NOW_MS)
CELL_MS = SPAN_MS / plot_area(SHAPE.width, SHAPE.height).width


def level(*values, end_ms=NOW_MS, step_ms=1000):
    data = np.array(values, dtype=float)
    t_ms = end_ms - step_ms * np.arange(len(values), dtype=np.int64)[::-1]
    return points_of(data, t_ms)


def memory(rss, *, end_ms=NOW_MS, limit=None):
    """Return the points of the memory chart: `rss` and a `limit`, in MiB."""
    points = {("rss", False): level(*(MIB * v for v in rss), end_ms=end_ms)}
    if limit is not None:
        points["cgroup_limit", False] = level(limit * MIB, end_ms=end_ms)
    return points


def builder(**style):
    return ChartBuilder(ChartStyle(zone=timezone.utc, **style))


def reach_ms(picture):
    return max(int(line.points.t_ms[-1]) for line in picture.lines)


def values_of(picture):
    return {line.label: line.value for line in picture.lines}


# -- buckets


@given(st.integers(1, 500), st.integers(1, 200))
def test_buckets_are_whole_jumps_and_never_more_than_a_series_may_have(width, height):
    buckets = buckets_for(Shape("memory", width, height))
    assert buckets % JUMPS == 0
    assert JUMPS <= buckets <= MAX_BUCKETS <= 200


@given(st.integers(20, 500))
def test_no_more_buckets_than_the_plot_has_dots(width):
    assert buckets_for(Shape("memory", width, 20)) <= max(JUMPS, 2 * plot_area(width, 20).width)


def test_a_chart_queries_the_metrics_of_its_lines_and_notes():
    assert wanted_by(MEMORY) == (("cgroup_limit", False), ("uss", False), ("rss", False))
    assert ("threads", False) in wanted_by(CPU)
    assert ("cpu_user", True) in wanted_by(CPU)
    assert {("gc_runs_0", True), ("gc_pause_max", False)} <= set(wanted_by(GC))


# -- lag of the lines


def follow(  # noqa: PLR0913 - each test changes one of them
    one, at_ms, *, window=FOLLOWING, growing=True, rss=100, shape=SHAPE
):
    points = memory([90, rss], end_ms=at_ms)
    return one.chart(MEMORY, shape, window, points, growing=growing)


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=40))
def test_the_lines_of_a_following_chart_lag_less_than_a_cell(steps):
    one, at_ms = builder(), NOW_MS - SPAN_MS + 10_000
    for step in steps:
        at_ms += step
        assert at_ms - reach_ms(follow(one, at_ms)) < CELL_MS


def test_within_a_bucket_the_lines_stay_and_the_values_are_updated():
    one = builder()
    first = follow(one, NOW_MS, rss=100)
    second = follow(one, NOW_MS + 1000, rss=99)
    assert second.lines[-1].points is first.lines[-1].points
    assert values_of(second) == {"rss": "99 MiB"}


@pytest.mark.parametrize(("span_ms", "each"), [(30_000, 1), (120_000, 2), (900_000, 6)])
def test_the_lines_of_a_long_window_are_drawn_less_often(span_ms, each):
    one, wide = builder(), Shape("memory", 165, 18)  # as on a terminal of 200 columns
    window = Window.live(NOW_MS, span_ms)
    seen = [
        reach_ms(follow(one, NOW_MS + 1000 * i, window=window, shape=wide))
        for i in range(4 * each + 1)
    ]
    assert [at - NOW_MS for at in dict.fromkeys(seen)] == [1000 * each * i for i in range(5)]


@given(st.integers(0, 3000))
def test_the_last_samples_before_an_end_are_always_drawn(late_ms):
    one = builder()
    follow(one, NOW_MS)
    ended = follow(one, NOW_MS + late_ms, growing=False, rss=200)
    assert reach_ms(ended) == NOW_MS + late_ms
    assert float(ended.lines[-1].points.hi[-1]) == 200 * MIB


def test_a_past_window_is_drawn_without_lag():
    one = builder()
    follow(one, NOW_MS - 5000, window=PAST)
    assert reach_ms(follow(one, NOW_MS - 4000, window=PAST)) == NOW_MS - 4000


@pytest.mark.parametrize(
    "change",
    [
        {"window": FOLLOWING.follow(NOW_MS + SPAN_MS)},
        {"shape": Shape("memory", 81, 16)},
        {"shape": Shape("memory", 80, 17)},
        {"rss": 900},
    ],
    ids=["jump", "width", "height", "axis"],
)
def test_a_full_drawing_reaches_the_last_sample(change):
    one = builder()
    follow(one, NOW_MS)
    assert reach_ms(follow(one, NOW_MS + 500, **change)) == NOW_MS + 500


def test_a_new_line_is_drawn_immediately():
    one = builder()
    follow(one, NOW_MS)
    points = {**memory([90, 100], end_ms=NOW_MS + 500), ("uss", False): level(80 * MIB)}
    picture = one.chart(MEMORY, SHAPE, FOLLOWING, points, growing=True)
    assert [line.label for line in picture.lines] == ["uss", "rss"]
    assert reach_ms(picture) == NOW_MS + 500


def test_after_a_backward_clock_step_the_lines_are_drawn_immediately():
    one = builder()
    follow(one, NOW_MS)
    assert reach_ms(follow(one, NOW_MS - 700)) == NOW_MS - 700


def test_another_run_is_not_drawn_with_the_lines_of_the_previous_one():
    one = builder()
    follow(one, NOW_MS)
    one.forget()
    assert reach_ms(follow(one, NOW_MS + 500)) == NOW_MS + 500


# -- axes


def axis(one, *rss):
    return one.chart(MEMORY, SHAPE, PAST, memory(rss), growing=False).y


def test_the_axis_stays_while_the_data_move_within_it():
    one = builder()
    first = axis(one, 100, 160)
    for top in (165, 158, 170, 150):
        if top * MIB <= first.hi:
            assert axis(one, 100, top) == first


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=20))
def test_the_axis_always_encloses_the_data(tops):
    one = builder()
    for top in tops:
        found = axis(one, top / 2, top)
        assert found.lo <= top / 2 * MIB
        assert found.hi >= top * MIB


def test_a_window_without_samples_keeps_the_axis():
    one = builder()
    first = axis(one, 100, 160)
    empty = {("rss", False): Points.empty()}
    one.chart(MEMORY, SHAPE, PAST, empty, growing=False)
    assert axis(one, 101, 160) == first


def test_each_chart_has_its_own_axis():
    one = builder()
    memory_axis = axis(one, 100, 160)
    pauses = {("gc_pause_max", False): level(100.0, 900.0)}
    gc_axis = one.chart(GC, SHAPE, PAST, pauses, growing=False).y
    assert gc_axis.lo == 0
    assert gc_axis.unit == "us"
    assert axis(one, 100, 160) == memory_axis


# -- what is omitted


@pytest.mark.parametrize(
    ("limit", "shown"),
    [(1024, False), (126, False), (125, True), (110, True), (90, True), (1 << 30, False)],
)
def test_the_limit_is_drawn_only_when_the_data_reach_four_fifths_of_it(limit, shown):
    picture = builder().chart(MEMORY, SHAPE, PAST, memory([50, 100], limit=limit), growing=False)
    assert ("limit" in values_of(picture)) is shown


def test_a_limit_alone_is_no_chart():
    points = {("cgroup_limit", False): level(100 * MIB)}
    picture = builder().chart(MEMORY, SHAPE, PAST, points, growing=False)
    assert picture.lines == ()


def test_a_far_limit_does_not_stretch_the_axis():
    picture = builder().chart(MEMORY, SHAPE, PAST, memory([50, 100], limit=10_000), growing=False)
    assert picture.y.hi < 300 * MIB


@pytest.mark.parametrize("kind", CHARTS, ids=lambda kind: kind.id)
def test_metrics_missing_in_the_log_are_reported_as_such(kind):
    picture = builder().chart(kind, SHAPE, PAST, {}, growing=False)
    assert picture.lines == ()
    assert picture.empty == "not in this log"
    assert picture.note == ""


def test_metrics_without_samples_in_the_window_are_reported_as_such():
    empty = {("rss", False): Points.empty()}
    picture = builder().chart(MEMORY, SHAPE, PAST, empty, growing=False)
    assert picture.empty == "no samples in this window"
    assert values_of(picture) == {"rss": ""}


# -- notes and texts


def test_a_note_is_the_sum_of_the_metrics_present():
    points = {("gc_runs_0", True): level(3.0), ("gc_runs_2", True): level(0.5)}
    picture = builder().chart(GC, SHAPE, PAST, points, growing=False)
    assert picture.note == "3.5/s runs"


def test_a_note_without_samples_is_empty():
    points = {("threads", False): Points.empty()}
    assert builder().chart(CPU, SHAPE, PAST, points, growing=False).note == ""


def test_ascii_only_is_ascii_in_every_text():
    points = {("gc_pause_max", False): level(100.0, 900.0), ("gc_runs_0", True): level(3.0)}
    picture = builder(plain=True).chart(GC, SHAPE, PAST, points, growing=False)
    assert picture.ascii_only
    texts = [line.value for line in picture.lines]
    texts += [label for _, label in (*picture.y.ticks, *picture.x_ticks)]
    assert "900 us" in texts
    assert all(text.isascii() for text in texts)


def test_without_colour_lines_are_distinguished_by_their_markers():
    assert builder(colourless=True).chart(MEMORY, SHAPE, PAST, {}, growing=False).distinct


# -- a run's own metrics


def own_picture(metrics, points):
    (kind,) = charts_for(metrics).own
    return builder().chart(kind, SHAPE, PAST, points, growing=False)


def test_thousandths_are_drawn_in_their_unit():
    picture = own_picture(
        (("load", "1/1000 jobs", "gauge"),), {("load", False): level(1500.0, 2250.0)}
    )
    (line,) = picture.lines
    assert line.value == "2.25 jobs"
    assert line.points.hi.tolist() == [1.5, 2.25]
    assert picture.y.hi <= 3
    assert {label[-5:] for _, label in picture.y.ticks} == {" jobs"}


def test_small_fractions_are_no_flat_line():
    picture = own_picture((("wait", "1/1000 s", "gauge"),), {("wait", False): level(12.0, 30.0)})
    assert picture.y.hi < 0.1


def test_integers_recorded_in_thousandths_have_an_axis_of_integers():
    picture = own_picture((("queue", "1/1000 ", "gauge"),), {("queue", False): level(3000.0)})
    assert picture.y.hi - picture.y.lo >= 1


def test_a_counter_in_thousandths_is_drawn_per_second_in_its_unit():
    picture = own_picture(
        (("sold", "1/1000 EUR", "counter"),), {("sold", True): level(4000.0, 5000.0)}
    )
    assert picture.lines[0].value == "5 EUR/s"


def test_a_long_unit_is_in_the_legend_only():
    picture = own_picture(
        (("a", "messages", "gauge"), ("b", "messages", "gauge")),
        {("a", False): level(10.0, 400.0), ("b", False): level(20.0)},
    )
    assert values_of(picture)["a"] == "400 messages"
    assert all(label.isdecimal() for _, label in picture.y.ticks)
