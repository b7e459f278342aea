"""A catalogue of many ended runs: it reads them in batches, and does not read them again."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from kit.processes import IMPORT_PATH, started_processes
from kit.waiting import wait_until
from many_runs import write_ended_runs
from pprofplus_tui.sources.local import catalog as catalogs
from pprofplus_tui.sources.local.catalog import Catalog

SERVICE = "import pprofplus, sys; pprofplus.start('api', interval_s=0.1); sys.stdin.read()"


@pytest.fixture
def service(logs):
    """Start real processes that record to the logs."""
    words = [sys.executable, "-c", SERVICE]
    environment = {"PPROFPLUS_DIR": str(logs), "PYTHONPATH": IMPORT_PATH}
    with started_processes() as start_process:
        yield partial(start_process, words, stdin=subprocess.PIPE, env=environment)


def refreshed_until(catalog, found, seconds=30):
    """Refresh as the monitor does, but more often, until `found(runs)` is true."""

    def look():
        catalog.refresh(())
        return found(catalog.runs)

    def seen():
        return [(info.service, info.pid, info.state) for info in catalog.runs[:20]]

    wait_until(look, seconds, pause_s=0.05, describe=seen)


@pytest.fixture
def file_calls(monkeypatch):
    """Count the file system calls."""
    counted = Counter()
    for name in ("open", "stat", "lstat", "scandir", "listdir"):
        real = getattr(os, name)

        def counting(*args, _name=name, _real=real, **kwargs):
            counted[_name] += 1
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, counting)
    return counted


def test_a_refresh_opens_no_ended_run(logs, file_calls):
    write_ended_runs(logs, 1000)
    time.sleep(0.2)  # longer than the resolution of a directory's timestamp
    catalog = Catalog([str(logs)])
    catalog.refresh(())
    assert len(catalog.runs) == 1000
    for _ in range(12):  # ticks
        file_calls.clear()
        assert not catalog.refresh(())
        assert sum(file_calls.values()) < 150
        assert file_calls["open"] == file_calls["scandir"] == 0


def test_the_entry_of_an_ended_run_takes_about_a_kilobyte(logs):
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


def test_runs_that_just_ended_are_not_read_completely_either(logs):
    write_ended_runs(logs, 50, ended_s_ago=1)
    catalog = Catalog([str(logs)])
    catalog.refresh(())
    assert [info.whole for info in catalog.runs] == [False] * 50
    assert not catalog.refresh(())


def test_a_pin_file_is_detected_on_a_run_that_is_not_shown(logs):
    write_ended_runs(logs, 450)
    catalog = Catalog([str(logs)])
    catalog.refresh(())
    time.sleep(0.2)  # longer than the resolution of a file's timestamp
    Path(catalog.runs[222].id, "pinned").touch()
    for _ in range(6):
        catalog.refresh(())
    assert [i for i, info in enumerate(catalog.runs) if info.pinned] == [222]


def test_removed_runs_leave_the_catalogue_and_the_others_are_unchanged(logs):
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


def test_processes_that_start_and_end_among_ended_runs_have_the_right_state(logs, service):
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


def test_a_service_and_a_pid_are_found_by_directory_name(logs, file_calls):
    write_ended_runs(logs, 500)
    file_calls.clear()
    catalog = Catalog([str(logs)], service="job-2", pids=(1002, 1012))
    catalog.refresh(())
    assert sorted(info.pid for info in catalog.runs) == [1002, 1012]
    assert file_calls["open"] == 2
    assert catalog.services == ("job-0", "job-1", "job-2", "job-3", "job-4")


def test_all_runs_are_read_in_batches_newest_first(logs, monkeypatch):
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
