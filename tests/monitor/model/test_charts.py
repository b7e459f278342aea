from pprofplus_tui.model.charts import CHARTS, PRIORITY, STANDARD, charts_for


def test_the_keys_are_the_digits_in_order():
    assert [chart.key for chart in CHARTS] == ["1", "2", "3", "4", "5", "6", "7"]


def test_every_chart_has_its_place_in_the_priority_order():
    assert sorted(PRIORITY) == sorted(STANDARD.by_id)


def test_no_chart_uses_a_colour_twice():
    for chart in CHARTS:
        colours = [series.colour for series in chart.series]
        assert len(set(colours)) == len(colours)


def test_only_byte_levels_may_start_above_zero_and_a_stack_may_not():
    assert {chart.id for chart in CHARTS if not chart.zero_based} == {
        chart.id for chart in CHARTS if chart.unit == "B" and not chart.total
    }


def test_each_metric_of_a_chart_is_named_once():
    (chart,) = [chart for chart in CHARTS if chart.total]
    assert len(set(chart.metrics)) == len(chart.metrics)
    assert {"rss", "heap_sys", "malloc_sys"} <= {metric for metric, _ in chart.metrics}


def test_the_limit_is_drawn_only_when_it_is_near():
    near = [series.metric for chart in CHARTS for series in chart.series if series.when_near]
    assert near == ["cgroup_limit"]


def gauges(*names, unit="jobs"):
    return tuple((name, unit, "gauge") for name in names)


def lines_of(chart):
    return [series.metric for series in chart.series]


def test_a_run_without_own_metrics_has_the_standard_charts():
    assert charts_for((("rss", "B", "gauge"), ("fds", "count", "gauge"))) is STANDARD
    assert charts_for(()) is STANDARD


def test_own_charts_are_after_all_others_and_the_first_two_have_keys():
    table = charts_for(sum((gauges(f"g{i}", unit=f"u{i}") for i in range(5)), ()))
    assert table.charts[:7] == CHARTS
    assert [chart.key for chart in table.own] == ["8", "9", "", "", ""]
    assert table.priority[:7] == PRIORITY
    assert table.priority[7:] == tuple(chart.id for chart in table.own)
    assert len(table.by_id) == 12


def test_gauges_of_one_unit_share_a_chart_titled_by_the_unit_with_the_first_on_top():
    (chart,) = charts_for(gauges("waiting", "running")).own
    assert (chart.title, chart.unit) == ("jobs", "jobs")
    assert lines_of(chart) == ["running", "waiting"]


def test_a_single_gauge_names_its_chart():
    (chart,) = charts_for(gauges("queue_depth")).own
    assert chart.title == "queue_depth"


def test_a_fifth_line_of_a_unit_begins_another_chart():
    first, second, third = charts_for(gauges(*(f"g{i}" for i in range(9)))).own
    assert lines_of(first) == ["g3", "g2", "g1", "g0"]
    assert (first.title, second.title, third.title) == ("jobs 1", "jobs 2", "g8")
    for chart in (first, second):
        assert len({series.colour for series in chart.series}) == 4


def test_counters_are_drawn_per_second_apart_from_gauges_of_their_unit():
    table = charts_for((*gauges("waiting"), ("done", "jobs", "counter")))
    level, rate = table.own
    assert (level.unit, rate.unit) == ("jobs", "jobs/s")
    assert [series.rate for series in rate.series] == [True]
    assert rate.zero_based


def test_thousandths_share_the_chart_of_their_unit_and_have_a_scale():
    (chart,) = charts_for((*gauges("a"), *gauges("b", unit="1/1000 jobs"))).own
    assert {series.metric: series.scale for series in chart.series} == {"a": 1, "b": 1000}


def test_figures_without_a_unit_are_counts():
    (chart,) = charts_for((*gauges("a", unit=""), *gauges("b", unit="1/1000 "))).own
    assert (chart.title, chart.unit) == ("counts", "count")


def test_a_gauge_added_later_does_not_move_the_charts_before_it():
    before = charts_for((*gauges("a"), *gauges("b", unit="B")))
    after = charts_for((*gauges("a"), *gauges("b", unit="B"), *gauges("c", unit="s")))
    assert after.own[:2] == before.own


def test_texts_of_a_log_are_cleaned_and_name_no_chart():
    evil = "\x1b[31m[bold]'); import os\u202e"
    for table in (charts_for(((evil, evil, "gauge"),)), charts_for((("", evil * 99, "counter"),))):
        (chart,) = table.own
        assert chart.id == "own1"
        assert "\x1b" not in chart.title
        assert "\u202e" not in chart.title
        assert chart.title


def test_a_table_full_of_metrics_has_a_chart_for_each():
    table = charts_for(tuple((f"m{i}", f"u{i % 7}", "gauge") for i in range(256)))
    assert sum(len(chart.series) for chart in table.own) == 256
    assert all(len(chart.series) <= 4 for chart in table.own)
