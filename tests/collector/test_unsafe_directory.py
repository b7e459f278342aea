"""Unsafe log directories: refused in one clear line, never followed, never hung on, not changed."""

import os
import stat
from pathlib import Path

import pytest

from kit.programs import COUNTING_SERVICE

PLACES = ["logs", "logs/api"]


def plant_link(path, elsewhere):
    path.symlink_to(elsewhere)


def plant_dangling_link(path, elsewhere):
    path.symlink_to(elsewhere / "nowhere")


def plant_file(path, _):
    path.write_text("in the way")


def plant_pipe(path, _):
    os.mkfifo(path)


def plant_directory_of_all(path, _):
    path.mkdir()
    path.chmod(0o777)


def plant_directory_of_the_group(path, _):
    path.mkdir()
    path.chmod(0o770)


def plant_directory_of_another(path, _):
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)


HOSTILE = {
    plant_link: "is a link or not a directory",
    plant_dangling_link: "is a link or not a directory",
    plant_file: "is a link or not a directory",
    plant_pipe: "is a link or not a directory",
    plant_directory_of_all: "chmod go-w",
    plant_directory_of_the_group: "chmod go-w",
    plant_directory_of_another: "belongs to uid 12345",
}

REFUSED = """
import shutil
collector = pprofplus.start("api", interval_s=0.002)
samples(10)
assert collector.running and collector.samples == 0
path = sys.argv[1]
seen = os.lstat(path)
inside = os.listdir(path) if os.path.isdir(path) else []
os.rename(path, path + ".away")
since = len(history)
first = resumed(since)
report(first=first, mode=seen.st_mode, uid=seen.st_uid, inside=inside)
"""


def program_for(path):
    return REFUSED.replace("sys.argv[1]", repr(str(path)))


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("plant", HOSTILE, ids=lambda plant: plant.__name__[6:])
def test_an_unsafe_directory_is_refused_in_one_line_and_left_unchanged(
    run_service, log_directory, plant, name
):
    elsewhere, path = log_directory.parent / "elsewhere", log_directory.parent / name
    elsewhere.mkdir(mode=0o700)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    plant(path, elsewhere)
    before = os.lstat(path)
    report, run = run_service(program_for(path))
    (line,) = report["warnings"]
    assert f"{path} " in line
    assert HOSTILE[plant] in line
    assert (report["mode"], report["uid"], report["inside"]) == (before.st_mode, before.st_uid, [])
    assert list(elsewhere.iterdir()) == []
    # after the file is removed, each sample is there, or counted
    assert report["first"] <= 2
    assert len(run.samples) + run.lost == report["taken"]


@pytest.mark.skipif(os.geteuid() == 0, reason="to root, the root directory is its own")
def test_a_log_directory_of_another_user_is_refused_also_without_root(spawn, monkeypatch):
    monkeypatch.setenv("PPROFPLUS_DIR", "/usr")
    program = 'import pprofplus\npprofplus.start("api", interval_s=0.05)\npprofplus.stop()\n'
    _, err = spawn(program).communicate(timeout=60)
    (line,) = err.splitlines()
    assert "/usr belongs to uid 0: use another directory" in line


def test_a_link_instead_of_the_run_directory_is_not_followed(run_service, log_directory):
    elsewhere = log_directory.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    report, run = run_service(
        f"""
import tracemalloc
collector = pprofplus.start("api", interval_s=0.002)
samples(20)
directory = collector.directory
with collector.lock:  # or it makes the directory anew between the two
    os.rename(directory, directory + ".away")
    os.symlink({str(elsewhere)!r}, directory)
tracemalloc.start()  # another table, another segment
wait_for(in_trouble)
samples(20)
with collector.lock:
    os.unlink(directory)
    os.rename(directory + ".away", directory)
since = len(history)
first = resumed(since)
report(first=first)
"""
    )
    assert list(elsewhere.iterdir()) == []
    assert len(run.samples) + run.lost == report["taken"]
    assert report["first"] <= 2
    (line,) = report["warnings"]
    assert "is a link or not a directory" in line


def plant_link_to_a_file(path, elsewhere):
    (elsewhere / "precious").write_text("precious")
    path.symlink_to(elsewhere / "precious")


def plant_directory(path, _):
    path.mkdir()


NAMES = [plant_pipe, plant_link_to_a_file, plant_dangling_link, plant_directory, plant_file]

# the test creates the file between the two lines that it receives
ROTATING = """
import tracemalloc
collector = pprofplus.start("api", interval_s=0.002)
samples(20)
print(collector.directory, flush=True)
sys.stdin.readline()
tracemalloc.start()  # another table, another segment
wait_for(lambda: os.path.exists(collector.directory + "/000003.pplog"))
samples(20)
pprofplus.stop()
print(len(history), collector.samples)
print(*warnings, sep="\\n", end="")
"""


@pytest.mark.parametrize("plant", NAMES, ids=lambda plant: plant.__name__[6:])
def test_a_foreign_file_with_a_segments_name_is_left_unchanged_and_skipped(
    spawn, log_directory, plant
):
    elsewhere = log_directory.parent / "elsewhere"
    elsewhere.mkdir()
    process = spawn(COUNTING_SERVICE + ROTATING, stdin=-1)
    directory = Path(process.stdout.readline().strip())
    planted = directory / "000002.pplog"
    plant(planted, elsewhere)
    before = os.lstat(planted)
    out, err = process.communicate("go on\n", timeout=100)
    assert (process.returncode, err) == (0, "")
    counts, *warnings = out.splitlines()
    taken, written = map(int, counts.split())
    assert taken == written
    (line,) = warnings
    assert "000002.pplog is not a file of pprofplus" in line
    after = os.lstat(planted)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert [path.read_text() for path in elsewhere.iterdir()] in ([], ["precious"])
    assert stat.S_ISREG(os.lstat(directory / "000003.pplog").st_mode)


@pytest.mark.parametrize("plant", NAMES, ids=lambda plant: plant.__name__[6:])
def test_a_foreign_file_with_a_hidden_name_is_neither_written_to_nor_followed(
    spawn, log_directory, plant
):
    elsewhere = log_directory.parent / "elsewhere"
    elsewhere.mkdir()
    process = spawn(COUNTING_SERVICE + ROTATING.replace("000003", "000002"), stdin=-1)
    directory = Path(process.stdout.readline().strip())
    plant(directory / ".000002.pplog.new", elsewhere)
    out, err = process.communicate("go on\n", timeout=100)
    assert (process.returncode, err) == (0, "")
    counts, *warnings = out.splitlines()
    taken, written = map(int, counts.split())
    assert taken == written
    assert warnings == []
    assert [path.read_text() for path in elsewhere.iterdir()] in ([], ["precious"])
    assert stat.S_ISREG(os.lstat(directory / "000002.pplog").st_mode)
