"""Segments that cannot be opened or read: each command names them, outputs the rest, and fails."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pprofplus.log.format import RunHeader
from pprofplus.log.writer import Writer

BEGIN_MS = 1_800_000_000_000
DENIED = "Permission denied"
UNREAD = f"api/7-{BEGIN_MS}: 000002.pplog"
EACH = 20  # samples in a segment

# Root ignores permissions; without these two capabilities it has those of a user.
AS_A_USER = """
import ctypes, os, sys
if os.geteuid() == 0:
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

COMMANDS = {
    "list": ["list"],
    "list as JSON": ["list", "--json"],
    "export": ["export", "--metrics", "rss"],
    "export to a file": ["export", "--metrics", "rss", "-o", "{out}"],
    "steps": ["export", "--metrics", "rss", "--every", "1s"],
    "plot": ["plot"],
    "report": ["report", "-o", "{out}"],
}


@pytest.fixture
def run(tmp_path):
    """Return the directory of a run of three segments of 20 samples each."""

    def write(service="api", pid=7):
        metrics = [("rss", "B", "gauge")]
        header = RunHeader(
            service=service, pid=pid, start_ms=BEGIN_MS, metrics=tuple(metrics), interval_ms=1000
        )
        writer = Writer(str(tmp_path / "logs"), header)
        for n in range(3 * EACH):
            if n % EACH == 0 and n:
                metrics.append((f"queue{n}", "count", "gauge"))
                writer.change_metrics(tuple(metrics), [n] * len(metrics))
            writer.add(1000 * n, BEGIN_MS + 1000 * n, [n << 20] * len(metrics))
        writer.close()
        return writer.directory

    return write


@pytest.fixture
def command(tmp_path):
    """Run the command as a user who is not root."""

    def call(words, *prefix):
        return subprocess.run(
            [*prefix, sys.executable, "-c", AS_A_USER, "-m", "pprofplus_tui"]
            + [word.format(out=tmp_path / "out") for word in words]
            + ["--dir", str(tmp_path / "logs")],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TZ": "UTC", "PYTHONUTF8": "1"},
            text=True,
            timeout=60,
        )

    return call


def samples_of(done):
    """Return the numbers of the exported samples."""
    return [int(line.split(",")[4]) >> 20 for line in done.stdout.splitlines()[1:]]


def segment(directory, number):
    return Path(directory, f"{number:06}.pplog")


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_segment_without_permission_is_named_once_and_the_command_fails(
    run, command, tmp_path, words
):
    directory = run()
    segment(directory, 2).chmod(0)
    done = command(words)
    assert done.returncode == 1
    messages = [line for line in done.stderr.splitlines() if "incomplete" in line]
    assert messages == [
        f"pprofplus-tui: incomplete: {UNREAD} cannot be read: {DENIED} (in {tmp_path}/logs)"
    ]
    if words[-1] == "{out}":
        assert len(done.stderr.splitlines()) == 2  # also a line about the written file
    else:
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_readable_run_is_no_failure(run, command, words):
    run()
    done = command(words)
    assert done.returncode == 0
    assert "incomplete" not in done.stderr


@pytest.mark.parametrize(
    ("closed", "kept"),
    [
        ([1], range(20, 60)),
        ([2], [*range(20), *range(40, 60)]),
        ([3], range(40)),
        ([2, 3], range(20)),
    ],
)
def test_readable_segments_are_output(run, command, closed, kept):
    directory = run()
    for number in closed:
        segment(directory, number).chmod(0)
    exported = command(COMMANDS["export"])
    assert samples_of(exported) == list(kept)
    (listed,) = json.loads(command(COMMANDS["list as JSON"]).stdout)
    assert listed["samples"] == len(kept)
    assert listed["damaged_pages"] == 0
    what = "2 of 3 segments" if len(closed) == 2 else f"00000{closed[0]}.pplog"
    assert f"{what} cannot be read: Permission denied" in exported.stderr


def test_a_report_lists_the_unread_segments(run, command, tmp_path):
    segment(run(), 2).chmod(0)
    command(COMMANDS["report"])
    assert f"000002.pplog cannot be read: {DENIED}" in (tmp_path / "out").read_text()


def test_only_unreadable_segments_are_a_one_line_error(run, command):
    directory = run()
    for number in (1, 2, 3):
        segment(directory, number).chmod(0)
    done = command(COMMANDS["list"])
    assert done.returncode == 1
    assert "3 of 3 segments cannot be read: Permission denied" in done.stderr
    assert command(COMMANDS["export"]).returncode == 1


@pytest.mark.parametrize("level", ["run", "service"])
def test_a_directory_that_cannot_be_listed_is_named_unless_another_run_is_requested(
    run, command, tmp_path, level
):
    run()
    closed = run(service="batch", pid=8)
    closed = Path(closed) if level == "run" else Path(closed).parent
    closed.chmod(0)
    try:
        done = command(COMMANDS["list"])
        assert done.returncode == 1
        assert done.stderr == f"pprofplus-tui: incomplete: {closed}: Permission denied\n"
        assert "api" in done.stdout
        assert command(["list", "--service", "api"]).returncode == 0
        assert command([*COMMANDS["export"], "api/7"]).returncode == 0
        hidden = command([*COMMANDS["export"], "batch/8"])
        assert hidden.returncode == 1
        assert f"no run batch/8 in {tmp_path}/logs" in hidden.stderr
        assert f"{closed}: {DENIED}" in hidden.stderr
    finally:
        closed.chmod(0o700)


