"""Going to a time: the window around it, the cursor on it, and the text about the target."""

from datetime import timezone

from kit.units import HOUR_MS
from pprofplus_tui.model.goto_target import goto_text, goto_view
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.time_grammar import Goto
from pprofplus_tui.model.view import View

NOW_MS = 1_800_000_000_000  # 15 Jan 2027, 08:00:00 UTC
ENDED = Run("/a", "api", 1, "died", NOW_MS - 24 * HOUR_MS, NOW_MS)
LIVE = Run("/a", "api", 1, "live", NOW_MS - 24 * HOUR_MS, NOW_MS)
UTC = timezone.utc


def test_the_window_keeps_its_span_with_the_cursor_in_its_middle():
    view = View().select(ENDED, NOW_MS).zoom(-1, ENDED, NOW_MS)
    at_ms = NOW_MS - 10 * HOUR_MS
    there = goto_view(view, Goto(at_ms=at_ms), ENDED, NOW_MS)
    assert there.window.span_ms == view.window.span_ms
    assert there.cursor == at_ms
    assert abs(there.window.begin_ms + there.window.span_ms // 2 - at_ms) <= 1


def test_a_live_run_is_left_for_the_past_and_followed_again_at_now():
    view = View().select(LIVE, NOW_MS)
    assert not goto_view(view, Goto(at_ms=NOW_MS - HOUR_MS), LIVE, NOW_MS).window.following
    assert goto_view(view, Goto(at_ms=NOW_MS), LIVE, NOW_MS).window.following


def test_the_last_hours_are_those_of_the_run():
    ended = goto_view(
        View().select(ENDED, NOW_MS), Goto(last_ms=2 * HOUR_MS), ENDED, NOW_MS + HOUR_MS
    )
    assert ended.window.span_ms == 2 * HOUR_MS
    assert ended.window.end_ms == NOW_MS + 1
    live = goto_view(View().select(LIVE, NOW_MS), Goto(last_ms=2 * HOUR_MS), LIVE, NOW_MS)
    assert live.window.following
    assert live.window.span_ms == 2 * HOUR_MS


def test_a_time_is_shown_with_its_day_and_zone():
    text = goto_text(Goto(at_ms=NOW_MS - HOUR_MS), ENDED, UTC)
    assert text == "Fri 15 Jan 2027 07:00:00 UTC"


def test_a_time_outside_of_the_run_is_named_as_such():
    before = goto_text(Goto(at_ms=ENDED.begin_ms - HOUR_MS), ENDED, UTC)
    assert before.endswith("1h before the run's first sample")
    after = goto_text(Goto(at_ms=ENDED.end_ms + 90_000), ENDED, UTC)
    assert after.endswith("1m30s after the run's last sample")
    assert goto_text(Goto(last_ms=2 * HOUR_MS), ENDED, UTC) == "the last 2h of the run"
