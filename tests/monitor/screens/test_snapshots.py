"""Snapshots of the screens, the same on every machine."""

import math
import time

import pytest

from kit.pilot import until_unchanged
from kit.units import MIB
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.options import Options

BEGIN_MS = 1_700_000_000_000  # 14 Nov 2023, 22:13:20 UTC
SIZES = {"80x24": (80, 24), "120x40": (120, 40)}


def sample(i):
    """Return a sample of a service that leaks Python objects and follows its load."""
    load = 0.5 + 0.5 * math.sin(i / 40)
    used = int(60 * MIB + i * 50_000 + 6 * MIB * load)
    return {
        "rss": used + 46 * MIB,
        "uss": used + 34 * MIB,
        "vms": used + 320 * MIB,
        "heap_sys": used + 3 * MIB,
        "heap_used": used,
        "heap_idle": 2 * MIB,
        "malloc_sys": int(24 * MIB + 4 * MIB * load),
        "malloc_used": int(20 * MIB + 4 * MIB * load),
        "malloc_free": 4 * MIB,
        "gc_pause_max": 800 + 53 * (i % 17) + (9000 if i == 700 else 0),
        "gc_runs_0": 3 * i,
        "cpu_user": 90_000 * i + int(40_000 * 40 * (1 - math.cos(i / 40))),
        "cpu_system": 20_000 * i,
        "threads": 9,
    }


@pytest.fixture(autouse=True)
def fixed_directory_and_zone(tmp_path, monkeypatch):
    """Use UTC, and a working directory that makes shown paths short and equal everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.chdir(tmp_path)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def dead(home):
    """A dead run, another run of its service that exited, and one of another service."""
    home.run("api", 4711, begin_ms=BEGIN_MS, count=1200, sample=sample)
    home.run("api", 4402, begin_ms=BEGIN_MS - 7_200_000, count=300, sample=sample, state="exited")
    home.run("worker", 5120, begin_ms=BEGIN_MS - 3_600_000, count=600)
    return home


async def until_drawn(pilot):
    """Wait until every visible chart is drawn and nothing changes."""
    app, grid = pilot.app, pilot.app.monitor._charts

    def look():
        drawn = {name: (len(rows), rows[0]) for name, rows in grid._sized.items()}
        there = (
            grid._places and set(grid._places) <= set(drawn) and app.monitor.frame.verdicts.layers
        )
        return there and (drawn, app.monitor.frame, app.monitor._bars.status.rows)

    await until_unchanged(pilot, look)


def app_on(home, **options):
    return MonitorApp(
        Options(directories=(str(home.path),), service="api", **options),
        local_backend([str(home.path)]),
    )


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_dead_run_on_a_dark_background(dead, snap_compare, size):
    assert snap_compare(app_on(dead), terminal_size=size, run_before=until_drawn)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_dead_run_on_a_light_background(dead, snap_compare, size):
    assert snap_compare(app_on(dead, light=True), terminal_size=size, run_before=until_drawn)


def test_a_dead_run_in_ascii(dead, snap_compare):
    assert snap_compare(app_on(dead, plain=True), terminal_size=(80, 24), run_before=until_drawn)


def test_one_chart_enlarged(dead, snap_compare):
    async def enlarge(pilot):
        await until_drawn(pilot)
        await pilot.press("tab", "enter")
        await until_drawn(pilot)

    assert snap_compare(app_on(dead), terminal_size=(120, 40), run_before=enlarge)


def test_the_help(dead, snap_compare):
    async def press(pilot):
        await until_drawn(pilot)
        await pilot.press("question_mark")
        await pilot.pause(0.2)

    assert snap_compare(app_on(dead), terminal_size=(120, 40), run_before=press)


async def compared(pilot, *pids):
    """Wait until a comparison has these runs and is drawn."""
    screen = pilot.app.screen

    def look():
        found = screen.findings
        there = {member.pid for member in found.members} >= set(pids) and found.whole
        there = there and screen._charts._places
        return there and (found, screen._charts.rows, screen._figures.rows)

    await until_unchanged(pilot, look)


@pytest.mark.parametrize("light", [False, True], ids=["dark", "light"])
def test_two_runs_compared(dead, snap_compare, light):
    async def compare(pilot):
        await until_drawn(pilot)
        await pilot.press("c", "down", "c", "C")
        await compared(pilot, 4711, 4402)

    assert snap_compare(app_on(dead, light=light), terminal_size=(120, 40), run_before=compare)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_service_of_many_workers(home, snap_compare, size):
    def worker(number):
        def one(i):
            row = sample(i)
            leak = 30_000 * i if number == 4 else 0
            return {**row, "rss": row["rss"] // 2 + number * 9 * MIB + leak}

        return one

    for number in range(12):
        home.run("api", 4700 + number, begin_ms=BEGIN_MS, count=300, sample=worker(number))

    async def open_service(pilot):
        await until_drawn(pilot)
        await pilot.press("v")
        await compared(pilot, 4704)

    assert snap_compare(app_on(home), terminal_size=size, run_before=open_service)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_explanation(dead, snap_compare, size):
    async def press(pilot):
        await until_drawn(pilot)
        await pilot.press("i")
        await pilot.pause(0.2)

    assert snap_compare(app_on(dead), terminal_size=size, run_before=press)


def test_the_cursor_in_every_chart(dead, snap_compare):
    async def set_cursor(pilot):
        await until_drawn(pilot)
        await pilot.click(pilot.app.monitor._charts, offset=(50, 5))
        await until_drawn(pilot)

    assert snap_compare(app_on(dead), terminal_size=(120, 40), run_before=set_cursor)


def test_the_layers_chart_enlarged(dead, snap_compare):
    async def enlarge(pilot):
        await until_drawn(pilot)
        await pilot.press("tab", "tab", "enter")
        await until_drawn(pilot)

    assert snap_compare(app_on(dead), terminal_size=(120, 40), run_before=enlarge)


def test_the_list_of_events(dead, snap_compare):
    async def press(pilot):
        await until_drawn(pilot)
        await pilot.press("m")
        while not pilot.app.screen._found:
            await pilot.pause(0.05)
        await pilot.pause(0.2)

    assert snap_compare(app_on(dead), terminal_size=(120, 40), run_before=press)
