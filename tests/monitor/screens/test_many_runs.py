"""The monitor with many ended runs: it reads them in slices, and all of them are listed."""

import time

import pytest

from kit.pilot import settled
from many_runs import write_ended_runs
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.backend import session
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.options import Options
from pprofplus_tui.sources.local import catalog as catalogs


@pytest.fixture
def slow_reading(monkeypatch):
    """Read one run at a time, and show each."""
    monkeypatch.setattr(session, "_SLICE_S", 0.0)
    monkeypatch.setattr(session, "_BATCH_GROWTH", 0.0)
    monkeypatch.setattr(catalogs, "_BATCH_RUNS", 1)


def app_on(logs, **options):
    return MonitorApp(Options(directories=(str(logs),), **options), local_backend([str(logs)]))


@pytest.mark.usefixtures("slow_reading")
async def test_the_number_of_unread_runs_is_shown_until_all_are_read(logs):
    write_ended_runs(logs, 300)
    async with app_on(logs).run_test(size=(200, 50)) as pilot:
        await settled(pilot, lambda text: "+2" in text.splitlines()[-2])
        text = await settled(pilot, "300 ended")
        foot = await settled(pilot, lambda text: " 300 " in text.splitlines()[-2])
        assert "+" not in foot.splitlines()[-2].split("└")[0]
        assert "5 services" in text


@pytest.mark.usefixtures("slow_reading")
async def test_it_opens_on_the_live_run_even_if_that_is_read_last(home):
    now_ms = time.time_ns() // 1_000_000
    # a pid that no process here has, as in another container
    home.run("api", 4_194_305, begin_ms=now_ms - 900_000, count=900, state="live")
    for i in range(80):
        home.run("job", 5_000_000 + i, begin_ms=now_ms - 800_000 + i * 1000, count=3)
    async with app_on(home.path).run_test(size=(120, 40)) as pilot:
        await settled(pilot, lambda text: "job 50000" in text.splitlines()[0])
        await settled(pilot, lambda text: "api 4194305" in text.splitlines()[0])


@pytest.mark.usefixtures("slow_reading")
async def test_a_run_selected_by_key_stays_selected_when_a_live_run_appears(home):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 4_194_305, begin_ms=now_ms - 900_000, count=900, state="live")
    for i in range(80):
        home.run("job", 5_000_000 + i, begin_ms=now_ms - 800_000 + i * 1000, count=3)
    async with app_on(home.path).run_test(size=(120, 40)) as pilot:
        await settled(pilot, lambda text: "job 50000" in text.splitlines()[0])
        await pilot.press("right_square_bracket")
        chosen = pilot.app.monitor.view.run
        await settled(pilot, "1 live")
        await settled(pilot, "80 ended")
        assert pilot.app.monitor.view.run == chosen


async def test_the_oldest_of_many_runs_is_found_by_the_filter_and_shown(logs):
    write_ended_runs(logs, 2000)
    async with app_on(logs).run_test(size=(80, 24)) as pilot:
        await settled(pilot, lambda text: " 2000 " in text.splitlines()[-2])
        await pilot.press("slash", *"job-0", "space", *"1000", "enter")
        await settled(pilot, lambda text: "1/2000" in text.splitlines()[-2])
        text = await settled(pilot, lambda text: "job-0 1000 " in text.splitlines()[0])
        await settled(pilot, "┤")
        assert "died" in text.splitlines()[0]
        await pilot.press("escape", "o")
        await settled(pilot, "by rss")
        await settled(pilot, "✝ 1000")


async def test_visible_runs_have_sparklines_and_the_others_are_not_opened(logs, monkeypatch):
    write_ended_runs(logs, 400)
    opened = []
    read = catalogs.CatalogEntry._read
    monkeypatch.setattr(
        catalogs.CatalogEntry,
        "_read",
        lambda run, now_ns: opened.append(run.path) or read(run, now_ns),
    )
    async with app_on(logs).run_test(size=(120, 40)) as pilot:
        await settled(pilot, lambda text: text.count("▁▁▁▁▁█") > 20)
        await settled(pilot, lambda text: " 400 " in text.splitlines()[-2])
        assert len(set(opened)) < 120
