"""Processes that fork, end and are killed: each has its own run, and loses no sample."""

import os
import random
import signal
import sys
import threading
from itertools import pairwise

import pytest

from kit import reference
from kit.programs import RECORDING_SERVICE
from kit.waiting import wait_until

# prints how many samples it has on disk, after each
COUNTING = (
    RECORDING_SERVICE
    + """
counted = 0
while True:
    if collector.samples > counted:
        counted = collector.samples
        os.write(1, b"%d\\n" % counted)
    threading.Event().wait(0.001)
"""
)


def one_run(log_directory, service="api"):
    (directory,) = reference.runs(log_directory, service)
    return reference.Run(directory)


def kill_rounds(spawn, log_directory, rounds, seed):
    moments = random.Random(seed)
    batch = 8  # in parallel, because most of the time is spent waiting
    for _ in range(rounds // batch):
        services = [spawn(COUNTING) for _ in range(batch)]
        for service in services:
            service.stdout.readline()  # it is running
        for service in services:
            threading.Event().wait(moments.uniform(0, 0.06))
            service.send_signal(signal.SIGKILL)
        for service in services:
            rest = service.communicate(timeout=30)[0].split()
            counted = int(rest[-1]) if rest else 1
            (directory,) = (
                path
                for path in reference.runs(log_directory)
                if path.name.startswith(f"{service.pid}-")
            )
            run = reference.Run(directory)
            assert len(run.samples) >= counted
            assert run.kinds == ["start"]
            assert not reference.is_live(directory)


def test_a_kill_at_any_moment_loses_no_counted_sample(spawn, log_directory):
    kill_rounds(spawn, log_directory, 24, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_more_than_a_hundred_kills_lose_no_counted_sample(spawn, log_directory):
    kill_rounds(spawn, log_directory, 160, 2)


def test_a_kill_during_continuous_writing_loses_no_counted_sample(spawn, log_directory):
    # the writer alone, without an interval: most kills happen during a write
    program = """
import os, sys
from pprofplus.log.format import RunHeader
from pprofplus.log.writer import Writer
metrics = tuple((f"m{i}", "B", "gauge") for i in range(33))
header = RunHeader(service="api", pid=os.getpid(), start_ms=int(sys.argv[1]), metrics=metrics)
writer = Writer(os.environ["PPROFPLUS_DIR"], header, max_bytes=1 << 20)
mono_ms = 0
while True:
    mono_ms += 1000
    writer.add(mono_ms, mono_ms, [mono_ms * 7919 + i * mono_ms for i in range(33)])
    os.write(1, b"%08d" % writer.samples)
"""
    moments = random.Random(3)
    for i in range(12):
        service = spawn(program, str(1000 + i))
        service.stdout.buffer.read(8)
        draining = threading.Thread(target=_drain, args=(service,))
        draining.start()
        threading.Event().wait(moments.uniform(0, 0.1))
        service.send_signal(signal.SIGKILL)
        draining.join()
        service.wait()
        run = reference.Run(reference.runs(log_directory)[-1])
        last = run.samples[-1][0] // 1000
        assert last >= service.counted
        times = [mono for mono, _, _ in run.samples]
        assert times == list(range(times[0], times[-1] + 1, 1000))
        assert all(row["m0"] == mono * 7919 for mono, _, row in run.samples)


def _drain(service):
    service.counted = 0
    while words := service.stdout.buffer.read(8):
        if len(words) == 8:
            service.counted = int(words)


def test_the_lock_is_held_while_the_process_runs_and_free_when_it_is_killed(spawn, log_directory):
    service = spawn(COUNTING)
    service.stdout.readline()
    (directory,) = reference.runs(log_directory)
    assert reference.is_live(directory)
    service.kill()
    service.wait()
    assert not reference.is_live(directory)


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "sys.exit(0)",
        "threading.Thread(target=lambda: None).start()",
        "import atexit; atexit.register(lambda: None)",
        "collector.stop()",
    ],
)
def test_a_normal_end_writes_a_stop_event_after_a_last_sample(run, log_directory, ending):
    run(RECORDING_SERVICE + ending)
    found = one_run(log_directory)
    assert found.kinds == ["start", "stop"]
    assert len(found.samples) >= 2
    assert not reference.is_live(found.directory)


