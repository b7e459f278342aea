from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.units import MINUTE_MS
from pprofplus_tui.model.charts import CHARTS, charts_for
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.view import View, whole, young_span_ms

NOW_MS = 1_800_000_000_000


def run(state="live", age_ms=3_600_000, end_ms=NOW_MS, path="/a"):
    return Run(path, "api", 1, state, end_ms - age_ms, end_ms)


def test_a_young_service_fills_its_window():
    assert young_span_ms(10_000) == 2 * MINUTE_MS
    assert young_span_ms(3 * MINUTE_MS) == 5 * MINUTE_MS
    assert young_span_ms(86_400_000) == 15 * MINUTE_MS


def test_a_live_run_is_followed():
    window = View().select(run(), NOW_MS).window
    assert window.following
    assert window.begin_ms < NOW_MS < window.end_ms


def test_a_run_without_recent_samples_is_shown_to_its_last_sample():
    stalled = run("stalled", end_ms=NOW_MS - 3_600_000)
    window = View().select(stalled, NOW_MS).window
    assert not window.following
    assert window.begin_ms < stalled.end_ms < window.end_ms <= NOW_MS
    assert View().select(run("stalled", end_ms=NOW_MS - 60_000), NOW_MS).window.following


def test_a_run_selected_after_a_fitted_one_has_its_own_window():
    old = run("died", age_ms=7 * 86_400_000)
    fitted = View().select(old, NOW_MS).zoom(-1, old, NOW_MS).fit(old, NOW_MS)
    young = run(age_ms=60_000, path="/b")
    assert fitted.select(young, NOW_MS).window.span_ms == 2 * MINUTE_MS


def test_an_ended_run_is_shown_from_begin_to_end():
    ended = run("died")
    window = View().select(ended, NOW_MS).window
    assert not window.following
    assert window.begin_ms <= ended.begin_ms
    assert window.end_ms > ended.end_ms


def test_the_window_grows_with_a_young_run_until_the_user_chooses_one():
    young = run(age_ms=10_000)
    view = View().select(young, NOW_MS)
    later_ms = NOW_MS + 3 * MINUTE_MS
    assert view.tick(young, later_ms).window.span_ms == 5 * MINUTE_MS
    chosen = view.zoom(-1, young, NOW_MS)
    assert chosen.tick(young, later_ms).window.span_ms == chosen.window.span_ms


def test_a_past_window_is_kept_for_a_run_that_existed_then():
    view = View().select(run(), NOW_MS).pan(-1, run(), NOW_MS)
    other = run(path="/b")
    assert view.select(other, NOW_MS).window == view.window


def test_a_past_window_is_left_for_a_run_that_did_not_exist_then():
    view = View().select(run(), NOW_MS).pan(-1, run(), NOW_MS)
    fresh = run(age_ms=1000, path="/b")
    assert view.select(fresh, NOW_MS).window.following


def test_panning_back_leaves_the_present_and_end_returns_to_it():
    view = View().select(run(), NOW_MS).pan(-0.25, run(), NOW_MS)
    assert not view.window.following
    assert view.live(run(), NOW_MS).window.following


def test_a_frozen_picture_does_not_follow():
    view = View().select(run(), NOW_MS).freeze(NOW_MS)
    assert view.tick(run(), NOW_MS + 3_600_000) == view
    assert view.freeze(NOW_MS).window.following


def test_the_whole_of_a_live_run_is_followed():
    view = View().select(run(), NOW_MS).fit(run(), NOW_MS)
    assert view.window.following
    assert view.window.begin_ms <= run().begin_ms


def test_the_start_of_a_run_is_at_the_left_edge():
    ended = run("died", age_ms=86_400_000)
    view = View().select(ended, NOW_MS).zoom(-1, ended, NOW_MS).start(ended)
    assert view.window.begin_ms == ended.begin_ms


def test_the_end_of_an_ended_run_is_visible_and_not_followed():
    ended = run("exited", age_ms=86_400_000)
    view = View().select(ended, NOW_MS).zoom(-1, ended, NOW_MS).start(ended).live(ended, NOW_MS)
    assert view.window.begin_ms < ended.end_ms < view.window.end_ms
    assert not view.window.following


def test_begin_and_end_of_the_command_line_are_the_window():
    ended = run("died", age_ms=86_400_000)
    begin_ms, end_ms = ended.begin_ms + MINUTE_MS, ended.begin_ms + 5 * MINUTE_MS
    window = View().opened(ended, NOW_MS, begin_ms, end_ms, None).window
    assert (window.begin_ms, window.end_ms) == (begin_ms, end_ms)


def test_last_of_the_command_line_is_the_span():
    for state in ("live", "died"):
        window = View().opened(run(state), NOW_MS, None, None, MINUTE_MS).window
        assert window.span_ms == MINUTE_MS
        assert window.end_ms >= NOW_MS


def test_last_after_begin_counts_forward():
    ended = run("died", age_ms=86_400_000)
    window = View().opened(ended, NOW_MS, ended.begin_ms, None, MINUTE_MS).window
    assert (window.begin_ms, window.span_ms) == (ended.begin_ms, MINUTE_MS)


def test_the_last_chart_cannot_be_hidden():
    view = View()
    for chart in CHARTS:
        view = view.toggle(chart.id)
    assert len(view.shown) == 1


