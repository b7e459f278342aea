"""Short jobs that end by os._exit: all are recorded, in any number, and the ledger recovers."""

import json
import os
import shutil
import subprocess

import pytest

from kit import linked_runs, reference
from kit.ledger import read_bound, set_bound
from kit.units import MIB
from kit.waiting import wait_until
from pprofplus.log.log_directory import PIN_NAME

# Fork like a worker of a queue, twelve at a time. Each child runs for 0.15 s, and at least until
# its first sample, but SIGPROF kills it before a scan of many runs could be done in one go. The
# limit is CPU time: on a busy machine, a process may not run for a second.
WORKER = """
import json, os, signal, sys, time
import pprofplus

cap, jobs, parent_records = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "long-lived"
if parent_records:
    pprofplus.start("worker", max_total_bytes=cap)
running, order = {}, []

def job():
    signal.setitimer(signal.ITIMER_PROF, 1.0)
    collector = pprofplus.start("worker", max_total_bytes=cap)
    time.sleep(0.15)
    while not collector.samples:
        time.sleep(0.01)
    os._exit(0)

while len(order) < jobs or running:
    while len(order) < jobs and len(running) < 12:
        pid = os.fork()
        if pid == 0:
            job()
        running[pid] = True
        order.append(pid)
    running.pop(os.wait()[0])
print(json.dumps(order))
"""


def pids(log_directory):
    """The processes with a sample on disk."""
    return {int(path.name.partition("-")[0]) for path in reference.runs(log_directory, "worker")}


def work(spawn, cap, jobs, how="short-lived only"):
    out, err = spawn(WORKER, str(cap), str(jobs), how).communicate(timeout=500)
    assert err == ""
    return json.loads(out)


def empty_runs(log_directory):
    return [path for path in reference.runs(log_directory) if not any(path.iterdir())]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["short-lived only", "long-lived"])
def test_jobs_among_many_runs_are_recorded_although_the_ledger_shows_no_room(
    spawn, log_directory, how
):
    """A scan takes longer than a job runs, as after thousands of killed jobs."""
    size_bytes = linked_runs.fill(log_directory, 30_000)
    cap = 2 * size_bytes
    set_bound(log_directory, cap)
    order = work(spawn, cap, 120, how)
    # a busy machine may be too slow for some
    assert len(pids(log_directory) & set(order)) > 80
    assert empty_runs(log_directory) == []
    assert reference.used_bytes(log_directory) <= cap


@pytest.mark.timeout(600)
def test_jobs_correct_the_ledger_each_with_a_slice_of_the_scan(spawn, log_directory):
    size_bytes = linked_runs.fill(log_directory, 30_000)
    cap = 2 * size_bytes
    set_bound(log_directory, cap)
    for _ in range(15):
        work(spawn, cap, 100)
        if read_bound(log_directory) < cap - 16 * MIB:
            break
    assert read_bound(log_directory) < cap - 16 * MIB
    # no more was removed than was needed meanwhile
    assert reference.used_bytes(log_directory) > size_bytes // 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["short-lived only", "long-lived"])
def test_of_thousands_of_jobs_under_a_small_cap_the_last_ones_are_kept(spawn, log_directory, how):
    cap = 16 * MIB
    order = work(spawn, cap, 2500, how)
    assert len(pids(log_directory) & set(order[-200:])) > 150
    assert reference.used_bytes(log_directory) <= cap
    # the runs that are kept use a large part of the cap
    assert reference.used_bytes(log_directory) > cap // 4


LONG_LIVED = """
import os, subprocess, sys, time
from pprofplus.log import retention
# all pauses are 200 times shorter: those after a scan, too, which follow from what it took
retention._MAINTENANCE_S /= 200
retention._SHARE /= 200
retention._QUIET_SHARE /= 200
import pprofplus
collector = pprofplus.start("long", interval_s=0.05)
job = "import os, pprofplus; pprofplus.start('job', interval_s=3600); os._exit(0)"
for _ in range(10):
    subprocess.run([sys.executable, "-c", job], check=True)
print("done", flush=True)
sys.stdin.read()
"""


