"""`pprofplus doctor`: what it finds is so, and it leaves nothing behind."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import reference

import pprofplus
from pprofplus import settings
from pprofplus.log import log_directory as home_module
from pprofplus.metrics import CATALOGUE

BOOTSTRAP = Path(pprofplus.__file__).parent / "autostart"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can")


@pytest.fixture
def doctor(home):  # noqa: ARG001 - it looks there
    """Ask it; return (exit code, what it said, the troubles in it)."""

    def ask(*arguments, **variables):
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
        troubles = re.findall(r"^! (.*(?:\n  .*)*)", done.stdout, flags=re.MULTILINE)
        troubles = [" ".join(text.split()) for text in troubles]
        assert done.returncode == bool(troubles)
        assert ("\nhealthy: " in done.stdout) == (not troubles)
        return done.returncode, done.stdout, troubles

    return ask


def value(said, label):
    """Return what a label says, its lines joined."""
    found = re.search(rf"^  {label} +(.*(?:\n {{16}}.*)*)", said, flags=re.MULTILINE)
    return " ".join(found[1].split())


def tree(place):
    """Return all that is below a directory: names, modes and contents."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in [place, *place.rglob("*")]
        if path.exists()
    }


def test_a_healthy_place_is_told_so_and_left_as_it_was(doctor, home):
    code, said, _ = doctor()
    assert code == 0
    assert value(said, "directory") == str(home)
    assert value(said, "recording").startswith("works: 200 samples")
    assert value(said, "locks").startswith("work:")
    assert value(said, "there now") == "nothing"
    assert not home.exists()


def test_missing_parents_go_again_and_what_was_there_stays(doctor, tmp_path):
    assert doctor("--dir", tmp_path / "a" / "b" / "c")[0] == 0
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").mkdir()
    assert doctor("--dir", tmp_path / "a" / "b")[0] == 0
    assert not list((tmp_path / "a").iterdir())
    (tmp_path / "a").chmod(0o700)
    assert doctor("--dir", tmp_path / "a")[0] == 0
    assert not list((tmp_path / "a").iterdir())


def test_runs_that_are_there_are_counted_and_not_touched(doctor, run, home):
    for service in ("api", "api", "web"):
        run(f"import pprofplus; pprofplus.start({service!r}, interval_s=0.05)")
    (home / "stranger").write_text("left alone")
    before = tree(home)
    del before[str(home / ".ledger")]
    _, said, _ = doctor("--service", "api")
    after = tree(home)
    del after[str(home / ".ledger")]
    assert before == after
    assert value(said, "there now").startswith("services: 2, runs: 3, ")
    assert value(said, "service").startswith("api: its directory is there")


def test_a_live_service_is_not_disturbed(doctor, spawn, home):
    service = spawn("""
import pprofplus, signal
pprofplus.start("api", interval_s=0.05)
print("ready", flush=True)
signal.pause()
""")
    service.stdout.readline()
    assert doctor()[0] == 0
    (directory,) = reference.runs(home)
    told = len(reference.Run(directory).samples)
    end = time.monotonic() + 60
    while len(reference.Run(directory).samples) < told + 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert reference.is_live(directory)


def test_it_says_why_the_logs_go_where_they_go(doctor, tmp_path):
    state = {"STATE_DIRECTORY": str(tmp_path / "state")}
    _, said, _ = doctor("--dir", tmp_path / "named", **state)
    assert (value(said, "directory"), value(said, "because")) == (
        str(tmp_path / "named"),
        "--dir says so",
    )
    _, said, _ = doctor(**state)
    assert value(said, "because").startswith("PPROFPLUS_DIR=")
    _, said, _ = doctor(PPROFPLUS_DIR=None, **state)
    assert value(said, "directory") == f"{tmp_path}/state/pprofplus"
    assert value(said, "because").startswith("STATE_DIRECTORY=")
    _, said, _ = doctor(PPROFPLUS_DIR=None, STATE_DIRECTORY=None)
    assert value(said, "directory") == f"/var/tmp/pprofplus-{os.getuid()}"  # noqa: S108 - the fact
    assert value(said, "because").startswith("neither ")


@pytest.mark.parametrize(
    ("plant", "word"),
    [
        (lambda place: place.write_text(""), "no directory"),
        (os.mkfifo, "no directory"),
        (lambda place: place.symlink_to("/"), "link"),
        (lambda place: place.symlink_to("nowhere"), "link"),
        (lambda place: (place.mkdir(), place.chmod(0o777)), "chmod go-w"),
    ],
)
def test_a_place_that_is_not_safe_is_a_trouble(doctor, home, plant, word):
    plant(home)
    before = tree(home.parent)
    _, said, (trouble,) = doctor()
    assert value(said, "recording") == "fails"
    assert word in trouble
    assert tree(home.parent) == before


@AS_ROOT
def test_a_place_of_another_user_is_a_trouble_that_names_the_user(doctor, home):
    home.mkdir(mode=0o700)
    os.chown(home, 12345, 12345)
    _, _, (trouble,) = doctor()
    assert "belongs to uid 12345" in trouble


def test_a_place_that_cannot_be_made_is_a_trouble_that_says_what_to_do(doctor):
    _, said, (trouble,) = doctor("--dir", "/proc/self/logs")
    assert value(said, "recording") == "fails"
    assert "/proc/self/logs" in trouble
    assert "PPROFPLUS_DIR" in trouble


