"""The charts that have a place on the screen, and the request that draws them."""

from dataclasses import replace

import pytest

from pprofplus_tui.model.charts import CHARTS
from pprofplus_tui.model.view import View
from pprofplus_tui.model.visible_charts import chart_places, chart_request, toggle_chart

LARGE, SMALL = (170, 46), (50, 20)


def test_a_large_area_has_a_place_for_every_chart():
    assert set(chart_places(View(), *LARGE)) == {chart.id for chart in CHARTS}


def test_a_small_area_has_places_for_the_first_charts_and_the_chosen_one():
    last = View().shown[-1]
    places = chart_places(replace(View(), chosen=last), *SMALL)
    assert last in places
    assert len(places) < len(CHARTS)


def test_an_area_without_cells_has_no_places():
    assert chart_places(View(), 0, 0) == {}


def test_a_request_has_the_size_and_the_options_of_each_chart():
    view = replace(View(), run="/api/1", log=frozenset({"memory"}), levels=frozenset({"cpu"}))
    places = chart_places(view, *LARGE)
    request = chart_request(view, places)
    assert request.run == "/api/1"
    shapes = {shape.chart: shape for shape in request.shapes}
    assert shapes.keys() == places.keys()
    memory, cpu = shapes["memory"], shapes["cpu"]
    assert (memory.width, memory.height) == (places["memory"].width, places["memory"].height)
    assert (memory.log, memory.levels) == (True, False)
    assert (cpu.log, cpu.levels) == (False, True)


@pytest.mark.parametrize("chart", ["cpu", "memory"])
def test_a_chart_with_a_place_is_hidden_and_shown_again(chart):
    hidden = toggle_chart(View(), chart, *LARGE)
    assert chart not in hidden.shown
    assert chart in toggle_chart(hidden, chart, *LARGE).shown


def test_a_chart_without_a_place_is_chosen_instead_of_hidden():
    last = View().shown[-1]
    view = toggle_chart(View(), last, *SMALL)
    assert view.chosen == last
    assert last in chart_places(view, *SMALL)


def test_a_hidden_chart_that_does_not_fit_is_shown_and_chosen():
    last = View().shown[-1]
    hidden = toggle_chart(View(), last, *LARGE)
    view = toggle_chart(hidden, last, *SMALL)
    assert view.chosen == last
    assert last in view.shown
