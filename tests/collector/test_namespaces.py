"""/proc is missing or of another pid namespace: no values of another process, and one line."""

import os
import shutil
import subprocess
import sys

import pytest

from kit import reference
from kit.units import MIB

# each executes the command that follows it
OUTER_PROC = ("unshare", "--pid", "--fork")
NO_PROC = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
# our pid does not exist in the /proc of a child namespace, which ends with the command
BELOW = """
mount --make-rprivate / && mkfifo $0 $0.end || exit 1
unshare --pid --fork sh -c 'mount -t proc proc /proc; echo > $0; read x < $0.end' $0 \\
    < /dev/null > /dev/null 2>&1 &
read x < $0
exec 9> $0.end "$@"
"""
INNER_PROC = ("unshare", "--mount", "sh", "-c", BELOW)
PROGRAM = """
import os, sys
import pprofplus
held = b"x" * (100 << 20)
collector = pprofplus.start("api", interval_s=0.05)
while collector.samples < 3:
    pass
pprofplus.stop()
pprofplus.start("api")  # a second one warns of nothing that was warned of
pprofplus.stop()
print(os.getpid())
"""
MISSING = "/proc is not mounted"
FOREIGN = "/proc shows another pid namespace"
PROCESS = {"rss", "vms", "shared", "uss", "pss", "swap", "threads"}


def able(prefix):
    """Return whether this machine allows that."""
    if sys.platform != "linux" or os.geteuid() or not shutil.which("unshare"):
        return False
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(params=["outer", "none", "inner"])
def mount_namespace(request, tmp_path):
    """Return the command prefix, the expected line, and whether /proc/self exists for us."""
    prefix, line, own = {
        "outer": (OUTER_PROC, FOREIGN, True),
        "none": (NO_PROC, MISSING, False),
        "inner": ((*INNER_PROC, str(tmp_path / "up")), FOREIGN, False),
    }[request.param]
    if not able(prefix):
        pytest.skip("namespaces and mounts need root, and to be allowed")
    for left in tmp_path.glob("up*"):
        left.unlink()
    return prefix, line, own


def test_a_service_warns_once_and_records_no_value_of_another_process(
    mount_namespace, spawn, log_directory
):
    prefix, line, own = mount_namespace
    service = spawn(PROGRAM, prefix=prefix)
    out, err = service.communicate(timeout=60)
    assert service.returncode == 0
    assert err.startswith(line)
    assert err.count("\n") == 1
    runs = [reference.Run(path) for path in reference.runs(log_directory)]
    (run,) = [run for run in runs if len(run.samples) > 2]
    assert run.header.pid == int(out)
    names = {name for name, _, _ in run.header.metrics}
    assert {"cpu_user", "gc_pause", "heap_used"} <= names
    if own:  # /proc/self exists for us
        assert names >= PROCESS
        assert all(100 * MIB < values["rss"] < 300 * MIB for _, _, values in run.samples)
    else:
        assert not names & PROCESS


def test_the_doctor_reports_a_wrong_proc_and_exits_1(mount_namespace, log_directory):
    prefix, line, _ = mount_namespace
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "pprofplus", "doctor", "--dir", str(log_directory)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert f"! {line}" in " ".join(done.stdout.split())
    assert "healthy" not in done.stdout


@pytest.mark.parametrize("what", [("1",), ("--name", "."), ("--children",)])
def test_a_watch_reports_a_wrong_proc_in_one_line_and_records_nothing(
    mount_namespace, log_directory, what
):
    prefix, line, _ = mount_namespace
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "pprofplus", "watch", *what, "--dir", str(log_directory)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"pprofplus: {line}")
    assert done.stderr.count("\n") == 1
    assert not log_directory.exists()
