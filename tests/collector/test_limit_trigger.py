"""Triggers at a memory limit: when they fire, how often, and how soon memory is read again."""

import itertools

import pytest

from kit.units import MIB
from pprofplus.recording.limit_trigger import (
    CALM_POLL_S,
    FAST_POLL_S,
    MAX_POLL_S,
    MIN_POLL_S,
    MOST_PER_HOUR,
    LimitTriggers,
)

LIMIT = 1000 * MIB


def replay(shares, step_s=60.0, triggers=None):
    """Return (number of the reading, name) of what fires at readings of shares of the limit."""
    triggers = triggers or LimitTriggers()
    return [
        (i, name)
        for i, share in enumerate(shares)
        for name in triggers.fired(round(share * LIMIT), LIMIT, 1000.0 + i * step_s)
    ]


def test_each_threshold_fires_once_on_the_way_up():
    shares = [i / 100 for i in range(50, 95)]
    assert replay(shares) == [(25, "limit-75"), (40, "limit-90")]


def test_both_fire_at_once_if_memory_jumps():
    assert replay([0.5, 0.95]) == [(1, "limit-75"), (1, "limit-90")]


def test_a_service_that_stays_at_92_percent_is_profiled_once():
    assert len(replay([0.5, 0.92] + [0.92, 0.93] * 2000)) == 2


def test_a_service_that_oscillates_around_90_percent_is_profiled_once():
    assert len(replay([0.5] + [0.91, 0.89] * 2000)) == 2


def test_a_service_that_oscillates_widely_is_profiled_twice_an_hour_and_trigger_at_most():
    minutes = 24 * 60
    found = replay([0.5, 0.95] * (minutes // 2))
    for name in ("limit-75", "limit-90"):
        times = [i for i, fired in found if fired == name]
        assert len(times) <= MOST_PER_HOUR * minutes / 60
        assert all(
            later - earlier >= 60
            for earlier, later in zip(times, times[MOST_PER_HOUR:], strict=False)
        )
        assert times[-1] > minutes - 120  # and goes on


def test_the_last_trigger_fires_again_when_half_of_what_was_left_is_gone():
    found = replay([0.5, 0.92, *[0.92] * 60, 0.955, *[0.96] * 60, 0.985])
    assert [pair for pair in found if pair[1] == "limit-90"] == [
        (1, "limit-90"),
        (63, "limit-90"),
        (123, "limit-90"),
    ]


def test_it_does_not_fire_again_at_once_during_a_fast_growth():
    shares = [0.5 + i / 100 for i in range(50)]
    assert [name for _, name in replay(shares, step_s=0.05)] == ["limit-75", "limit-90"]


def test_a_process_that_begins_above_the_thresholds_fires_when_it_grows_further():
    assert replay([0.95] * 100) == []
    assert replay([0.95, 0.96, 0.97, 0.98]) == [(3, "limit-90")]


def test_a_limit_that_is_lowered_fires_if_it_is_then_reached():
    triggers = LimitTriggers()
    used = 700 * MIB
    assert triggers.fired(used, LIMIT, 0.0) == []
    assert triggers.fired(used, 750 * MIB, 1.0) == ["limit-75", "limit-90"]


def time_to_detect(rate, limit, begin_share, phase):
    """Return the shares of the limit in use when the triggers fire; growth begins at `phase`."""
    triggers = LimitTriggers()
    now_s, found = 0.0, {}
    for _ in range(5000):
        grown = max(0.0, now_s - 3.0 - phase) * rate
        used = round(begin_share * limit + grown)
        if used >= limit:
            break
        for name in triggers.fired(used, limit, now_s):
            found[name] = used / limit
        now_s += triggers.poll_s(limit)
    return found


@pytest.mark.parametrize("rate", [20e6, 50e6, 100e6, 200e6, 400e6])
@pytest.mark.parametrize("limit", [512 * MIB, 1024 * MIB, 8192 * MIB])
def test_sudden_growth_is_seen_with_most_of_the_last_tenth_left(rate, limit):
    for phase in (i / 20 for i in range(20)):
        found = time_to_detect(rate, limit, 0.3, phase)
        assert set(found) == {"limit-75", "limit-90"}
        late_s = (found["limit-90"] - 0.9) * limit / rate
        assert late_s <= 2 * MIN_POLL_S or found["limit-90"] <= 0.93


def test_memory_is_read_once_a_second_far_from_the_limit():
    triggers = LimitTriggers()
    for i in range(10):
        triggers.fired(100 * MIB + i * 4096, 4096 * MIB, float(i))
        assert triggers.poll_s(4096 * MIB) == MAX_POLL_S


def test_a_steady_service_near_its_limit_is_read_a_few_times_a_second_at_most():
    triggers = LimitTriggers()
    for share in (0.5, 0.6, 0.7, 0.8, 0.89, 0.95):
        for i in range(60):  # long enough to forget the step
            triggers.fired(round(share * 400 * MIB), 400 * MIB, 1000 * share + i)
        assert triggers.poll_s(400 * MIB) >= CALM_POLL_S


def test_after_the_last_trigger_it_waits_for_the_next_point_and_does_not_spin():
    triggers = LimitTriggers()
    waits = []
    for i in itertools.count():
        triggers.fired(min(round((0.5 + i / 1000) * LIMIT), 920 * MIB), LIMIT, i * 0.1)
        waits.append(triggers.poll_s(LIMIT))
        if i > 1000:
            break
    assert min(waits) >= FAST_POLL_S
    assert min(waits[-50:]) >= CALM_POLL_S


def approached(rate, begin_share, step_s=0.25):
    """Return at which share of the limit the last trigger is expected soon; None if never."""
    triggers = LimitTriggers()
    for i in range(10_000):
        used = round(begin_share * LIMIT + rate * i * step_s)
        if "limit-90" in triggers.fired(used, LIMIT, i * step_s):
            return None
        if triggers.approaching(LIMIT):
            return used / LIMIT
    return None


def test_the_last_trigger_is_expected_seconds_before_it_fires():
    assert approached(400e6, 0.1) == pytest.approx(0.4, abs=0.1)
    assert approached(100e6, 0.1) == pytest.approx(0.5, abs=0.05)
    assert approached(20e6, 0.1) == pytest.approx(0.82, abs=0.02)
    assert approached(1e4, 0.8) is None
    assert approached(0, 0.8) is None


def test_a_single_step_is_no_approach():
    triggers = LimitTriggers()
    for i, share in enumerate((0.5, 0.7, 0.7, 0.7)):
        triggers.fired(round(share * LIMIT), LIMIT, i * 0.25)
        assert not triggers.approaching(LIMIT)
