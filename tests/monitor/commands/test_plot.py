"""`plot`: one chart on standard output, with a requested size, and colours only on terminals."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pprofplus.log.format import PAGE_SIZE, RunHeader, pack_header
from pprofplus.log.log_directory import run_name, segment_name
from pprofplus.log.page import PageBuilder

BEGIN_MS = 1_800_000_000_000
HOSTILE = "\x1b]0;owned\x07[bold red]x[/]\u202e"


def test_a_chart_has_the_requested_size_below_a_heading(home, command):
    home.run(count=600)
    done = command("plot", "--width", "60", "--height", "9")
    heading, *chart = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert heading == "api 4711  died  2027-01-15 08:00:00 – 08:09:59 UTC  9m59s"  # noqa: RUF001
    assert len(chart) == 9
    assert {len(line) for line in chart} == {60}
    assert "memory" in chart[0]
    assert "rss" in chart[0]


@pytest.mark.parametrize("size", [(20, 6), (23, 40), (1000, 6), (200, 50)])
def test_any_size_is_drawn_exactly(home, command, size):
    home.run(count=60)
    done = command("plot", "--width", size[0], "--height", size[1])
    chart = done.stdout.splitlines()[1:]
    assert (len(chart), {len(line) for line in chart}) == (size[1], {size[0]})


def test_without_a_terminal_it_has_80_columns_or_those_of_the_environment(home, command):
    home.run(count=60)
    for env, width in (({"COLUMNS": ""}, 80), ({"COLUMNS": "50"}, 50)):
        chart = command("plot", env=env).stdout.splitlines()[1:]
        assert {len(line) for line in chart} == {width}


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["--ascii"], {}),
        ([], {"PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}),
    ],
    ids=["on request", "latin 1"],
)
def test_it_is_ascii_on_request_or_if_the_encoding_requires_it(home, command, words, env):
    home.run(count=60)
    done = command("plot", *words, env=env)
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "*" in done.stdout


def on_terminal(home, **env):
    """Return the output of `plot` on a terminal."""
    leader, follower = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "pprofplus_tui", "plot", "--dir", str(home.path)]
    with subprocess.Popen(
        command,
        stdout=follower,
        stdin=subprocess.DEVNULL,
        env={**kept, "TERM": "xterm", "PYTHONUTF8": "1", **env},
    ) as process:
        os.close(follower)
        output = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            output += part
        assert process.wait(60) == 0
    os.close(leader)
    return output.decode()


def test_there_are_colours_on_a_terminal_unless_disabled(home):
    home.run(count=60)
    assert "\x1b[" in on_terminal(home)
    assert "\x1b" not in on_terminal(home, NO_COLOR="1")
    assert "\x1b" not in on_terminal(home, TERM="dumb")


def test_there_are_no_colours_in_a_file(home, command):
    home.run(count=60)
    assert "\x1b" not in command("plot", env={"TERM": "xterm-256color"}).stdout


@pytest.mark.parametrize(
    "chart", ["memory", "virtual", "python-heap", "c_heap", "gc", "cpu", "layers"]
)
def test_every_chart_can_be_drawn(home, command, chart):
    home.run(count=60)
    done = command("plot", "--chart", chart)
    assert (done.returncode, done.stderr) == (0, "")


def test_metrics_of_one_unit_share_a_chart(home, command):
    home.run(count=60)
    done = command("plot", "--metric", "rss", "--metric", "heap_used")
    assert "rss, heap_used" in done.stdout
    assert command("plot", "--metric", "rss,heap_used").stdout == done.stdout


def test_metrics_of_several_units_have_a_chart_a_unit_each(home, command):
    home.run(count=60)
    done = command("plot", "--metric", "rss,threads,heap_used", "--metric", "cpu_user")
    assert (done.returncode, done.stderr) == (0, "")
    _, *rows = done.stdout.splitlines()
    titles = [row for row in rows if row.startswith("┌")]
    assert len(titles) == 3
    for title, names in zip(titles, ("rss, heap_used", "threads", "cpu_user"), strict=True):
        assert title.startswith(f"┌ {names} ─")
    assert {len(row) for row in rows} == {80}


def test_each_of_several_charts_has_the_requested_height(home, command):
    home.run(count=60)
    done = command("plot", "--metric", "rss,threads", "--height", "7")
    assert len(done.stdout.splitlines()) == 1 + 2 * 7


def test_more_lines_than_distinct_colours_are_drawn_in_two_charts(home, command):
    home.run(count=60)
    names = "rss,uss,vms,heap_sys,heap_used,heap_idle,malloc_sys"
    done = command("plot", "--metric", names)
    assert done.returncode == 0
    assert sum(row.startswith("┌") for row in done.stdout.splitlines()) == 2


def test_a_death_with_a_cause_is_named_and_drawn(home, command):
    path = home.run(count=60)
    Path(path, "outcome").write_text(json.dumps({"by": "systemd", "oom_killed": True}))
    done = command("plot", "--width", "100")
    heading, *rows = done.stdout.splitlines()
    assert heading.startswith("api 4711  died: out of memory  2027-01-15")
    assert "Died OOM" in rows[-1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--chart", "disk"], 2, "no chart 'disk': there are memory, virtual, python_heap"),
        (["--metric", "rss,heap"], 2, "no metric 'heap' in this log; similar names: heap_"),
        (["--metric", ","], 2, "--metric needs names, as in  --metric rss,heap_used"),
        (["--metric", "heap"], 2, "no metric 'heap' in this log; similar names: heap_"),
        (["--width", "5"], 2, "--width 5: must be 20 to 1000"),
        (["--height", "5000"], 2, "--height 5000: must be 6 to 400"),
        (["--begin", "@1000", "--end", "@2000"], 1, "no samples for the chart memory"),
        (["web/1"], 1, "no run web/1"),
    ],
)
def test_a_chart_that_cannot_be_drawn_is_a_one_line_error(home, command, words, code, message):
    home.run(count=60)
    done = command("plot", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_run_can_be_named_and_without_it_is_the_newest(home, command):
    home.run("api", 1, count=60)
    home.run("web", 2, begin_ms=BEGIN_MS + 900_000, count=60)
    assert command("plot", "api/1").stdout.startswith("api 1 ")
    done = command("plot")
    assert done.stdout.startswith("web 2 ")
    assert "web 2, the newest of 2 runs" in done.stderr


def test_no_control_code_of_a_log_reaches_the_terminal(command, tmp_path):
    header = RunHeader(
        service="api",
        pid=7,
        start_ms=BEGIN_MS,
        metrics=((HOSTILE, HOSTILE, "gauge"),),
        host=HOSTILE,
        argv=(HOSTILE,),
    )
    directory = tmp_path / "hostile" / "api" / run_name(7, BEGIN_MS)
    directory.mkdir(parents=True, mode=0o700)
    page = PageBuilder(header.schema, header.counters, 0, 1000, None)
    for i in range(5):
        assert page.add(i * 1000, BEGIN_MS + i * 1000, [i])
    pages = [*pack_header(header), bytes(page)]
    raw = b"".join(page.ljust(PAGE_SIZE, b"\0") for page in pages)
    (directory / segment_name(1)).write_bytes(raw)
    for words in (["--chart", "own1"], ["--metric", HOSTILE], ["--metric", "x"]):
        done = command("plot", *words, directory=tmp_path / "hostile")
        for text in (done.stdout, done.stderr):
            assert all(char.isprintable() or char == "\n" for char in text)
            assert "\u202e" not in text
