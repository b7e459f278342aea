"""Many runs that have ended: they cost next to nothing, are read bit by bit, and all are there."""

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from kit.pilot import settled
from kit.processes import IMPORT_PATH, started_processes
from kit.waiting import wait_until
from kit.written_logs import LiveRun
from many_runs import write_ended_runs
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.backend import session
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.messages import ChartRequest
from pprofplus_tui.model.options import Options
from pprofplus_tui.sources.local import catalog as catalogs
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.open import open_source

SERVICE = "import pprofplus, sys; pprofplus.start('api', interval_s=0.1); sys.stdin.read()"


@pytest.fixture
def logs(tmp_path):
    return tmp_path / "logs"


@pytest.fixture
def service(logs):
    """Start real processes that record to the logs."""
    words = [sys.executable, "-c", SERVICE]
    environment = {"PPROFPLUS_DIR": str(logs), "PYTHONPATH": IMPORT_PATH}
    with started_processes() as start_process:
        yield partial(start_process, words, stdin=subprocess.PIPE, env=environment)


def refreshed_until(catalog, found, seconds=30):
    """Refresh as the monitor does, but sooner, until `found` is true of the runs."""

    def look():
        catalog.refresh(())
        return found(catalog.runs)

    def seen():
        return [(info.service, info.pid, info.state) for info in catalog.runs[:20]]

    wait_until(look, seconds, pause_s=0.05, describe=seen)


@pytest.fixture
def asked(monkeypatch):
    """Count what is asked of the kernel about files."""
    counted = Counter()
    for name in ("open", "stat", "lstat", "scandir", "listdir"):
        real = getattr(os, name)

        def counting(*args, _name=name, _real=real, **kwargs):
            counted[_name] += 1
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, counting)
    return counted


# -- the catalogue


def test_ended_runs_are_not_asked_for_one_by_one(logs, asked):
    write_ended_runs(logs, 1000)
    time.sleep(0.2)  # past the tick of the clock that directories are stamped with
    catalog = Catalog([str(logs)])
    catalog.refresh(())
    assert len(catalog.runs) == 1000
    for _ in range(12):  # ticks
        asked.clear()
        assert not catalog.refresh(())
        assert sum(asked.values()) < 150
        assert asked["open"] == asked["scandir"] == 0


def test_a_record_takes_a_kilobyte(logs):
    write_ended_runs(logs, 2000)
    catalog = Catalog([str(logs)])
    tracemalloc.start()
    try:
        catalog.refresh(())
        catalog.changes()
        size_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert size_bytes / 2000 < 1200


def test_runs_that_ended_just_now_are_records_too(logs):
    write_ended_runs(logs, 50, ended_s_ago=1)
    catalog = Catalog([str(logs)])
    catalog.refresh(())
    assert [info.whole for info in catalog.runs] == [False] * 50
    assert not catalog.refresh(())


def test_a_run_that_an_operator_pins_is_seen_though_nobody_looks_at_it(logs):
    write_ended_runs(logs, 450)
    catalog = Catalog([str(logs)])
    catalog.refresh(())
    time.sleep(0.2)  # past the tick of the clock that files are stamped with
    Path(catalog.runs[222].id, "pinned").touch()
    for _ in range(6):
        catalog.refresh(())
    assert [i for i, info in enumerate(catalog.runs) if info.pinned] == [222]


def test_runs_that_are_removed_go_and_the_others_stay_as_they_are(logs):
    write_ended_runs(logs, 300)
    catalog = Catalog([str(logs)])
    catalog.refresh(())
    time.sleep(0.2)
    before = catalog.runs
    gone = before[7:20]
    for info in gone:
        Path(info.id, "000001.pplog").unlink()
        Path(info.id).rmdir()
    catalog.changes()
    assert catalog.refresh(())
    assert catalog.changes() == {info.id: None for info in gone}
    assert all(a is b for a, b in zip(catalog.runs, before[:7] + before[20:], strict=True))


def test_processes_that_start_and_die_among_ended_runs_are_told_apart(logs, service):
    write_ended_runs(logs, 500)
    catalog = Catalog([str(logs)])
    catalog.refresh(())

    def states(runs):
        return {info.pid: info.state for info in runs if info.service == "api"}

    one, other = service(), service()
    refreshed_until(catalog, lambda runs: states(runs) == {one.pid: "live", other.pid: "live"})
    assert {info.pid for info in catalog.running} == {one.pid, other.pid}
    one.send_signal(signal.SIGKILL)
    other.stdin.close()
    refreshed_until(catalog, lambda runs: states(runs) == {one.pid: "died", other.pid: "exited"})
    third = service()
    refreshed_until(catalog, lambda runs: states(runs).get(third.pid) == "live")
    assert len(catalog.runs) == 503


def test_a_service_and_a_pid_are_looked_for_by_name_alone(logs, asked):
    write_ended_runs(logs, 500)
    asked.clear()
    catalog = Catalog([str(logs)], service="job-2", pids=(1002, 1012))
    catalog.refresh(())
    assert sorted(info.pid for info in catalog.runs) == [1002, 1012]
    assert asked["open"] == 2
    assert catalog.services == ("job-0", "job-1", "job-2", "job-3", "job-4")


