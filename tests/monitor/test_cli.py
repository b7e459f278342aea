"""The command line: exit codes, one-line errors, and no control code from a log."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pprofplus
import pprofplus_tui
from pprofplus.log.format import PAGE_SIZE, RunHeader, pack_header
from pprofplus.log.log_directory import run_name, segment_name
from pprofplus.log.page import PageBuilder

BEGIN_MS = 1_700_000_000_000
FULL = Path("/dev/full")
HOSTILE = "\x1b]0;owned\x07[bold red]x[/]\u202e"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dir", "/nowhere/at/all"], "/nowhere/at/all: no such directory"),
        (["--begin", "soon"], "'soon' is not a time: write"),
        (["--end", "25:99"], "'25:99' is not a time: write"),
        (["--last", "15"], "'15' is not a time span: write"),
        (["--last", "0s"], "'0s' is zero"),
        (["--service", "../etc"], "is not a valid service name"),
        (["--service", ""], "is not a valid service name"),
        (
            ["--begin", "-2h", "--end", "-1h", "--last", "5m"],
            "give at most two of --begin, --end and --last",
        ),
        (["--begin", "-1h", "--end", "-2h"], "--end is not after --begin"),
        (["--begin"], "--begin"),
        (["--begin", "--end"], "--begin"),
        (["--pid", "x"], "--pid"),
        (["--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
        (["export", "--format", "xml"], "--format"),
        (["list", "--jso"], "--jso"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_exits_2_with_one_line_that_names_the_error(run_main, words, message):
    command = [] if words[0] in {"export", "list", "nonsense"} else ["list"]
    code, out, err = run_main(*command, *words)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("pprofplus-tui")
    assert message in err


@pytest.mark.parametrize("command", ["list", "export"])
def test_an_empty_directory_is_a_one_line_error_with_exit_code_1(run_main, home, command):
    code, out, err = run_main(command, "--dir", home.path)
    assert (code, out) == (1, "")
    hint = "give the log directory with --dir, or try --all-users"
    assert err == f"pprofplus-tui: no run in {home.path}; {hint}\n"


def test_an_unknown_service_is_reported_with_the_known_ones(run_main, home):
    home.run("api", 1, count=5)
    home.run("worker", 2, count=5)
    code, _, err = run_main("list", "--dir", home.path, "--service", "ap")
    assert code == 1
    assert "no run of service ap in" in err
    assert "there are api, worker" in err


def test_help_lists_the_exit_codes_and_exits_0(run_main):
    code, out, _ = run_main("--help")
    assert code == 0
    assert "0 success, 1 nothing found, failed or incomplete, 2 wrong usage" in " ".join(
        out.split()
    )
    for command in ("demo", "list", "export"):
        assert command in out


def test_the_version_is_that_of_the_distribution(run_main):
    expected = f"pprofplus-tui {pprofplus.__version__}\n"
    assert run_main("--version") == (0, expected, "")


@pytest.mark.parametrize(
    "words", [[], ["list"], ["export"], ["demo"]], ids=lambda w: " ".join(w) or "monitor"
)
def test_without_the_extra_one_line_names_the_install_command(words):
    # an interpreter with no site packages but these two, as after `pip install .`
    paths = [str(Path(found.__file__).parents[1]) for found in (pprofplus, pprofplus_tui)]
    program = (
        f"import sys; sys.path[:0] = {paths!r}; "
        f"from pprofplus_tui.cli import main; sys.exit(main({words!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "pip install '.[tui]'  in a clone of pprofplus" in done.stderr


def test_without_a_terminal_one_line_names_the_commands_that_need_none(run_process, tmp_path):
    done = run_process("--dir", tmp_path, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "list" in done.stderr
    assert "export" in done.stderr


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["export"]])
@pytest.mark.parametrize("count", [5, 20_000], ids=["little", "much"])
def test_a_closed_pipe_prints_no_traceback(home, words, count):
    home.run("api", 1, count=count)
    reading, writing = os.pipe()
    os.close(reading)  # as `| head -1` after its line
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pprofplus_tui", *words, "--dir", str(home.path)],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 1


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["export"]])
@pytest.mark.parametrize("count", [5, 20_000], ids=["little", "much"])
def test_a_full_disk_for_standard_output_is_a_one_line_error(home, words, count):
    home.run("api", 1, count=count)
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pprofplus_tui", *words, "--dir", str(home.path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_a_service_name_matches_exactly_and_not_by_prefix(run_main, home, rows_of):
    home.run("api", 1, count=5)
    home.run("api2", 2, begin_ms=1_800_000_500_000, count=5)
    _, out, _ = run_main("export", "--service", "api", "--dir", home.path)
    assert {row["service"] for row in rows_of(out)} == {"api"}
    _, out, _ = run_main("list", "--json", "--service", "api", "--dir", home.path)
    assert [run["service"] for run in json.loads(out)] == ["api"]


# -- a hostile log


@pytest.fixture
def hostile(tmp_path):
    """A directory with a log in which every text is hostile."""
    header = RunHeader(
        service="api",
        pid=7,
        start_ms=BEGIN_MS,
        metrics=(("rss", "B", "gauge"), (HOSTILE, HOSTILE, "gauge")),
        host=HOSTILE,
        argv=(HOSTILE, "=cmd()"),
        python=HOSTILE,
        interval_ms=1000,
    )
    logs = tmp_path / "hostile"
    directory = logs / "api" / run_name(7, BEGIN_MS)
    directory.mkdir(parents=True, mode=0o700)
    page = PageBuilder(header.schema, header.counters, 0, 1000, None)
    for i in range(5):
        assert page.add(i * 1000, BEGIN_MS + i * 1000, [1 << 20, i])
    pages = [*pack_header(header), bytes(page)]
    raw = b"".join(page.ljust(PAGE_SIZE, b"\0") for page in pages)
    (directory / segment_name(1)).write_bytes(raw)
    return logs


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--json"], ["export"], ["export", "--format", "json"]]
)
def test_no_control_code_of_a_log_reaches_the_terminal(run_main, hostile, words):
    code, out, err = run_main(*words, "--dir", hostile)
    assert code == 0
    for text in (out, err):
        assert all(char.isprintable() or char == "\n" for char in text)
        assert "\u202e" not in text


def test_a_hostile_metric_still_has_its_column(run_main, hostile, rows_of):
    _, out, _ = run_main("export", "--dir", hostile)
    rows = rows_of(out)
    assert len(rows) == 5
    assert [list(row.values())[-1] for row in rows] == ["0", "1", "2", "3", "4"]
