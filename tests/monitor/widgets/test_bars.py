"""The status line and the key line: exact width, and the important words stay longest."""

from datetime import timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.cells import row_text, styles_of
from kit.fake_runs import fake_run
from kit.units import HOUR_MS
from pprofplus_tui.model.runs import DIED, EXITED, LIVE, PAUSED, STALLED, STATES
from pprofplus_tui.model.window import Window
from pprofplus_tui.widgets.bars import StatusView, keys_row, status_row
from pprofplus_tui.widgets.row_text import width_of

UTC = timezone.utc
END_MS = 1_700_000_000_000  # 22:13:20 in UTC

states = st.sampled_from(STATES)
widths = st.integers(20, 200)


def run_of(state=LIVE, service="api", pid=4711):
    return fake_run(service, pid, state, begin_ms=END_MS - 2 * HOUR_MS, end_ms=END_MS)


def status(run, window, width, **more):
    return row_text(status_row(StatusView((run,), run, window, UTC, **more), width))


following = Window.live(END_MS, HOUR_MS)
past = Window.fit(END_MS - HOUR_MS, END_MS)
windows = st.sampled_from([following, past, following.freeze(), past.freeze(), None])


# -- the status line


@given(states, windows, widths, st.booleans(), st.sampled_from(["", "/a/b: Permission denied" * 9]))
def test_the_status_line_has_the_requested_width(state, window, width, plain, problem):
    row = status_row(
        StatusView((run_of(state),), run_of(state), window, UTC, plain=plain, problem=problem),
        width,
    )
    assert width_of(row) == width
    assert row_text(row).isascii() or not plain


@given(states, windows, widths)
def test_plain_and_drawn_status_lines_have_equal_width(state, window, width):
    drawn = status(run_of(state), window, width)
    plain = status(run_of(state), window, width, plain=True)
    assert len(drawn) == len(plain)


def test_a_followed_run_is_live_at_the_time_of_its_last_sample():
    text = status(run_of(), following, 120)
    assert "api 4711 · up 2h" in text
    assert text.rstrip().endswith("LIVE 22:13:20 UTC")


@pytest.mark.parametrize("state", [STALLED, PAUSED])
def test_a_stalled_or_paused_run_shows_since_when(state):
    text = status(run_of(state), following, 120)
    assert f"{state} since 22:13:20" in text
    assert f"{state.upper()} 22:13:20 UTC" in text


@pytest.mark.parametrize("state", [DIED, EXITED])
def test_an_ended_run_shows_its_end_and_its_duration(state):
    text = status(run_of(state), past, 120)
    assert f"{state} 22:13:20 after 2h" in text
    assert "PAST 14 Nov 21:13 – 22:13 UTC" in text


def test_a_live_run_with_a_past_window_is_shown_as_past():
    text = status(run_of(), past, 120)
    assert "up 2h" in text
    assert "PAST " in text
    assert "LIVE" not in text


@pytest.mark.parametrize("state", STATES)
def test_a_frozen_window_is_marked_in_any_state(state):
    assert "FROZEN 14 Nov" in status(run_of(state), following.freeze(), 120)


def test_a_death_and_a_frozen_window_have_their_own_colours():
    row = status_row(StatusView((run_of(DIED),), run_of(DIED), past, UTC), 120)
    assert styles_of(row, "died") == {"died_bar"}
    row = status_row(StatusView((run_of(),), run_of(), following.freeze(), UTC), 120)
    assert styles_of(row, "FROZEN") == {"stalled_bar"}


def test_without_runs_the_counts_are_zero_and_nothing_is_live():
    text = row_text(status_row(StatusView(), 80))
    assert "0 services · 0 live · 0 ended" in text
    assert "LIVE" not in text


def test_the_count_of_one_service_is_singular():
    assert "1 service · 1 live · 0 ended" in status(run_of(), following, 120)


def test_with_less_room_the_counts_are_dropped_first_and_the_clock_stays():
    seen = [status(run_of(), following, width) for width in range(120, 19, -1)]

    def narrowest(word):
        return min(len(text) for text in seen if word in text)

    order = [narrowest(word) for word in ("1 service", "pprofplus", "up 2h", "api 4711")]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == 4
    assert all("LIVE" in text for text in seen)


def test_a_part_dropped_at_one_width_is_absent_at_every_smaller_one():
    for word in ("1 service", "pprofplus", "up 2h", "api 4711", "LIVE"):
        shown = [word in status(run_of(), following, width) for width in range(20, 201)]
        assert shown == sorted(shown), word


def test_a_problem_that_fits_is_shown_without_control_codes():
    problem = "/log\x1b[31m\n: Permission denied"
    text = status(run_of(), following, 160, problem=problem)
    assert "\\x1b[31m\\x0a: Permission denied" in text
    assert "Permission" not in status(run_of(), following, 60, problem=problem)


@pytest.mark.parametrize("state", [LIVE, DIED])
@pytest.mark.parametrize("width", [70, 80, 100])
def test_a_problem_that_does_not_fit_is_shown_as_incomplete(width, state):
    window = following if state == LIVE else past
    text = status(run_of(state), window, width, problem="api/7-1800000000000: 2 of 6 segments" * 9)
    assert "! incomplete" in text or "2 of 6 segments" in text
    assert "incomplete" not in status(run_of(state), window, width)


def test_wide_characters_in_a_problem_do_not_displace_the_clock():
    row = status_row(
        StatusView((run_of(),), run_of(), following, UTC, problem="/日志/日志: 日志"), 160
    )
    text = row_text(row)
    assert len(text) == 160
    assert text.rstrip().endswith("UTC")
    assert all(ord(char) < 0x2E80 for char in text)


def test_a_window_of_days_names_both_days():
    days = Window.fit(END_MS - 72 * HOUR_MS, END_MS)
    assert "11 Nov 22:13 – 14 Nov 22:13" in status(run_of(DIED), days, 120)


def test_a_window_of_minutes_shows_seconds():
    short = Window.fit(END_MS - 60_000, END_MS)
    assert "22:12:20 – 22:13:20" in status(run_of(DIED), short, 120)


# -- the key line


@given(widths, st.booleans())
def test_the_keys_line_always_has_help_and_quit(width, plain):
    row = keys_row(width, plain=plain)
    text = row_text(row)
    assert width_of(row) == width
    assert "? help" in text
    assert "q quit" in text
    assert text.isascii() or not plain


def test_more_room_never_shows_fewer_keys():
    counts = [row_text(keys_row(width)).split() for width in range(20, 201)]
    assert [len(words) for words in counts] == sorted(len(words) for words in counts)
    assert "freeze" in counts[-1]
    assert "freeze" not in counts[0]


def test_keys_have_another_style_than_their_words():
    row = keys_row(200)
    assert styles_of(row, "Space") == {"key"}
    assert styles_of(row, "freeze") == {"bar"}
