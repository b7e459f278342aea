"""Ten thousand ended runs in a real terminal, and processes that start and die among them."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SERVICE = """
import sys, pprofplus
pprofplus.start("a-service", directory=sys.argv[1])
sys.stdin.read()
"""
COUNT = 10_000


@pytest.fixture(scope="module")
def write_ended_runs():
    sys.path.insert(0, str(BENCHMARKS))  # the benchmarks import each other by name
    try:
        spec = importlib.util.spec_from_file_location(
            "many_runs_in_a_terminal", BENCHMARKS / "many_runs.py"
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module.write_ended_runs


@pytest.fixture
def start(tmp_path):
    """Start real services that record once a second."""
    started = []

    def start_one():
        process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, str(tmp_path / "logs")], stdin=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()


@pytest.mark.slow
def test_processes_that_start_and_die_among_ten_thousand_ended_runs_are_seen(
    terminal, write_ended_runs, start, tmp_path
):
    write_ended_runs(tmp_path / "logs", COUNT)
    monitor = terminal("--dir", str(tmp_path / "logs"), columns=200, rows=50)

    def counts(live, ended):
        return lambda text: f"{live} live · {ended} ended" in text.splitlines()[0]

    monitor.until(counts(0, COUNT), seconds=90)
    one, other = start(), start()
    monitor.until(counts(2, COUNT), seconds=30)
    assert "job-" in monitor.text.splitlines()[0]  # the selection stays
    one.send_signal(signal.SIGKILL)
    monitor.until(counts(1, COUNT + 1), seconds=30)
    other.stdin.close()
    monitor.until(counts(0, COUNT + 2), seconds=30)
    monitor.send("/", "a-service", "enter")
    monitor.until(lambda text: f"2/{COUNT + 2}" in text.splitlines()[-2])
    listed = "\n".join(line[:28] for line in monitor.text.splitlines())
    assert f"✝ {one.pid}" in listed
    assert f"○ {other.pid}" in listed
    assert psutil.Process(monitor.pid).memory_info().rss < 150e6
    os.kill(monitor.pid, signal.SIGTERM)
    assert monitor.end() == 128 + signal.SIGTERM
