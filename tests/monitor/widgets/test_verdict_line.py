"""The verdict line above the charts: its words, colours and width."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.cells import row_text, styles_of
from kit.units import MIB
from pprofplus_tui.model.change import change_between
from pprofplus_tui.model.death import CERTAINTIES, Cause, Death
from pprofplus_tui.model.verdict import (
    CONFIDENCES,
    EVERY_DAY,
    FAST,
    FLOOR_RISES,
    GROWING,
    HIGH,
    HOUR_MS,
    KINDS,
    LAYER_BY_ID,
    LAYERS,
    LOW,
    MAYBE_WAVE,
    MEDIUM,
    NOT_SURE,
    REASONS,
    SAW_TOOTH,
    SHAPES,
    SHRINKING,
    STEADY,
    STEP,
    TEETH,
    TOO_LITTLE,
    WARM_UP,
    Layer,
    Verdict,
    Verdicts,
)
from pprofplus_tui.widgets.row_text import width_of
from pprofplus_tui.widgets.verdict_line import verdict_row

sizes = st.integers(0, 1 << 44)
rates = st.floats(-(2.0**44), 2.0**44)
verdicts = st.builds(
    Verdict,
    st.sampled_from(KINDS),
    rates,
    rates,
    rates,
    rates,
    st.sampled_from(SHAPES),
    st.sampled_from(("", *CONFIDENCES)),
    st.sampled_from(("", *REASONS)),
    sizes,
)
facts = st.builds(
    Verdicts,
    st.lists(st.builds(Layer, st.sampled_from(LAYERS), sizes, verdicts), max_size=6).map(tuple),
    st.none() | st.integers(0, 1 << 44),
    st.none() | sizes,
    st.integers(0, 10**12),
)


def because(verdict, reason, confidence=HIGH):
    return replace(verdict, reason=reason, confidence=confidence, known_ms=48 * HOUR_MS)


def parts_of(row):
    return re.split(" {3,}", row_text(row).strip())


def growing(mib_per_hour, change=0):
    return Verdict(GROWING, mib_per_hour * MIB, change=change)


def found(rss, limit=None, used=None, **others):
    layers = {"rss": rss, **others}
    return Verdicts(
        tuple(
            Layer(LAYER_BY_ID[name], (400 if name == "rss" else 90 + i) * MIB, verdict)
            for i, (name, verdict) in enumerate(layers.items())
        ),
        limit,
        used,
        HOUR_MS,
    )


LEAKING = found(
    growing(3.14),
    1024 * MIB,
    512 * MIB,
    objects=growing(2.9),
    fragmentation=Verdict(STEADY),
    c_heap=Verdict(STEADY),
    other=Verdict(STEADY),
)


@given(facts, st.integers(20, 200), st.booleans())
def test_the_line_has_the_requested_width(verdicts_shown, width, plain):
    row = verdict_row(verdicts_shown, width, plain=plain)
    assert width_of(row) == width
    assert row_text(row).isascii() or not plain


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict(STEADY), "RSS 400 MiB steady"),
        (Verdict(SAW_TOOTH, change=3 * MIB, shape=TEETH), "RSS 400 MiB saw-tooth"),
        (Verdict(TOO_LITTLE), "RSS 400 MiB too little data"),
        (growing(3.14159), "RSS 400 MiB ↗ growing +3.1 MiB/h"),
        (Verdict(SHRINKING, -0.5 * MIB), "RSS 400 MiB ↘ shrinking -510 KiB/h"),
        (Verdict(STEADY, change=20 * MIB, shape=STEP), "RSS 400 MiB steady, stepped +20 MiB"),
        (Verdict(STEADY, change=20 * MIB, shape=WARM_UP), "RSS 400 MiB steady after +20 MiB"),
        (because(growing(3.14159), FAST, MEDIUM), "RSS 400 MiB ↗ likely growing +3.1 MiB/h"),
        (because(growing(3.14159), FLOOR_RISES), "RSS 400 MiB ↗ growing +3.1 MiB/h over 2d"),
        (because(Verdict(STEADY), EVERY_DAY), "RSS 400 MiB steady, a daily wave"),
        (
            because(Verdict(NOT_SURE, 9 * MIB), MAYBE_WAVE, LOW),
            "RSS 400 MiB ↗ +9 MiB/h, may be a daily wave",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_verdict_is_shown_in_words(verdict, words):
    assert parts_of(verdict_row(found(verdict), 80)) == [words]


def test_the_responsible_layer_and_the_time_to_the_limit_fit_on_eighty_columns():
    assert parts_of(verdict_row(LEAKING, 80)) == [
        "RSS 400 MiB ↗ growing +3.1 MiB/h",
        "Python ↗ +2.9 MiB/h",
        "limit 1 GiB in 6d",
    ]


def test_on_sixty_columns_the_layer_that_grows_most_is_next_to_rss():
    assert parts_of(verdict_row(LEAKING, 60)) == [
        "RSS 400 MiB ↗ growing +3.1 MiB/h",
        "Python ↗ +2.9 MiB/h",
    ]


def test_with_more_room_the_sizes_of_the_layers_are_shown():
    assert parts_of(verdict_row(LEAKING, 200)) == [
        "RSS 400 MiB ↗ growing +3.1 MiB/h",
        "Python 91 MiB ↗ +2.9 MiB/h",
        "fragmentation 92 MiB",
        "C 93 MiB",
        "other 94 MiB",
        "cgroup 512 MiB, limit 1 GiB in 6d",
    ]


def test_rss_is_shown_at_every_width():
    for width in range(34, 200):
        assert parts_of(verdict_row(LEAKING, width))[0] == "RSS 400 MiB ↗ growing +3.1 MiB/h"


def test_growth_is_coloured_only_if_it_is_large_or_the_limit_is_near_in_time():
    def style(verdicts_shown):
        return styles_of(verdict_row(verdicts_shown, 100), "growing")

    assert style(found(growing(1, change=MIB))) == {"text"}
    assert style(found(growing(1, change=100 * MIB))) == {"grow"}
    assert style(found(growing(9, change=MIB), 1024 * MIB, 900 * MIB)) == {"grow"}
    assert style(found(growing(1, change=MIB), 9024 * MIB, 900 * MIB)) == {"text"}


@pytest.mark.parametrize("kind", [STEADY, SAW_TOOTH, TOO_LITTLE])
def test_a_verdict_without_growth_is_dim(kind):
    assert styles_of(verdict_row(found(Verdict(kind)), 80), kind) == {"dim"}


def test_a_limit_without_growth_is_shown_as_a_share_and_highlighted_when_near():
    far = verdict_row(found(Verdict(STEADY), 1024 * MIB, 512 * MIB), 80)
    near = verdict_row(found(Verdict(STEADY), 1024 * MIB, 1000 * MIB), 80)
    assert "cgroup 512 MiB, 50 % of its limit 1 GiB" in row_text(far)
    assert styles_of(far, "50 %") == {"text"}
    assert "cgroup 1000 MiB, 98 % of its limit 1 GiB" in row_text(near)
    assert styles_of(near, "98 %") == {"died"}


@pytest.mark.parametrize(
    ("per_hour", "words"), [(500, "in 1h1m"), (100, "in 5h"), (2, "in 10d"), (0.1, "50 % of")]
)
def test_the_time_to_the_limit_is_rounded_and_omitted_if_it_is_long(per_hour, words):
    assert words in row_text(verdict_row(found(growing(per_hour), 1024 * MIB, 512 * MIB), 100))


def test_rss_the_cgroup_its_share_and_its_runs_fit_on_eighty_columns():
    shared = replace(found(Verdict(STEADY), 1024 * MIB, 973 * MIB), sharers=3)
    assert parts_of(verdict_row(shared, 80)) == [
        "RSS 400 MiB steady",
        "cgroup 973 MiB, 95 % of its limit 1 GiB, 3 runs",
    ]


def test_with_enough_room_the_measured_change_is_next_to_the_rate():
    change = change_between(360 * MIB, 0, 400 * MIB, 600_000)
    layer = Layer(LAYER_BY_ID["rss"], 400 * MIB, growing(240), change)
    parts = parts_of(verdict_row(Verdicts((layer,)), 80))
    assert parts == ["RSS 400 MiB ↗ growing +240 MiB/h", "+40 MiB in 10m"]


def test_without_verdicts_the_line_is_blank():
    assert row_text(verdict_row(Verdicts(), 50)) == " " * 50


OOM = Cause("oom", "probable", "out of memory", "its cgroup has counted an OOM kill since")


def test_the_line_of_a_dead_run_begins_with_the_cause():
    death, whole = Death(0, OOM, MIB, 2 * MIB), Verdicts((Layer(LAYERS[0], MIB),))
    cause = "probably out of memory"
    for width, begin in (
        (240, f" {cause}: its cgroup has counted an OOM kill since, peak 2 MiB   RSS 1 MiB"),
        (200, f" {cause}: its cgroup has counted an OOM kill since   RSS 1 MiB"),
        (120, f" {cause}, peak 2 MiB   RSS 1 MiB"),
        (80, f" {cause}   RSS 1 MiB"),
    ):
        row = verdict_row(whole, width, death=death)
        assert row_text(row).startswith(begin)
        assert styles_of(row, cause) == {"died"}


def test_the_line_of_a_run_that_exited_has_no_cause():
    row = verdict_row(Verdicts(), 120, death=Death(0, Cause("exit", "known", "exited")))
    assert not row_text(row).strip()


texts = st.text(st.characters(codec="ascii", categories=["L", "N", "Zs"]), max_size=150)
causes = st.builds(
    Cause, st.sampled_from(["oom", "unknown", "exit"]), st.sampled_from(CERTAINTIES), texts, texts
)
deaths = st.none() | st.builds(Death, st.just(0), causes, st.none() | sizes, st.none() | sizes)


@given(deaths, st.integers(0, 250), st.booleans())
def test_with_a_cause_the_line_has_the_requested_width(death, width, plain):
    row = verdict_row(Verdicts((Layer(LAYERS[0], MIB),)), width, plain=plain, death=death)
    assert width_of(row) == width


def test_a_cause_is_ascii_on_an_ascii_terminal():
    death = Death(0, Cause("killed", "known", "SIGKILL", "größer"), MIB, MIB)
    row = verdict_row(Verdicts((Layer(LAYERS[0], MIB),)), 160, plain=True, death=death)
    assert row_text(row).startswith(" SIGKILL: gr\\xf6\\xdfer, peak 1 MiB")
    assert row_text(row).isascii()
