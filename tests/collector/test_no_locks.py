"""A file system without locks: one warning, and the log directory stays within its cap."""

import json
import os
import platform
import time

import pytest

from kit import reference

SYSCALLS = {"x86_64": (0xC000003E, 73), "aarch64": (0xC00000B7, 32)}  # architecture, flock

pytestmark = pytest.mark.skipif(
    platform.machine() not in SYSCALLS or not os.path.exists("/proc/sys/kernel/seccomp"),
    reason="flock() is made to fail by seccomp, for x86-64 and arm64",
)

# the kernel answers flock() in this process and its children like such a file system
NO_FLOCK = """
import ctypes, errno, json, logging, os, struct, subprocess, sys, time
architecture, flock = {syscall}
_program = b"".join(struct.pack("<HBBI", *step) for step in (
    (0x20, 0, 0, 4),
    (0x15, 0, 3, architecture),
    (0x20, 0, 0, 0),
    (0x15, 0, 1, flock),
    (0x06, 0, 0, 0x00050000 | getattr(errno, "{error}")),
    (0x06, 0, 0, 0x7FFF0000),
))
_buffer = ctypes.create_string_buffer(_program)
_filter = struct.pack("<HxxxxxxQ", len(_program) // 8, ctypes.addressof(_buffer))
_libc = ctypes.CDLL(None, use_errno=True)
assert _libc.prctl(38, 1, 0, 0, 0) == 0
assert _libc.prctl(22, 2, _filter, 0, 0) == 0, ctypes.get_errno()
warnings = []
class WarningList(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())
logging.getLogger("pprofplus").addHandler(WarningList(logging.WARNING))
import pprofplus
"""


def without_locks(program, error="ENOLCK"):
    syscall = SYSCALLS[platform.machine()]
    return NO_FLOCK.format(syscall=syscall, error=error) + program


MANY_STARTS = """
collectors = []
lost = []
for number in range(90):
    collector = pprofplus.start("job", max_total_bytes=600 << 10, interval_s=0.05)
    lost.append(collector.samples == 0)
    pprofplus.stop()
print(json.dumps([warnings, sum(lost)]))
"""


@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_start_warns_once_that_live_runs_cannot_be_detected(spawn, log_directory, error):
    program = without_locks(MANY_STARTS.replace("range(90)", "range(3)"), error)
    out, err = spawn(program).communicate(timeout=60)
    assert err == ""
    warnings, _ = json.loads(out)
    (line,) = warnings
    assert str(log_directory / "job") in line
    assert "file system without file locks" in line
    assert "PPROFPLUS_DIR" in line


def test_runs_with_a_stop_event_are_evicted_for_new_ones(spawn, log_directory):
    out, err = spawn(without_locks(MANY_STARTS)).communicate(timeout=60)
    assert err == ""
    warnings, lost = json.loads(out)
    assert lost == 0
    assert len(warnings) == 1
    assert reference.used_bytes(log_directory) <= 600 << 10
    kept = reference.runs(log_directory)
    assert 5 < len(kept) < 90
    assert reference.Run(kept[-1]).kinds == ["start", "stop"]


KILLED = """
collector = pprofplus.start("killed", interval_s=0.05)
print(collector.directory, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_run_without_a_stop_event_is_kept_until_it_has_had_no_write_for_a_day(
    spawn, log_directory
):
    out, _ = spawn(without_locks(KILLED)).communicate(timeout=60)
    (killed,) = reference.runs(log_directory)
    assert out.strip() == str(killed)
    spawn(without_locks(MANY_STARTS)).communicate(timeout=60)
    assert killed.exists()
    then = time.time() - 86_500
    for path in reference.segments(killed):
        os.utime(path, (then, then))
    spawn(without_locks(MANY_STARTS)).communicate(timeout=60)
    assert not killed.exists()


ALONE = """
collector = pprofplus.start("long", interval_s=0.05, max_total_bytes=600 << 10)
program = sys.argv[1]
for _ in range(2):
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
samples = collector.samples
pprofplus.stop()
print(json.dumps([samples, collector.samples]))
"""


def test_a_live_run_without_a_lock_is_kept(spawn, log_directory):
    out, err = spawn(without_locks(ALONE), without_locks(MANY_STARTS)).communicate(timeout=60)
    assert err == ""
    before, samples = json.loads(out)
    (directory,) = reference.runs(log_directory, "long")
    run = reference.Run(directory)
    assert len(run.samples) == samples >= before > 1
    assert run.kinds == ["start", "stop"]
