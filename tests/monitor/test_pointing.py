"""What moving the time cursor costs: no line is drawn anew, no window is asked for again."""

from dataclasses import replace

import pytest

from pprofplus_tui.backend.session import Session
from pprofplus_tui.model.messages import ChartRequest, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.open import open_source

BEGIN_MS = 1_800_000_000_000
WINDOW = Window.fit(BEGIN_MS, BEGIN_MS + 600_000)
SHAPES = (Shape("memory", 91, 13), Shape("python_heap", 45, 8))


@pytest.fixture
def desk(home):
    """Return a desk, what it drew, and a request that it has answered."""
    path = home.run(count=600)
    drawn = []
    desk = Session(Options(), open_source([str(home.path)]), drawn.append)
    desk.look()
    request = ChartRequest(path, WINDOW, SHAPES)
    frame = desk.answer(request, fresh=True, before=None)
    assert desk._renderer.wait_idle(20)
    yield desk, drawn, request, frame
    desk.close()


def lines_of(desk):
    return [line.points for p in desk._renderer._latest.values() for line in p.lines]


def test_moving_it_draws_no_line_anew(desk):
    desk, drawn, request, frame = desk
    lines, count = lines_of(desk), len(drawn)
    for second in (100, 101, 250):
        at_ms = BEGIN_MS + 1000 * second
        frame = desk.answer(replace(request, cursor_ms=at_ms), fresh=True, before=frame)
        assert (frame.cursor.at_ms, frame.cursor.t_ms) == (at_ms, at_ms)
        assert all(now is then for now, then in zip(lines_of(desk), lines, strict=True))
        assert desk._renderer.wait_idle(20)
    assert len(drawn) == count + 3 * len(SHAPES)


def test_standing_still_it_costs_nothing(desk):
    desk, drawn, request, frame = desk
    request = replace(request, cursor_ms=BEGIN_MS + 100_000)
    frame = desk.answer(request, fresh=True, before=frame)
    assert desk._renderer.wait_idle(20)
    count = len(drawn)
    assert desk.answer(request, fresh=False, before=frame) == frame
    assert desk._renderer.wait_idle(20)
    assert len(drawn) == count


def test_without_it_the_charts_are_as_they_were(desk):
    desk, drawn, request, frame = desk
    before = {chart.chart: chart.rows for chart in drawn}
    for cursor_ms in (BEGIN_MS + 100_000, None):
        frame = desk.answer(replace(request, cursor_ms=cursor_ms), fresh=True, before=frame)
        assert desk._renderer.wait_idle(20)
    assert frame.cursor is None
    assert {chart.chart: chart.rows for chart in drawn} == before


def test_in_a_stack_it_reads_parts_that_add_up(desk):
    desk, _, request, frame = desk
    wanted = replace(request, shapes=(Shape("layers", 160, 13),), cursor_ms=BEGIN_MS + 16_000)
    frame = desk.answer(wanted, fresh=True, before=frame)
    found = {line.label: line.value for line in desk._renderer._latest["layers"].lines}
    assert found == {
        "py used": "41.00 MiB",
        "py idle": "1.00 MiB",
        "py frag": "1.00 MiB",
        "C used": "9.00 MiB",
        "C free": "3.00 MiB",
        "other": "16.00 MiB",
    }


def test_in_a_picture_that_is_frozen_it_moves_too(desk):
    desk, _, request, frame = desk
    frozen = replace(request, window=WINDOW.freeze())
    frame = desk.answer(frozen, fresh=True, before=frame)
    moved = replace(frozen, cursor_ms=BEGIN_MS + 5000)
    frame = desk.answer(moved, fresh=True, before=frame)
    assert frame.cursor.values["rss", False] == (70 << 20) + 5 * 65_536
