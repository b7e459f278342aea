"""The demo's services are started and stopped; no process and no file is left."""

import os
import signal
import subprocess

import psutil
import pytest

from kit.run_logs import open_catalog
from kit.waiting import wait_until
from pprofplus_tui.demo import processes as module
from pprofplus_tui.demo.processes import demo_directory, running_services
from pprofplus_tui.demo.services import SERVICES


def alive(process):
    return psutil.pid_exists(process.pid) and process.poll() is None


def test_the_directory_is_private_and_removed_afterwards():
    with demo_directory() as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "api").mkdir()
        (directory / "api" / "log").write_text("x")
    assert not directory.exists()


def test_the_directory_is_removed_after_an_error_too():
    with pytest.raises(KeyboardInterrupt), demo_directory() as directory:
        raise KeyboardInterrupt
    assert not directory.exists()


def test_every_service_records_and_is_stopped_and_reaped():
    with demo_directory() as directory:
        with running_services(directory) as started:
            assert len(started) == len(SERVICES)
            wait_until(lambda: len(list(directory.glob("*/*/*.pplog"))) == len(SERVICES))
            assert all(map(alive, started))
            assert {path.name for path in directory.iterdir() if path.is_dir()} == {
                service for service, _ in SERVICES.values()
            }
        assert [process.returncode for process in started] == [0] * len(SERVICES)


def test_services_stop_normally_so_that_none_is_shown_as_died():
    with demo_directory() as directory:
        with running_services(directory):
            wait_until(lambda: len(list(directory.glob("*/*/*.pplog"))) == len(SERVICES))
        catalog = open_catalog(directory)
        assert {run.state for run in catalog.runs} == {"exited"}


def test_a_service_that_hangs_is_killed(monkeypatch):
    monkeypatch.setattr(module, "_END_TIMEOUT_S", 0.1)
    with demo_directory() as directory:
        with running_services(directory) as started:
            for process in started:
                os.kill(process.pid, signal.SIGSTOP)
        assert {process.returncode for process in started} == {-signal.SIGKILL}


def test_an_error_in_the_monitor_stops_the_services_too():
    with demo_directory() as directory:
        with pytest.raises(ZeroDivisionError), running_services(directory) as started:
            raise ZeroDivisionError
        assert all(process.returncode is not None for process in started)


def test_the_demo_ignores_settings_of_the_users_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("PPROFPLUS_INTERVAL", "3600")
    with demo_directory() as directory, running_services(directory):
        wait_until(lambda: len(list(directory.glob("*/*/*.pplog"))) == len(SERVICES))
    assert not (tmp_path / "mine").exists()


def test_a_service_started_while_signals_are_held_receives_signals():
    with demo_directory() as directory, running_services(directory) as started:
        wait_until(lambda: len(list(directory.glob("*/*/*.pplog"))) == len(SERVICES))
        os.kill(started[0].pid, signal.SIGTERM)
        try:
            started[0].wait(10)
        except subprocess.TimeoutExpired:
            pytest.fail("SIGTERM was not received")
