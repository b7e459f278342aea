"""The words for a verdict, in each place that shows one."""

from dataclasses import replace

import pytest

from pprofplus_tui.model.change import change_between
from pprofplus_tui.model.verdict import (
    GROWING,
    KINDS,
    LAYER_BY_ID,
    SAW_TOOTH,
    SHAPES,
    STEADY,
    STEP,
    TOO_LITTLE,
    Layer,
    Verdict,
)
from pprofplus_tui.model.verdict_text import (
    change_words,
    growth_cell,
    growth_text,
    report_text,
    short_layer_text,
    verdict_text,
)

MIB = 1 << 20


def grows(mib):
    return Verdict(GROWING, mib * MIB, (mib - 0.5) * MIB, (mib + 0.5) * MIB, mib * MIB)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_place_names_the_same_kind_of_verdict(kind, shape):
    layer = Layer(LAYER_BY_ID["rss"], MIB, Verdict(kind, 3.0 * MIB, change=MIB, shape=shape))
    assert verdict_text(layer.verdict).startswith(kind)
    assert kind in short_layer_text(layer, plain=True)
    assert report_text(layer, 60_000).startswith(kind)


def test_a_list_shows_a_rate_or_the_kind_and_dots_before_there_is_a_verdict():
    assert growth_cell(None, plain=False) == "…"
    assert growth_cell(None, plain=True) == "..."
    assert growth_cell(Verdict(TOO_LITTLE), plain=True) == "too little"
    assert growth_cell(grows(3), plain=True) == growth_text(grows(3), "B") == "+3 MiB/h"


def test_the_rate_is_shown_with_its_interval():
    assert verdict_text(grows(3)) == "growing +3 MiB/h (+2.5 to +3.5 MiB)"
    assert verdict_text(Verdict(GROWING, MIB, MIB / 2, 2 * MIB)) == (
        "growing +1 MiB/h (+510 KiB to +2 MiB)"
    )
    assert verdict_text(Verdict(GROWING, MIB, MIB, MIB)) == "growing +1 MiB/h"


def test_steps_and_teeth_are_shown_with_their_height():
    assert verdict_text(Verdict(STEADY, change=9 * MIB, shape=STEP)) == "steady, stepped +9 MiB"
    assert verdict_text(Verdict(SAW_TOOTH, change=9 * MIB)) == "saw-tooth, 9 MiB high"


def test_a_change_is_the_measured_one_and_the_trend_is_added_if_it_differs():
    change = change_between(188.4 * MIB, 1_000, 274.1 * MIB, 299_000)
    layer = Layer(LAYER_BY_ID["rss"], 274 * MIB, Verdict(GROWING, 1024.0 * MIB), change)
    assert change_words(layer) == "+85.7 MiB in 4m58s (188 MiB to 274 MiB)"
    half = replace(layer, verdict=Verdict(GROWING, 512.0 * MIB))
    assert change_words(half) == (
        "+85.7 MiB in 4m58s (188 MiB to 274 MiB), +42.4 MiB along the trend"
    )
    assert change_words(replace(layer, change=None)) == ""