def test_an_immediate_exit_leaves_no_stop_event(spawn, log_directory):
    service = spawn(RECORDING_SERVICE + "os._exit(0)")
    service.communicate(timeout=60)
    assert one_run(log_directory).kinds == ["start"]


def test_an_end_by_an_exception_writes_a_stop_event(spawn, log_directory):
    service = spawn(RECORDING_SERVICE + "raise RuntimeError('of the host')")
    assert "of the host" in service.communicate(timeout=60)[1]
    assert one_run(log_directory).kinds == ["start", "stop"]


def test_a_long_interval_does_not_delay_the_end(run, log_directory):
    program = """
import atexit, time
def tell():
    print(time.monotonic() - began)
atexit.register(tell)
import pprofplus
pprofplus.start("api", interval_s=3600)
began = time.monotonic()
"""
    (took_s,) = run(program)
    assert float(took_s) < 2  # 50 ms on an idle machine
    assert one_run(log_directory).kinds == ["start", "stop"]


FORKING = (
    RECORDING_SERVICE
    + """
wait_for_samples(2)
"""
)


def test_a_forked_child_gets_its_own_run_and_leaves_the_parents_unchanged(run, log_directory):
    parent, child = map(
        int,
        run(
            FORKING
            + """
parent = os.getpid()
first = collector.directory
child = os.fork()
if child == 0:
    assert collector.pid == os.getpid() and collector.running
    wait_for_samples(4)
    assert collector.directory != first
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert collector.directory == first and collector.running
wait_for_samples(collector.samples + 3)
print(parent, child)
"""
        ),
    )
    runs = reference.runs_by_pid(log_directory)
    assert set(runs) == {parent, child}
    assert runs[parent].kinds == ["start", "stop"]
    assert runs[child].kinds == ["start", "fork", "stop"]
    assert runs[child].events[1].value == parent
    assert runs[child].header.pid == child
    assert runs[child].header.service == "api"
    assert len(runs[child].samples) >= 4
    assert all(found.bad == 0 for found in runs.values())


def test_a_live_child_does_not_hold_the_lock_of_a_killed_parent(spawn, log_directory):
    service = spawn(
        FORKING
        + """
child = os.fork()
if child == 0:
    wait_for_samples(3)
    print(os.getpid(), flush=True)
    threading.Event().wait(60)
    os._exit(0)
threading.Event().wait(60)
"""
    )
    child = int(service.stdout.readline())
    try:
        service.kill()
        service.wait()
        live = {
            int(path.name.split("-")[0]): reference.is_live(path)
            for path in reference.runs(log_directory)
        }
        assert live == {service.pid: False, child: True}
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_grandchild_and_a_fork_from_a_thread_get_their_own_runs(run, log_directory):
    pids = set(
        map(
            int,
            run(
                FORKING
                + """
def generation(depth):
    child = os.fork()
    if child == 0:
        wait_for_samples(2)
        os.write(1, b"%d\\n" % os.getpid())
        if depth:
            generation(depth - 1)
        pprofplus.stop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
thread = threading.Thread(target=generation, args=(2,))
thread.start()
thread.join()
os.write(1, b"%d\\n" % os.getpid())
"""
            ),
        )
    )
    runs = reference.runs_by_pid(log_directory)
    assert set(runs) == pids
    assert len(pids) == 4
    assert all(found.kinds[-1] == "stop" for found in runs.values())


