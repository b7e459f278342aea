from dataclasses import replace
from itertools import product

import pytest

from kit.units import MIB
from pprofplus.metrics import BY_NAME
from pprofplus_tui.model.charts import CHARTS
from pprofplus_tui.model.explanations import (
    SHAPE_KINDS,
    chart_metrics,
    shape_of,
    window_sentences,
)
from pprofplus_tui.model.verdict import (
    GROWING,
    HOUR_MS,
    KINDS,
    LAYER_BY_ID,
    LAYERS,
    SHAPES,
    STEADY,
    Layer,
    Verdict,
    Verdicts,
)


def found(limit=None, used=None, **layers):
    return Verdicts(
        tuple(Layer(LAYER_BY_ID[name], 400 * MIB, verdict) for name, verdict in layers.items()),
        limit,
        used,
        HOUR_MS,
    )


def grows(mib):
    return Verdict(GROWING, mib * MIB, (mib - 0.5) * MIB, (mib + 0.5) * MIB, mib * MIB)


def test_every_shape_is_explained_once():
    assert [shape.id for shape in SHAPE_KINDS] == list(SHAPES)


def test_every_layer_under_rss_has_a_meaning_and_advice():
    assert all(layer.meaning and layer.action for layer in LAYERS[1:])


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.id)
def test_every_metric_of_a_chart_is_in_the_catalogue(chart):
    names = chart_metrics(chart)
    assert names[0] == chart.series[-1].metric
    assert set(names) <= BY_NAME.keys()


@pytest.mark.parametrize(("kind", "shape"), product(KINDS, SHAPES))
def test_every_verdict_has_sentences(kind, shape):
    facts = found(rss=Verdict(kind, 9.0 * MIB, 8 * MIB, 10 * MIB, 5 * MIB, shape))
    assert all(line.endswith(".") for line in window_sentences(facts))
    assert shape_of(facts) in {"", *SHAPES}


def test_growth_names_the_layer_the_advice_and_the_time_to_the_limit():
    lines = window_sentences(found(1024 * MIB, 424 * MIB, rss=grows(3), c_heap=grows(3)))
    assert lines[0] == "In this window of 1h, RSS is growing +3 MiB/h (+2.5 to +3.5 MiB)."
    assert lines[1].startswith("The layer that grows most is C heap: a C extension")
    assert lines[3] == "At this rate the limit is reached 8d after this window."


def test_the_limit_is_the_containers_and_the_figure_is_named():
    alone = window_sentences(found(1024 * MIB, 973 * MIB, rss=Verdict(STEADY)))
    assert alone[1] == (
        "The container (cgroup) uses 973 MiB, 95 % of its limit of 1 GiB; "
        "this includes other processes and the page cache."
    )
    shared = replace(found(1024 * MIB, 973 * MIB, rss=Verdict(STEADY)), sharers=3)
    assert window_sentences(shared)[1].endswith(
        "; 3 live runs share it, with other processes and the page cache."
    )


def test_memory_that_is_not_resident_is_explained():
    facts = found(rss=Verdict(STEADY), c_heap=Verdict(STEADY), absent=Verdict(STEADY))
    assert "400 MiB of the allocated memory is not resident" in " ".join(window_sentences(facts))


def test_growth_of_no_single_layer_is_stated():
    assert window_sentences(found(rss=grows(3), objects=Verdict(STEADY)))[1] == (
        "No single layer explains the growth."
    )


def test_a_layer_that_grows_under_a_steady_rss_is_named():
    lines = window_sentences(found(rss=Verdict(STEADY), objects=grows(3)))
    assert lines[-1] == "Growing although RSS is not: Python objects."


def test_without_samples_one_sentence_states_it():
    assert window_sentences(Verdicts()) == ("This window has no samples of RSS.",)
    assert shape_of(Verdicts()) == ""
