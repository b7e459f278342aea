"""The verdict on a window with the history of its run: each reason, and the verdict without it."""

import numpy as np
import pytest

import develop
import held_out
import histories
from histories import Case, past_of, summary, tally, window_of
from kit.units import HOUR_MS, MIB
from pprofplus_tui.analysis.layer_verdicts import long_term_trends, verdicts
from pprofplus_tui.model.verdict import (
    ALL_DAY,
    AS_HIGH_BEFORE,
    EARLIER_RUN,
    EVERY_DAY,
    FAST,
    FLOOR_LEVEL,
    FLOOR_RISES,
    GROWING,
    HIGH,
    LOW,
    MAYBE_WARM_UP,
    MAYBE_WAVE,
    NEW,
    NOT_AS_EARLIER,
    NOT_SURE,
    SLOWS,
    STEADY,
    STEPPED,
    TOO_LITTLE,
    YOUNG,
    Verdicts,
)

BEGIN_MS = 1_700_000_000_000
COUNT = 9000


def hours(span_h):
    return np.linspace(0, span_h, COUNT, endpoint=False)


def noise(seed=1, size=1.0):
    return np.random.default_rng(seed).normal(0, size, COUNT)


def day(t, height=60):
    return height * np.exp(-((((t % 24) - 14.5) / 4.2) ** 2))


def case(level_mib, span_h, begin_h, end_h, begin_ms=BEGIN_MS):
    t_ms = begin_ms + (hours(span_h) * HOUR_MS).astype(np.int64)
    first, last = (begin_ms + int(at * HOUR_MS) for at in (begin_h, end_h))
    return Case(t_ms, {"rss": np.asarray(level_mib) * MIB}, "", "", first, last)


def alone(one):
    return verdicts(window_of(one)).rss.verdict


def weighed(one, before=None, earlier=None):
    known = long_term_trends(past_of(earlier)) if earlier is not None else None
    past = long_term_trends(past_of(one))
    return verdicts(window_of(one), before or Verdicts(), past=past, earlier=known).rss.verdict


def test_the_rising_edge_of_a_day_is_no_growth_if_earlier_days_are_known():
    t = hours(9 * 24 + 12)
    one = case(300 + day(t) + noise(), t[-1], t[-1] - 5, t[-1])
    assert alone(one).kind == GROWING
    found = weighed(one)
    assert (found.kind, found.reason, found.confidence) == (STEADY, EVERY_DAY, HIGH)


def test_the_rising_edge_of_the_first_day_may_be_a_wave():
    t = hours(6)
    one = case(300 + day(t + 6) + noise(size=0.5), 6, 0, 6)
    assert alone(one).kind == GROWING
    found = weighed(one)
    assert (found.kind, found.reason, found.confidence) == (NOT_SURE, MAYBE_WAVE, LOW)
    assert found.known_ms == pytest.approx(6 * HOUR_MS, rel=0.01)
    assert found.per_hour > 0


def test_a_leak_under_a_daily_wave_is_found_in_a_window_that_does_not_show_it():
    t = hours(9 * 24)
    one = case(300 + day(t) + 0.5 * t + noise(), t[-1], t[-1] - 6, t[-1])
    assert alone(one).kind != GROWING
    found = weighed(one)
    assert (found.kind, found.reason) == (GROWING, FLOOR_RISES)
    assert found.per_hour == pytest.approx(0.5 * MIB, rel=0.15)
    assert found.change == pytest.approx(3 * MIB, rel=0.2)


def test_a_leak_by_day_only_is_growth_at_night_too():
    t = hours(6 * 24)
    grown = np.cumsum(day(t))
    one = case(300 + 100 * grown / grown[-1] + noise(), t[-1], 5 * 24 + 1, 5 * 24 + 8)
    assert alone(one).kind == STEADY
    assert weighed(one).kind == GROWING


def test_a_leak_under_a_few_large_teeth_is_growth_by_the_troughs():
    t = hours(100)
    teeth = 300 + 100 * ((t / 16 + 0.4) % 1) + 0.5 * t + noise()
    one = case(teeth, 100, 60, 100)
    assert alone(one).kind != GROWING
    found = weighed(one)
    assert found.kind == GROWING
    assert found.per_hour == pytest.approx(0.5 * MIB, rel=0.2)