def test_a_child_that_ends_immediately_leaves_no_incomplete_run(run, log_directory):
    run(
        FORKING
        + """
for _ in range(50):
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    assert one_run(log_directory).kinds == ["start", "stop"]


HASTY = """
import os, sys
import pprofplus
from pprofplus.recording import sampler
sampler._GRACE_S = 1000  # for a machine on which "at once" takes a while
collector = pprofplus.start("api", interval_s=3600)
child = os.fork()
if child == 0:
    assert collector.running and collector.directory is None
    exec(sys.argv[1])
    pprofplus.stop()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("does", ["", "sys.exit(0)", "os._exit(0)"])
def test_a_forked_child_that_ends_immediately_has_no_run(run, log_directory, does):
    run(HASTY, does)
    assert one_run(log_directory).kinds == ["start", "stop"]


@pytest.mark.parametrize(
    ("does", "kinds"),
    [
        ("assert pprofplus.start() is collector and collector.samples == 1", []),
        ("pprofplus.mark('hasty')", ["mark"]),
        ("collector.interval_s = 7", []),
    ],
)
def test_a_short_forked_child_that_marks_something_has_a_complete_run(
    run, log_directory, does, kinds
):
    run(HASTY, does)
    parent, child = sorted(
        reference.runs_by_pid(log_directory).values(), key=lambda found: "fork" in found.kinds
    )
    assert parent.kinds == ["start", "stop"]
    assert child.kinds == ["start", "fork", *kinds, "stop"]
    assert len(child.samples) == 2


def test_forking_while_every_lock_is_busy_hangs_no_child(run, log_directory):
    run(
        FORKING
        + """
busy = threading.Event()
def hold():
    while not busy.is_set():
        with collector.lock:
            pass
holders = [threading.Thread(target=hold, daemon=True) for _ in range(2)]
for holder in holders:
    holder.start()
for _ in range(40):
    child = os.fork()
    if child == 0:
        pprofplus.start("api")
        pprofplus.stop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
busy.set()
"""
    )
    runs = reference.runs_by_pid(log_directory)
    assert len(runs) == 41
    assert all(found.kinds[-1] == "stop" for found in runs.values())


def test_a_child_of_a_stopped_collector_records_nothing_until_it_starts(run, log_directory):
    run(
        FORKING
        + """
pprofplus.stop()
child = os.fork()
if child == 0:
    assert not collector.running
    mine = pprofplus.start("child", interval_s=0.05)
    assert mine is not collector and mine.running
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    )
    assert one_run(log_directory).kinds == ["start", "stop"]
    assert one_run(log_directory, "child").kinds == ["start", "stop"]


def test_a_program_that_the_process_starts_inherits_nothing(run, log_directory):
    run(
        FORKING
        + """
import subprocess
listing = '''
import os
for n in os.listdir("/proc/self/fd"):
    try:
        print(os.readlink(f"/proc/self/fd/{n}"))
    except FileNotFoundError:
        pass
'''
out = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
assert "pplog" not in out.stdout and "statm" not in out.stdout, out.stdout
"""
    )
    assert one_run(log_directory).kinds == ["start", "stop"]


def test_a_worker_forked_without_python_records_itself_when_it_starts(run, log_directory):
    # like uWSGI, unless it is configured to call Python's hooks
    run(
        FORKING
        + """
import ctypes
first = collector.directory
child = ctypes.PyDLL(None).fork()
if child == 0:
    assert pprofplus.start("api") is collector
    assert collector.pid == os.getpid() and collector.running
    wait_for_samples(3)
    assert collector.directory != first
    pprofplus.stop()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
wait_for_samples(collector.samples + 3)
"""
    )
    parent, child = (reference.Run(path) for path in reference.runs(log_directory))
    assert parent.kinds == ["start", "stop"]
    assert child.kinds == ["start", "fork", "stop"]
    assert child.events[1].value == parent.header.pid
    assert parent.bad == child.bad == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel reports it on Linux")
def test_an_embedded_python_is_identified_by_the_servers_command_line(run, log_directory):
    run(
        "import sys\nsys.orig_argv, sys.argv = [], ['']\n" + RECORDING_SERVICE,
        "the-servers-argument",
    )
    assert one_run(log_directory).header.argv[-1] == "the-servers-argument"


MULTIPROCESSING = """
import multiprocessing, os, sys, threading
import pprofplus
from pprofplus.lifecycle import current

def work(starts):
    collector = pprofplus.start("api", interval_s=0.05) if starts else current()[0]
    while collector is not None and collector.samples < 2:
        threading.Event().wait(0.005)
    os.write(1, b"%d\\n" % os.getpid())

if __name__ == "__main__":
    collector = pprofplus.start("api", interval_s=0.05)
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work, args=(sys.argv[2] == "yes",)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    os.write(1, b"%d\\n" % os.getpid())
"""


@pytest.mark.parametrize(
    ("method", "starts", "recorded"),
    [
        ("fork", "no", 4),
        ("fork", "yes", 4),
        ("spawn", "no", 1),
        ("spawn", "yes", 4),
        ("forkserver", "no", 1),
        ("forkserver", "yes", 4),
    ],
)
def test_children_of_multiprocessing_get_runs_that_end_normally(
    run, log_directory, method, starts, recorded
):
    pids = set(map(int, run(MULTIPROCESSING, method, starts)))
    assert len(pids) == 4
    runs = reference.runs_by_pid(log_directory)
    assert len(runs) == recorded
    assert set(runs) <= pids
    for found in runs.values():
        assert found.kinds[-1] == "stop"
        assert len(found.samples) >= 2
        assert found.bad == 0


def test_a_pool_of_multiprocessing_records_each_worker(run, log_directory):
    run(
        """
import multiprocessing, os, time
import pprofplus
from pprofplus.lifecycle import current
def work(i):
    time.sleep(0.3)
    while current()[0].samples < 1:
        time.sleep(0.005)
    return os.getpid()
if __name__ == "__main__":
    pprofplus.start("api", interval_s=0.05)
    with multiprocessing.get_context("fork").Pool(3) as pool:
        pids = set(pool.map(work, range(6), chunksize=1))
        pool.close()
        pool.join()
    assert len(pids) == 3
"""
    )
    runs = reference.runs_by_pid(log_directory)
    assert len(runs) == 4
    assert all(found.kinds[-1] == "stop" for found in runs.values())


def test_a_child_killed_by_a_signal_is_shown_as_died(spawn, log_directory):
    service = spawn(COUNTING)
    service.stdout.readline()
    service.send_signal(signal.SIGTERM)
    service.wait()
    assert one_run(log_directory).kinds == ["start"]


def test_a_stall_leaves_a_gap_and_sampling_continues_from_now(spawn, log_directory):
    service = spawn(COUNTING)
    service.stdout.readline()
    (directory,) = reference.runs(log_directory)
    service.send_signal(signal.SIGSTOP)
    stalled_s = 1.0
    threading.Event().wait(stalled_s)
    assert reference.is_live(directory)
    before = len(reference.Run(directory).samples)
    service.send_signal(signal.SIGCONT)
    wait_until(lambda: len(reference.Run(directory).samples) >= before + 5)
    service.kill()
    service.wait()
    times = [mono for mono, _, _ in reference.Run(directory).samples]
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert max(steps) >= stalled_s * 900
    after = steps[steps.index(max(steps)) + 1 :]
    assert sum(after[:4]) > 100  # missed points are skipped


def test_a_host_that_closes_every_descriptor_keeps_its_files_and_its_run(run, log_directory):
    run(
        FORKING
        + """
os.closerange(3, 100)
names = [f"{sys.argv[1]}/file{i}" for i in range(30)]
files = [open(name, "w+b") for name in names]
for file in files:
    file.write(b"precious")
    file.flush()
wait_for_samples(collector.samples + 10)
pprofplus.stop()
for name in names:
    assert open(name, "rb").read() == b"precious"
""",
        str(log_directory.parent),
    )
    found = one_run(log_directory)
    assert found.kinds == ["start", "stop"]
    assert len(found.samples) >= 12
