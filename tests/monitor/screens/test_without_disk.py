"""The main uses of the screens on a source in memory: no log, no directory, no disk."""

import csv
import time
from functools import partial

import numpy as np
import pytest

from kit.fake_source import FakeRun, FakeSource, ended, level, rising
from kit.pilot import settled
from kit.units import MIB
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.backend.worker import BackendThread
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.options import Options

SIZE = (170, 40)
BEGIN_MS = 1_800_000_000_000
CURVES = {
    "rss": rising(100 * MIB, 65_536),
    "heap_used": rising(40 * MIB, 65_536),
    "heap_sys": rising(50 * MIB, 65_536),
    "vms": level(500 * MIB),
    "cpu_user": lambda t_s: (50_000 * t_s).astype(np.int64),
    "threads": level(4),
}


def notes_of(app):
    return [note.message for note in app._notifications]


@pytest.fixture
def source():
    events = [RunEvent(BEGIN_MS + 600_000, "mark", 0, "deploy 7")]
    return FakeSource(
        ended("api", 11, BEGIN_MS, 3600, CURVES, events=events),
        ended("api", 12, BEGIN_MS + 7_200_000, 1800, CURVES),
        ended("worker", 21, BEGIN_MS, 900, {**CURVES, "rss": level(64 * MIB)}, state="exited"),
    )


@pytest.fixture
def monitor(source):
    return lambda **options: MonitorApp(
        Options(**options), partial(BackendThread, open_source=lambda: source)
    )


def chosen(app):
    return (app.monitor.run.service, app.monitor.run.pid)


async def test_runs_are_listed_by_service_and_the_one_that_ended_last_is_drawn(monitor):
    async with monitor().run_test(size=SIZE) as pilot:
        text = await settled(pilot, lambda text: "python heap" in text and "PAST" in text)
        assert "2 services" in text
        assert all(line in text for line in ("✝ 11", "✝ 12", "○ 21"))
        assert chosen(pilot.app) == ("api", 12)


async def test_only_the_runs_that_the_options_choose_are_listed(monitor):
    async with monitor(service="worker").run_test(size=SIZE) as pilot:
        text = await settled(pilot, "python heap")
        assert "○ 21" in text
        assert "✝ 11" not in text


async def test_a_key_selects_the_next_run_and_draws_its_charts(monitor):
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("down")
        assert chosen(pilot.app) == ("api", 11)
        await settled(pilot, "deploy 7")


async def test_pan_and_zoom_query_the_source_for_the_visible_window(monitor, source):
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, "python heap")
        windows = []
        for key in ("plus", "plus", "left", "minus", "0"):
            source.asked.clear()
            await pilot.press(key)
            windows.append(pilot.app.monitor.view.window)
            await settled(pilot, lambda _: "query" in source.asked)
        spans = [window.span_ms for window in windows]
        assert spans[1] < spans[0] < spans[4]
        assert windows[2].begin_ms < windows[1].begin_ms
        assert spans[3] > spans[2]


async def test_events_are_listed_and_enter_goes_to_one(monitor):
    async with monitor(service="api").run_test(size=SIZE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("down")
        await settled(pilot, "deploy 7")
        await pilot.press("m")
        text = await settled(pilot, lambda text: "events of api 11" in text)
        text = await settled(pilot, lambda text: "Mark" in text and "Died" in text)
        assert "Next" in text
        await pilot.press("home", "enter")
        await settled(pilot, lambda text: "events of" not in text)
        window = pilot.app.monitor.view.window
        assert window.begin_ms <= BEGIN_MS + 600_000 < window.end_ms


async def test_a_run_is_pinned_and_unpinned(monitor, source):
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("p")
        await settled(pilot, "◆")
        assert [run.pinned for run in source.runs.values()] == [False, True, False]
        await pilot.press("p")
        await settled(pilot, lambda text: "◆" not in text)
        assert not any(run.pinned for run in source.runs.values())


async def test_two_marked_runs_are_compared(monitor):
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("c", "down", "c", "C")
        await settled(pilot, lambda text: "A api 12" in text and "B api 11" in text)


async def test_the_visible_window_is_exported_value_by_value(monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with monitor(service="worker").run_test(size=SIZE, notifications=True) as pilot:
        await settled(pilot, "python heap")
        await pilot.press("e")
        await settled(pilot, "export to CSV")
        await pilot.press("enter")
        await settled(pilot, lambda _: notes_of(pilot.app))
        assert "900 samples" in notes_of(pilot.app)[0]
    (path,) = tmp_path.glob("*.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 900
    assert {row["rss_bytes"] for row in rows} == {str(64 * MIB)}
    assert [int(row["heap_used_bytes"]) for row in rows] == [
        40 * MIB + i * 65_536 for i in range(900)
    ]


async def test_a_live_run_grows_and_its_end_is_shown_with_the_cause(monitor, source):
    now_ms = time.time_ns() // 1_000_000
    run = source.add(FakeRun("api", 31, now_ms - 120_000, CURVES))
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, lambda text: "LIVE" in text and "● 31" in text)
        run.end()
        await settled(pilot, lambda text: "✝ 31" in text and "SIGKILL" in text)


async def test_new_and_removed_runs_change_the_list(monitor, source):
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, "python heap")
        source.add(ended("late", 41, BEGIN_MS + 9_000_000, 60, CURVES))
        await settled(pilot, "✝ 41")
        source.runs = {key: run for key, run in source.runs.items() if run.pid != 21}
        await settled(pilot, lambda text: "○ 21" not in text)


async def test_when_the_source_fails_known_runs_stay_and_one_line_reports_it(monitor, source):
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, "python heap")
        source.failure = "http://metrics:8428 does not answer"
        await pilot.press("left")
        text = await settled(pilot, "metrics:8428 does not")
        assert "python heap" in text
        assert "✝ 11" in text
        source.failure = ""
        await settled(pilot, lambda text: "metrics:8428" not in text)


async def test_a_slow_source_does_not_block_the_screen(monitor, source):
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, "python heap")
        source.held.clear()
        try:
            await pilot.press("left", "question_mark")
            assert "Filter the list of runs" in await settled(pilot, "Esc closes")
            await pilot.press("escape")
            text = await settled(pilot, "python heap")
            assert "✝ 11" in text
        finally:
            source.held.set()
        await settled(pilot, "python heap")


async def test_without_runs_a_placeholder_is_shown_until_the_first_run(monitor, source):
    runs, source.runs = source.runs, {}
    async with monitor().run_test(size=SIZE) as pilot:
        await settled(pilot, "No service has written a log here yet")
        source.runs = runs
        await settled(pilot, "python heap")
