"""The single lines: exactly as wide as asked, the important words last to go."""

import re
from datetime import timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.facts import Facts, Layer
from pprofplus_tui.model.runs import DIED, EXITED, LIVE, PAUSED, STALLED, STATES, Run
from pprofplus_tui.model.window import Window
from pprofplus_tui.widgets.bars import StatusView, facts_row, keys_row, status_row
from pprofplus_tui.widgets.text import width_of

UTC = timezone.utc
END_MS = 1_700_000_000_000  # 22:13:20 in UTC
HOUR_MS = 3_600_000
MIB = 1 << 20

states = st.sampled_from(STATES)
widths = st.integers(20, 200)


def text_of(row):
    return "".join(run.text for run in row)


def styles_of(row, word):
    return {run.style for run in row if word in run.text}


def run_of(state=LIVE, service="api", pid=4711):
    return Run(f"/{service}/{pid}", service, pid, state, END_MS - 2 * HOUR_MS, END_MS)


def status(run, window, width, **more):
    return text_of(status_row(StatusView((run,), run, window, UTC, **more), width))


following = Window.live(END_MS, HOUR_MS)
past = Window.fit(END_MS - HOUR_MS, END_MS)
windows = st.sampled_from([following, past, following.freeze(), past.freeze(), None])


# -- the top line


@given(states, windows, widths, st.booleans(), st.sampled_from(["", "/a/b: Permission denied" * 9]))
def test_the_status_line_is_exactly_as_wide_as_asked(state, window, width, plain, problem):
    row = status_row(
        StatusView((run_of(state),), run_of(state), window, UTC, plain=plain, problem=problem),
        width,
    )
    assert width_of(row) == width
    assert text_of(row).isascii() or not plain


@given(states, windows, widths)
def test_plain_and_drawn_status_lines_have_one_width(state, window, width):
    drawn = status(run_of(state), window, width)
    plain = status(run_of(state), window, width, plain=True)
    assert len(drawn) == len(plain)


def test_a_followed_run_is_live_at_the_time_of_its_last_sample():
    text = status(run_of(), following, 120)
    assert "api 4711 · up 2h" in text
    assert text.rstrip().endswith("LIVE 22:13:20 UTC")


@pytest.mark.parametrize("state", [STALLED, PAUSED])
def test_a_stalled_or_paused_run_says_since_when(state):
    text = status(run_of(state), following, 120)
    assert f"{state} since 22:13:20" in text
    assert f"{state.upper()} 22:13:20 UTC" in text


@pytest.mark.parametrize("state", [DIED, EXITED])
def test_an_ended_run_says_when_and_after_how_long(state):
    text = status(run_of(state), past, 120)
    assert f"{state} 22:13:20 after 2h" in text
    assert "PAST 14 Nov 21:13 – 22:13 UTC" in text  # noqa: RUF001 - a dash between times


def test_a_live_run_shown_in_its_past_is_past_though_it_is_up():
    text = status(run_of(), past, 120)
    assert "up 2h" in text
    assert "PAST " in text
    assert "LIVE" not in text


@pytest.mark.parametrize("state", STATES)
def test_a_frozen_picture_says_so_whatever_the_state(state):
    assert "FROZEN 14 Nov" in status(run_of(state), following.freeze(), 120)


def test_a_death_and_a_freeze_are_told_apart_by_colour_too():
    row = status_row(StatusView((run_of(DIED),), run_of(DIED), past, UTC), 120)
    assert styles_of(row, "died") == {"died_bar"}
    row = status_row(StatusView((run_of(),), run_of(), following.freeze(), UTC), 120)
    assert styles_of(row, "FROZEN") == {"stalled_bar"}


def test_without_runs_the_counts_are_zero_and_nothing_is_live():
    text = text_of(status_row(StatusView(), 80))
    assert "0 services · 0 live · 0 ended" in text
    assert "LIVE" not in text


def test_one_service_is_not_called_services():
    assert "1 service · 1 live · 0 ended" in status(run_of(), following, 120)


def test_as_room_goes_the_counts_are_dropped_first_then_the_name_the_run_and_the_clock_stay():
    seen = [status(run_of(), following, width) for width in range(120, 19, -1)]

    def narrowest(word):
        return min(len(text) for text in seen if word in text)

    order = [narrowest(word) for word in ("1 service", "pprofplus", "up 2h", "api 4711")]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == 4
    assert all("LIVE" in text for text in seen)


def test_what_is_dropped_at_one_width_is_not_back_at_a_smaller_one():
    for word in ("1 service", "pprofplus", "up 2h", "api 4711", "LIVE"):
        shown = [word in status(run_of(), following, width) for width in range(20, 201)]
        assert shown == sorted(shown), word


def test_a_problem_is_told_where_there_is_room_and_cannot_command_the_terminal():
    problem = "/log\x1b[31m\n: Permission denied"
    text = status(run_of(), following, 160, problem=problem)
    assert "\\x1b[31m\\x0a: Permission denied" in text
    assert "Permission" not in status(run_of(), following, 60, problem=problem)


def test_wide_characters_in_a_problem_do_not_push_the_clock_out():
    row = status_row(
        StatusView((run_of(),), run_of(), following, UTC, problem="/日志/日志: 日志"), 160
    )
    text = text_of(row)
    assert len(text) == 160
    assert text.rstrip().endswith("UTC")
    assert all(ord(char) < 0x2E80 for char in text)


