"""The demo in a real terminal: its services appear, die and end; no process or file remains."""

import os
import random
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from kit.waiting import wait_at_most

SERVICES = ("api", "batch", "imaging", "reports", "worker")


@pytest.fixture
def demo(terminal, tmp_path):
    """Start the demo with a temporary directory below that of the test."""
    directory = tmp_path / "tmp"
    directory.mkdir()

    def start(*words, columns=120, rows=40):
        screen = terminal(
            *words, columns=columns, rows=rows, env={"TMPDIR": str(directory), "TZ": "UTC"}
        )
        screen.directory = directory
        return screen

    start.directory = directory
    return start


def services_of(directory):
    """Return the service processes of a demo whose temporary directory is `directory`."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(str(directory) in word for word in words) and "pprofplus_tui.demo.services" in words:
            found.append(process)
    return found


def remaining(directory, seconds=5):
    """Return the processes and files that remain after at most `seconds`."""
    found = []

    def nothing_left():
        processes = [process.pid for process in services_of(directory)]
        found[:] = processes, sorted(path.name for path in directory.iterdir())
        return not any(found)

    wait_at_most(nothing_left, seconds, pause_s=0.05)
    return tuple(found)


NOTHING = ([], [])


def has_all_services(text):
    return all(re.search(rf"^\s?{name} +\d", text, re.MULTILINE) for name in SERVICES)


def test_all_services_appear_each_a_process_with_its_own_run(demo):
    screen = demo("demo")
    text = screen.until(has_all_services, 30)
    assert "5 services · 6 live" in text
    pids = {str(process.pid) for process in services_of(demo.directory)}
    assert len(pids) == 6
    assert pids == set(re.findall(r"^ ● (\d+)", text, re.MULTILINE))
    screen.until("python heap")
    screen.send("q")
    assert screen.end() == 0
    assert remaining(demo.directory) == NOTHING


@pytest.mark.parametrize(
    ("way", "code"),
    [("ctrl-c", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["ctrl-c", "SIGTERM", "SIGHUP"],
)
def test_every_way_to_end_leaves_no_process_and_no_file(demo, way, code):
    screen = demo("demo")
    screen.until("live", 30)
    screen.until(lambda _: len(services_of(demo.directory)) == 6)
    if isinstance(way, str):
        screen.send(way)
    else:
        os.kill(screen.pid, way)
    assert screen.end() == code
    assert remaining(demo.directory) == NOTHING
    assert "Traceback" not in screen.text


@pytest.mark.slow
def test_a_second_signal_does_not_interrupt_the_clean_up(demo):
    screen = demo("demo")
    screen.until("live", 30)
    screen.until(lambda _: len(services_of(demo.directory)) == 6)
    for process in services_of(demo.directory):
        process.suspend()  # so that the clean-up takes long
    screen.send("q")
    time.sleep(0.7)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(screen.pid, number)
    assert screen.end(20) == 0
    assert remaining(demo.directory) == NOTHING


def test_a_killed_demo_leaves_files_but_no_process(demo):
    screen = demo("demo")
    screen.until("live", 30)
    screen.until(lambda _: len(services_of(demo.directory)) == 6)
    os.kill(screen.pid, signal.SIGKILL)
    assert screen.end() == -signal.SIGKILL
    # no process is left to remove the directory; the services end as their pipe is closed
    wait_at_most(lambda: not services_of(demo.directory), 5, pause_s=0.05)
    assert services_of(demo.directory) == []


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(12))
def test_a_signal_at_any_moment_of_the_start_leaves_nothing(demo, round_):
    moment = random.Random(round_)
    screen = demo("demo", *(["--history"] if round_ % 3 == 0 else []))
    screen.read(0.05 + moment.random() * 1.5)
    number = moment.choice([signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    os.kill(screen.pid, number)
    # a signal kills Python before it has installed its handlers
    assert screen.end(20) in {128 + number, -number}
    assert remaining(demo.directory) == NOTHING


def test_with_history_it_opens_on_a_week_immediately(demo):
    screen = demo("demo", "--history")
    text = screen.until(lambda text: "python heap" in text and "api 21408" in text, 30)
    assert "PAST " in text
    assert "died" in text.split("\n")[0]
    assert re.search(r"after (6d23h|1w)", text.split("\n")[0])
    screen.until(lambda text: "virtual memory" in text or "charts" in text)
    live = sum(process.status() != "zombie" for process in services_of(demo.directory))
    assert live == 6
    screen.send("q")
    assert screen.end() == 0
    assert remaining(demo.directory) == NOTHING


@pytest.mark.slow
def test_batch_is_killed_and_shown_as_died(demo):
    screen = demo("demo")
    text = screen.until(has_all_services, 30)
    pid = re.search(r"^ batch.*\n ● (\d+)", text, re.MULTILINE).group(1)
    screen.until(f"✝ {pid}", 60)
    screen.send(*["up"] * 8)  # it opened on the newest run
    screen.until(lambda text: " api " in text.split("\n")[0])
    while f"batch {pid}" not in screen.text.split("\n")[0]:
        screen.send("down")
        screen.read(0.3)
    screen.until(lambda text: "died" in text.split("\n")[0])
    screen.send("q")
    assert screen.end() == 0
    assert remaining(demo.directory) == NOTHING


LOST = """
import os, signal
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.options import Options
from pprofplus_tui.signals import ended_by_signals

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass  # the handler runs here, and Python drops its exception

with ended_by_signals():
    Finalized()
    app = MonitorApp(Options(directories=("/nowhere",)), local_backend(["/nowhere"]))
    app.run(headless=True)
    print("left with", app.return_code)
"""


def test_a_signal_whose_exit_a_finalizer_dropped_ends_the_monitor_when_it_starts():
    done = subprocess.run(
        [sys.executable, "-c", LOST], check=False, capture_output=True, text=True, timeout=60
    )
    assert "left with 143" in done.stdout
