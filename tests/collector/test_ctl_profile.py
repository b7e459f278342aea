"""The command `ctl profile`, with real services: taken, shown, merged, copied, cancelled."""

import gzip
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit import reference
from kit.environment import needs_root
from kit.processes import IMPORT_PATH
from kit.waiting import wait_until
from pprofplus.control.client import put_request, read_progress, take_answer
from pprofplus.control.requests import Request
from pprofplus.log.artefacts import parse_artefact_name
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus.profiles.source_lines import parse_source_lines

EVER_S = 60
SERVICE = """
import os, sys, threading, time
from kit import extra_kinds
extra_kinds.install()
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
print("up", flush=True)
"""
CTL = """
import sys
from kit import extra_kinds
from pprofplus.cli import main
extra_kinds.install()
sys.exit(main(["ctl", *sys.argv[1:]]))
"""
SOME = ("--service", "api")


@pytest.fixture
def service(spawn, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)

    def begin(program="time.sleep(600)"):
        process = spawn(SERVICE + program, stdin=subprocess.PIPE)
        assert process.stdout.readline() == "up\n"
        return process

    return begin


@pytest.fixture
def ctl(log_directory, monkeypatch):
    """Start the command; its kinds are those of the services.

    Without --dir, root also finds the runs of other users.
    """
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)

    def start(*words, **options):
        return subprocess.Popen(
            [sys.executable, "-c", CTL, *words, "--dir", str(log_directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


def finished(process):
    out, err = process.communicate(timeout=EVER_S)
    return process.returncode, out, err


def artefacts(log_directory):
    """Return the artefacts of all runs."""
    return sorted(path for path in log_directory.rglob("*.gz") if parse_artefact_name(path.name))


def test_the_list_has_all_kinds_with_window_cost_and_warning(log_directory):
    command = [sys.executable, "-m", "pprofplus", "ctl", "profile", "--list"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["KIND", "WINDOW", "COST", "MEANING"]
    assert [row[0] for row in rows[1:] if not row[0].startswith("(")] == list(KINDS)
    for kind in KINDS.values():
        assert kind.meaning in out
        assert kind.warning in out
    assert not log_directory.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name at least one KIND"),
        (("window",), "--service"),
        (("nope", *SOME), "use cpu, wall"),
        (("window", "--seconds", "0", *SOME), "seconds"),
        (("window", "--seconds", "1e9", *SOME), "seconds"),
        (("window", "--hz", "0", *SOME), "hz"),
        (("window", "--hz", "9999", *SOME), "hz"),
    ],
)
def test_wrong_usage_is_one_line(ctl, words, message):
    code, out, err = finished(ctl("profile", *words))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_the_heaviest_entries_of_one_process_are_printed_with_the_path(service, ctl, log_directory):
    process = service()
    code, out, err = finished(ctl("profile", "moment", "window", *SOME))
    assert (code, err) == (0, "")
    moment, _, window, _ = artefacts(log_directory)
    lines = out.splitlines()
    assert lines[:3] == [
        f"api {process.pid}: moment: a note; window: a note",
        f"api {process.pid}: moment: {moment} ({moment.stat().st_size} B)",
        f"api {process.pid}: window: {window} ({window.stat().st_size} B)",
    ]
    assert "window: 200.00 ms time, 100 samples" in lines
    assert re.fullmatch(
        r" +200.00 ms +100 +100.0% +extra_kinds.take \(extra_kinds.py:\d+\) <- extra_kinds.root",
        lines[-1],
    )


def test_names_of_the_service_cannot_control_the_terminal(service, ctl):
    service()
    code, out, err = finished(ctl("profile", "escape", *SOME))
    assert (code, err) == (0, "")
    assert "red\\x1b[31m[bold]" in out
    assert "\x1b" not in out


def test_seconds_and_rate_reach_the_service(service, ctl, log_directory):
    service()
    code, _, err = finished(ctl("profile", "window", "--seconds", "0.1", "--hz", "33", *SOME))
    assert (code, err) == (0, "")
    profile = decode_profile(artefacts(log_directory)[0].read_bytes())
    assert profile.samples[0][1] == (33, 100_000_000)


def test_a_refused_kind_is_taken_with_force(service, ctl):
    process = service()
    found = finished(ctl("profile", "refused", *SOME))
    assert found == (1, "", f"api {process.pid}: it would cost too much: force it\n")
    assert finished(ctl("profile", "refused", "--force", *SOME))[0] == 0


def test_a_warning_comes_before_the_profile(service, ctl):
    service()
    code, _, err = finished(ctl("profile", "windowb", *SOME))
    assert (code, err) == (0, "pprofplus: windowb: it is slow\n")


def test_a_kind_that_fails_is_an_error_and_the_others_are_taken(service, ctl, log_directory):
    process = service()
    code, out, err = finished(ctl("profile", "broken", "moment", *SOME))
    assert code == 1
    assert err.startswith(f"api {process.pid}: broken: it failed: RuntimeError('a bug'); moment")
    assert "moment: 0 ns time, 100 samples" in out
    assert len(artefacts(log_directory)) == 2


def test_processes_are_merged_with_their_pid_and_keep_their_own(
    service, ctl, log_directory, tmp_path
):
    pids = sorted(service().pid for _ in range(2))
    code, out, err = finished(ctl("profile", "window", *SOME, "-o", str(tmp_path / "all.pb.gz")))
    assert (code, err) == (0, "")
    assert "window: " in out.splitlines()[-1]
    assert "of 2 processes" in out.splitlines()[-1]
    merged = decode_profile((tmp_path / "all.pb.gz").read_bytes())
    assert {value for _, _, labels in merged.samples for key, value in labels if key == "pid"} == {
        str(pid) for pid in pids
    }
    own = [decode_profile(path.read_bytes()) for path in artefacts(log_directory)[::2]]
    assert len(own) == 2
    assert sorted(values for each in own for _, values, _ in each.samples) == sorted(
        values for _, values, _ in merged.samples
    )
    assert list(parse_source_lines((tmp_path / "all.src.gz").read_bytes()).files)


def test_one_pid_alone_is_profiled(service, ctl, log_directory):
    first, _ = service(), service()
    assert finished(ctl("profile", "moment", *SOME, "--pid", str(first.pid)))[0] == 0
    assert {path.parent.name.split("-")[0] for path in artefacts(log_directory)} == {str(first.pid)}


def test_a_copy_of_one_process_is_its_artefact(service, ctl, log_directory, tmp_path):
    service()
    target = tmp_path / "one.pb.gz"
    assert finished(ctl("profile", "moment", *SOME, "-o", str(target)))[0] == 0
    profile, source = artefacts(log_directory)
    assert target.read_bytes() == profile.read_bytes()
    assert (tmp_path / "one.src.gz").read_bytes() == source.read_bytes()


def test_several_kinds_are_written_to_a_directory(service, ctl, tmp_path):
    service()
    target = tmp_path / "new" / "directory"
    assert finished(ctl("profile", "moment", "window", *SOME, "-o", str(target)))[0] == 0
    kinds = [parse_artefact_name(path.name).kind for path in sorted(target.glob("*.pb.gz"))]
    assert kinds == ["moment", "window"]


@pytest.mark.parametrize("path", ["missing/cpu.pb.gz", "/proc/none/x"])
def test_a_place_that_cannot_be_written_is_reported_before_anything_is_taken(
    service, ctl, log_directory, tmp_path, path
):
    service()
    code, out, err = finished(ctl("profile", "moment", *SOME, "-o", path, cwd=tmp_path))
    assert (code, out) == (1, "")
    assert err == f"pprofplus: {path}: No such file or directory\n"
    assert artefacts(log_directory) == []


def test_a_device_is_written_to_and_not_replaced(service, ctl):
    service()
    assert finished(ctl("profile", "moment", *SOME, "-o", "/dev/null"))[0] == 0
    assert not Path("/dev/null").is_file()


def test_ctrl_c_ends_it_in_every_service_and_leaves_nothing(service, ctl, log_directory, tmp_path):
    pids = sorted(service().pid for _ in range(2))
    target = tmp_path / "all.pb.gz"
    asking = ctl("profile", "window", "--seconds", "600", *SOME, "-o", str(target))
    for directory in reference.runs(log_directory):
        wait_until(lambda directory=directory: list(directory.glob("*.progress")))
    asking.send_signal(signal.SIGINT)
    code, out, err = finished(asking)
    assert (code, out) == (1, "")
    assert err == "".join(f"api {pid}: cancelled by request\n" for pid in pids)
    assert artefacts(log_directory) == []
    assert not list(tmp_path.glob("*all*"))
    assert finished(ctl("profile", "moment", *SOME))[0] == 0


def test_a_second_profile_is_refused_while_one_is_taken(service, ctl, log_directory):
    process = service()
    first = ctl("profile", "window", "--seconds", "600", *SOME)
    (directory,) = reference.runs(log_directory)
    wait_until(lambda: list(directory.glob("*.progress")))
    code, _, err = finished(ctl("profile", "moment", *SOME))
    assert code == 1
    assert err.startswith(f"api {process.pid}: profile is running, and one long action runs")
    first.send_signal(signal.SIGINT)
    assert finished(first)[0] == 1


def test_an_end_of_the_process_during_a_profile_leaves_no_part_of_it(service, log_directory):
    process = service("sys.stdin.readline()")
    (directory,) = reference.runs(log_directory)
    request = Request("profile", {"kinds": ["window"], "seconds": 600})
    stem = put_request(str(directory), request)
    wait_until(lambda: read_progress(str(directory), stem))
    _, err = process.communicate("end\n", timeout=EVER_S)
    assert (process.returncode, err) == (0, "")
    assert take_answer(str(directory), stem) == (False, "cancelled: the recording ends")
    assert artefacts(log_directory) == []
    assert reference.Run(directory).kinds[-1] == "stop"


def test_no_source_lines_are_kept_if_the_setting_is_off(service, ctl, log_directory, monkeypatch):
    monkeypatch.setenv("PPROFPLUS_PROFILE_SOURCE", "0")
    service()
    assert finished(ctl("profile", "moment", *SOME))[0] == 0
    assert [path.suffixes for path in artefacts(log_directory)] == [[".pb", ".gz"]]


@pytest.mark.parametrize(
    "arguments",
    [
        {"kinds": []},
        {"kinds": [1]},
        {"kinds": ["nope"]},
        {"kinds": ["moment"], "seconds": -1},
        {"kinds": ["moment"], "seconds": 1e9},
        {"kinds": ["moment"], "hz": 10**9},
    ],
)
def test_a_request_out_of_its_range_is_answered_and_nothing_is_taken(
    service, log_directory, arguments
):
    service()
    (directory,) = reference.runs(log_directory)
    stem = put_request(str(directory), Request("profile", arguments))
    done, text = wait_until(lambda: take_answer(str(directory), stem))
    assert not done
    assert "\n" not in text
    assert artefacts(log_directory) == []


# -- the list of what was taken


def test_profiles_of_live_and_ended_processes_are_listed(service, ctl, log_directory):
    code, out, err = finished(ctl("profiles", *SOME))
    assert (code, out) == (1, "")
    assert "no profile of api" in err
    first = service("sys.stdin.readline()")
    assert finished(ctl("profile", "moment", "window", *SOME))[0] == 0
    first.communicate("end\n", timeout=EVER_S)
    second = service()
    assert finished(ctl("profile", "moment", *SOME))[0] == 0
    code, out, err = finished(ctl("profiles", *SOME))
    assert (code, err) == (0, "")
    head, *rows = [line.split() for line in out.splitlines()]
    assert head == ["TIME", "PID", "KIND", "WHY", "SIZE", "PATH"]
    paths = [path for path in artefacts(log_directory) if "src" not in path.name]
    assert [(row[2], row[3], row[4], row[-1]) for row in rows] == [
        (str(pid), kind, "-", str(path))
        for pid, kind, path in zip(
            [first.pid, first.pid, second.pid],
            ["moment", "window", "moment"],
            sorted(paths, key=lambda path: path.name),
            strict=True,
        )
    ]
    assert len(finished(ctl("profiles", *SOME, "--pid", str(second.pid)))[1].splitlines()) == 2


@needs_root("only root can plant a file of another user")
def test_a_file_that_is_no_regular_one_is_not_read(service, ctl, log_directory):
    process = service(
        """
name = None
while name is None:
    time.sleep(0.01)
    name = next((n for n in os.listdir(collector.directory) if n.endswith(".pb.gz")), None)
path = os.path.join(collector.directory, name)
os.unlink(path)
os.mkfifo(path)
time.sleep(600)
"""
    )
    code, _, err = finished(ctl("profile", "moment", "windowb", "--seconds", "1", *SOME))
    assert code == 1
    assert f"api {process.pid}: " in err
    assert "regular file" in err


def test_traces_of_several_processes_are_one(tmp_path):
    from pprofplus.commands.profile_files import ProfileFile, merged

    files = [
        ProfileFile(
            pid,
            "",
            parse_artefact_name("1-trace.json.gz"),
            gzip.compress(json.dumps({"traceEvents": [{"pid": pid}]}).encode()),
            b"",
        )
        for pid in (1, 2)
    ]
    data, source = merged(files)
    assert [event["pid"] for event in json.loads(gzip.decompress(data))["traceEvents"]] == [1, 2]
    assert source == b""