def test_a_long_lived_collector_corrects_the_ledger_while_it_records(spawn, log_directory):
    service = spawn(LONG_LIVED, stdin=subprocess.PIPE)
    assert service.stdout.readline() == "done\n"
    used = reference.used_bytes(log_directory)
    # its own segment may grow, and counts with its full size
    wait_until(lambda: read_bound(log_directory) < used + 2 * 64 * 1024, pause_s=0.05)
    out, err = service.communicate()
    assert (out, err) == ("", "")
    assert read_bound(log_directory) >= reference.used_bytes(log_directory)


# what start() itself reads: each listed directory is an audit event
STARTED = """
import sys
seen = []
sys.addaudithook(
    lambda name, words: seen.append(name) if name in {"os.listdir", "os.scandir"} else None
)
import pprofplus
from pprofplus.log import run_directory
maintain = run_directory.maintain
run_directory.maintain = lambda *words: None  # what is done later, in the background
seen.clear()
collector = pprofplus.start("new", max_total_bytes=int(sys.argv[1]), interval_s=0.05)
looked, samples = len(seen), collector.samples
run_directory.maintain = maintain
import json, time
end = time.monotonic() + 60
while True:
    bound = int.from_bytes(open(sys.argv[2] + "/.ledger", "rb").read()[8:16], "little")
    if bound < int(sys.argv[1]) * 15 // 16 or time.monotonic() > end:
        break
    time.sleep(0.05)
pprofplus.stop()
print(json.dumps([looked, samples, bound, collector.samples]))
"""


@pytest.mark.timeout(300)
def test_a_start_over_the_cap_among_many_runs_reads_a_few_of_them_and_evicts_later(
    spawn, log_directory
):
    size_bytes = linked_runs.fill(log_directory, 20_000)
    set_bound(log_directory, size_bytes)
    out, err = spawn(STARTED, str(size_bytes), str(log_directory)).communicate(timeout=200)
    assert err == ""
    looked, at_start, bound, samples = json.loads(out)
    assert at_start >= 1
    assert looked < 100
    # then, between the samples, the oldest runs are removed until there is room again
    assert bound < size_bytes * 15 // 16
    assert reference.used_bytes(log_directory) <= size_bytes * 15 // 16
    (directory,) = reference.runs(log_directory, "new")
    assert len(reference.Run(directory).samples) == samples > 20


def test_without_room_no_directory_is_created(log_directory, run):
    program = (
        "import sys, pprofplus\n"
        "pprofplus.start('pinned', max_total_bytes=300 << 10, interval_s=3600)\n"
        "pprofplus.stop()\n"
    )
    cap = 300 << 10
    while (
        reference.used_bytes(log_directory) + 32 * 1024 <= cap
    ):  # the smallest segment: four pages
        run(program)
        for directory in reference.runs(log_directory, "pinned"):
            (directory / PIN_NAME).touch()
    program = (
        "import logging, sys, pprofplus\n"
        "logging.getLogger('pprofplus').addHandler(logging.StreamHandler(sys.stdout))\n"
        "c = pprofplus.start('late', max_total_bytes=300 << 10, interval_s=0.05)\n"
        "import time; time.sleep(0.3)\n"
        "pprofplus.stop()\n"
    )
    output = " ".join(run(program))
    assert "live and pinned runs take all of max_total_bytes" in output
    assert not (log_directory / "late").exists()
    assert empty_runs(log_directory) == []
    assert reference.used_bytes(log_directory) <= cap


def test_a_failed_segment_leaves_neither_a_directory_nor_a_reservation(log_directory, run):
    """The file system runs out of inodes: a real tmpfs that allows a few."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    log_directory.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "nr_inodes=5,mode=700", "tmpfs", str(log_directory)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no mount")
    try:
        # the root, the ledger, the service, the run: one is left for the segment
        (log_directory / "taken").touch()
        program = (
            "import logging, time, pprofplus\n"
            "logging.getLogger('pprofplus').addHandler(logging.NullHandler())\n"
            "c = pprofplus.start('api', interval_s=0.05)\n"
            "time.sleep(0.5)\n"
            "print(c.samples)\n"
        )
        assert run(program) == ["0"]
        assert reference.runs(log_directory) == []
        assert read_bound(log_directory) == 0
        (log_directory / "taken").unlink()
        assert int(run(program)[0]) > 0
    finally:
        subprocess.run([shutil.which("umount"), "-l", str(log_directory)], check=True)
