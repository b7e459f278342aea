"""`list`: a table or JSON of all runs, with their states, causes and growth."""

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

from kit.environment import needs_root
from kit.units import MIB
from many_runs import write_ended_runs
from pprofplus.log.format import PAGE_SIZE
from pprofplus.log.log_directory import segment_name
from pprofplus_tui.model.verdict import KINDS

BEGIN_MS = 1_700_000_000_000


@needs_root("root alone sees other users' directories")
def test_logs_of_other_users_are_listed_by_default_or_with_all_users(run_process, home, tmp_path):
    home.run("mine", 1, count=3)
    with tempfile.TemporaryDirectory(prefix="pprofplus-", dir="/var/tmp") as other:
        shutil.copytree(home.path / "mine", Path(other, "theirs"))
        named = {"PPROFPLUS_DIR": str(home.path)}
        empty = {"PPROFPLUS_DIR": "", "STATE_DIRECTORY": str(tmp_path / "none")}

        def services(*words, env):
            done = run_process("list", "--json", *words, env=env)
            runs = json.loads(done.stdout or "[]")
            return {run["service"] for run in runs if run["pid"] == 1} & {"mine", "theirs"}

        assert services(env=named) == {"mine"}
        assert services("--dir", home.path, env=named) == {"mine"}
        assert services("--dir", home.path, env=empty) == {"mine"}
        assert services("--all-users", env=named) == {"mine", "theirs"}
        assert services("--dir", home.path, "--all-users", env=empty) == {"mine", "theirs"}
        assert services(env=empty) == {"theirs"}


def test_list_prints_a_table_with_one_line_per_run(run_main, home):
    home.run("api", 4711, count=60)
    home.run("worker", 5120, count=30, state="exited")
    code, out, err = run_main("list", "--dir", home.path)
    assert (code, err) == (0, "")
    heading, api, worker = out.splitlines()
    assert heading.split()[:4] == ["SERVICE", "PID", "STATE", "RSS"]
    assert api.split()[:3] == ["api", "4711", "died"]
    assert worker.split()[:3] == ["worker", "5120", "exited"]
    column = heading.index("STATE")
    assert (api[column:][:4], worker[column:][:6]) == ("died", "exited")


def test_list_shows_the_cause_of_each_of_many_deaths(run_main, home):
    outcome = {"by": "pprofplus run", "unix_ms": BEGIN_MS, "exit_code": None, "signal": 11}
    for i in range(70):
        path = home.run("api", 1000 + i, begin_ms=BEGIN_MS + 1000 * i, count=3)
        if i % 2:
            text = json.dumps({**outcome, "unix_ms": BEGIN_MS + 1000 * i + 2500})
            (Path(path) / "outcome").write_text(text)
    code, out, _ = run_main("list", "--json", "--dir", home.path)
    causes = {run["pid"]: run["cause"] for run in json.loads(out)}
    assert code == 0
    assert {pid for pid, cause in causes.items() if cause} == {1000 + i for i in range(1, 70, 2)}
    assert all("SIGSEGV" in cause for cause in causes.values() if cause)


def test_list_as_json_has_the_documented_fields(run_main, home):
    path = home.run("api", 4711, begin_ms=BEGIN_MS, count=60)
    home.run("empty", 1, begin_ms=BEGIN_MS, count=0)
    code, out, _ = run_main("list", "--json", "--dir", home.path)
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


def test_list_as_json_has_the_verdict_of_a_live_run(run_main, home):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 600_000, count=600, state="live")
    _, out, _ = run_main("list", "--json", "--dir", home.path)
    (run,) = json.loads(out)
    assert (run["growth_kind"], run["growth_bytes"]) == ("growing", 599 * 65_536)
    assert run["growth_bytes_per_h"] == pytest.approx(3600 * 65_536, rel=0.05)


