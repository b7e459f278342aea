"""The collector's README is correct: its recipes record, its settings are those of the program."""

import configparser
import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pprofplus
from kit.run_logs import wait_for_runs
from kit.units import GIB, MIB
from pprofplus.log.retention import DEFAULT_MAX_AGE_DAYS, DEFAULT_MAX_TOTAL_BYTES
from pprofplus.log.run_directory import DEFAULT_MAX_BYTES
from pprofplus.probes.gauge_registry import MAX_GAUGES
from pprofplus.probes.probe_set import DEFAULT_BUDGET
from pprofplus.settings import (
    DEFAULT_INTERVAL_S,
    ENVIRONMENT,
    MAX_INTERVAL_S,
    MIN_INTERVAL_S,
)
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.run_log import RunLog


def services_in(log_directory):
    """Return the services of all runs; check that each ended normally."""
    catalog = Catalog([str(log_directory)])
    catalog.refresh()
    assert {info.state for info in catalog.runs} == {"exited"}
    return sorted(info.service for info in catalog.runs)


def events_of(info):
    log = RunLog(info.id)
    log.refresh()
    return [event.kind for event in log.events()]


def test_the_settings_are_the_arguments_of_start_and_the_environment(collector_readme):
    rows = collector_readme.table_of("settings")
    arguments = [argument.strip("`") for argument, *_ in rows if argument]
    assert arguments == list(inspect.signature(pprofplus.start).parameters)
    assert {variable.strip("`") for _, variable, _ in rows} == set(ENVIRONMENT)


def test_the_defaults_are_those_of_the_program(collector_readme):
    documented = {
        name.strip("`"): default for name, _, default in collector_readme.table_of("settings")
    }
    assert documented["interval_s"] == (
        f"{DEFAULT_INTERVAL_S:g} ({MIN_INTERVAL_S:g} to {MAX_INTERVAL_S:g})"
    )
    assert documented["max_bytes"].startswith(f"{DEFAULT_MAX_BYTES // MIB} MiB")
    assert documented["max_total_bytes"].startswith(f"{DEFAULT_MAX_TOTAL_BYTES // GIB} GiB")
    assert documented["max_age_days"].startswith(f"{DEFAULT_MAX_AGE_DAYS:g},")
    assert documented["budget"].startswith(f"{DEFAULT_BUDGET:g} of a core")
    assert documented["group_readable"].startswith("no: directories have mode 0700, files 0600")


def test_the_number_of_gauges_is_that_of_the_program(collector_readme):
    assert f"A process can have {MAX_GAUGES}." in collector_readme.text


def test_its_python_code_controls_a_run(readme, collector_readme, tmp_path, monkeypatch):
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "logs"))
    ((_, start),) = readme.blocks("python")
    ((marker, code),) = collector_readme.blocks("python")
    assert marker == "while it runs"
    program = f"import queue\nqueue = queue.Queue()\n{start}{code}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    catalog = Catalog([str(tmp_path / "logs")])
    catalog.refresh()
    (info,) = catalog.runs
    assert (info.service, info.state) == ("api", "exited")
    assert events_of(info) == ["start", "mark", "pause", "resume", "interval", "stop"]


def test_the_commands_that_only_read_report_no_problem(collector_readme, machine, run_quietly):
    where, doctor = collector_readme.lines_of("commands that only read")
    assert run_quietly(shlex.split(where)) == f"{machine / 'logs'}\n"
    assert "healthy" in run_quietly(shlex.split(doctor))


def test_its_ways_to_run_a_program_record_the_services_that_they_name(
    collector_readme, machine, run_quietly
):
    lines = collector_readme.lines_of("run")
    assert len(lines) == 4
    for line in lines:
        run_quietly(["sh", "-c", line])
    assert services_in(machine / "logs") == ["api", "api", "gunicorn", "shop"]


def test_its_requests_to_a_running_service_succeed(collector_readme, machine, run_quietly):
    words = [
        sys.executable,
        "-c",
        "import sys, pprofplus\npprofplus.start('api')\nsys.stdin.read()",
    ]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as service:
        try:
            catalog = Catalog([str(machine / "logs")])
            wait_for_runs(catalog)
            lines = collector_readme.block_of("ctl", "sh").strip().splitlines()
            assert len(lines) == 4
            for line in lines:
                run_quietly(["sh", "-c", line.replace("4711", str(service.pid))])
        finally:
            service.stdin.close()
    (info,) = catalog.runs
    assert events_of(info) == ["start", "mark", "interval", "pause", "resume", "stop"]


