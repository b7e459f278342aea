"""Profiles never break their process: forks, ends, kills, other tools, and thousands of them."""

import os
import signal
from pathlib import Path

import pytest

from kit.processes import started_processes
from kit.profile_commands import (
    artefacts,
    begin_profile,
    ctl_profile,
    functions,
    read_profile,
    unfinished,
)
from kit.programs import RECORDING_SERVICE
from kit.waiting import wait_until

pytestmark = pytest.mark.slow

EVER_S = 60
INSTANT = ("threads", "heap", "maps")
SAMPLED = ("cpu", "wall", "block", "lock")

# runs until its standard input ends
UNTIL_TOLD = """
print("ready", flush=True)
sys.stdin.readline()
"""

BUSY = """
def spin():
    while True:
        sum(range(1000))
for _ in range(2):
    threading.Thread(target=spin, daemon=True).start()
"""


def ready(spawn, program):
    process = spawn(RECORDING_SERVICE + program, stdin=-1)
    assert process.stdout.readline() == "ready\n"
    return process


def end(process):
    """Let a program end; it must exit 0 without stderr. Return what it printed."""
    out, err = process.communicate("\n", timeout=EVER_S)
    assert (process.returncode, err) == (0, "")
    return out


def wait_for_progress(log_directory):
    wait_until(lambda: list(log_directory.rglob("*.progress")), EVER_S)


FORKS = """
print("ready", flush=True)
ending = threading.Thread(target=os.read, args=(0, 1))
ending.start()
forked = failed = 0
while ending.is_alive():
    child = os.fork()
    if child == 0:
        taking = sys.modules.get("pprofplus.profiles.taking")
        busy = taking is not None and bool(taking._running)
        os._exit(busy or abs(sys.getswitchinterval() - 0.005) > 1e-6)
    failed += os.waitpid(child, 0)[1] != 0
    forked += 1
print(forked, failed, sys.getswitchinterval())
"""


@pytest.mark.parametrize("kinds", [SAMPLED, INSTANT])
def test_forks_during_profiles_hang_no_child_and_leave_each_profile_complete(
    spawn, log_directory, kinds
):
    process = ready(spawn, BUSY + FORKS)
    for _ in range(3):
        done = ctl_profile(*kinds, "--seconds", "1", "--pid", str(process.pid))
        assert (done.returncode, done.stderr) == (0, "")
    out = end(process).split()
    assert int(out[0]) > 10
    assert out[1:] == ["0", "0.005"]
    assert len(artefacts(log_directory)) == 3 * len(kinds)
    for path in artefacts(log_directory):
        assert read_profile(path).sample_types
    assert unfinished(log_directory) == []


POOL = """
import multiprocessing
def square(number):
    time.sleep(0.002)
    return number * number
if __name__ == "__main__":
    print("ready", flush=True)
    ending = threading.Thread(target=os.read, args=(0, 1))
    ending.start()
    while ending.is_alive():
        with multiprocessing.get_context("fork").Pool(3) as pool:
            assert pool.map(square, range(60)) == [n * n for n in range(60)]
    print("complete")
"""


def test_pools_of_multiprocessing_start_work_and_end_during_profiles(spawn, log_directory):
    process = ready(spawn, POOL)
    for _ in range(3):
        done = ctl_profile(*SAMPLED, "threads", "--seconds", "1", "--pid", str(process.pid))
        assert (done.returncode, done.stderr) == (0, "")
    assert end(process) == "complete\n"


def test_a_process_takes_one_profile_at_a_time(spawn, log_directory):
    process = ready(spawn, UNTIL_TOLD)
    with started_processes() as start_process:
        first = begin_profile(start_process, "wall", "--seconds", "3")
        wait_for_progress(log_directory)
        second = ctl_profile("threads")
        assert second.returncode == 1
        assert "one" in second.stderr
        assert "at a time" in second.stderr
        assert first.wait(EVER_S) == 0
    assert ctl_profile("threads").returncode == 0
    end(process)


def test_the_samples_of_the_log_continue_during_a_profile(spawn, log_directory):
    report = """
print(collector.samples, time.monotonic(), flush=True)
sys.stdin.readline()
print(collector.samples, time.monotonic(), flush=True)
"""
    process = ready(spawn, BUSY + 'print("ready", flush=True)\n' + report)
    before = [float(word) for word in process.stdout.readline().split()]
    assert ctl_profile(*SAMPLED, "--seconds", "4").returncode == 0
    after = [float(word) for word in end(process).split()]
    assert after[1] - before[1] > 4
    assert after[0] - before[0] > 10  # of 80, on a machine with nothing else to do


@pytest.mark.parametrize("kinds", [SAMPLED, ("threadcreate",), ("trace",), ("allocs",)])
def test_a_process_that_ends_during_a_profile_ends_as_without_it(spawn, log_directory, kinds):
    process = ready(spawn, UNTIL_TOLD)
    with started_processes() as start_process:
        client = begin_profile(start_process, *kinds, "--seconds", "60")
        wait_for_progress(log_directory)
        end(process)
        _, errors = client.communicate(timeout=EVER_S)
    assert client.returncode == 1
    assert "cancelled" in errors or "ended" in errors
    assert artefacts(log_directory) == []
    assert [path for path in unfinished(log_directory) if path.name.endswith(".new")] == []


