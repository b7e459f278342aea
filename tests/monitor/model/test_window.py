import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.window import (
    EARLIEST_MS,
    LADDER_MS,
    LATEST_MS,
    MAX_SPAN_MS,
    MIN_SPAN_MS,
    Window,
    jump_ms,
)

NOW = 1_795_183_402_123
MINUTE = 60_000
HOUR = 3_600_000

spans = st.integers(-10, MAX_SPAN_MS * 2)
instants = st.integers(-(10**13), LATEST_MS * 2)
windows = st.one_of(
    st.builds(Window.live, instants, spans),
    st.builds(Window.fit, instants, instants, st.one_of(st.none(), instants)),
    st.builds(Window.around, instants, spans),
)
optional_instants = st.one_of(st.none(), instants)


def test_a_short_window_jumps_by_larger_steps():
    assert jump_ms(2 * MINUTE) == 30_000
    assert jump_ms(15 * MINUTE) == 15 * MINUTE // 8


def in_limits(window):
    return (
        MIN_SPAN_MS <= window.span_ms <= MAX_SPAN_MS
        and EARLIEST_MS <= window.begin_ms < window.end_ms <= LATEST_MS
    )


@given(windows, st.floats(), optional_instants)
def test_panning_keeps_the_span_and_the_limits(window, fraction, now):
    panned = window.pan(fraction, now)
    assert panned.span_ms == window.span_ms
    assert in_limits(panned)


@given(windows, st.floats(), optional_instants, optional_instants)
def test_zooming_keeps_the_limits(window, factor, anchor, now):
    assert in_limits(window.zoom(factor, anchor, now))
    assert in_limits(window.zoom_in(anchor, now))
    assert in_limits(window.zoom_out(anchor, now))


@given(st.integers(NOW, NOW + 10**10), st.integers(MIN_SPAN_MS, 365 * 86_400_000))
def test_a_following_window_ends_at_most_an_eighth_after_now(now, span):
    window = Window.live(now, span)
    assert now < window.end_ms <= now + jump_ms(window.span_ms)


@given(st.integers(0, 10**7), st.integers(MIN_SPAN_MS, 86_400_000))
def test_a_following_window_moves_only_in_whole_eighths(later, span):
    window = Window.live(NOW, span)
    moved = window.follow(NOW + later)
    assert (moved.end_ms - window.end_ms) % (jump_ms(span)) == 0
    assert moved.end_ms % (jump_ms(span)) == 0


def test_between_jumps_following_returns_the_same_window():
    window = Window.live(NOW, 15 * MINUTE)
    assert window.follow(window.end_ms - 1) is window
    assert window.follow(window.end_ms) is not window


def test_two_windows_of_one_span_jump_at_the_same_instants():
    assert Window.live(NOW, HOUR).end_ms == Window.live(NOW - 1000, HOUR).follow(NOW).end_ms


def test_panning_left_leaves_following():
    window = Window.live(NOW, HOUR).pan(-0.25, NOW)
    assert not window.following
    assert window.follow(NOW + HOUR) is window


def test_panning_right_to_now_resumes_following():
    live = Window.live(NOW, HOUR)
    assert live.pan(-0.5, NOW).pan(0.25, NOW).following is False
    assert live.pan(-0.5, NOW).pan(1, NOW) == live


def test_a_zoomed_live_window_still_follows():
    window = Window.live(NOW, HOUR).zoom_in(now_ms=NOW)
    assert window == Window.live(NOW, 30 * MINUTE)


@given(st.integers(MIN_SPAN_MS * 4, 30 * 86_400_000), st.floats(0.3, 3), st.floats(0, 1))
def test_the_anchor_keeps_its_place_on_the_screen(span, factor, share):
    window = Window.fit(NOW - span, NOW)
    anchor = window.begin_ms + int(share * span)
    zoomed = window.zoom(factor, anchor)
    before = (anchor - window.begin_ms) / window.span_ms
    after = (anchor - zoomed.begin_ms) / zoomed.span_ms
    assert after == pytest.approx(before, abs=1e-3)


def test_without_an_anchor_the_right_edge_stays():
    window = Window.fit(NOW - HOUR, NOW)
    assert window.zoom_out().end_ms == NOW
    assert window.zoom_in().end_ms == NOW


def test_zooming_in_and_out_uses_the_same_steps():
    window = Window.fit(NOW - HOUR, NOW)
    assert window.zoom_out().span_ms == 3 * HOUR
    assert window.zoom_out().zoom_in() == window
    assert Window.fit(NOW - 59 * MINUTE, NOW).zoom_out().span_ms == HOUR


def test_the_ladder_ends_at_the_limits():
    assert (LADDER_MS[0], LADDER_MS[-1]) == (MIN_SPAN_MS, MAX_SPAN_MS)
    assert list(LADDER_MS) == sorted(set(LADDER_MS))
    shortest = Window.fit(NOW - MIN_SPAN_MS, NOW)
    assert shortest.zoom_in() is shortest


def test_fitting_shows_exactly_the_requested_window():
    window = Window.fit(NOW - HOUR, NOW - MINUTE)
    assert (window.begin_ms, window.end_ms, window.following) == (NOW - HOUR, NOW - MINUTE, False)


def test_fitting_a_live_run_follows_it():
    assert Window.fit(NOW - HOUR, NOW, NOW).following


def test_a_frozen_window_does_not_change_until_it_is_thawed():
    frozen = Window.live(NOW, MINUTE).freeze()
    assert frozen.follow(NOW + HOUR) is frozen
    assert frozen.thaw(NOW + HOUR) == Window.live(NOW + HOUR, MINUTE)


def test_a_window_beyond_the_limits_cannot_be_built():
    with pytest.raises(ValueError, match="window of"):
        Window(NOW, NOW)
    with pytest.raises(ValueError, match="window from"):
        Window(-MIN_SPAN_MS, 0)
