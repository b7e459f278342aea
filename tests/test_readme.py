"""What the README says is so: its code runs, its tables are those of the program."""

import configparser
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

import pytest

from pprofplus_tui.demo.past_runs import write_history
from pprofplus_tui.model.keys import KEYS
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.run_log import RunLog

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
WEEK_MS = 7 * 86_400_000


def blocks(language):
    """Return (marker before it or "", code) of each fenced block."""
    return re.findall(rf"(?:<!-- ([^>]*) -->\n)?```{language}\n(.*?)```", README, flags=re.DOTALL)


def key_table():
    """Return the keys as the README's table."""
    lines = ["| key | does |", "|---|---|"]
    for _, keys in groupby(KEYS, lambda key: key.group):
        lines += [
            "| " + " ".join(f"`{name}`" for name in key.shown.split(" ")) + f" | {key.text} |"
            for key in keys
        ]
    return "\n".join(lines)


def test_the_keys_are_those_of_the_program():
    assert key_table() in README, f"put this into the README:\n{key_table()}"


def test_its_python_records_a_service(tmp_path, monkeypatch):
    home = tmp_path / "logs"
    monkeypatch.setenv("PPROFPLUS_DIR", str(home))
    first, second = [code for _, code in blocks("python")]
    codes = [first, f"import queue\nqueue = queue.Queue()\n{first}{second}"]
    for code in codes:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    catalog = Catalog([str(home)])
    catalog.refresh()
    assert [(info.service, info.state) for info in catalog.runs] == [("api", "exited")] * len(codes)