def test_a_process_that_is_killed_during_a_profile_leaves_no_incomplete_one(spawn, log_directory):
    process = ready(spawn, BUSY + UNTIL_TOLD)
    with started_processes() as start_process:
        client = begin_profile(start_process, "threads", *SAMPLED, "--seconds", "60")
        wait_until(lambda: artefacts(log_directory, "threads"), EVER_S)
        process.send_signal(signal.SIGKILL)
        assert process.wait(EVER_S) == -signal.SIGKILL
        assert client.wait(EVER_S) == 1
    (path,) = artefacts(log_directory)  # each part is stored when it is made
    assert read_profile(path).samples


def test_a_profile_that_is_interrupted_ends_in_the_service_and_restores_it(spawn, log_directory):
    process = ready(
        spawn, UNTIL_TOLD + "print(sys.getswitchinterval(), threading.active_count())\n"
    )
    with started_processes() as start_process:
        client = begin_profile(start_process, *SAMPLED, "--seconds", "60")
        wait_for_progress(log_directory)
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=EVER_S)
        assert client.returncode != 0
    wait_until(lambda: not unfinished(log_directory), EVER_S)
    assert ctl_profile("threads").returncode == 0  # no other one is running
    assert end(process) == "0.005 1\n"


TOOLS = {
    "a profile function": (
        "sys.setprofile(print_nothing); threading.setprofile(print_nothing)",
        "sys.getprofile() is print_nothing and threading.getprofile() is print_nothing",
    ),
    "a trace function": (
        "sys.settrace(print_nothing); threading.settrace(print_nothing)",
        "sys.gettrace() is print_nothing and threading.gettrace() is print_nothing",
    ),
    "tracemalloc": (
        "import tracemalloc; tracemalloc.start(3)",
        "tracemalloc.is_tracing() and tracemalloc.get_traceback_limit() == 3",
    ),
    "a switch interval": ("sys.setswitchinterval(0.02)", "sys.getswitchinterval() == 0.02"),
    "a frozen heap": ("import gc; gc.collect(); gc.freeze()", "gc.get_freeze_count() > 0"),
    "no garbage collector": ("import gc; gc.disable()", "not gc.isenabled()"),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_program_has_set_stays_as_it_is(spawn, log_directory, tool):
    prepare, check = TOOLS[tool]
    program = f"def print_nothing(*_):\n    return None\n{prepare}\n" + UNTIL_TOLD
    process = ready(spawn, BUSY + program + f"assert {check}\n")
    done = ctl_profile(*SAMPLED, *INSTANT, "allocs", "threadcreate", "trace", "--seconds", "0.5")
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    end(process)


def test_threads_of_a_profile_block_the_signals_of_the_host(spawn, log_directory):
    process = ready(spawn, BUSY + UNTIL_TOLD)
    hosts = set(os.listdir(f"/proc/{process.pid}/task"))
    blocking = {tid for tid in hosts if blocks_sigusr1(process.pid, tid)}
    assert len(hosts) == 4
    assert len(blocking) == 1  # the collector's thread
    with started_processes() as start_process:
        client = begin_profile(start_process, *SAMPLED, "--seconds", "60")
        wait_for_progress(log_directory)
        others = set(os.listdir(f"/proc/{process.pid}/task")) - hosts
        assert others
        assert all(blocks_sigusr1(process.pid, tid) for tid in others)
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=EVER_S)
    end(process)


def blocks_sigusr1(pid, tid):
    for line in Path(f"/proc/{pid}/task/{tid}/status").read_text().splitlines():
        if line.startswith("SigBlk"):
            return bool(int(line.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)
    raise AssertionError(tid)


A_DAY = 24 * 6  # one in ten minutes

MANY = """
import gc
import psutil
KINDS = sys.argv[1].split()
def take(count):
    for _ in range(count):
        profile = pprofplus.profile(*KINDS, seconds=0.05)
        profile.take()
        assert not profile.problems, profile.problems
def figures():
    gc.collect()
    me = psutil.Process()
    fds = []
    for _ in range(50):  # the collector's thread opens the run directory for moments
        fds.append(me.num_fds())
        threading.Event().wait(0.01)
    return min(fds), me.num_threads(), len(gc.get_objects()), me.memory_info().rss
take(12)
before = figures()
take(int(sys.argv[2]))
print(*before, *figures())
"""


@pytest.mark.timeout(400)
def test_a_days_worth_of_profiles_leaks_nothing(run, log_directory):
    kinds = " ".join((*SAMPLED, *INSTANT, "trace", "threadcreate"))
    program = RECORDING_SERVICE.replace('"api"', '"api", stacks=False') + MANY
    process = run(program, kinds, str(A_DAY), timeout_s=380)
    figures = [int(word) for word in process]
    fds, threads, objects, rss = figures[:4]
    assert figures[4:6] == [fds, threads]
    assert figures[6] - objects < 500
    assert figures[7] - rss < 8 << 20


def test_neither_the_import_nor_recording_loads_a_module_of_profiles(spawn, log_directory):
    check = """
wait_for_samples(3)
print(*sorted(name for name in sys.modules if name.startswith("pprofplus.profiles")))
"""
    process = spawn(RECORDING_SERVICE.replace('"api"', '"api", stacks=False') + check)
    out, err = process.communicate(timeout=EVER_S)
    assert (process.returncode, err, out.split()) == (0, "", [])


def test_a_profile_names_the_function_that_runs(spawn, log_directory, tmp_path):
    process = ready(spawn, BUSY + UNTIL_TOLD)
    done = ctl_profile("cpu", "--seconds", "2", "-o", str(tmp_path / "cpu.pb.gz"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "__main__.spin" in functions(read_profile(tmp_path / "cpu.pb.gz"))
    end(process)
