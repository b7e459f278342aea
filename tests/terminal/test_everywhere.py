"""All terminal types, sizes, locales and multiplexers, and held keys; each in a real pty."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from kit.page_writer import write_short_run
from kit.processes import IMPORT_PATH

START_MS = 1_795_169_333_907


@pytest.fixture
def log_directory(tmp_path):
    log_directory = tmp_path / "logs"
    write_short_run(log_directory)
    return log_directory


MONITOR = (sys.executable, "-m", "pprofplus_tui")


def drawn(screen, title="python heap"):
    screen.until_drawn(title)
    screen.read(0.5)
    return screen.text


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 40), (200, 50), (400, 120)])
def test_the_screen_fills_every_size_exactly(log_directory, terminal, size):
    columns, rows = size
    screen = terminal("--dir", str(log_directory), columns=columns, rows=rows)
    text = drawn(screen, "memory")
    lines = text.split("\n")
    assert len(lines) == rows
    assert "q quit" in lines[-1]
    assert "api 4711" in lines[0]
    screen.leave()


@pytest.mark.parametrize("size", [(59, 15), (60, 14), (20, 5), (3, 2), (1, 1)])
def test_a_terminal_that_is_too_small_shows_why_and_can_be_left(log_directory, terminal, size):
    columns, rows = size
    screen = terminal("--dir", str(log_directory), columns=columns, rows=rows)
    if columns >= 20:
        screen.until("60x15 needed")
    else:
        screen.read(2)
    screen.resize(80, 24)
    drawn(screen, "memory")
    screen.resize(columns, rows)
    screen.read(0.5)
    screen.leave()


def test_after_many_fast_resizes_the_picture_is_right(log_directory, terminal):
    screen = terminal("--dir", str(log_directory), columns=200, rows=50)
    drawn(screen)
    chance = random.Random(1)
    for _ in range(300):
        screen.resize(chance.randrange(1, 300), chance.randrange(1, 90))
        os.kill(screen.pid, signal.SIGWINCH)
        screen.read(0.01)
    screen.resize(120, 40)
    screen.screen.reset()
    screen.until(lambda text: "q quit" in text.split("\n")[-1] and "python heap" in text)
    lines = drawn(screen).split("\n")
    assert "api 4711" in lines[0]
    assert sum("┘" in line for line in lines) >= 2
    assert not any("too small" in line for line in lines)
    screen.leave()


COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
TERMS = ["xterm", "xterm-256color", "screen", "screen-256color", "tmux-256color", "linux", "vt100"]


@pytest.mark.parametrize("term", TERMS)
def test_no_terminal_gets_more_colours_than_it_has(log_directory, terminal, term):
    screen = terminal("--dir", str(log_directory), env={"TERM": term})
    drawn(screen)
    screen.send("-", "2", "?")
    screen.until("Esc closes")
    screen.send("ctrl-c")
    assert screen.end() == 0
    codes = b"".join(COLOURS.findall(screen.output))
    assert b"38;2;" not in codes
    if "256" not in term:
        assert b"38;5;" not in codes


def test_a_terminal_with_all_colours_gets_them(log_directory, terminal):
    screen = terminal("--dir", str(log_directory), env={"COLORTERM": "truecolor"})
    drawn(screen)
    assert b"38;2;86;180;233" in screen.output
    screen.leave()


@pytest.mark.parametrize("words", [(), ("--light",), ("--ascii",), ("--low-bandwidth",)])
def test_every_display_option_is_drawn(log_directory, terminal, words):
    screen = terminal("--dir", str(log_directory), *words, env={"COLORTERM": "truecolor"})
    text = drawn(screen)
    assert text.isascii() == ("--ascii" in words)
    assert (b"48;2;" in screen.output) == ("--low-bandwidth" not in words)
    screen.leave()


def test_without_colour_lines_are_distinguished_by_their_markers(log_directory, terminal):
    env = {"NO_COLOR": "1", "COLORTERM": "truecolor"}
    screen = terminal("--dir", str(log_directory), env=env, columns=120, rows=40)
    text = drawn(screen)
    colours = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", screen.output)
    assert all(red == green == blue for red, green, blue in colours)  # dim text is grey
    # in a legend each line begins with its marker
    legend = next(line for line in text.split("\n") if " memory " in line and " rss " in line)
    marks = re.findall(r"(\S) (?:rss|uss) ", legend)
    assert len(set(marks)) == len(marks) == 2
    screen.leave()


@pytest.mark.parametrize(
    "locale",
    [
        {"LANG": "C", "LC_ALL": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "iso-8859-1"},
    ],
    ids=["C", "POSIX", "ISO-8859-1"],
)
def test_a_locale_without_utf_8_gets_ascii(log_directory, terminal, locale):
    screen = terminal("--dir", str(log_directory), env=locale)
    text = drawn(screen)
    screen.send("?")
    screen.until("Esc closes")
    assert text.isascii()
    assert screen.text.isascii()
    assert bytes(screen.output).isascii()
    screen.send("ctrl-c")
    assert screen.end() == 0


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_the_locale_c_gets_braille_where_python_uses_utf_8_for_it(log_directory, terminal, locale):
    screen = terminal("--dir", str(log_directory), env={"LC_ALL": locale})
    assert re.search(r"[\u2801-\u28ff]", drawn(screen))
    screen.leave()


def test_settings_of_the_user_take_effect(log_directory, terminal, tmp_path):
    path = tmp_path / "config" / "pprofplus" / "tui.toml"
    path.parent.mkdir(parents=True)
    path.write_text(
        f'directories = ["{log_directory}"]\nascii = true\nno_mouse = true\ncharts = ["memory"]\n'
        '[keys]\nquit = ["x"]\n'
    )
    screen = terminal(env={"XDG_CONFIG_HOME": str(tmp_path / "config")})
    text = drawn(screen, "memory")
    assert text.isascii()
    assert "python heap" not in text
    assert b"\x1b[?1000h" not in screen.output
    screen.send("x")
    assert screen.end() == 0


def test_invalid_settings_are_shown_on_the_screen_and_ignored(log_directory, terminal, tmp_path):
    path = tmp_path / "pprofplus" / "tui.toml"
    path.parent.mkdir(parents=True)
    path.write_text('theme = "[bold]blue"\n')
    screen = terminal(
        "--dir", str(log_directory), env={"XDG_CONFIG_HOME": str(tmp_path)}, columns=160
    )
    screen.until("tui.toml:1: theme")
    screen.leave()


# -- multiplexers and mosh


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@needs("tmux")
def test_tmux_shows_it_and_keeps_its_own_prefix(log_directory, terminal, tmp_path):
    inside = " ".join(["exec", *MONITOR, "--dir", str(log_directory)])
    words = ["tmux", "-f", os.devnull, "-S", str(tmp_path / "tmux"), "new-session", inside]
    screen = terminal(command=words, columns=120, rows=40)
    assert "api 4711" in drawn(screen).split("\n")[0]
    screen.send("\x02d")  # detach: C-b is the prefix of tmux
    assert screen.end() == 0
    attach = ["tmux", "-S", str(tmp_path / "tmux"), "attach"]
    again = terminal(command=attach, columns=90, rows=30)
    drawn(again, "memory")
    again.send("q")
    assert again.end() == 0


@needs("screen")
def test_screen_shows_it_and_keeps_its_own_prefix(log_directory, terminal, tmp_path):
    (tmp_path / "sockets").mkdir(mode=0o700)
    env = {"SCREENDIR": str(tmp_path / "sockets"), "SHELL": "/bin/sh"}
    words = ["screen", "-U", "-c", os.devnull, "-S", "pprofplus-test", *MONITOR]
    screen = terminal("--dir", str(log_directory), command=words, env=env, columns=120, rows=40)
    assert "api 4711" in drawn(screen).split("\n")[0]
    screen.send("?")
    screen.until("Esc closes")
    screen.send("ctrl-c")
    screen.end()


@needs("mosh-server", "mosh-client")
@pytest.mark.slow
def test_mosh_over_loopback_shows_it(log_directory, terminal):
    locale = {"LC_ALL": "C.UTF-8"}
    server = subprocess.run(
        ["mosh-server", "new", "-i", "127.0.0.1", "--", *MONITOR, "--dir", str(log_directory)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **locale, "PYTHONPATH": IMPORT_PATH, "TERM": "xterm-256color"},
    )
    found = re.search(r"MOSH CONNECT (\d+) (\S+)", server.stdout)
    if found is None:
        pytest.skip(f"mosh-server cannot run here: {server.stderr[-200:]}")
    env = {**locale, "MOSH_KEY": found[2]}
    screen = terminal(command=["mosh-client", "127.0.0.1", found[1]], env=env, columns=120, rows=40)
    assert "api 4711" in drawn(screen)
    screen.send("?")
    screen.until("Esc closes")
    screen.send("ctrl-c")
    screen.end(20)


# -- keys


def test_held_keys_end_in_the_last_state_and_leave_no_queue(terminal, tmp_path):
    for n in range(60):
        write_short_run(tmp_path / "many", pid=5000 + n, start_ms=START_MS + 1000 * n)
    screen = terminal("--dir", str(tmp_path / "many"), columns=200, rows=50)
    drawn(screen)
    first = int(re.search(r"api (\d+)", screen.text.split("\n")[0])[1])
    before = len(screen.output)
    for _ in range(50):
        screen.send("down")
        screen.read(1 / 30)
    last = str(first - 50 if first > 5050 else first + 50)
    screen.until(lambda text: f"api {last}" in text.split("\n")[0])
    screen.read(1)
    assert screen.read(1) == 0
    # a repaint of all charts for each key would write far more
    assert len(screen.output) - before < 50 * 20_000
    screen.leave()


def test_all_keys_typed_faster_than_the_screen_is_drawn_take_effect(terminal, tmp_path):
    for n in range(60):
        write_short_run(tmp_path / "many", pid=5000 + n, start_ms=START_MS + 1000 * n)
    screen = terminal("--dir", str(tmp_path / "many"), columns=200, rows=50)
    drawn(screen)
    first = screen.text.split("\n")[0]
    screen.send("j" * 40 + "k" * 40)
    time.sleep(0.5)
    screen.read(1)
    screen.until(lambda text: text.split("\n")[0] == first)
    screen.leave()
