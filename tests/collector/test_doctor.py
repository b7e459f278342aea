"""`pprofplus doctor`: its findings are correct, and it leaves no files."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pprofplus
from kit import reference
from kit.environment import needs_root
from kit.waiting import wait_until
from pprofplus import settings
from pprofplus.log import log_directory as log_directory_module
from pprofplus.metrics import CATALOGUE

BOOTSTRAP = Path(pprofplus.__file__).parent / "autostart"
AS_ROOT = needs_root("only root can")


@pytest.fixture
def doctor(log_directory):
    """Run it; return (exit code, output, problems in it)."""

    def call(*arguments, **variables):
        environment = {**os.environ, **variables}
        done = subprocess.run(
            [sys.executable, "-m", "pprofplus", "doctor", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={name: text for name, text in environment.items() if text is not None},
        )
        assert done.stderr == ""
        problems = re.findall(r"^! (.*(?:\n  .*)*)", done.stdout, flags=re.MULTILINE)
        problems = [" ".join(text.split()) for text in problems]
        assert done.returncode == bool(problems)
        assert ("\nhealthy: " in done.stdout) == (not problems)
        return done.returncode, done.stdout, problems

    return call


def value(output, label):
    """Return the text of a label, its lines joined."""
    found = re.search(rf"^  {label} +(.*(?:\n {{16}}.*)*)", output, flags=re.MULTILINE)
    return " ".join(found[1].split())


def tree(directory):
    """Return everything below a directory: names, modes and contents."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in [directory, *directory.rglob("*")]
        if path.exists()
    }


def test_a_usable_log_directory_is_reported_and_left_unchanged(doctor, log_directory):
    code, output, _ = doctor()
    assert code == 0
    assert value(output, "directory") == str(log_directory)
    assert value(output, "recording").startswith("works: 200 samples")
    assert value(output, "locks").startswith("work:")
    assert value(output, "content") == "empty"
    assert not log_directory.exists()


def test_missing_parents_are_removed_again_and_existing_ones_stay(doctor, tmp_path):
    assert doctor("--dir", tmp_path / "a" / "b" / "c")[0] == 0
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").mkdir()
    assert doctor("--dir", tmp_path / "a" / "b")[0] == 0
    assert not list((tmp_path / "a").iterdir())
    (tmp_path / "a").chmod(0o700)
    assert doctor("--dir", tmp_path / "a")[0] == 0
    assert not list((tmp_path / "a").iterdir())


def test_existing_runs_are_counted_and_not_changed(doctor, run, log_directory):
    for service in ("api", "api", "web"):
        run(f"import pprofplus; pprofplus.start({service!r}, interval_s=0.05)")
    (log_directory / "stranger").write_text("left alone")
    before = tree(log_directory)
    del before[str(log_directory / ".ledger")]
    _, output, _ = doctor("--service", "api")
    after = tree(log_directory)
    del after[str(log_directory / ".ledger")]
    assert before == after
    assert value(output, "content").startswith("services: 2, runs: 3, ")
    assert value(output, "service").startswith("api: its directory exists")


def test_a_live_service_is_not_disturbed(doctor, spawn, log_directory):
    service = spawn("""
import pprofplus, signal
pprofplus.start("api", interval_s=0.05)
print("ready", flush=True)
signal.pause()
""")
    service.stdout.readline()
    assert doctor()[0] == 0
    (directory,) = reference.runs(log_directory)
    before = len(reference.Run(directory).samples)
    wait_until(lambda: len(reference.Run(directory).samples) >= before + 3)
    assert reference.is_live(directory)


def test_it_prints_why_the_log_directory_is_used(doctor, tmp_path):
    state = {"STATE_DIRECTORY": str(tmp_path / "state")}
    _, output, _ = doctor("--dir", tmp_path / "named", **state)
    assert (value(output, "directory"), value(output, "reason")) == (
        str(tmp_path / "named"),
        "given by --dir",
    )
    _, output, _ = doctor(**state)
    assert value(output, "reason").startswith("PPROFPLUS_DIR=")
    _, output, _ = doctor(PPROFPLUS_DIR=None, **state)
    assert value(output, "directory") == f"{tmp_path}/state/pprofplus"
    assert value(output, "reason").startswith("STATE_DIRECTORY=")
    _, output, _ = doctor(PPROFPLUS_DIR=None, STATE_DIRECTORY=None)
    assert value(output, "directory") == f"/var/tmp/pprofplus-{os.getuid()}"
    assert value(output, "reason").startswith("the default: neither ")


@pytest.mark.parametrize(
    ("plant", "word"),
    [
        (lambda directory: directory.write_text(""), "not a directory"),
        (os.mkfifo, "not a directory"),
        (lambda directory: directory.symlink_to("/"), "link"),
        (lambda directory: directory.symlink_to("nowhere"), "link"),
        (lambda directory: (directory.mkdir(), directory.chmod(0o777)), "chmod go-w"),
    ],
)
def test_an_unsafe_log_directory_is_a_problem(doctor, log_directory, plant, word):
    plant(log_directory)
    before = tree(log_directory.parent)
    _, output, (problem,) = doctor()
    assert value(output, "recording") == "fails"
    assert word in problem
    assert tree(log_directory.parent) == before


@AS_ROOT
def test_a_log_directory_of_another_user_is_a_problem_that_names_the_user(doctor, log_directory):
    log_directory.mkdir(mode=0o700)
    os.chown(log_directory, 12345, 12345)
    _, _, (problem,) = doctor()
    assert "belongs to uid 12345" in problem