def test_list_as_json_names_the_host_of_a_real_run(run_main, tmp_path):
    program = "import pprofplus, time; pprofplus.start('api'); time.sleep(0.3)"
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PPROFPLUS_DIR": str(tmp_path / "logs")},
        check=True,
        timeout=60,
    )
    _, out, _ = run_main("list", "--json", "--dir", tmp_path / "logs")
    (run,) = json.loads(out)
    assert run["host"] == socket.gethostname()
    assert 0 < run["rss_bytes"] <= run["peak_bytes"]


def test_the_table_fits_80_columns_and_has_no_empty_optional_columns(run_main, home):
    home.run("api", 4711, count=60)
    home.run("worker", 51_200, count=30, state="exited")
    _, out, _ = run_main("list", "--dir", home.path)
    assert max(map(len, out.splitlines())) <= 80
    assert not {"DAMAGED", "PINNED", "CAUSE"} & set(out.split())
    Path(home.run("api", 4712), "pinned").touch()
    _, out, _ = run_main("list", "--dir", home.path)
    assert "PINNED" in out.splitlines()[0]
    assert sum("pinned" in line for line in out.splitlines()) == 1


def test_list_counts_damaged_pages(run_main, home):
    path = home.run("api", 1, count=4000)
    segment = Path(path, segment_name(1))
    with segment.open("r+b") as file:
        file.seek(3 * PAGE_SIZE + 200)
        file.write(b"\xff" * 64)
    _, out, _ = run_main("list", "--json", "--dir", home.path)
    (run,) = json.loads(out)
    assert run["damaged_pages"] == 1
    assert 0 < run["samples"] < 4000


def test_a_live_run_is_listed_as_live(run_main, home):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 30_000, count=30, state="live")
    _, out, _ = run_main("list", "--json", "--dir", home.path)
    assert [run["state"] for run in json.loads(out)] == ["live"]


def test_a_paused_run_is_listed_as_paused(run_main, home):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 600_000, count=30, state="paused")
    _, out, _ = run_main("list", "--json", "--dir", home.path)
    assert [run["state"] for run in json.loads(out)] == ["paused"]


def test_several_directories_are_one_list(run_main, home, tmp_path):
    home.run("api", 1, count=5)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    home.path = other
    home.run("worker", 2, count=5)
    words = ["--dir", tmp_path / "logs", "--dir", other, "--dir", tmp_path / "logs"]
    _, out, _ = run_main("list", "--json", *words)
    assert [run["service"] for run in json.loads(out)] == ["api", "worker"]


def test_list_imports_neither_textual_nor_plotext(home):
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


# -- many runs


def test_list_has_all_of_many_runs_ordered_by_service(logs):
    write_ended_runs(logs, 3000)
    words = [sys.executable, "-m", "pprofplus_tui", "list", "--dir", str(logs)]
    done = subprocess.run([*words, "--json"], capture_output=True, check=True, timeout=120)
    runs = json.loads(done.stdout)
    assert len({run["path"] for run in runs}) == 3000
    order = [(run["service"], -run["begin_ms"]) for run in runs]
    assert order == sorted(order)
    assert {run["samples"] for run in runs} == {2}
    assert {run["growth_bytes"] for run in runs} == {1 << 20}
    done = subprocess.run(words, capture_output=True, check=True, timeout=120, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3001
    end = lines[0].index("LOG") + len("LOG")  # known causes of death are the last column
    assert {line[end - 3 : end] for line in lines[1:]} == {"KiB"}
    assert end <= 80


def test_list_of_many_runs_imports_no_screen_and_no_chart_library(logs):
    write_ended_runs(logs, 20)
    program = (
        "import sys; from pprofplus_tui.cli import main; main(sys.argv[1:]);"
        "print(sorted({'textual', 'plotext', 'rich'} & set(sys.modules)), file=sys.stderr)"
    )
    words = [sys.executable, "-c", program, "list", "--json", "--dir", str(logs)]
    done = subprocess.run(words, capture_output=True, check=True, timeout=60, text=True)
    assert done.stderr == "[]\n"
