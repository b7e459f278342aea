"""A session: a moved cursor redraws no line, a live run is updated while others are unread."""

import time
from contextlib import closing
from dataclasses import replace

import pytest

from kit.written_logs import LiveRun
from pprofplus_tui.backend import session as session_module
from pprofplus_tui.backend.session import Session
from pprofplus_tui.model.messages import ChartRequest, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.local import catalog as catalogs
from pprofplus_tui.sources.open import open_source

BEGIN_MS = 1_800_000_000_000
WINDOW = Window.fit(BEGIN_MS, BEGIN_MS + 600_000)
SHAPES = (Shape("memory", 91, 13), Shape("python_heap", 45, 8))


@pytest.fixture
def answered(home):
    """Return a session, the charts it drew, and a request that it has answered with its frame."""
    path = home.run(count=600)
    drawn = []
    session = Session(Options(), open_source([str(home.path)]), drawn.append)
    session.refresh()
    request = ChartRequest(path, WINDOW, SHAPES)
    frame = session.answer(request, fresh=True, before=None)
    assert session._renderer.wait_idle(20)
    yield session, drawn, request, frame
    session.close()


def lines_of(session):
    return [line.points for p in session._renderer._latest.values() for line in p.lines]


def test_moving_the_cursor_redraws_no_line(answered):
    session, drawn, request, frame = answered
    lines, count = lines_of(session), len(drawn)
    for second in (100, 101, 250):
        at_ms = BEGIN_MS + 1000 * second
        frame = session.answer(replace(request, cursor_ms=at_ms), fresh=True, before=frame)
        assert (frame.cursor.at_ms, frame.cursor.t_ms) == (at_ms, at_ms)
        assert all(now is then for now, then in zip(lines_of(session), lines, strict=True))
        assert session._renderer.wait_idle(20)
    assert len(drawn) == count + 3 * len(SHAPES)


def test_an_unmoved_cursor_redraws_nothing(answered):
    session, drawn, request, frame = answered
    request = replace(request, cursor_ms=BEGIN_MS + 100_000)
    frame = session.answer(request, fresh=True, before=frame)
    assert session._renderer.wait_idle(20)
    count = len(drawn)
    assert session.answer(request, fresh=False, before=frame) == frame
    assert session._renderer.wait_idle(20)
    assert len(drawn) == count


def test_removing_the_cursor_restores_the_charts(answered):
    session, drawn, request, frame = answered
    before = {chart.chart: chart.rows for chart in drawn}
    for cursor_ms in (BEGIN_MS + 100_000, None):
        frame = session.answer(replace(request, cursor_ms=cursor_ms), fresh=True, before=frame)
        assert session._renderer.wait_idle(20)
    assert frame.cursor is None
    assert {chart.chart: chart.rows for chart in drawn} == before


def test_the_cursor_on_a_stack_shows_parts_that_add_up(answered):
    session, _, request, frame = answered
    wanted = replace(request, shapes=(Shape("layers", 160, 13),), cursor_ms=BEGIN_MS + 16_000)
    frame = session.answer(wanted, fresh=True, before=frame)
    found = {line.label: line.value for line in session._renderer._latest["layers"].lines}
    assert found == {
        "py used": "41.00 MiB",
        "py idle": "1.00 MiB",
        "py frag": "1.00 MiB",
        "C used": "9.00 MiB",
        "C free": "3.00 MiB",
        "other": "16.00 MiB",
    }


def test_the_cursor_moves_in_a_frozen_window(answered):
    session, _, request, frame = answered
    frozen = replace(request, window=WINDOW.freeze())
    frame = session.answer(frozen, fresh=True, before=frame)
    moved = replace(frozen, cursor_ms=BEGIN_MS + 5000)
    frame = session.answer(moved, fresh=True, before=frame)
    assert frame.cursor.values["rss", False] == (70 << 20) + 5 * 65_536


def test_a_live_run_is_updated_while_other_runs_are_unread(home, monkeypatch):
    monkeypatch.setattr(session_module, "_SLICE_S", 0.0)
    monkeypatch.setattr(session_module, "_BATCH_GROWTH", 1e9)
    monkeypatch.setattr(catalogs, "_BATCH_RUNS", 1)
    now_ms = time.time_ns() // 1_000_000
    # it started last, so it is read first
    live = LiveRun(home.path, begin_ms=now_ms - 20_000, count=20)
    for i in range(40):
        home.run("job", 5_000_000 + i, begin_ms=now_ms - 800_000 + i * 1000, count=3)
    with closing(Session(Options(), open_source([str(home.path)]), lambda _: None)) as made:
        made.refresh()
        (first,) = made.answer(ChartRequest(), fresh=True, before=None).runs
        live.add()
        made.refresh((first.id,))
        frame = made.answer(ChartRequest(), fresh=False, before=None)
        assert [(run.pid, run.end_ms) for run in frame.runs] == [(first.pid, first.end_ms + 1000)]
        assert frame.unread
        while made.loading:
            made.read_more(())
        frame = made.answer(ChartRequest(), fresh=False, before=None)
        assert (len(frame.runs), frame.unread) == (41, 0)