def test_a_rising_part_of_a_tooth_is_steady_if_it_was_as_high_before():
    t = hours(100)
    one = case(300 + 100 * ((t / 16 + 0.4) % 1) + noise(), 100, 92, 100)
    assert alone(one).kind == GROWING
    assert (weighed(one).kind, weighed(one).reason) == (STEADY, AS_HIGH_BEFORE)


def test_growth_after_days_at_a_level_is_new():
    t = hours(5 * 24)
    one = case(300 + day(t, 10) + 4 * (t - 108).clip(0) + noise(), t[-1], t[-1] - 8, t[-1])
    found = weighed(one)
    assert (found.kind, found.reason) == (GROWING, NEW)


def test_a_logarithmic_warm_up_is_detected_by_its_start_outside_the_window():
    t = hours(60)
    one = case(200 + 40 * np.log1p(t / 0.5) + noise(), 60, 30, 60)
    assert alone(one).kind == GROWING
    assert weighed(one).kind == NOT_SURE
    assert weighed(one).reason == MAYBE_WARM_UP


def warmed(t, tau_h, height=100):
    return height * (1 - np.exp(-t / tau_h))


@pytest.mark.parametrize("tau_h", [4, 12, 24])
def test_a_leak_that_continues_after_a_warm_up_of_hours_or_a_day_is_growth(tau_h):
    t = hours(8 * 24)
    one = case(300 + warmed(t, tau_h) + 0.25 * t + day(t) + noise(), t[-1], t[-1] - 24, t[-1])
    found = weighed(one)
    assert (found.kind, found.reason) == (GROWING, FLOOR_RISES)
    assert found.per_hour == pytest.approx(0.25 * MIB, rel=0.3)


@pytest.mark.parametrize("days", [3, 4])
def test_an_even_rise_of_every_hour_over_a_few_days_after_a_warm_up_is_growth(days):
    t = hours(days * 24 + 2)
    one = case(300 + warmed(t, 5) + 0.6 * t + day(t, 30) + noise(), t[-1], t[-1] - 12, t[-1])
    found = weighed(one)
    assert (found.kind, found.reason) == (GROWING, FLOOR_RISES)
    assert found.per_hour == pytest.approx(0.6 * MIB, rel=0.4)


@pytest.mark.parametrize("days", [3, 4, 6, 8, 14])
@pytest.mark.parametrize("kind", ["one stage", "two stages", "logarithm", "root"])
def test_a_long_warm_up_alone_is_no_growth(days, kind):
    t = hours(days * 24 + 2)
    x = t / t[-1]
    rise = {
        "one stage": warmed(x, 0.25),
        "two stages": warmed(x, 0.03) + warmed(x, 0.25),
        "logarithm": 20 * np.log1p(x / 0.005),
        "root": 100 * x**0.2,
    }[kind]
    one = case(300 + rise + day(t) + noise(), t[-1], t[-1] / 2, t[-1])
    assert weighed(one).kind != GROWING


def test_a_leak_that_stopped_is_no_growth():
    t = hours(100)
    found = weighed(case(200 + np.minimum(t, 50) + noise(), 100, 0, 100))
    assert (found.kind, found.reason) == (STEADY, SLOWS)


def test_three_steps_are_no_growth():
    t = hours(100)
    steps = sum(30 * (t > at) for at in (20, 50, 80))
    found = weighed(case(200 + steps + noise(), 100, 0, 100))
    assert found.kind == STEADY
    assert found.reason in {STEPPED, FLOOR_LEVEL}


def test_a_fast_rise_of_a_young_run_is_growth():
    t = hours(0.25)
    found = weighed(case(200 + 400 * t + noise(size=0.3), 0.25, 0, 0.25))
    assert (found.kind, found.reason) == (GROWING, FAST)


def test_a_rise_that_continues_for_a_day_is_no_wave():
    t = hours(30)
    found = weighed(case(400 + 3 * t + noise(), 30, 0, 30))
    assert (found.kind, found.reason) == (GROWING, ALL_DAY)


def test_the_reason_for_a_level_run_depends_on_its_age():
    assert weighed(case(300 + noise(), 100, 60, 100)).reason == FLOOR_LEVEL
    assert weighed(case(300 + noise(), 6, 0, 6)).reason == YOUNG


def test_too_little_data_has_no_reason_and_no_confidence():
    found = weighed(case(300 + noise(), 100, 50, 50.005))
    assert (found.kind, found.confidence, found.reason) == (TOO_LITTLE, "", "")


