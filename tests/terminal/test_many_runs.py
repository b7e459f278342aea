"""Ten thousand ended runs in a real terminal, while other processes start and die."""

import os
import signal
import subprocess
import sys
from functools import partial

import psutil
import pytest

from kit.processes import started_processes
from many_runs import write_ended_runs

SERVICE = """
import sys, pprofplus
pprofplus.start("a-service", directory=sys.argv[1])
sys.stdin.read()
"""
COUNT = 10_000


@pytest.fixture
def start(tmp_path):
    """Start real services that record once a second."""
    words = [sys.executable, "-c", SERVICE, str(tmp_path / "logs")]
    with started_processes() as start_process:
        yield partial(start_process, words, stdin=subprocess.PIPE)


@pytest.mark.slow
def test_processes_that_start_and_die_are_shown_among_ten_thousand_ended_runs(
    terminal, start, tmp_path
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
