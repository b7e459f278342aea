"""Profiles are on disk before a real OOM killer comes, in a real memory cgroup."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit import reference
from kit.memory_cgroup import ENTER, small_cgroup
from kit.units import MIB
from kit.waiting import wait_until
from pprofplus.log.artefacts import parse_artefact_name
from pprofplus.log.format import ARTEFACT
from pprofplus.probes.cgroup import Cgroup
from pprofplus.profiles.pprof_decoder import decode_profile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="cgroups are Linux's"),
    pytest.mark.timeout(300),
]

EVER_S = 120
GROW = """
import sys, time

HELD = []

class Session:
    def __init__(self, size_bytes):
        self.content = bytearray(size_bytes)

def grow(bytes_s, most_bytes=1 << 50):
    began, made = time.monotonic(), 0
    while made < most_bytes:
        while made < min((time.monotonic() - began) * bytes_s, most_bytes):
            HELD.append(Session(32768))
            made += 32768
        time.sleep(0.002)
"""
SERVICE = (
    GROW
    + """
import pprofplus
collector = pprofplus.start("api", interval_s=float(sys.argv[2]))
time.sleep(1.5)
grow(float(sys.argv[1]) * 1e6)
"""
)
CHILD_OF_A_PRELOADED_SERVER = (
    GROW
    + """
import os, signal
import pprofplus
collector = pprofplus.start("api", interval_s=0.2)
time.sleep(1)
child = os.fork()
if not child:
    time.sleep(1)
    grow(50e6)
status = os.waitpid(child, 0)[1]
assert os.WTERMSIG(status) == signal.SIGKILL
"""
)


@pytest.fixture
def cgroup():
    """Make cgroups with a limit in MiB; they are removed at the end."""
    made = []

    def make(limit_mib):
        made.append(small_cgroup("pprofplus-trigger", limit_mib * MIB))
        return made[-1].__enter__()

    yield make
    for each in reversed(made):
        each.__exit__(None, None, None)


def profiles(directory):
    """Return the decoded profiles of a run by (kind, why)."""
    found = (parse_artefact_name(path.name) for path in Path(directory).iterdir())
    return {
        (each.kind, each.why): decode_profile(Path(directory, each.name).read_bytes())
        for each in found
        if each is not None and each.suffix == "pb.gz"
    }


def names_in(profile):
    return {name for name, *_ in profile.frames}


def grown(spawn, directory, program, *arguments):
    """Run a service in a cgroup until the OOM killer ends it."""
    process = spawn(program, *map(str, arguments), prefix=(*ENTER, str(directory)))
    process.wait(EVER_S)
    assert process.returncode == -signal.SIGKILL, process.communicate()


# at the lower rates with the smaller limits, so that each takes seconds
@pytest.mark.parametrize(
    ("rate", "limit_mib", "interval_s"),
    [(20, 256, 1), (50, 256, 3600), (100, 512, 1), (200, 512, 0.2), (400, 1024, 1)],
)
def test_before_an_oom_kill_threads_and_heap_are_on_disk(
    rate, limit_mib, interval_s, spawn, cgroup, log_directory
):
    grown(spawn, cgroup(limit_mib), SERVICE, rate, interval_s)
    (directory,) = reference.runs(log_directory)
    found = profiles(directory)
    assert {("threads", "limit-75"), ("heap", "limit-75")} <= set(found)
    assert ("threads", "limit-90") in found
    assert any("grow" in name for name in names_in(found["threads", "limit-90"]))
    assert any("Session" in name for name in names_in(found["heap", "limit-75"]))
    events = [e.text for e in reference.Run(directory).events if e.kind == ARTEFACT]
    assert len(events) >= 3


def test_a_slow_growth_leaves_the_growth_between_the_two_triggers(spawn, cgroup, log_directory):
    grown(spawn, cgroup(512), SERVICE, 20, 1)
    (directory,) = reference.runs(log_directory)
    found = profiles(directory)
    for kind in ("threads", "heap", "maps"):
        assert {(kind, "limit-75"), (kind, "limit-90")} <= set(found)
    growth = found["heap", "limit-90"]
    assert any("Session" in name for name in names_in(growth))
    assert any("growth within" in comment for comment in growth.comments)


def test_under_pprofplus_run_the_program_is_profiled(cgroup, log_directory, tmp_path):
    script = tmp_path / "app.py"
    script.write_text(GROW + "time.sleep(2)\ngrow(50e6)\n")
    done = subprocess.run(
        [
            *(*ENTER, str(cgroup(256)), sys.executable, "-m", "pprofplus", "run"),
            *("--service", "api", "--", sys.executable, str(script)),
        ],
        timeout=EVER_S,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    (directory,) = reference.runs(log_directory)
    assert {("threads", "limit-90"), ("heap", "limit-75")} <= set(profiles(directory))


def test_a_child_that_a_recorded_process_forked_is_profiled(run, cgroup, log_directory):
    run(CHILD_OF_A_PRELOADED_SERVER, prefix=(*ENTER, str(cgroup(256))))
    by_start = [profiles(directory) for directory in reference.runs(log_directory)]
    assert len(by_start) == 2
    assert {("threads", "limit-90"), ("heap", "limit-75")} <= set(by_start[1])


def test_the_limit_of_a_parent_cgroup_counts(spawn, cgroup, log_directory):
    within = cgroup(256) / "within"
    within.mkdir()
    try:
        if not (within / Cgroup().used).exists():
            pytest.skip("version 2: the memory controller is not enabled for cgroups below")
        grown(spawn, within, SERVICE, 50, 1)
    finally:
        wait_until(lambda: removed(within), EVER_S)
    (directory,) = reference.runs(log_directory)
    assert ("threads", "limit-90") in profiles(directory)


def removed(directory):
    try:
        directory.rmdir()
    except OSError:
        return not directory.exists()
    return True


def test_a_limit_that_is_lowered_at_runtime_counts(spawn, cgroup, log_directory):
    limited = cgroup(2048)
    service = spawn(
        GROW
        + """