def test_a_directory_of_the_service_that_is_not_safe_is_a_trouble(doctor, home):
    home.mkdir(mode=0o700)
    (home / "api").symlink_to("/")
    assert doctor("--service", "web")[0] == 0
    _, said, (trouble,) = doctor("--service", "api")
    assert value(said, "service") == "api: refused"
    assert "link" in trouble


@AS_ROOT
@pytest.mark.parametrize(("option", "word"), [("size=64k", "No space"), ("ro", "Read-only")])
def test_a_full_disk_and_a_read_only_one_are_troubles(doctor, tmp_path, option, word):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        if option != "ro":
            (place / "filler").write_bytes(b"x" * (60 << 10))
        _, said, troubles = doctor("--dir", place / "logs")
        assert word in troubles[0]
        assert "tmpfs" in value(said, "free")
        assert {path.name for path in place.iterdir()} <= {"filler"}
    finally:
        subprocess.run([shutil.which("umount"), str(place)], check=True)


def test_less_room_than_a_run_may_take_is_a_trouble(doctor):
    _, _, (trouble,) = doctor(PPROFPLUS_MAX_BYTES=str(1 << 61))
    assert "lower PPROFPLUS_MAX_BYTES" in trouble


def test_each_metric_is_available_or_has_a_reason(doctor):
    _, said, _ = doctor()
    begin = said.index("\nmetrics: ")
    words = re.findall(r"[a-z][a-z_0-9]+", said[begin : said.index("  budgeted ")])
    assert all(metric.name in words for metric in CATALOGUE)
    assert "tracemalloc" in value(said, "not here")


def test_an_interpreter_without_pymalloc_is_told_of_and_healthy(doctor):
    code, said, _ = doctor(PYTHONMALLOC="malloc")
    assert code == 0
    assert "does not use pymalloc" in value(said, "not here")
    available = value(said, "available")
    assert "rss" in available
    assert "heap_used" not in available


def test_it_tells_what_a_sample_costs(doctor):
    _, said, _ = doctor()
    assert re.fullmatch(r"\d+(\.\d+)? (us|ms)", value(said, "median"))
    assert re.fullmatch(r"\d+\.\d{3}% of a core", value(said, "share"))
    assert "of CPU" in value(said, "budgeted")


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("INTERVAL", "fast", "0.05 to 3600"),
        ("SERVICE", "a/b", "a/b"),
        ("MAX_BYTES", "64M", "64M"),
        ("GROUP_READABLE", "perhaps", "1 or 0"),
        ("INTERVALL", "5", "is no setting"),
        ("DISABLED", "yes", "nothing is recorded"),
        ("AUTOSTART", "a b", "1 to 64"),
    ],
)
def test_a_setting_that_does_not_do_what_it_should_is_a_trouble(doctor, name, text, word):
    path = os.pathsep.join([str(BOOTSTRAP), os.environ.get("PYTHONPATH", "")])
    _, said, (trouble,) = doctor(**{f"PPROFPLUS_{name}": text}, PYTHONPATH=path)
    assert value(said, name) == text
    assert f"PPROFPLUS_{name}" in trouble
    assert word in trouble


def test_settings_that_are_fine_are_told_and_no_trouble(doctor):
    fine = {
        "PPROFPLUS_SERVICE": "api",
        "PPROFPLUS_INTERVAL": "0.5",
        "PPROFPLUS_DISABLED": "0",
        "PPROFPLUS_GROUP_READABLE": "1",
        "PPROFPLUS_BUDGET": "",
        "PPROFPLUS_AUTOSTART_PID": "4711",  # under `pprofplus run`
    }
    code, said, _ = doctor(**fine)
    assert code == 0
    assert value(said, "SERVICE") == "api"
    assert value(said, "BUDGET").startswith("(empty")


def test_all_variables_that_are_read_are_known_to_it():
    sources = [Path(module.__file__).read_text() for module in (settings, home_module)]
    read = set(re.findall(r"PPROFPLUS_[A-Z_]+", "".join(sources)))
    assert read == set(settings.ENVIRONMENT)


def test_an_autostart_that_starts_nothing_is_a_trouble(doctor, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("")
    path = os.environ.get("PYTHONPATH", "")
    for search in (path, os.pathsep.join([str(tmp_path), str(BOOTSTRAP), path])):
        _, _, (trouble,) = doctor(PPROFPLUS_AUTOSTART="api", PYTHONPATH=search)
        assert "pprofplus autostart" in trouble
    (tmp_path / "link").symlink_to(BOOTSTRAP)
    for place in (BOOTSTRAP, tmp_path / "link"):
        search = os.pathsep.join([str(place), str(tmp_path), path])
        assert doctor(PPROFPLUS_AUTOSTART="api", PYTHONPATH=search)[0] == 0
    assert doctor(PPROFPLUS_AUTOSTART="0")[0] == 0


def test_what_it_says_is_plain_and_fits_a_terminal(doctor):
    _, said, troubles = doctor(
        "--service", "api", PPROFPLUS_SERVICE="\x1b[31m\u202e\udcff", PPROFPLUS_INTERVAL="x" * 30
    )
    assert len(troubles) == 2
    assert said.isascii()
    assert all(char.isprintable() for char in said.replace("\n", ""))
    assert all(len(line) <= 80 or os.sep in line for line in said.splitlines())


def test_a_wrong_service_is_a_usage_error():
    done = subprocess.run(
        [sys.executable, "-m", "pprofplus", "doctor", "--service", "a/b"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