@pytest.mark.parametrize("span_h", [0.015, 3])
def test_too_little_data_in_a_young_run_is_no_growth(span_h):
    t = hours(span_h)
    one = case(100 + 400 * t + noise(size=0.01), span_h, span_h - min(span_h, 0.015), span_h)
    found = weighed(one)
    assert (found.kind, found.confidence) == (TOO_LITTLE, "")


def test_a_window_too_short_for_a_verdict_has_that_of_the_long_run():
    t = hours(100)
    found = weighed(case(300 + t + noise(), 100, 99.8, 100))
    assert (found.kind, found.reason) == (GROWING, FLOOR_RISES)


def test_a_growing_verdict_is_kept_near_the_limit_of_a_wave():
    t = hours(3)
    one = case(400 + 0.14 * 400 * t + noise(), 3, 0, 3)  # 14 % of the level in an hour
    first = weighed(one)
    assert first.kind == NOT_SURE
    table = window_of(one)
    grew = verdicts(table)  # only the window
    assert weighed(one, before=grew).kind == GROWING


# -- the earlier run


def earlier_of(level_mib, span_h):
    return case(level_mib, span_h, 0, span_h, BEGIN_MS)


def young_of(level_mib, span_h, after_h):
    return case(level_mib, span_h, 0, span_h, BEGIN_MS + int(after_h * HOUR_MS))


def test_a_rise_like_those_of_the_earlier_run_is_steady():
    t = hours(96)
    young = young_of(300 + day(hours(5) + 7) + noise(2, 0.5), 5, 103)
    assert weighed(young).kind == NOT_SURE
    found = weighed(young, earlier=earlier_of(250 + day(t) + noise(), 96))
    assert (found.kind, found.reason) == (STEADY, EARLIER_RUN)


def test_a_rise_unlike_those_of_the_earlier_run_is_growth():
    young = young_of(300 + 8 * hours(5) + noise(2, 0.5), 5, 103)
    assert weighed(young).kind == NOT_SURE
    found = weighed(young, earlier=earlier_of(300 + day(hours(96), 5) + noise(), 96))
    assert (found.kind, found.reason) == (GROWING, NOT_AS_EARLIER)


def test_a_warm_up_like_that_of_the_earlier_run_is_steady():
    def warm(t):
        return 200 + 60 * (1 - np.exp(-t / 8))

    young = young_of(warm(hours(6)) + noise(2, 0.3), 6, 30)
    assert weighed(young).kind == NOT_SURE
    found = weighed(young, earlier=earlier_of(warm(hours(24)) + noise(size=0.3), 24))
    assert (found.kind, found.reason) == (STEADY, EARLIER_RUN)


def test_a_leak_of_the_earlier_run_does_not_hide_that_of_this_one():
    young = young_of(300 + 8 * hours(5) + noise(2, 0.5), 5, 103)
    found = weighed(young, earlier=earlier_of(300 + 8 * hours(96) + noise(), 96))
    assert found.kind == GROWING


# -- labelled histories


def rates(kinds, count, seed):
    def judge(one):
        return verdicts(window_of(one), past=long_term_trends(past_of(one)))

    return [tally(kind, [judge], count, seed)[0] for kind in kinds]


@pytest.mark.parametrize("kind", develop.DEVELOP, ids=lambda kind: kind.name)
def test_most_histories_of_each_kind_get_the_right_verdict(kind):
    found = rates([kind], 20, develop.SEED)[0]
    if found.truth == histories.LEAK:
        assert found.growing >= 15
    else:
        assert found.growing <= 1


def test_most_leaks_of_services_with_a_warm_up_are_found_with_few_false_alarms():
    found = {one.name: one for one in rates(develop.SERVICES, 60, develop.SEED)}
    assert found["service that leaks"].growing >= 39  # 65 %
    assert found["service that leaks, of few days"].growing >= 21  # 35 %
    assert found["service"].growing <= 2
    assert found["service of few days"].growing <= 3
    assert found["service of a slow cache"].growing <= 15


@pytest.mark.slow
def test_on_held_out_histories_growth_is_detected_with_the_documented_accuracy():
    found = summary(rates(held_out.HELD_OUT, 60, held_out.SEED))
    assert found.precision >= 98
    assert found.recall >= 92
    assert found.layer >= 95
