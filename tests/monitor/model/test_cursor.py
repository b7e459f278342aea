"""The time cursor: its steps, their acceleration, and its limits."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.cursor import HeldKey, pointed_at, stepped
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.time_axis import column
from pprofplus_tui.model.view import View

NOW_MS = 1_800_000_000_000
WIDTH = 100
ENDED = Run("/a", "api", 1, "died", NOW_MS - 3_600_000, NOW_MS)
LIVE = replace(ENDED, state="live")
WHOLE = View().select(ENDED, NOW_MS)
CLOSER = WHOLE.zoom(-1, ENDED, NOW_MS).zoom(-1, ENDED, NOW_MS)


def cell_of(view):
    return column(view.cursor, view.window.begin_ms, view.window.end_ms, WIDTH)


def step(view, cells, run=ENDED):
    return stepped(view, cells, WIDTH, run, NOW_MS)


def test_the_first_press_puts_it_on_the_last_sample():
    assert step(WHOLE, -1).cursor == ENDED.end_ms
    assert step(View().select(LIVE, NOW_MS), 1, LIVE).cursor == LIVE.end_ms


def test_a_press_moves_it_by_a_column():
    there = pointed_at(WHOLE, 50, WIDTH)
    assert cell_of(step(there, -1)) == 49
    assert cell_of(step(there, 3)) == 53


def test_a_held_key_gets_faster_and_a_pause_or_a_turn_makes_it_slow_again():
    held, cells = HeldKey(), []
    for press in range(60):
        held = held.press(1, press * 0.03)
        cells.append(held.cells)
    assert cells[:6] == [1] * 6
    assert cells == sorted(cells)
    assert cells[-1] == 8
    assert held.press(1, 60 * 0.03 + 1).cells == 1
    assert held.press(-1, 60 * 0.03).cells == -1


def test_it_moves_the_window_if_there_are_more_data():
    view = CLOSER
    there = pointed_at(view, 0, WIDTH)
    moved = step(there, -2)
    assert moved.window.begin_ms < view.window.begin_ms
    assert moved.cursor < there.cursor
    assert cell_of(moved) == 23


@given(st.lists(st.integers(-9, 9), max_size=40), st.booleans())
def test_it_never_leaves_the_run_nor_the_window(steps, zoomed):
    view = CLOSER if zoomed else WHOLE
    for cells in steps:
        view = step(view, cells)
        if view.cursor_ms is not None:
            assert view.cursor == view.cursor_ms
            assert ENDED.begin_ms <= view.cursor_ms <= ENDED.end_ms


def test_outside_the_window_it_is_hidden_until_the_window_has_it_again():
    there = pointed_at(CLOSER, 50, WIDTH)
    away = there.start(ENDED)
    assert away.cursor is None
    assert away.live(ENDED, NOW_MS).cursor == there.cursor


def test_without_a_window_there_is_no_cursor():
    assert step(View(), -1).cursor is None
    assert pointed_at(View(), 3, WIDTH).cursor is None