import pprofplus
collector = pprofplus.start("api", interval_s=0.2)
grow(400e6, 200 << 20)
print(flush=True)
time.sleep(600)
""",
        prefix=(*ENTER, str(limited)),
    )
    service.stdout.readline()
    (directory,) = reference.runs(log_directory)
    assert profiles(directory) == {}
    for name in ("memory.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        if (limited / name).exists():
            (limited / name).write_text(str(260 * MIB))
    wait_until(lambda: ("maps", "limit-75") in profiles(directory), EVER_S)
    service.kill()
    service.wait()


def test_a_process_that_starts_near_the_limit_is_profiled_when_it_grows(
    spawn, cgroup, log_directory
):
    service = spawn(
        GROW
        + """
grow(400e6, 235 << 20)
import pprofplus
collector = pprofplus.start("api", interval_s=0.1)
time.sleep(3)
print(flush=True)
sys.stdin.readline()
grow(5e6)
""",
        prefix=(*ENTER, str(cgroup(260))),
        stdin=subprocess.PIPE,
    )
    service.stdout.readline()
    (directory,) = reference.runs(log_directory)
    assert profiles(directory) == {}
    service.stdin.write("\n")
    service.stdin.flush()
    assert service.wait(EVER_S) == -signal.SIGKILL
    assert ("threads", "limit-90") in profiles(directory)


def test_page_cache_does_not_count(run, cgroup, log_directory, tmp_path):
    run(
        """
import sys, time
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
with open(sys.argv[1], "wb") as file:  # page cache is charged to who fills it
    for _ in range(300):
        file.write(b"x" * (1 << 20))
for _ in range(4):
    with open(sys.argv[1], "rb") as file:
        while file.read(1 << 20):
            pass
    time.sleep(0.5)
""",
        str(tmp_path / "large"),
        prefix=(*ENTER, str(cgroup(128))),
    )
    (directory,) = reference.runs(log_directory)
    run_log = reference.Run(directory)
    most = max(values["cgroup_used"] for _, _, values in run_log.samples)
    assert most > 0.9 * 128 * MIB
    assert profiles(directory) == {}


def test_never_takes_none(spawn, cgroup, log_directory, monkeypatch):
    monkeypatch.setenv("PPROFPLUS_PROFILE_WHEN", "never")
    grown(spawn, cgroup(128), SERVICE, 100, 0.2)
    (directory,) = reference.runs(log_directory)
    assert profiles(directory) == {}


def test_workers_that_reach_the_limit_together_take_turns_and_survive(spawn, cgroup, log_directory):
    workers = 40
    service = spawn(
        GROW
        + f"""
import os
import pprofplus
collector = pprofplus.start("api", interval_s=0.5)
begin = time.monotonic() + 10
for _ in range({workers}):
    if not os.fork():
        pprofplus.start("api")
        time.sleep(max(0, begin - time.monotonic()))
        grow(3e6, 12 << 20)
        time.sleep(600)
print(flush=True)
time.sleep(600)
""",
        prefix=(*ENTER, str(cgroup(700))),
        start_new_session=True,
    )
    service.stdout.readline()
    wait_until(lambda: any(profiles(each) for each in reference.runs(log_directory)), EVER_S)
    time.sleep(10)
    runs = reference.runs(log_directory)
    assert len(runs) == workers + 1
    assert all(reference.is_live(each) for each in runs)
    taken = [each for each in runs if profiles(each)]
    assert 1 <= len(taken) <= workers // 2
    os.killpg(service.pid, signal.SIGKILL)
    service.wait()
