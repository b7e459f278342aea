"""Every way to end or suspend the monitor restores the terminal."""

import os
import signal
import sys
from pathlib import Path

import pytest

from kit.waiting import wait_at_most

# modes of the mouse, alternate screen, bracketed paste and focus reports
MODES_OFF = ("1000", "1003", "1006", "1015", "1049", "2004", "1004")

FAULTY = """
import sys
from pprofplus_tui.cli import main
from pprofplus_tui.screens.monitor import MonitorScreen
from pprofplus_tui.backend.worker import BackendThread
where = sys.argv.pop(1)
secret = "a value of the user's"

def broken(*_):
    password = secret
    raise ZeroDivisionError("a fault \\x1b]0;owned\\x07 of the test")

if where == "screen":
    MonitorScreen.action_fit = broken
elif where == "worker":
    MonitorScreen.action_fit = lambda self: self.run_worker(broken, thread=True)
elif where == "thread":
    BackendThread._serve = broken
elif where == "start":
    MonitorScreen.compose = broken
elif where == "options":
    import pprofplus_tui.commands.open_monitor
    pprofplus_tui.commands.open_monitor.require_terminal = broken
sys.exit(main())
"""


def left_on(output):
    """Return the modes that the program turned on and did not turn off."""
    found = [
        mode
        for mode in MODES_OFF
        if output.rfind(f"\x1b[?{mode}h".encode()) > output.rfind(f"\x1b[?{mode}l".encode())
    ]
    if output.rfind(b"\x1b[?25l") > output.rfind(b"\x1b[?25h"):
        found.append("cursor off")
    return found


@pytest.fixture
def empty(tmp_path):
    log_directory = tmp_path / "logs"
    log_directory.mkdir()
    return log_directory


@pytest.fixture
def reporting_terminal(terminal, tmp_path):
    """Start commands whose crash reports are kept in the test's directory."""
    (tmp_path / "faults").mkdir()
    env = {"TMPDIR": str(tmp_path / "faults")}

    def start(*words, command=None, **kwargs):
        return terminal(*words, command=command, env={**env, **kwargs.pop("env", {})}, **kwargs)

    start.faults = lambda: sorted((tmp_path / "faults").glob("pprofplus-tui-fault-*"))
    return start


def shown(screen):
    screen.until("No service has written a log here yet")
    screen.read(0.3)
    return screen


@pytest.mark.parametrize(
    ("where", "key"),
    [("screen", "0"), ("worker", "0"), ("thread", None), ("start", None), ("options", None)],
)
def test_a_fault_is_one_line_with_the_path_of_its_traceback(empty, reporting_terminal, where, key):
    command = [sys.executable, "-c", FAULTY, where, "--dir", str(empty)]
    screen = reporting_terminal(command=command, columns=300)
    if key:
        shown(screen)
        screen.send(key)
    assert screen.end() == 1
    assert left_on(screen.output) == []
    (fault,) = reporting_terminal.faults()
    text = screen.text
    assert text.count("ZeroDivisionError") == 1
    assert "Traceback" not in text
    assert "user's" not in text
    assert str(fault) in text
    assert r"a fault \x1b]0;owned\x07 of the test" in text
    assert "in broken" in fault.read_text()
    assert fault.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_with_the_usual_exit_code(empty, reporting_terminal, number):
    screen = shown(reporting_terminal("--dir", str(empty)))
    os.kill(screen.pid, number)
    assert screen.end() == 128 + number
    assert left_on(screen.output) == []
    assert reporting_terminal.faults() == []


def test_a_dropped_line_ends_it(empty, reporting_terminal):
    screen = shown(reporting_terminal("--dir", str(empty)))
    master = screen.fd
    screen.fd = os.open(os.devnull, os.O_RDONLY)
    os.close(master)
    screen.wait(20)
    assert screen.status == 128 + signal.SIGHUP
    assert reporting_terminal.faults() == []


def stopped(pid, seconds=20):
    """Wait until the process is stopped; return whether it is."""
    stat = Path(f"/proc/{pid}/stat")
    return wait_at_most(
        lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", seconds, pause_s=0.05
    )


@pytest.mark.parametrize("way", ["key", "signal"])
def test_a_stop_restores_the_terminal_and_a_continue_draws_again(empty, reporting_terminal, way):
    screen = shown(reporting_terminal("--dir", str(empty)))
    if way == "key":
        screen.send("\x1a")
    else:
        os.kill(screen.pid, signal.SIGTSTP)
    assert stopped(screen.pid)
    screen.read(0.5)
    assert left_on(screen.output) == []
    screen.screen.reset()
    before = len(screen.output)
    os.kill(screen.pid, signal.SIGCONT)
    screen.until("No service has written a log here yet")
    assert b"\x1b[?1049h" in screen.output[before:]
    screen.send("?")
    screen.until("Esc closes")
    screen.send("escape")  # alone: Esc immediately before another key is Alt
    screen.until(lambda text: "Esc closes" not in text)
    screen.send("q")
    assert screen.end() == 0
    assert left_on(screen.output) == []


def test_sigstop_and_sigcont_leave_one_reader_of_the_keys(empty, reporting_terminal):
    screen = shown(reporting_terminal("--dir", str(empty)))
    threads = len(list(Path(f"/proc/{screen.pid}/task").iterdir()))
    for _ in range(3):
        os.kill(screen.pid, signal.SIGSTOP)
        assert stopped(screen.pid)
        os.kill(screen.pid, signal.SIGCONT)
        screen.read(0.5)
    assert len(list(Path(f"/proc/{screen.pid}/task").iterdir())) == threads
    screen.send("?")
    screen.until("Esc closes")
    screen.send("ctrl-c")
    assert screen.end() == 0
    assert left_on(screen.output) == []


def test_ctrl_c_quits_immediately_with_exit_code_0(empty, reporting_terminal):
    screen = shown(reporting_terminal("--dir", str(empty)))
    screen.send("ctrl-c")
    assert screen.end() == 0
    assert left_on(screen.output) == []


def test_no_mouse_leaves_the_mouse_to_the_terminal(empty, reporting_terminal):
    screen = shown(reporting_terminal("--dir", str(empty), "--no-mouse"))
    screen.send("q")
    assert screen.end() == 0
    for mode in (b"1000", b"1003", b"1006", b"1015"):
        assert b"\x1b[?" + mode + b"h" not in screen.output
