from pprofplus_tui.model.charts import CHART_BY_ID, CHARTS, PRIORITY, metrics_of, most_important


def test_the_keys_are_the_digits_in_order():
    assert [chart.key for chart in CHARTS] == ["1", "2", "3", "4", "5", "6"]


def test_every_chart_has_its_place_in_the_priority_order():
    assert sorted(PRIORITY) == sorted(CHART_BY_ID)


def test_no_chart_uses_a_colour_twice():
    for chart in CHARTS:
        colours = [series.colour for series in chart.series]
        assert len(set(colours)) == len(colours)


def test_only_byte_levels_may_start_above_zero():
    assert {chart.id for chart in CHARTS if not chart.zero_based} == {
        chart.id for chart in CHARTS if chart.unit == "B"
    }


def test_the_limit_is_drawn_only_when_it_is_near():
    near = [series.metric for chart in CHARTS for series in chart.series if series.when_near]
    assert near == ["cgroup_limit"]


def test_a_small_terminal_keeps_memory_first():
    assert [chart.id for chart in most_important(1)] == ["memory"]
    assert [chart.id for chart in most_important(0)] == ["memory"]


def test_all_six_are_shown_in_the_table_s_order_when_there_is_room():
    assert most_important(6) == CHARTS


def test_metrics_of_names_each_metric_once():
    names = metrics_of(CHARTS)
    assert len(set(names)) == len(names)
    assert {"rss", "uss", "gc_runs_2", "threads", "cpu_user"} <= set(names)
