"""The monitor in a real terminal with real services: runs, keys, export, and a normal end."""

import csv
import os
import random
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from kit.processes import started_processes

SERVICE = """
import sys, time, pprofplus
collector = pprofplus.start(sys.argv[1], directory=sys.argv[2], interval_s=0.1)
print(collector.directory, flush=True)
kept = []
while True:
    kept.append(bytearray(20_000))
    time.sleep(0.02)
"""


@pytest.fixture
def service(tmp_path):
    """Start real services that record below the directory of the test."""
    log_directory = tmp_path / "logs"
    log_directory.mkdir(mode=0o700)
    with started_processes() as start_process:

        def start(name="api"):
            words = [sys.executable, "-c", SERVICE, name, str(log_directory)]
            process = start_process(words, stdout=subprocess.PIPE, text=True)
            process.stdout.readline()
            return process

        start.log_directory = log_directory
        yield start


def is_restored(output):
    """Return whether the alternate screen, mouse and cursor modes are reset."""
    last_on, last_off = output.rfind(b"\x1b[?1049h"), output.rfind(b"\x1b[?1049l")
    mouse_on, mouse_off = output.rfind(b"\x1b[?1000h"), output.rfind(b"\x1b[?1000l")
    cursor_off, cursor_on = output.rfind(b"\x1b[?25l"), output.rfind(b"\x1b[?25h")
    return last_on < last_off and mouse_on <= mouse_off and cursor_off < cursor_on


def test_a_service_is_watched_from_its_start_to_its_death_and_exported(service, terminal, tmp_path):
    screen = terminal("--dir", str(service.log_directory), env={"PWD": str(tmp_path)})
    screen.until("No service has written a log here yet")
    first = service("api")
    screen.until(lambda text: f"api {first.pid}" in text and "LIVE" in text)
    screen.until(lambda text: "python heap" in text and re.search(r"RSS \d", text))
    second = service("api")
    screen.until(f"● {second.pid}")
    screen.send("]")
    screen.until(f"api {second.pid}")
    screen.send("-")
    screen.send("+", "+")
    first.kill()
    first.wait()
    screen.until(f"✝ {first.pid}")
    screen.send("e")
    screen.until("export to CSV")
    target = tmp_path / "window.csv"
    screen.send("\x15" + str(target) + "\r")  # in one piece, as a slow line delivers it
    screen.until("exported")
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 5
    assert {row["pid"] for row in rows} == {str(second.pid)}
    rss = psutil.Process(second.pid).memory_info().rss
    assert abs(int(rows[-1]["rss_bytes"]) - rss) < 64 << 20
    screen.send("q")
    assert screen.end() == 0
    assert is_restored(screen.output)


def test_letters_that_arrive_together_with_the_key_before_them_are_not_lost(service, terminal):
    service("api")
    service("worker")
    screen = terminal("--dir", str(service.log_directory))
    screen.until("2 live")
    screen.send("/work\r")  # as a slow line delivers fast typing
    screen.until(lambda text: "/work" in text and "1/2" in text)


def test_a_stopped_service_is_shown_as_stalled_and_then_live_again(service, terminal):
    process = service("api")
    screen = terminal("--dir", str(service.log_directory))
    screen.until("LIVE")
    process.send_signal(signal.SIGSTOP)
    screen.until("STALLED", 30)
    process.send_signal(signal.SIGCONT)
    screen.until("LIVE")


@pytest.mark.parametrize("key", ["q", "ctrl-c"])
def test_quitting_restores_the_terminal(service, terminal, key):
    service()
    screen = terminal("--dir", str(service.log_directory))
    screen.until("python heap")
    screen.send(key)
    assert screen.end() == 0
    assert is_restored(screen.output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal_without_a_traceback(service, terminal, number):
    service()
    screen = terminal("--dir", str(service.log_directory))
    screen.until("python heap")
    os.kill(screen.pid, number)
    assert screen.end() == 128 + number
    assert is_restored(screen.output)
    assert "Traceback" not in screen.text


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(12))
def test_a_signal_at_any_moment_of_the_start_restores_the_terminal(service, terminal, round_):
    service()
    moment = random.Random(round_)
    screen = terminal("--dir", str(service.log_directory))
    screen.read(0.1 + 0.06 * round_ * moment.random())
    os.kill(screen.pid, signal.SIGTERM)
    # a signal kills Python before it has installed its handlers
    assert screen.end() in {143, -signal.SIGTERM}
    assert b"\x1b[?1049h" not in screen.output or is_restored(screen.output)
    assert "Traceback" not in screen.text


def test_nothing_is_written_when_nothing_changes(service, terminal):
    process = service()
    time.sleep(1)
    process.kill()
    process.wait()
    screen = terminal("--dir", str(service.log_directory))
    screen.until("died")
    screen.until("python heap")
    screen.read(3)  # the rest of the first picture
    assert screen.read(4) == 0


def test_a_terminal_without_utf_8_gets_ascii(service, terminal):
    service()
    screen = terminal(
        "--dir",
        str(service.log_directory),
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    )
    text = screen.until("python heap")
    assert text.isascii()
    assert b"\\u28" not in screen.output


@pytest.mark.parametrize("term", ["xterm", "screen-256color", "linux", "vt100"])
def test_every_terminal_is_drawn_and_restored(service, terminal, term):
    service()
    screen = terminal("--dir", str(service.log_directory), env={"TERM": term})
    screen.until("python heap")
    screen.send("q")
    assert screen.end() == 0


def test_no_color_draws_without_colour(service, terminal):
    service()
    screen = terminal("--dir", str(service.log_directory), env={"NO_COLOR": "1"})
    screen.until("python heap")
    screen.send("q")
    assert screen.end() == 0
    assert b"38;2;86;180;233" not in screen.output


def test_twenty_columns_show_that_the_terminal_is_too_small(service, terminal):
    service()
    screen = terminal("--dir", str(service.log_directory), columns=20, rows=6)
    screen.until("too small")
    screen.resize(100, 30)
    screen.until("python heap")


def test_a_dumb_terminal_gets_an_error_of_one_line(terminal, tmp_path):
    screen = terminal("--dir", str(tmp_path), env={"TERM": "dumb"})
    assert screen.end() == 2
    assert "TERM is dumb" in screen.text


def test_no_terminal_gives_an_error_of_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pprofplus_tui", "--dir", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "needs a terminal" in done.stderr
