"""The command line: exit codes, one-line errors, `list`, `pin` and `export`."""

import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import pprofplus
import pprofplus_tui
from kit.environment import needs_root
from kit.units import MIB
from pprofplus.log.format import PAGE_SIZE, RunHeader, pack_header
from pprofplus.log.log_directory import run_name, segment_name
from pprofplus.log.page import PageBuilder
from pprofplus_tui.cli import main
from pprofplus_tui.model.verdict import KINDS

BEGIN_MS = 1_700_000_000_000
FULL = Path("/dev/full")
HOSTILE = "\x1b]0;owned\x07[bold red]x[/]\u202e"


def run_main(capfd, *words):
    """Return exit code, standard output and standard error of the command."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as end:
        code = end.code
    told = capfd.readouterr()
    return code, told.out, told.err


def started(*words, env=None, **how):
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pprofplus_tui", *map(str, words)],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        timeout=60,
        **how,
    )


@needs_root("root alone sees other users' directories")
def test_other_users_logs_are_listed_by_default_or_when_asked_for(home, tmp_path):
    home.run("mine", 1, count=3)
    with tempfile.TemporaryDirectory(prefix="pprofplus-", dir="/var/tmp") as other:
        shutil.copytree(home.path / "mine", Path(other, "theirs"))
        named = {"PPROFPLUS_DIR": str(home.path)}
        empty = {"PPROFPLUS_DIR": "", "STATE_DIRECTORY": str(tmp_path / "none")}

        def services(*words, env):
            done = started("list", "--json", *words, env=env)
            runs = json.loads(done.stdout or "[]")
            return {run["service"] for run in runs if run["pid"] == 1} & {"mine", "theirs"}

        assert services(env=named) == {"mine"}
        assert services("--dir", home.path, env=named) == {"mine"}
        assert services("--dir", home.path, env=empty) == {"mine"}
        assert services("--all-users", env=named) == {"mine", "theirs"}
        assert services("--dir", home.path, "--all-users", env=empty) == {"mine", "theirs"}
        assert services(env=empty) == {"theirs"}


@pytest.mark.parametrize(
    ("words", "said"),
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
def test_wrong_usage_exits_2_with_one_line_that_names_the_error(capfd, words, said):
    command = [] if words[0] in {"export", "list", "nonsense"} else ["list"]
    code, out, err = run_main(capfd, *command, *words)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("pprofplus-tui")
    assert said in err


@pytest.mark.parametrize("command", ["list", "export"])
def test_an_empty_directory_exits_1_with_one_line(capfd, home, command):
    code, out, err = run_main(capfd, command, "--dir", home.path)
    assert (code, out) == (1, "")
    hint = "give the log directory with --dir, or try --all-users"
    assert err == f"pprofplus-tui: no run in {home.path}; {hint}\n"


def test_an_unknown_service_is_reported_with_the_known_ones(capfd, home):
    home.run("api", 1, count=5)
    home.run("worker", 2, count=5)
    code, _, err = run_main(capfd, "list", "--dir", home.path, "--service", "ap")
    assert code == 1
    assert "no run of service ap in" in err
    assert "there are api, worker" in err


def test_help_says_the_exit_codes_and_exits_0(capfd):
    code, out, _ = run_main(capfd, "--help")
    assert code == 0
    assert "0 success, 1 nothing found, failed or incomplete, 2 wrong usage" in " ".join(
        out.split()
    )
    for command in ("demo", "list", "export"):
        assert command in out


def test_the_version_is_that_of_the_distribution(capfd):
    told = f"pprofplus-tui {pprofplus.__version__}\n"
    assert run_main(capfd, "--version") == (0, told, "")


@pytest.mark.parametrize(
    "words", [[], ["list"], ["export"], ["demo"]], ids=lambda w: " ".join(w) or "monitor"
)
def test_without_the_extra_one_line_says_what_to_install(words):
    # an interpreter without any site packages but ours, as after `pip install .`
    places = [str(Path(found.__file__).parents[1]) for found in (pprofplus, pprofplus_tui)]
    program = (
        f"import sys; sys.path[:0] = {places!r}; "
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


def test_without_a_terminal_one_line_names_the_commands_that_need_none(tmp_path):
    done = started("--dir", tmp_path, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "list" in done.stderr
    assert "export" in done.stderr


# -- list


def test_list_is_a_table_with_a_line_a_run(capfd, home):
    home.run("api", 4711, count=60)
    home.run("worker", 5120, count=30, state="exited")
    code, out, err = run_main(capfd, "list", "--dir", home.path)
    assert (code, err) == (0, "")
    heading, api, worker = out.splitlines()
    assert heading.split()[:4] == ["SERVICE", "PID", "STATE", "RSS"]
    assert api.split()[:3] == ["api", "4711", "died"]
    assert worker.split()[:3] == ["worker", "5120", "exited"]
    column = heading.index("STATE")
    assert (api[column:][:4], worker[column:][:6]) == ("died", "exited")


def test_list_has_the_cause_of_each_of_many_deaths(capfd, home):
    outcome = {"by": "pprofplus run", "unix_ms": BEGIN_MS, "exit_code": None, "signal": 11}
    for i in range(70):
        path = home.run("api", 1000 + i, begin_ms=BEGIN_MS + 1000 * i, count=3)
        if i % 2:
            text = json.dumps({**outcome, "unix_ms": BEGIN_MS + 1000 * i + 2500})
            (Path(path) / "outcome").write_text(text)
    code, out, _ = run_main(capfd, "list", "--json", "--dir", home.path)
    causes = {run["pid"]: run["cause"] for run in json.loads(out)}
    assert code == 0
    assert {pid for pid, cause in causes.items() if cause} == {1000 + i for i in range(1, 70, 2)}
    assert all("SIGSEGV" in cause for cause in causes.values() if cause)


def test_list_as_json_has_the_promised_fields(capfd, home):
    path = home.run("api", 4711, begin_ms=BEGIN_MS, count=60)
    home.run("empty", 1, begin_ms=BEGIN_MS, count=0)
    code, out, _ = run_main(capfd, "list", "--json", "--dir", home.path)
    api, empty = json.loads(out)
    assert code == 0
    assert list(api) == list(empty)
    size_bytes = sum(entry.stat().st_size for entry in os.scandir(path))
    assert api == {
        "service": "api",
        "pid": 4711,
        "state": "died",
        "cause": None,
        "host": "",
        "begin_ms": BEGIN_MS,
        "end_ms": BEGIN_MS + 59_000,
        "samples": 60,
        "rss_bytes": 70 * MIB + 59 * 65_536,
        "peak_bytes": 70 * MIB + 59 * 65_536,
        "growth_bytes": 59 * 65_536,
        "growth_bytes_per_h": api["growth_bytes_per_h"],
        "growth_kind": api["growth_kind"],
        "size_bytes": size_bytes,
        "damaged_pages": 0,
        "pinned": False,
        "path": path,
    }
    assert api["growth_kind"] in KINDS
    assert [empty[name] for name in ("samples", "rss_bytes", "peak_bytes", "growth_bytes")] == [
        0,
        None,
        None,
        None,
    ]


def test_list_as_json_judges_what_runs(capfd, home):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 600_000, count=600, state="live")
    _, out, _ = run_main(capfd, "list", "--json", "--dir", home.path)
    (run,) = json.loads(out)
    assert (run["growth_kind"], run["growth_bytes"]) == ("growing", 599 * 65_536)
    assert run["growth_bytes_per_h"] == pytest.approx(3600 * 65_536, rel=0.05)


def test_list_as_json_names_the_host_of_a_real_run(capfd, tmp_path):
    program = "import pprofplus, time; pprofplus.start('api'); time.sleep(0.3)"
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PPROFPLUS_DIR": str(tmp_path / "logs")},
        check=True,
        timeout=60,
    )
    _, out, _ = run_main(capfd, "list", "--json", "--dir", tmp_path / "logs")
    (run,) = json.loads(out)
    assert run["host"] == socket.gethostname()
    assert 0 < run["rss_bytes"] <= run["peak_bytes"]


def test_the_table_fits_80_columns_and_has_no_empty_optional_columns(capfd, home):
    home.run("api", 4711, count=60)
    home.run("worker", 51_200, count=30, state="exited")
    _, out, _ = run_main(capfd, "list", "--dir", home.path)
    assert max(map(len, out.splitlines())) <= 80
    assert not {"DAMAGED", "PINNED", "CAUSE"} & set(out.split())
    Path(home.run("api", 4712), "pinned").touch()
    _, out, _ = run_main(capfd, "list", "--dir", home.path)
    assert "PINNED" in out.splitlines()[0]
    assert sum("pinned" in line for line in out.splitlines()) == 1


def test_list_counts_damaged_pages(capfd, home):
    path = home.run("api", 1, count=4000)
    segment = Path(path, segment_name(1))
    with segment.open("r+b") as file:
        file.seek(3 * PAGE_SIZE + 200)
        file.write(b"\xff" * 64)
    _, out, _ = run_main(capfd, "list", "--json", "--dir", home.path)
    (run,) = json.loads(out)
    assert run["damaged_pages"] == 1
    assert 0 < run["samples"] < 4000


def test_a_live_run_is_listed_as_live(capfd, home):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 30_000, count=30, state="live")
    _, out, _ = run_main(capfd, "list", "--json", "--dir", home.path)
    assert [run["state"] for run in json.loads(out)] == ["live"]


def test_a_paused_run_is_listed_as_paused(capfd, home):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 600_000, count=30, state="paused")
    _, out, _ = run_main(capfd, "list", "--json", "--dir", home.path)
    assert [run["state"] for run in json.loads(out)] == ["paused"]


# -- pin


def test_a_run_is_pinned_and_unpinned_by_its_name_and_listed_so(capfd, home):
    path = Path(home.run("api", 4711))
    home.run("api", 4712)
    for word, pinned in (("pin", True), ("unpin", False)):
        code, out, err = run_main(capfd, word, "api/4711", "--dir", home.path)
        assert (code, err) == (0, "")
        assert out == f"{path}: {'pinned' if pinned else 'not pinned'}\n"
        assert (path / "pinned").is_file() is pinned
        _, out, _ = run_main(capfd, "list", "--json", "--dir", home.path)
        assert {run["pid"]: run["pinned"] for run in json.loads(out)} == {4711: pinned, 4712: False}


@pytest.mark.parametrize("name", ["api/1", "api", "4711", "nobody/4711", "", "../api/4711"])
def test_a_run_that_is_not_there_cannot_be_pinned(capfd, home, name):
    home.run("api", 4711)
    code, out, err = run_main(capfd, "pin", name, "--dir", home.path)
    assert (code, out) == (1, "")
    assert "no run" in err
    assert err.count("\n") == 1


def test_a_pid_that_two_runs_had_asks_which(capfd, home):
    home.run("api", 7, begin_ms=BEGIN_MS)
    path = home.run("api", 7, begin_ms=BEGIN_MS + 10_000_000)
    code, _, err = run_main(capfd, "pin", "api/7", "--dir", home.path)
    assert code == 2
    assert f"api/7-{BEGIN_MS}" in err
    code, out, _ = run_main(capfd, "pin", f"api/7-{BEGIN_MS + 10_000_000}", "--dir", home.path)
    assert (code, out) == (0, f"{path}: pinned\n")


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["export"]])
@pytest.mark.parametrize("count", [5, 20_000], ids=["little", "much"])
def test_a_closed_pipe_prints_no_traceback(home, words, count):
    home.run("api", 1, count=count)
    reading, writing = os.pipe()
    os.close(reading)  # as `| head -1` once it has its line
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
def test_standard_output_on_a_full_disk_is_one_line(home, words, count):
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


# -- export


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_export_writes_every_sample_of_the_newest_run_to_standard_output(capfd, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=30)
    home.run("api", 2, begin_ms=BEGIN_MS + 100_000, count=50)
    code, out, err = run_main(capfd, "export", "--dir", home.path)
    rows = rows_of(out)
    assert code == 0
    assert [row["pid"] for row in rows] == ["2"] * 50
    assert err.count("\n") == 1
    assert "api 2, the newest of 2 runs" in err


def test_export_as_json_is_one_object_a_line(capfd, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=30)
    code, out, _ = run_main(capfd, "export", "--format", "json", "--dir", home.path)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["unix_ms"] for row in rows] == [BEGIN_MS + 1000 * i for i in range(30)]
    assert rows[0]["rss_bytes"] == 70 << 20


@pytest.mark.parametrize("form", ["csv", "json"])
def test_export_to_a_file_writes_what_standard_output_would_get(capfd, home, tmp_path, form):
    home.run("api", 1, begin_ms=BEGIN_MS, count=30)
    words = ["export", "--dir", home.path, "--format", form]
    _, out, _ = run_main(capfd, *words)
    target = tmp_path / "out"
    code, told, err = run_main(capfd, *words, "-o", target)
    assert (code, told) == (0, "")
    assert target.read_bytes().decode() == out
    assert err.startswith(f"{target}: 30 samples, ")
    assert err.count("\n") == 1


def test_export_never_overwrites(capfd, home, tmp_path):
    home.run("api", 1, count=30)
    target = tmp_path / "out.csv"
    target.write_text("precious")
    code, _, err = run_main(capfd, "export", "--dir", home.path, "-o", target)
    assert code == 2
    assert err.count("\n") == 1
    assert "already exists" in err
    assert target.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.csv"]


def test_export_to_a_directory_that_is_not_there_is_one_line(capfd, home, tmp_path):
    home.run("api", 1, count=30)
    code, _, err = run_main(capfd, "export", "--dir", home.path, "-o", tmp_path / "no" / "x.csv")
    assert code == 1
    assert err.count("\n") == 1


def test_last_counts_from_the_end_of_a_run_that_has_ended(capfd, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=600)
    _, out, _ = run_main(capfd, "export", "--last", "10s", "--dir", home.path)
    begin = BEGIN_MS + 590_000
    assert [int(row["unix_ms"]) for row in rows_of(out)] == [begin + 1000 * i for i in range(10)]


def test_last_counts_from_now_for_a_run_that_goes_on(capfd, home):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 600_000, count=599, state="live")
    _, out, _ = run_main(capfd, "export", "--last", "60s", "--dir", home.path)
    assert 50 <= len(rows_of(out)) <= 60


def test_begin_is_inclusive_and_end_is_not(capfd, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    window = ["--begin", f"@{BEGIN_MS // 1000 + 10}", "--end", f"@{BEGIN_MS // 1000 + 20}"]
    _, out, _ = run_main(capfd, "export", *window, "--dir", home.path)
    times = [int(row["unix_ms"]) for row in rows_of(out)]
    assert (times[0], times[-1], len(times)) == (BEGIN_MS + 10_000, BEGIN_MS + 19_000, 10)


def test_begin_with_last_goes_forward(capfd, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    window = ["--begin", f"@{BEGIN_MS // 1000 + 10}", "--last", "5s"]
    _, out, _ = run_main(capfd, "export", *window, "--dir", home.path)
    assert [int(row["unix_ms"]) for row in rows_of(out)] == [
        BEGIN_MS + 10_000 + 1000 * i for i in range(5)
    ]


def test_a_begin_in_the_future_is_one_line(capfd, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    code, out, err = run_main(capfd, "export", "--begin", "2090-01-01 00:00", "--dir", home.path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_a_window_without_samples_exits_1_with_one_line(capfd, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    window = ["--begin", f"@{BEGIN_MS // 1000 - 60}", "--end", f"@{BEGIN_MS // 1000 - 30}"]
    code, out, err = run_main(capfd, "export", *window, "--dir", home.path)
    assert code == 1
    assert rows_of(out) == []
    assert err == "pprofplus-tui: no samples in this window\n"


def test_a_window_without_samples_leaves_no_file(capfd, home, tmp_path):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    window = ["--begin", f"@{BEGIN_MS // 1000 - 60}", "--end", f"@{BEGIN_MS // 1000 - 30}"]
    target = tmp_path / "out.csv"
    code, out, err = run_main(capfd, "export", *window, "--dir", home.path, "-o", target)
    assert (code, out) == (1, "")
    assert err == "pprofplus-tui: no samples in this window\n"
    assert not target.exists()


def test_a_service_is_matched_exactly_never_by_prefix(capfd, home):
    home.run("api", 1, count=5)
    home.run("api2", 2, begin_ms=1_800_000_500_000, count=5)
    _, out, _ = run_main(capfd, "export", "--service", "api", "--dir", home.path)
    assert {row["service"] for row in rows_of(out)} == {"api"}
    _, out, _ = run_main(capfd, "list", "--json", "--service", "api", "--dir", home.path)
    assert [run["service"] for run in json.loads(out)] == ["api"]


def test_a_pid_chooses_its_run(capfd, home):
    home.run("api", 1, count=5)
    home.run("api", 2, begin_ms=1_800_000_500_000, count=5)
    _, out, err = run_main(capfd, "export", "--pid", "1", "--dir", home.path)
    assert {row["pid"] for row in rows_of(out)} == {"1"}
    assert err == ""


def test_several_directories_are_one_list(capfd, home, tmp_path):
    home.run("api", 1, count=5)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    home.path = other
    home.run("worker", 2, count=5)
    words = ["--dir", tmp_path / "logs", "--dir", other, "--dir", tmp_path / "logs"]
    _, out, _ = run_main(capfd, "list", "--json", *words)
    assert [run["service"] for run in json.loads(out)] == ["api", "worker"]


# -- what a hostile log may say


@pytest.fixture
def hostile(tmp_path):
    """A directory with a log whose every text is out to get the terminal."""
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
    place = tmp_path / "hostile"
    directory = place / "api" / run_name(7, BEGIN_MS)
    directory.mkdir(parents=True, mode=0o700)
    page = PageBuilder(header.schema, header.counters, 0, 1000, None)
    for i in range(5):
        assert page.add(i * 1000, BEGIN_MS + i * 1000, [1 << 20, i])
    pages = [*pack_header(header), bytes(page)]
    raw = b"".join(page.ljust(PAGE_SIZE, b"\0") for page in pages)
    (directory / segment_name(1)).write_bytes(raw)
    return place


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--json"], ["export"], ["export", "--format", "json"]]
)
def test_nothing_that_a_log_says_reaches_the_terminal_as_a_command(capfd, hostile, words):
    code, out, err = run_main(capfd, *words, "--dir", hostile)
    assert code == 0
    for text in (out, err):
        assert all(char.isprintable() or char == "\n" for char in text)
        assert "\u202e" not in text


def test_a_hostile_metric_still_has_its_column(capfd, hostile):
    _, out, _ = run_main(capfd, "export", "--dir", hostile)
    rows = rows_of(out)
    assert len(rows) == 5
    assert [list(row.values())[-1] for row in rows] == ["0", "1", "2", "3", "4"]


def test_a_list_loads_neither_textual_nor_plotext(home):
    home.run("api", 1, count=5)
    program = (
        "import sys; from pprofplus_tui.cli import main; "
        f"main(['list', '--dir', {str(home.path)!r}]); "
        "sys.exit(', '.join({'textual', 'plotext', 'rich'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
