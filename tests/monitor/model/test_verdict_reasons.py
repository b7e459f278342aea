"""The words for a verdict's reason."""

import pytest

from kit.units import MIB
from pprofplus_tui.model.explanations import window_sentences
from pprofplus_tui.model.verdict import (
    CONFIDENCES,
    EVERY_DAY,
    FLOOR_RISES,
    GROWING,
    HOUR_MS,
    LAYER_BY_ID,
    LOW,
    MAYBE_WAVE,
    NOT_SURE,
    REASONS,
    STEADY,
    Layer,
    Verdict,
    Verdicts,
)
from pprofplus_tui.model.verdict_reasons import SENTENCES, reason_sentence, short_reason
from pprofplus_tui.model.verdict_text import verdict_text

UNSURE = Verdict(
    NOT_SURE,
    3.0 * MIB,
    2.0 * MIB,
    4.0 * MIB,
    confidence=LOW,
    reason=MAYBE_WAVE,
    known_ms=6 * HOUR_MS,
)


def test_every_reason_has_a_sentence():
    assert tuple(SENTENCES) == REASONS


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_a_sentence_has_the_confidence_and_ends(reason, confidence):
    sentence = reason_sentence(
        Verdict(STEADY, confidence=confidence, reason=reason, known_ms=HOUR_MS)
    )
    assert sentence.startswith(f"Confidence: {confidence}; ")
    assert sentence.endswith(".")
    assert "{" not in sentence


def test_a_verdict_on_the_window_only_has_no_reason():
    assert reason_sentence(Verdict(STEADY)) == ""
    assert short_reason(Verdict(GROWING, MIB)) == ""


def test_the_reason_for_a_short_history_is_its_length():
    assert reason_sentence(UNSURE).startswith(
        "Confidence: low; only 6h is logged: this may be a daily wave"
    )
    assert verdict_text(UNSURE) == "not sure, +3 MiB/h (+2 to +4 MiB), may be a daily wave"


def test_explain_shows_an_uncertain_verdict_its_reason_and_the_layer_that_rises():
    layers = (Layer(LAYER_BY_ID["rss"], 9, UNSURE), Layer(LAYER_BY_ID["c_heap"], 9, UNSURE))
    lines = window_sentences(Verdicts(layers, span_ms=6 * HOUR_MS))
    assert lines[0] == (
        "In this window of 6h, RSS is rising +3 MiB/h (+2 to +4 MiB); "
        "whether this is lasting growth is not sure."
    )
    assert lines[1] == reason_sentence(UNSURE)
    assert lines[2] == "The layer that rises most is C heap."


def test_the_short_reason_names_what_the_window_does_not_show():
    assert short_reason(Verdict(STEADY, reason=EVERY_DAY)) == "a daily wave"
    assert short_reason(Verdict(GROWING, reason=FLOOR_RISES, known_ms=48 * HOUR_MS)) == "over 2d"
