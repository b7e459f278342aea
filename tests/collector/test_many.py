"""Many processes, many ended runs, many starts: the caps hold, and nothing leaks."""

import json
import os
import statistics
import subprocess

import pytest

import pprofplus
from kit import reference
from pprofplus.log.ledger import Ledger
from pprofplus.log.log_directory import open_log_directory

CAP = 8 << 20


# a process that forks like a server; each child starts its own collector, and all are live together
_SERVER = """
import json, os, sys, time
import pprofplus

count, interval_s = int(sys.argv[1]), 0.2
go_read, go_write = os.pipe()
report_read, report_write = os.pipe()
for number in range(count):
    if os.fork() == 0:
        os.close(go_write)
        began = time.monotonic()
        collector = pprofplus.start("worker", interval_s=interval_s)
        took_s = time.monotonic() - began
        end = time.monotonic() + 60
        while collector.samples < 3 and time.monotonic() < end:
            time.sleep(0.05)
        os.write(report_write, json.dumps([took_s, collector.samples]).encode() + b"\\n")
        os.read(go_read, 1)  # until the parent ends
        os._exit(0)
report = b""
while report.count(b"\\n") < count:
    report += os.read(report_read, 1 << 16)
print(json.dumps([json.loads(line) for line in report.splitlines()]), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_two_hundred_processes_of_one_service_have_a_live_run_each_under_the_cap(
    spawn, log_directory, monkeypatch
):
    monkeypatch.setenv("PPROFPLUS_MAX_TOTAL_BYTES", str(64 << 20))
    monkeypatch.setenv("PPROFPLUS_MAX_BYTES", str(1 << 20))
    server = spawn(_SERVER, "200", stdin=subprocess.PIPE)
    children = json.loads(server.stdout.readline())
    assert len(children) == 200
    assert min(samples for _, samples in children) >= 3
    runs = reference.runs(log_directory, "worker")
    assert len(runs) == 200
    assert all(map(reference.is_live, runs))
    assert reference.used_bytes(log_directory) <= 64 << 20
    # on an idle machine it takes a millisecond; here two hundred start together
    assert statistics.median(took_s for took_s, _ in children) < 3
    server.kill()
    server.wait()
    for directory in runs:
        run = reference.Run(directory)
        assert run.bad == 0
        assert len(run.samples) >= 3


# a small process, because the cost of a start grows with it
_RESTLESS = """
import json, os, resource, sys
from pathlib import Path
import pprofplus

log_directory = os.environ["PPROFPLUS_DIR"]

def go(count):
    for _ in range(count):
        pprofplus.start("ended", max_bytes=256 << 10)
        pprofplus.stop()

def left():
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

def resident_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

go(200)
before, resident, most = left(), resident_kib(), 0
for _ in range(98):
    go(100)
    most = max(most, sum(path.stat().st_size for path in Path(log_directory).rglob("*.pplog*")))
print(json.dumps([before, left(), most, resident_kib() - resident]))"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_starts_and_stops_leak_nothing_and_keep_the_cap(
    spawn, log_directory, monkeypatch
):
    monkeypatch.setenv("PPROFPLUS_MAX_TOTAL_BYTES", str(CAP))
    out, err = spawn(_RESTLESS).communicate()
    assert err == ""
    before, after, most, grown_kib = json.loads(out)
    assert most <= CAP
    assert after[0] <= before[0]  # threads: before, one may have been about to end
    assert after[1] == before[1]  # descriptors
    assert grown_kib < 2 << 10
    kept = reference.runs(log_directory)
    assert 100 < len(kept) < 10_000
    for directory in kept[:3] + kept[-3:]:
        run = reference.Run(directory)
        assert (run.kinds, len(run.samples)) == (["start", "stop"], 2)


def test_a_process_that_starts_among_a_thousand_ended_runs_reads_none_of_them(log_directory, run):
    for number in range(1000):
        run_directory = log_directory / "old" / f"{number + 1}-{1_700_000_000_000 + number}"
        run_directory.mkdir(parents=True)
        (run_directory / "000001.pplog").write_bytes(b"x" * 1000)
    for directory in (log_directory, log_directory / "old"):
        directory.chmod(0o700)
    log_directory_fd = open_log_directory(str(log_directory))
    ledger = Ledger.acquire(log_directory_fd)
    ledger.bound_bytes = 1_000_000
    ledger.save()
    ledger.unlock()
    os.close(log_directory_fd)
    opened = run(
        "import os, sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, words: seen.append(name)"
        " if name in {'os.listdir', 'os.scandir'} else None)\n"
        "import pprofplus\n"
        "seen.clear()\n"
        "collector = pprofplus.start('new', interval_s=3600)\n"
        "print(len(seen), collector.samples)\n"
    )
    # its own directory, and those of the probes
    assert int(opened[0]) < 10
    assert opened[1] == "1"


def test_the_cap_of_the_process_that_opens_a_segment_applies(log_directory):
    """Runs that ended under a larger cap go when a process with a smaller one needs room."""
    for _ in range(40):
        pprofplus.start("ended", directory=log_directory, max_total_bytes=64 << 20)
        pprofplus.stop()
    before = reference.used_bytes(log_directory)
    assert before > 300 << 10
    pprofplus.start("ended", directory=log_directory, max_total_bytes=300 << 10)
    try:
        assert reference.used_bytes(log_directory) <= 300 << 10
    finally:
        pprofplus.stop()