def test_all_that_is_found_is_read_at_last_the_newest_first(logs, monkeypatch):
    monkeypatch.setattr(catalogs, "_BATCH_RUNS", 1)
    write_ended_runs(logs, 60)
    catalog = Catalog([str(logs)])
    catalog.refresh((), time.monotonic())
    assert (len(catalog.runs), catalog.unread) == (1, 59)
    newest = catalog.runs[0].begin_ms
    rounds = 0
    while catalog.unread:
        assert catalog.read_unread(time.monotonic())
        rounds += 1
    assert rounds == 59
    assert newest == max(info.begin_ms for info in catalog.runs)
    assert len(catalog.runs) == 60


# -- the list


def test_a_list_of_many_runs_has_all_of_them_in_the_order_of_their_services(logs):
    write_ended_runs(logs, 3000)
    words = [sys.executable, "-m", "pprofplus_tui", "list", "--dir", str(logs)]
    done = subprocess.run([*words, "--json"], capture_output=True, check=True, timeout=120)
    runs = json.loads(done.stdout)
    assert len({run["path"] for run in runs}) == 3000
    order = [(run["service"], -run["begin_ms"]) for run in runs]
    assert order == sorted(order)
    assert {run["samples"] for run in runs} == {2}
    assert {run["growth_bytes"] for run in runs} == {1 << 20}
    done = subprocess.run(words, capture_output=True, check=True, timeout=120, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3001
    end = lines[0].index("LOG") + len("LOG")  # causes of death, where they are known, come last
    assert {line[end - 3 : end] for line in lines[1:]} == {"KiB"}
    assert end <= 80


def test_a_list_of_many_runs_loads_no_screen_and_no_charts(logs):
    write_ended_runs(logs, 20)
    program = (
        "import sys; from pprofplus_tui.cli import main; main(sys.argv[1:]);"
        "print(sorted({'textual', 'plotext', 'rich'} & set(sys.modules)), file=sys.stderr)"
    )
    words = [sys.executable, "-c", program, "list", "--json", "--dir", str(logs)]
    done = subprocess.run(words, capture_output=True, check=True, timeout=60, text=True)
    assert done.stderr == "[]\n"


# -- the monitor


@pytest.fixture
def slow_reading(monkeypatch):
    """Read one run at a time, and show each."""
    monkeypatch.setattr(session, "_SLICE_S", 0.0)
    monkeypatch.setattr(session, "_BATCH_GROWTH", 0.0)
    monkeypatch.setattr(catalogs, "_BATCH_RUNS", 1)


def app_on(logs, **options):
    return MonitorApp(Options(directories=(str(logs),), **options), local_backend([str(logs)]))


@pytest.mark.usefixtures("slow_reading")
async def test_what_is_not_yet_read_is_told_and_then_all_is_there(logs):
    write_ended_runs(logs, 300)
    async with app_on(logs).run_test(size=(200, 50)) as pilot:
        await settled(pilot, lambda text: "+2" in text.splitlines()[-2])
        text = await settled(pilot, "300 ended")
        foot = await settled(pilot, lambda text: " 300 " in text.splitlines()[-2])
        assert "+" not in foot.splitlines()[-2].split("└")[0]
        assert "5 services" in text


def test_a_running_run_goes_on_while_others_are_yet_to_be_read(home, monkeypatch):
    monkeypatch.setattr(session, "_SLICE_S", 0.0)
    monkeypatch.setattr(session, "_BATCH_GROWTH", 1e9)
    monkeypatch.setattr(catalogs, "_BATCH_RUNS", 1)
    now_ms = time.time_ns() // 1_000_000
    # begun last, so it is read first
    live = LiveRun(home.path, begin_ms=now_ms - 20_000, count=20)
    for i in range(40):
        home.run("job", 5_000_000 + i, begin_ms=now_ms - 800_000 + i * 1000, count=3)
    with closing(session.Session(Options(), open_source([str(home.path)]), lambda _: None)) as made:
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


@pytest.mark.usefixtures("slow_reading")
async def test_it_opens_on_what_runs_though_that_is_found_last(home):
    now_ms = time.time_ns() // 1_000_000
    # a pid that no process here has, as in another container
    home.run("api", 4_194_305, begin_ms=now_ms - 900_000, count=900, state="live")
    for i in range(80):
        home.run("job", 5_000_000 + i, begin_ms=now_ms - 800_000 + i * 1000, count=3)
    async with app_on(home.path).run_test(size=(120, 40)) as pilot:
        await settled(pilot, lambda text: "job 50000" in text.splitlines()[0])
        await settled(pilot, lambda text: "api 4194305" in text.splitlines()[0])


@pytest.mark.usefixtures("slow_reading")
async def test_what_was_chosen_by_a_key_stays_though_something_runs(home):
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


async def test_the_oldest_of_many_is_found_by_typing_and_shown(logs):
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


async def test_runs_in_sight_have_their_curves_and_the_others_are_not_opened(logs, monkeypatch):
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