def test_a_log_directory_that_cannot_be_created_is_a_problem_with_advice(doctor):
    _, output, (problem,) = doctor("--dir", "/proc/self/logs")
    assert value(output, "recording") == "fails"
    assert "/proc/self/logs" in problem
    assert "PPROFPLUS_DIR" in problem


def test_an_unsafe_directory_of_the_service_is_a_problem(doctor, log_directory):
    log_directory.mkdir(mode=0o700)
    (log_directory / "api").symlink_to("/")
    assert doctor("--service", "web")[0] == 0
    _, output, (problem,) = doctor("--service", "api")
    assert value(output, "service") == "api: refused"
    assert "link" in problem


@AS_ROOT
@pytest.mark.parametrize(("option", "word"), [("size=64k", "No space"), ("ro", "Read-only")])
def test_a_full_disk_and_a_read_only_one_are_problems(doctor, tmp_path, option, word):
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(directory)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        if option != "ro":
            (directory / "filler").write_bytes(b"x" * (60 << 10))
        _, output, problems = doctor("--dir", directory / "logs")
        assert word in problems[0]
        assert "tmpfs" in value(output, "free")
        assert {path.name for path in directory.iterdir()} <= {"filler"}
    finally:
        subprocess.run([shutil.which("umount"), str(directory)], check=True)


def test_less_space_than_a_run_may_take_is_a_problem(doctor):
    _, _, (problem,) = doctor(PPROFPLUS_MAX_BYTES=str(1 << 61))
    assert "lower PPROFPLUS_MAX_BYTES" in problem


def test_each_metric_is_available_or_has_a_reason(doctor):
    _, output, _ = doctor()
    begin = output.index("\nmetrics: ")
    words = re.findall(r"[a-z][a-z_0-9]+", output[begin : output.index("  budgeted ")])
    assert all(metric.name in words for metric in CATALOGUE)
    assert "tracemalloc" in value(output, "unavailable")


def test_an_interpreter_without_pymalloc_is_reported_and_healthy(doctor):
    code, output, _ = doctor(PYTHONMALLOC="malloc")
    assert code == 0
    assert "does not use pymalloc" in value(output, "unavailable")
    available = value(output, "available")
    assert "rss" in available
    assert "heap_used" not in available


def test_it_reports_the_cost_of_a_sample(doctor):
    _, output, _ = doctor()
    assert re.fullmatch(r"\d+(\.\d+)? (us|ms)", value(output, "median"))
    assert re.fullmatch(r"\d+\.\d{3}% of a core", value(output, "share"))
    assert "of CPU" in value(output, "budgeted")


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("INTERVAL", "fast", "0.05 to 3600"),
        ("SERVICE", "a/b", "a/b"),
        ("MAX_BYTES", "64M", "64M"),
        ("GROUP_READABLE", "perhaps", "1 or 0"),
        ("INTERVALL", "5", "is not a setting"),
        ("DISABLED", "yes", "nothing is recorded"),
        ("AUTOSTART", "a b", "1 to 64"),
    ],
)
def test_an_ineffective_setting_is_a_problem(doctor, name, text, word):
    path = os.pathsep.join([str(BOOTSTRAP), os.environ.get("PYTHONPATH", "")])
    _, output, (problem,) = doctor(**{f"PPROFPLUS_{name}": text}, PYTHONPATH=path)
    assert value(output, name) == text
    assert f"PPROFPLUS_{name}" in problem
    assert word in problem


def test_valid_settings_are_listed_and_no_problem(doctor):
    fine = {
        "PPROFPLUS_SERVICE": "api",
        "PPROFPLUS_INTERVAL": "0.5",
        "PPROFPLUS_DISABLED": "0",
        "PPROFPLUS_GROUP_READABLE": "1",
        "PPROFPLUS_BUDGET": "",
        "PPROFPLUS_AUTOSTART_PID": "4711",  # under `pprofplus run`
    }
    code, output, _ = doctor(**fine)
    assert code == 0
    assert value(output, "SERVICE") == "api"
    assert value(output, "BUDGET").startswith("(empty")


def test_it_lists_all_variables_that_are_read():
    sources = [Path(module.__file__).read_text() for module in (settings, log_directory_module)]
    read = set(re.findall(r"PPROFPLUS_[A-Z_]+", "".join(sources)))
    assert read == set(settings.ENVIRONMENT)


def test_an_autostart_without_effect_is_a_problem(doctor, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("")
    path = os.environ.get("PYTHONPATH", "")
    for search in (path, os.pathsep.join([str(tmp_path), str(BOOTSTRAP), path])):
        _, _, (problem,) = doctor(PPROFPLUS_AUTOSTART="api", PYTHONPATH=search)
        assert "pprofplus autostart" in problem
    (tmp_path / "link").symlink_to(BOOTSTRAP)
    for directory in (BOOTSTRAP, tmp_path / "link"):
        search = os.pathsep.join([str(directory), str(tmp_path), path])
        assert doctor(PPROFPLUS_AUTOSTART="api", PYTHONPATH=search)[0] == 0
    assert doctor(PPROFPLUS_AUTOSTART="0")[0] == 0


def test_its_output_is_ascii_and_fits_a_terminal(doctor):
    _, output, problems = doctor(
        "--service", "api", PPROFPLUS_SERVICE="\x1b[31m\u202e\udcff", PPROFPLUS_INTERVAL="x" * 30
    )
    assert len(problems) == 2
    assert output.isascii()
    assert all(char.isprintable() for char in output.replace("\n", ""))
    assert all(len(line) <= 80 or os.sep in line for line in output.splitlines())


def test_a_wrong_service_is_a_usage_error():
    done = subprocess.run(
        [sys.executable, "-m", "pprofplus", "doctor", "--service", "a/b"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