def test_a_hidden_chart_is_not_the_chosen_one():
    view = View().toggle("memory")
    assert view.chosen in view.shown


def test_enlarging_shows_one_chart_and_a_digit_then_switches_it():
    view = View().maximise()
    assert view.shown == ("memory",)
    assert view.toggle("c_heap").shown == ("c_heap",)
    assert len(view.toggle("c_heap").maximise().shown) == len(CHARTS)


def test_tab_cycles_through_all_charts():
    view, seen = View(), []
    for _ in CHARTS:
        seen.append(view.chosen)
        view = view.choose(1)
    assert sorted(seen) == sorted(chart.id for chart in CHARTS)
    assert view.chosen == seen[0]


@given(
    st.lists(
        st.sampled_from(
            [
                lambda v, r: v.pan(-1, r, NOW_MS),
                lambda v, r: v.pan(0.25, r, NOW_MS),
                lambda v, r: v.zoom(1, r, NOW_MS),
                lambda v, r: v.zoom(-1, r, NOW_MS),
                lambda v, r: v.fit(r, NOW_MS),
                lambda v, r: v.live(r, NOW_MS),
                lambda v, r: v.start(r),
                lambda v, _: v.freeze(NOW_MS),
                lambda v, r: v.tick(r, NOW_MS + 1000),
                lambda v, r: v.select(r, NOW_MS),
            ]
        ),
        max_size=30,
    ),
    st.sampled_from(["live", "paused", "stalled", "died", "exited"]),
    st.integers(0, 10**12),
)
def test_no_sequence_of_keys_leaves_without_a_window(steps, state, age_ms):
    shown = run(state, age_ms)
    view = View().select(shown, NOW_MS)
    for step in steps:
        view = step(view, shown)
        assert view.window.begin_ms < view.window.end_ms


def test_a_run_of_one_instant_has_a_window():
    assert whole(run("died", age_ms=0)).span_ms >= 10_000


OWN = charts_for((("queue", "jobs", "gauge"), ("lag", "1/1000 s", "gauge")))


def with_own(path="/own"):
    return replace(run(path=path), charts=OWN)


def test_a_run_s_own_charts_are_shown_after_the_others():
    assert View().select(with_own(), NOW_MS).shown[len(CHARTS) :] == ("own1", "own2")


def test_own_charts_are_hidden_by_their_keys_and_removed_with_the_run():
    view = View().select(with_own(), NOW_MS).toggle("own1").toggle("gc")
    assert "own1" not in view.shown
    assert view.select(with_own("/other"), NOW_MS).shown == view.shown
    plain = view.select(run(), NOW_MS)
    assert "own2" not in plain.shown
    assert "gc" not in plain.shown
    assert "own1" in plain.select(with_own(), NOW_MS).shown


def test_an_enlarged_own_chart_is_left_if_the_next_run_has_none():
    view = replace(View().select(with_own(), NOW_MS), chosen="own2").maximise()
    assert view.shown == ("own2",)
    assert len(view.select(run(), NOW_MS).shown) == len(CHARTS)


def test_a_chart_that_the_run_has_not_cannot_be_shown():
    view = View().select(run(), NOW_MS)
    assert view.toggle("own1") == view


def test_a_gauge_that_appears_while_the_run_is_shown_gets_its_chart():
    view = View().select(run(), NOW_MS)
    assert "own1" in view.tick(replace(run(), charts=OWN), NOW_MS).shown


def test_the_chosen_chart_always_has_a_place():
    view = View().select(with_own(), NOW_MS)
    assert view.fitting(2) == ("memory", "python_heap")
    assert replace(view, chosen="own2").fitting(2) == ("memory", "own2")
    assert replace(view, chosen="own2").fitting(1) == ("own2",)
    assert view.fitting(99) == view.shown


@pytest.mark.parametrize("state", ["died", "exited"])
def test_no_key_moves_past_the_end_of_an_ended_run(state):
    ended = run(state, age_ms=86_400_000)
    view = View().select(ended, NOW_MS)
    assert view.window.end_ms == ended.end_ms + 1
    for step in (
        lambda v: v.pan(1, ended, NOW_MS),
        lambda v: v.zoom(-1, ended, NOW_MS),
        lambda v: v.pan(0.25, ended, NOW_MS),
        lambda v: v.zoom(1, ended, NOW_MS, ended.begin_ms),
        lambda v: v.zoom(1, ended, NOW_MS, ended.begin_ms),
        lambda v: v.start(ended),
        lambda v: v.pan(1, ended, NOW_MS),
        lambda v: v.live(ended, NOW_MS),
        lambda v: v.fit(ended, NOW_MS),
    ):
        view = step(view)
        assert view.window.end_ms <= ended.end_ms + 1


def test_a_requested_window_past_the_end_is_not_moved_until_it_is_left():
    ended = run("died", age_ms=86_400_000)
    view = View().opened(ended, NOW_MS, NOW_MS + MINUTE_MS, NOW_MS + 2 * MINUTE_MS, None)
    assert view.window.begin_ms == NOW_MS + MINUTE_MS
    assert view.pan(1, ended, NOW_MS).window == view.window
    assert view.pan(-1, ended, NOW_MS).window.end_ms < view.window.end_ms