def test_its_commands_do_what_it_says(tmp_path, monkeypatch):
    home = tmp_path / "logs"
    home.mkdir(mode=0o700)
    write_history(home, begin_ms=1_795_000_000_000 - WEEK_MS, end_ms=1_795_000_000_000)
    monkeypatch.setenv("PPROFPLUS_DIR", str(home))
    monkeypatch.chdir(tmp_path)
    commands = [
        line for marker, code in blocks("sh") if not marker for line in code.strip().splitlines()
    ]
    assert len(commands) >= 4
    for command in commands:
        words = command.split()
        assert words.pop(0) == "pprofplus-tui"
        done = subprocess.run(
            [sys.executable, "-m", "pprofplus_tui", *words],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
    assert (tmp_path / "api.csv").read_text().startswith("time,unix_ms,service,pid,")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a service on it, and the commands that the README calls."""
    commands = tmp_path / "bin"
    commands.mkdir()
    python = f'#!/bin/sh\nexec "{sys.executable}" '
    app = "import pprofplus\nassert pprofplus.start().running\n"
    for name, text in {
        "pprofplus": python + '-m pprofplus "$@"\n',
        "python": python + '"$@"\n',
        "gunicorn": f"#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ['app:app']\n{app}",
    }.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__main__.py").write_text(app)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "logs"))
    return tmp_path


def block_of(marker, language):
    (code,) = [code for found, code in blocks(language) if found == marker]
    return code


def services_in(home):
    """Return the services of all runs, each of which ended in order."""
    catalog = Catalog([str(home)])
    catalog.refresh()
    assert {info.state for info in catalog.runs} == {"exited"}
    return sorted(info.service for info in catalog.runs)


def run_quietly(words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **options)
    assert (done.returncode, done.stderr) == (0, ""), words


def test_its_ways_in_record_what_they_say(machine):
    lines = [
        line
        for marker, code in blocks("sh")
        if marker == "run"
        for line in code.strip().splitlines()
    ]
    assert len(lines) == 4
    for line in lines:
        run_quietly(["sh", "-c", line])
    assert services_in(machine / "logs") == ["api", "api", "gunicorn", "shop"]


def test_what_it_says_to_a_running_service_is_done(machine):
    words = [
        sys.executable,
        "-c",
        "import sys, pprofplus\npprofplus.start('api')\nsys.stdin.read()",
    ]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as service:
        try:
            catalog = Catalog([str(machine / "logs")])
            until = time.monotonic() + 60
            while not catalog.runs and time.monotonic() < until:
                time.sleep(0.05)
                catalog.refresh()
            lines = block_of("ctl", "sh").strip().splitlines()
            assert len(lines) == 4
            for line in lines:
                run_quietly(["sh", "-c", line.replace("4711", str(service.pid))])
        finally:
            service.stdin.close()
    (info,) = catalog.runs
    log = RunLog(info.path)
    log.refresh()
    kinds = [event.kind for event in log.events()]
    assert kinds == ["start", "mark", "interval", "pause", "resume", "stop"]


def test_what_it_watches_from_outside_is_recorded(machine):
    lines = block_of("watch", "sh").strip().splitlines()
    assert len(lines) == 3
    with subprocess.Popen(["sleep", "600"]) as other:  # noqa: S607 - of any system
        started = []
        try:
            for line in lines:
                words = shlex.split(line.replace("4711", str(other.pid)))
                assert words.pop(0) == "pprofplus"
                words = [word.replace("postgres: .* writer", "sleep 600") for word in words]
                started.append(subprocess.Popen([sys.executable, "-m", "pprofplus", *words]))
            catalog = Catalog([str(machine / "logs")])
            until = time.monotonic() + 60
            while len(catalog.runs) < 3 and time.monotonic() < until:
                time.sleep(0.05)
                catalog.refresh()
        finally:
            other.kill()
            for process in started:
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
    assert {info.service for info in catalog.runs} == {"sleep", "postgres"}
    assert {info.pid for info in catalog.runs} == {other.pid}


def test_its_link_for_where_no_shell_is_serves(machine):
    (link,) = re.findall(r"`(ln -s [^`]*)`", README)
    docker, systemd = re.findall(r"`(?:ENV |Environment=)([^`]*)`", README)
    assert docker == systemd
    run_quietly(["sh", "-c", link.replace("/opt", str(machine))])
    words = docker.replace("/opt", str(machine)).split(" ")
    run_quietly(["env", *words, "gunicorn", "app:app"])
    assert services_in(machine / "logs") == ["api"]


def test_its_unit_records_in_the_state_directory(machine, monkeypatch):
    unit = configparser.RawConfigParser()
    unit.optionxform = str
    unit.read_string(block_of("systemd", "ini"))
    service = unit["Service"]
    state = machine / service["StateDirectory"]
    state.mkdir(mode=0o755)
    monkeypatch.delenv("PPROFPLUS_DIR")
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    run_quietly(shlex.split(service["ExecStart"].replace("/opt/api/bin", str(machine / "bin"))))
    (told,) = re.findall(r"--dir /var/lib/(\S+)`", README)
    assert services_in(machine / told) == ["api"]
    (run,) = (machine / told / "api").iterdir()
    for name, text in {
        "SERVICE_RESULT": "success",
        "EXIT_CODE": "exited",
        "EXIT_STATUS": "0",
        "MAINPID": run.name.partition("-")[0],
    }.items():
        monkeypatch.setenv(name, text)
    stop = service["ExecStopPost"].removeprefix("-")
    run_quietly(shlex.split(stop.replace("/opt/api/bin", str(machine / "bin"))))
    assert json.loads((run / "outcome").read_text())["exit_code"] == 0


def test_its_image_records_to_the_volume(machine, monkeypatch):
    lines = dict(line.split(" ", 1) for line in block_of("docker", "dockerfile").splitlines())
    name, _, home = lines["ENV"].partition("=")
    assert Path(home).parent == Path(lines["VOLUME"])
    monkeypatch.setenv(name, f"{machine}{home}")
    run_quietly(json.loads(lines["CMD"]))
    assert services_in(f"{machine}{home}") == ["api"]


def test_its_pod_records_where_its_monitor_looks(machine, monkeypatch):
    pod = block_of("kubernetes", "yaml")
    ((name, home),) = set(re.findall(r"env: \[\{name: (\w+), value: ([^}]+)\}\]", pod))
    ((volume, place),) = set(re.findall(r"volumeMounts: \[\{name: (\w+), mountPath: (\S+)\}", pod))
    assert Path(home).parent == Path(place)
    assert f"- name: {volume}\n      emptyDir" in pod
    monkeypatch.setenv(name, f"{machine}{home}")
    service, _ = re.findall(r"command: \[(.*)\]", pod)
    run_quietly([word.strip('"') for word in service.split(", ")])
    run_quietly([sys.executable, "-m", "pprofplus_tui", "list"])
    assert services_in(f"{machine}{home}") == ["api"]


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_to_a_file(path):
    assert (ROOT / path).exists()


def test_it_opens_with_one_sentence_a_picture_and_two_commands():
    title, sentence, picture, *_ = [part for part in README.split("\n\n") if part]
    assert title == "# pprofplus"
    assert sentence.count(". ") == 0
    assert picture.startswith("![")
    assert [marker for marker, _ in blocks("sh")][:2] == ["demo command", "test command"]
