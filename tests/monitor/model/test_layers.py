"""Layers of RSS: they add up to it, free memory is reduced first, none is negative."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.series import points_of
from kit.units import MIB
from pprofplus_tui.analysis.layer_verdicts import verdicts
from pprofplus_tui.model.charts import STANDARD
from pprofplus_tui.model.layers import absent_text, parts_of, residue, split_of, stack_of
from pprofplus_tui.model.verdict import GROWING

LAYERS = STANDARD.by_id["layers"]
ALL = tuple(metric for metric, _ in LAYERS.metrics)


def levels(**mib):
    return {metric: np.array([float(value * MIB)]) for metric, value in mib.items()}


def sizes(found):
    return {series.label: float(size[0]) / MIB for series, size in found}


def points(*values, begin=0):
    return points_of(values, begin + 1000 * np.arange(len(values)))


def test_rss_is_split_into_the_documented_layers():
    found = parts_of(
        LAYERS,
        levels(
            rss=100,
            heap_sys=50,
            heap_used=40,
            heap_idle=3,
            malloc_sys=20,
            malloc_used=15,
            malloc_free=5,
        ),
    )
    assert sizes(found) == {
        "py used": 40,
        "py idle": 3,
        "py frag": 7,
        "C used": 15,
        "C free": 5,
        "other": 30,
    }


def test_free_memory_is_the_first_that_is_not_resident():
    found = sizes(
        parts_of(
            LAYERS,
            levels(
                rss=60,
                heap_sys=50,
                heap_used=40,
                heap_idle=10,
                malloc_sys=20,
                malloc_used=15,
                malloc_free=5,
            ),
        )
    )
    assert found == {
        "py used": 40,
        "py idle": 5,
        "py frag": 0,
        "C used": 15,
        "C free": 0,
        "other": 0,
    }


def test_memory_allocated_beyond_rss_is_the_absent_layer():
    given = levels(
        rss=29, heap_sys=4, heap_used=3, heap_idle=1, malloc_sys=68, malloc_used=67, malloc_free=1
    )
    split = split_of(LAYERS, given)
    assert float(split.absent[0]) == 43 * MIB
    assert min(float(size[0]) for _, size in split.parts) == 0
    assert absent_text(float(split.absent[0])) == "43 MiB not resident"
    assert absent_text(MIB - 1) == ""


def test_the_rest_and_the_excess_are_never_negative_and_one_of_them_is_0():
    whole, accounted = np.array([5.0, 5.0]), np.array([3.0, 9.0])
    rest, excess = residue(whole, accounted)
    assert (rest.tolist(), excess.tolist()) == ([2, 0], [0, 4])


def test_no_layer_is_negative_and_the_absent_layer_is_never_responsible():
    t_ms = 1000 * np.arange(600, dtype=np.int64)

    def series(*mib):
        values = np.linspace(*mib, 600) * MIB
        return points_of(values, t_ms)

    table = {
        "rss": series(30, 90),
        "heap_sys": series(4, 4),
        "heap_used": series(3, 3),
        "malloc_sys": series(60, 200),
        "malloc_used": series(59, 199),
        "malloc_free": series(1, 1),
    }
    facts = verdicts(table)
    assert min(layer.now_bytes for layer in facts.layers) >= 0
    assert facts.layer("absent").now_bytes == (204 - 90) * MIB
    assert facts.layer("absent").verdict.kind == GROWING
    assert facts.responsible.kind.id == "c_heap"


def test_without_a_probe_its_part_is_other():
    found = sizes(parts_of(LAYERS, levels(rss=100, heap_sys=50, heap_used=40, heap_idle=3)))
    assert found == {"py used": 40, "py idle": 3, "py frag": 7, "other": 50}
    assert sizes(parts_of(LAYERS, levels(rss=100))) == {"other": 100}


def test_without_rss_there_are_no_layers():
    assert parts_of(LAYERS, levels(heap_sys=50, heap_used=40)) == []
    assert stack_of(LAYERS, {"heap_sys": points(1, 2)}).bands == []


@given(st.dictionaries(st.sampled_from(ALL), st.integers(-(1 << 50), 1 << 50)))
def test_parts_of_any_log_add_up_to_rss_and_none_is_negative(given_levels):
    values = {metric: np.array([float(value)]) for metric, value in given_levels.items()}
    found = parts_of(LAYERS, values)
    if "rss" not in values:
        assert found == []
    elif given_levels["rss"] >= 0:
        assert all(float(size[0]) >= 0 for _, size in found)
        assert sum(float(size[0]) for _, size in found) == pytest.approx(given_levels["rss"])


def test_bands_lie_on_each_other_up_to_the_total():
    found = stack_of(
        LAYERS,
        {
            "rss": points(100, 110, 120),
            "heap_sys": points(50, 50, 60),
            "heap_used": points(40, 30, 50),
            "heap_idle": points(3, 3, 3),
        },
    ).bands
    bottom = np.zeros(3)
    for _, size, band in found:
        assert np.array_equal(band.lo, bottom)
        assert np.array_equal(band.hi, bottom + size)
        bottom = band.hi
    assert bottom.tolist() == [100, 110, 120]


def test_a_metric_that_began_later_is_0_before():
    found = stack_of(
        LAYERS, {"rss": points(100, 100, 100), "heap_used": points(40, begin=2000)}
    ).bands
    by_label = {series.label: size.tolist() for series, size, _ in found}
    assert by_label["py used"] == [0, 0, 40]
