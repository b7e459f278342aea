"""OOM kills are counted in a real cgroup with a limit."""

import subprocess
import sys

import pytest

from kit import reference
from kit.memory_cgroup import ENTER, HOG, small_cgroup

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cgroups are Linux's")

SERVICE = f"""
import subprocess, sys, threading
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
def samples(count):
    goal = collector.samples + count
    while collector.samples < goal:
        threading.Event().wait(0.01)
samples(3)
assert subprocess.run([sys.executable, "-c", {HOG!r}]).returncode == -9
samples(3)
"""
COLUMN = ("cgroup_oom_kills", "count", "counter")


@pytest.fixture
def cgroup():
    with small_cgroup("pprofplus-oom", 64 << 20) as directory:
        yield directory


def kills(run):
    return [values["cgroup_oom_kills"] for _, _, values in run.samples]


def test_an_oom_kill_of_another_process_in_the_cgroup_is_counted(run, log_directory, cgroup):
    run(SERVICE, prefix=(*ENTER, str(cgroup)))
    (directory,) = reference.runs(log_directory)
    found = reference.Run(directory)
    assert COLUMN in found.header.metrics
    assert (kills(found)[0], kills(found)[-1]) == (0, 1)


def test_a_watched_process_has_its_cgroups_count(spawn, log_directory, cgroup):
    words = [
        *ENTER,
        str(cgroup),
        "sh",
        "-c",
        'read go; "$0" -c "$1"; exec sleep 600',
        sys.executable,
        HOG,
    ]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, text=True)
    try:
        watching = spawn(
            "import sys; from pprofplus.cli import main; sys.exit(main(sys.argv[1:]))",
            *("watch", "--interval", "0.05", "--service", "watched", str(other.pid)),
        )
        watching.stdout.readline()
        (directory,) = reference.runs(log_directory)
        other.stdin.write("\n")
        other.stdin.close()
        while not kills(reference.Run(directory)) or kills(reference.Run(directory))[-1] == 0:
            assert watching.poll() is None
        assert kills(reference.Run(directory))[0] == 0
    finally:
        other.kill()
        other.wait()
