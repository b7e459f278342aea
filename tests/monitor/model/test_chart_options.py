"""Log scale and levels: kept per chart, refused where they do not apply, preset."""

import pytest

from pprofplus_tui.model.chart_options import ChartOptions, as_levels, counts
from pprofplus_tui.model.charts import CHARTS, STANDARD, charts_for
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.view import View

NOW_MS = 1_800_000_000_000
RUN = Run("/a", "api", 1, "died", NOW_MS - 3_600_000, NOW_MS)
CPU = STANDARD.by_id["cpu"]


def chosen(chart):
    view = View()
    while view.chosen != chart:
        view = view.choose(1)
    return view


def test_a_log_scale_is_remembered_for_each_chart():
    view = chosen("c_heap").toggle_log()
    assert view.log == {"c_heap"}
    assert view.choose(1).toggle_log().log == {"c_heap", view.choose(1).chosen}
    assert view.toggle_log().log == frozenset()


def test_a_stack_has_no_log_scale():
    view = chosen("layers")
    assert view.toggle_log() is view


def test_only_a_chart_with_counters_has_levels():
    assert {chart.id for chart in CHARTS if counts(chart)} == {"cpu", "gc"}
    assert chosen("cpu").toggle_levels().levels == {"cpu"}
    assert chosen("memory").toggle_levels().levels == frozenset()


def test_levels_have_the_unit_of_the_counter_and_need_not_start_at_0():
    levels = as_levels(CPU)
    assert (levels.id, levels.unit, levels.title) == ("cpu", "us", "cpu, total")
    assert not any(rate for _, rate in levels.metrics)
    assert not levels.zero_based
    assert as_levels(levels) == levels


def test_the_collections_next_to_the_pauses_become_a_count():
    gc = as_levels(STANDARD.by_id["gc"])
    assert (gc.title, gc.unit) == ("gc pause", "us")
    assert [(note.unit, note.rate) for note in gc.notes] == [("count", False)]


def test_own_counters_are_no_longer_per_second():
    metrics = (("done", "jobs", "counter"), ("failed", "jobs", "counter"))
    (chart,) = charts_for(metrics).own
    levels = as_levels(chart)
    assert (chart.title, chart.unit) == ("jobs per second", "jobs/s")
    assert (levels.title, levels.unit) == ("jobs, total", "jobs")


@pytest.mark.parametrize(
    "looks",
    [
        ChartOptions(),
        ChartOptions(hidden=frozenset({"gc", "virtual"}), log=frozenset({"memory"})),
        ChartOptions(levels=frozenset({"cpu"})),
    ],
)
def test_preset_charts_are_shown_with_the_run(looks):
    view = View().with_options(looks).select(RUN, NOW_MS)
    assert view.chart_options == looks
    assert not looks.hidden & set(view.shown)


def test_presets_of_missing_charts_are_ignored():
    nonsense = frozenset({"nonsense"})
    view = View().with_options(ChartOptions(nonsense, nonsense, nonsense)).select(RUN, NOW_MS)
    assert view.shown == STANDARD.priority