def test_its_watch_commands_record_the_processes(collector_readme, machine):
    lines = collector_readme.block_of("watch", "sh").strip().splitlines()
    assert len(lines) == 3
    span_s = str(10_000_000 + os.getpid())  # no other process sleeps for this time
    with subprocess.Popen(["sleep", span_s]) as other:
        started = []
        try:
            for line in lines:
                words = shlex.split(line.replace("4711", str(other.pid)))
                assert words.pop(0) == "pprofplus"
                words = [word.replace("postgres: .* writer", f"sleep {span_s}") for word in words]
                started.append(subprocess.Popen([sys.executable, "-m", "pprofplus", *words]))
            catalog = Catalog([str(machine / "logs")])
            wait_for_runs(catalog, 3)
        finally:
            other.kill()
            for process in started:
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
    assert {info.service for info in catalog.runs} == {"sleep", "postgres"}
    assert {info.pid for info in catalog.runs} == {other.pid}


def test_its_link_records_without_a_shell_that_expands_it(collector_readme, machine, run_quietly):
    (link,) = re.findall(r"`(ln -s [^`]*)`", collector_readme.text)
    docker, systemd = re.findall(r"`(?:ENV |Environment=)([^`]*)`", collector_readme.text)
    assert docker == systemd
    run_quietly(["sh", "-c", link.replace("/opt", str(machine))])
    words = docker.replace("/opt", str(machine)).split(" ")
    run_quietly(["env", *words, "gunicorn", "app:app"])
    assert services_in(machine / "logs") == ["api"]


def test_its_unit_records_in_the_state_directory(
    collector_readme, machine, monkeypatch, run_quietly
):
    unit = configparser.RawConfigParser()
    unit.optionxform = str
    unit.read_string(collector_readme.block_of("systemd", "ini"))
    service = unit["Service"]
    state = machine / service["StateDirectory"]
    state.mkdir(mode=0o755)
    monkeypatch.delenv("PPROFPLUS_DIR")
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    run_quietly(shlex.split(service["ExecStart"].replace("/opt/api/bin", str(machine / "bin"))))
    (named,) = re.findall(r"--dir /var/lib/(\S+)`", collector_readme.text)
    assert services_in(machine / named) == ["api"]
    (run,) = (machine / named / "api").iterdir()
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


def test_its_uwsgi_options_enable_the_hooks(collector_readme):
    options = configparser.RawConfigParser()
    options.read_string(collector_readme.block_of("uwsgi", "ini"))
    for name in ("master", "enable-threads", "py-call-uwsgi-fork-hooks"):
        assert options["uwsgi"].getboolean(name)


def test_its_image_records_to_the_volume(collector_readme, machine, monkeypatch, run_quietly):
    block = collector_readme.block_of("docker", "dockerfile")
    lines = dict(line.split(" ", 1) for line in block.splitlines())
    name, _, log_directory = lines["ENV"].partition("=")
    assert Path(log_directory).parent == Path(lines["VOLUME"])
    assert f"install -d -o {lines['USER']} {lines['VOLUME']}" in lines["RUN"]
    monkeypatch.setenv(name, f"{machine}{log_directory}")
    run_quietly(json.loads(lines["CMD"]))
    assert services_in(f"{machine}{log_directory}") == ["api"]


def test_its_pod_records_to_the_directory_that_its_monitor_reads(
    collector_readme, machine, monkeypatch, run_quietly
):
    yaml = pytest.importorskip("yaml")
    spec = yaml.safe_load(collector_readme.block_of("kubernetes", "yaml"))["spec"]
    service, monitor = spec["containers"]
    assert service["env"] == monitor["env"]
    assert service["volumeMounts"] == monitor["volumeMounts"]
    ((variable,), (mount,), (volume,)) = service["env"], service["volumeMounts"], spec["volumes"]
    assert Path(variable["value"]).parent == Path(mount["mountPath"])
    assert volume["name"] == mount["name"]
    assert "emptyDir" in volume
    monkeypatch.setenv(variable["name"], f"{machine}{variable['value']}")
    run_quietly(service["command"])
    run_quietly([sys.executable, "-m", "pprofplus_tui", "list"])
    assert services_in(f"{machine}{variable['value']}") == ["api"]