# A file system that is shut down, as ext4 does when its device fails: every access is EIO.
FAILING = """
import fcntl, os, shutil, struct, subprocess, sys
image, disk, target = sys.argv[1:4]
subprocess.run(["mount", "-o", "loop", image, disk], check=True)
shutil.copy(target, disk + "/segment")
os.sync()
subprocess.run(["mount", "--bind", disk + "/segment", target], check=True)
descriptor = os.open(disk, os.O_RDONLY)
fcntl.ioctl(descriptor, 0x8004587D, struct.pack("I", 2))  # EXT4_IOC_SHUTDOWN, without a flush
os.close(descriptor)
os.execv(sys.argv[4], sys.argv[4:])
"""


@pytest.fixture
def failing_disk(tmp_path):
    """The command that makes a segment unreadable for the command after it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount an image")
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("no mkfs.ext4")
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    image.write_bytes(bytes(4 << 20))
    subprocess.run([shutil.which("mkfs.ext4"), "-q", "-F", image], check=True)
    mounted = ["unshare", "-m", "mount", "-o", "loop", image, disk]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("this machine has no loop devices")

    def of(target):
        return ["unshare", "-m", sys.executable, "-c", FAILING, image, disk, target]

    return of


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_segment_on_a_disk_that_fails_is_named_once_and_the_command_fails(
    run, command, failing_disk, words
):
    directory = run()
    done = command(words, *failing_disk(segment(directory, 2)))
    assert done.returncode == 1
    assert done.stderr.count("000002.pplog cannot be read: Input/output error") == 1
    if words == COMMANDS["export"]:
        assert samples_of(done) == [*range(20), *range(40, 60)]


SHUT_DOWN_LATER = """
import fcntl, io, os, shutil, struct, subprocess, sys
from pprofplus_tui.export import write_rows
from pprofplus_tui.sources.local.window_query import query
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.run_log import RunLog
image, disk, directory = sys.argv[1:4]
subprocess.run(["mount", "-o", "loop", image, disk], check=True)
copy = os.path.join(disk, "api", os.path.basename(directory))
shutil.copytree(directory, copy)
os.sync()
logs = [RunLog(copy), RunLog(copy, in_blocks=True)]
for log in logs:
    log.refresh()
    assert log.samples == 60 and log.problems == ()
file = os.open(disk, os.O_RDONLY)
fcntl.ioctl(file, 0x8004587D, struct.pack("I", 2))
os.close(file)
out = io.BytesIO()
print(write_rows([LocalRun(logs[0])], 0, 1 << 50, out))
print(len(query(logs[1], 0, 1 << 50, 1000, [("rss", False)])["rss", False]))
for log in logs:
    print(*log.problems)
"""


def test_a_disk_that_fails_after_the_headers_were_read_is_named(run, failing_disk, tmp_path):
    directory = run()
    failing_disk(directory)  # makes the image, or skips
    places = (tmp_path / "image", tmp_path / "disk", directory)
    done = subprocess.run(
        [shutil.which("unshare"), "-m", sys.executable, "-c", SHUT_DOWN_LATER, *places],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    exported, drawn, *problems = done.stdout.splitlines()
    # the last page of a log that may grow is in memory
    assert exported == f"({EACH}, 2)"
    assert drawn == str(EACH)
    assert problems == [
        f"api/7-{BEGIN_MS}: {count} of 3 segments cannot be read: Input/output error (in"
        f" {tmp_path}/disk)"
        for count in (3, 2)
    ]


MONITOR = """
import os, sys
from pprofplus_tui.backend.session import Session
from pprofplus_tui.model.messages import ChartRequest, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.open import open_source
home, directory, begin_ms = sys.argv[1], sys.argv[2], int(sys.argv[3])
session = Session(Options(), open_source([home]), lambda drawn: None)
window = Window.fit(begin_ms, begin_ms + 60_000)
request = ChartRequest(directory, window, (Shape("memory", 80, 20),))
for mode in (0, 0o600):
    os.chmod(directory + "/000002.pplog", mode)
    session.refresh((directory,))
    print(session.answer(request, fresh=True, before=None).problem)
print(session._reader.sample_count)
session.close()
"""


def test_the_monitor_names_an_unreadable_segment_and_reads_it_later(run, tmp_path):
    directory = run()
    done = subprocess.run(
        [
            *(sys.executable, "-c", AS_A_USER, "-c", MONITOR),
            *(tmp_path / "logs", directory, str(BEGIN_MS)),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    denied, restored, samples = done.stdout.splitlines()
    messages = f"api/7-{BEGIN_MS}: 000002.pplog cannot be read: {DENIED} (in {tmp_path}/logs)"
    assert denied == messages
    assert restored == ""
    assert int(samples) == 3 * EACH


def test_an_export_with_damaged_pages_is_incomplete(run, command):
    path = segment(run(), 2)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    done = command(COMMANDS["export"])
    assert done.returncode == 1
    assert done.stderr == "pprofplus-tui: 1 damaged pages in this window were skipped\n"
    assert samples_of(done) == [*range(20), *range(40, 60)]