def test_a_window_of_days_names_both_days():
    days = Window.fit(END_MS - 72 * HOUR_MS, END_MS)
    assert "11 Nov 22:13 – 14 Nov 22:13" in status(run_of(DIED), days, 120)  # noqa: RUF001


def test_a_window_of_minutes_shows_seconds():
    short = Window.fit(END_MS - 60_000, END_MS)
    assert "22:12:20 – 22:13:20" in status(run_of(DIED), short, 120)  # noqa: RUF001


# -- the line of figures

sizes = st.integers(0, 1 << 44)
layers = st.builds(
    Layer, st.sampled_from(["RSS", "Python", "C", "other"]), sizes, st.integers(-(1 << 44), 1 << 44)
)
facts = st.builds(
    Facts,
    st.lists(layers, max_size=4).map(tuple),
    st.none() | st.integers(0, 1 << 44),
    st.none() | sizes,
    st.integers(0, 10**12),
)


@given(facts, widths, st.booleans())
def test_the_facts_line_is_exactly_as_wide_as_asked(found, width, plain):
    row = facts_row(found, width, plain=plain)
    assert width_of(row) == width
    assert text_of(row).isascii() or not plain


def four(growth=0, limit=None, used=None):
    return Facts(
        (
            Layer("RSS", 400 * MIB, growth),
            Layer("Python", 300 * MIB, growth),
            Layer("C", 60 * MIB, 0),
            Layer("other", 40 * MIB, -MIB),
        ),
        limit,
        used,
        600_000,
    )


def test_each_layer_tells_its_size_and_its_growth_in_the_window():
    text = text_of(facts_row(four(3 * MIB), 140))
    assert "RSS 400 MiB +3 MiB ↗" in text
    assert "C 60 MiB " in text
    assert "other 40 MiB -1 MiB ↘" in text
    assert "in 10m" in text


def test_a_layer_that_did_not_grow_has_no_arrow():
    text = text_of(facts_row(four(), 140))
    assert "RSS 400 MiB" in text
    assert "C 60 MiB   other" in text
    assert "↗" not in text


def test_growth_of_more_than_a_tenth_is_loud_and_less_is_quiet():
    loud, quiet = (facts_row(four(growth), 140) for growth in (100 * MIB, MIB))
    assert styles_of(loud, "+100 MiB") == {"grow"}
    assert styles_of(quiet, "+1 MiB") == {"dim"}


def test_the_limit_is_told_with_the_share_used_and_alarms_when_near():
    far = facts_row(four(limit=1024 * MIB, used=512 * MIB), 160)
    near = facts_row(four(limit=1024 * MIB, used=1000 * MIB), 160)
    assert "50 % of the limit, 1 GiB" in text_of(far)
    assert styles_of(far, "50 %") == {"text"}
    assert "98 % of the limit, 1 GiB" in text_of(near)
    assert styles_of(near, "98 %") == {"died"}


def test_without_a_limit_none_is_told():
    assert "limit" not in text_of(facts_row(four(), 160))


def test_a_figure_that_does_not_fit_is_left_out_whole_and_rss_stays_longest():
    found = four(3 * MIB, 1024 * MIB, 512 * MIB)
    whole = parts_of(facts_row(found, 200))
    for width in range(40, 200):
        parts = parts_of(facts_row(found, width))
        assert parts == [part for part in whole if part in parts]
        assert parts[0] == whole[0]
    assert "RSS 400 MiB" in text_of(facts_row(found, 40))


@pytest.mark.parametrize("grown", ["Python", "C", "other"])
def test_on_sixty_columns_the_layer_that_changed_most_is_told_beside_rss(grown):
    layers = tuple(
        Layer(name, 140 * MIB, 90 * MIB if name in {"RSS", grown} else 3 * MIB)
        for name in ("RSS", "Python", "C", "other")
    )
    parts = parts_of(facts_row(Facts(layers, None, None, 600_000), 60))
    assert [part.split()[0] for part in parts] == ["RSS", grown]


def parts_of(row):
    return re.split(" {2,}", text_of(row).strip().replace(" in 10m", ""))


def test_every_layer_is_told_on_eighty_columns():
    grown = Facts(
        tuple(Layer(name, 140 * MIB, 129 * MIB) for name in ("RSS", "Python", "C")), None, None, 1
    )
    assert len(parts_of(facts_row(grown, 80))) == 3


def test_no_figures_give_a_blank_line():
    assert text_of(facts_row(Facts(), 50)) == " " * 50


# -- the line of keys


@given(widths, st.booleans())
def test_the_keys_line_always_has_help_and_quit(width, plain):
    row = keys_row(width, plain=plain)
    text = text_of(row)
    assert width_of(row) == width
    assert "? help" in text
    assert "q quit" in text
    assert text.isascii() or not plain


def test_more_room_never_shows_fewer_keys():
    counts = [text_of(keys_row(width)).split() for width in range(20, 201)]
    assert [len(words) for words in counts] == sorted(len(words) for words in counts)
    assert "freeze" in counts[-1]
    assert "freeze" not in counts[0]


def test_keys_stand_out_from_what_they_do():
    row = keys_row(200)
    assert styles_of(row, "Space") == {"key"}
    assert styles_of(row, "freeze") == {"bar"}
