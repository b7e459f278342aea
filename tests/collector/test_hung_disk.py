"""A disk that hangs: no call of the host waits for it, and all calls are in the log later.

The disk is a FUSE file system whose server is stopped, so that each call on it hangs: open, stat,
read, write and close.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from kit import fuse, reference
from kit.programs import WAITING
from kit.waiting import wait_until

# the limits are 50 ms for these, 5 s for start(), 4 s for stop() and exit; without limits they
# would wait forever
AT_ONCE_S = 2.5
EVER_S = 60

SERVICE = (
    WAITING
    + """
import json, os, signal, sys, threading, time
import pprofplus

def timed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began

def hang():
    os.kill(int(os.environ["SERVER"]), signal.SIGSTOP)
    time.sleep(0.3)  # the thread is in the middle of a call now

def recover():
    os.kill(int(os.environ["SERVER"]), signal.SIGCONT)

def forked():
    "Fork a child that ends immediately; return the times until the fork and its first line."
    began = time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"x")
        os._exit(0)
    os.read(reading, 1)
    # do not wait for its end: the kernel closes its copies of our files, which hangs, too
    return time.monotonic() - began
"""
)


@pytest.fixture
def disk(tmp_path):
    """A disk whose server is `disk.server`; `disk.faults` is the file of its faults."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    try:
        with fuse.mounted(tmp_path / "disk") as (server, faults):
            yield Disk(tmp_path / "disk", server, faults)
    except OSError as error:
        pytest.skip(f"this machine mounts no FUSE file system: {error}")


class Disk:
    def __init__(self, path, server, faults):
        self.path, self.server, self.faults = path, server, faults

    def fail(self, *faults):
        # renamed into place, because the server reads it before each request
        new = self.faults.with_suffix(".new")
        new.write_text("\n".join(faults))
        new.rename(self.faults)

    @property
    def runs(self):
        return [reference.Run(path) for path in reference.runs(self.path / "logs")]


@pytest.fixture
def on_disk(disk, spawn, monkeypatch):
    """Run a service whose logs are on the disk; return what it prints as JSON, and its stderr."""

    def run(program, *, code=0):
        monkeypatch.setenv("PPROFPLUS_DIR", str(disk.path / "logs"))
        monkeypatch.setenv("SERVER", str(disk.server.pid))
        process = spawn(SERVICE + program)
        out, err = process.communicate(timeout=EVER_S)
        assert process.returncode == code, err
        disk.server.send_signal(signal.SIGCONT)
        disk.fail()
        return json.loads(out or "null"), err

    return run


@pytest.mark.parametrize(
    "action",
    [
        'pprofplus.mark("hung")',
        "pprofplus.pause()",
        "(pprofplus.pause(), pprofplus.resume())",
        "setattr(collector, 'interval_s', 0.07)",
        "pprofplus.start()",
        "forked()",
    ],
)
def test_no_call_waits_for_a_disk_that_hangs(on_disk, action):
    took_s, _ = on_disk(f"""
collector = pprofplus.start("api", interval_s=0.05)
wait_until(lambda: collector.samples > 2)
hang()
took = timed(lambda: {action})
recover()
print(json.dumps(took))
""")
    assert took_s < AT_ONCE_S


def test_calls_made_while_the_disk_hangs_are_in_the_log_when_it_responds(on_disk, disk):
    on_disk("""
collector = pprofplus.start("api", interval_s=0.05)
wait_until(lambda: collector.samples > 2)
hang()
for i in range(20):
    pprofplus.mark(f"mark {i}")
recover()
before = collector.samples
wait_until(lambda: collector.samples > before + 3)
""")
    (run,) = disk.runs
    marks = [event.text for event in run.events if event.kind == 3]
    assert marks == [f"mark {i}" for i in range(20)]
    assert run.kinds[-1] == "stop"
    assert run.bad == 0


def test_a_start_on_a_disk_that_hangs_returns_and_records_when_it_responds(on_disk, disk):
    (first_s, second_s), err = on_disk("""
hang()
took = timed(lambda: pprofplus.start("api", interval_s=0.05)), timed(pprofplus.start)
pprofplus.mark("early")
collector = pprofplus.start()
recover()
wait_until(lambda: collector.samples > 2)
print(json.dumps(took))
""")
    assert first_s < 5 + AT_ONCE_S
    assert second_s < AT_ONCE_S
    assert err.count("\n") == 1
    assert "no sample after 5 s" in err
    (run,) = disk.runs
    assert [event.text for event in run.events if event.kind == 3] == ["early"]


@pytest.mark.parametrize("ending", ["pprofplus.stop()", "pass"])
def test_an_end_on_a_disk_that_hangs_waits_at_most_four_seconds(on_disk, ending):
    # the kernel closes our files when the process ends, which hangs too: so the disk recovers then
    hung_s, err = on_disk(f"""
import atexit
def report():
    print(json.dumps(time.monotonic() - began), flush=True)
    recover()
atexit.register(report)  # before ours, so it runs after it
collector = pprofplus.start("api", interval_s=0.05)
wait_until(lambda: collector.samples > 2)
began = time.monotonic()
hang()
{ending}
""")
    assert hung_s < 4 + AT_ONCE_S
    assert "its disk does not respond" in err


ACTING = f"""
sys.path.insert(0, {str(Path(__file__).parent)!r})
import extra_actions
from pprofplus.control.client import put_request, read_progress, take_answer
from pprofplus.control.requests import Request

def begun(name, **arguments):
    "Request a long action, and wait until it has begun."
    stem = put_request(directory, Request(name, arguments))
    wait_until(lambda: read_progress(directory, stem))
    return stem

def answer(stem):
    found = []
    wait_until(lambda: found.append(take_answer(directory, stem)) or found[-1])
    return found[-1]
"""


def test_a_long_action_that_ends_while_the_disk_hangs_is_answered_when_that_answers(on_disk, disk):
    (took_s, answered), _ = on_disk(
        ACTING
        + """
collector = pprofplus.start("api", interval_s=0.05)
directory = collector.directory
stem = begun("work", seconds=1)
hang()
time.sleep(1.5)
took = timed(lambda: (pprofplus.mark("hung"), pprofplus.pause(), pprofplus.resume(), forked()))
recover()
print(json.dumps((took, answer(stem))))
"""
    )
    assert took_s < AT_ONCE_S
    assert answered == [True, "worked"]
    (run, *_) = disk.runs
    assert (run.bad, run.kinds[-1]) == (0, "stop")


def test_artefacts_of_an_action_are_written_when_a_disk_that_hung_answers(on_disk, disk):
    (took_s, (done, names)), _ = on_disk(
        ACTING
        + """
collector = pprofplus.start("api", interval_s=0.05)
directory = collector.directory
stem = begun("capture", size_bytes=10_000, count=30)
hang()
took = timed(lambda: (pprofplus.mark("hung"), forked()))
recover()
print(json.dumps((took, answer(stem))))
"""
    )
    assert took_s < AT_ONCE_S
    assert done
    assert len(names.split()) == len(set(names.split())) == 30
    (directory, *_) = reference.runs(disk.path / "logs")
    sizes = {path.name: path.stat().st_size for path in directory.glob("*.pb.gz")}
    assert set(sizes) == set(names.split())
    assert set(sizes.values()) == {10_000}


def test_an_end_on_a_disk_that_hangs_during_a_long_action_waits_four_seconds_at_the_most(
    on_disk,
):
    took_s, err = on_disk(
        ACTING
        + """
collector = pprofplus.start("api", interval_s=0.05)
directory = collector.directory
begun("uncancellable", seconds=600)
hang()
print(json.dumps(timed(pprofplus.stop)), flush=True)
recover()  # the kernel closes our files when the process ends, which hangs too
"""
    )
    assert took_s < 4 + AT_ONCE_S
    assert "its disk does not respond" in err


def test_children_of_a_process_whose_disk_hangs_run_and_do_not_hold_its_lock(on_disk, disk):
    (took_s, many_s), _ = on_disk(
        """
collector = pprofplus.start("api", interval_s=0.05)
wait_until(lambda: collector.samples > 2)
hang()
one = forked()
many = timed(lambda: [forked() for _ in range(30)])
# it continues for long after the disk has recovered and this process has ended
if os.fork() == 0:
    os.setsid()
    for number in (0, 1, 2):
        os.close(number)
    time.sleep(20)
    os._exit(0)
recover()
before = collector.samples
wait_until(lambda: collector.samples > before + 3)
print(json.dumps([one, many]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
        code=-signal.SIGKILL,
    )
    assert took_s < AT_ONCE_S
    assert many_s < 2 * AT_ONCE_S  # only the first of them waits for the thread
    parent = min(disk.path.glob("logs/*/*"), key=lambda path: int(path.name.split("-")[1]))
    wait_until(lambda: not reference.is_live(parent), 10)  # the child's thread closes its copies


def test_a_write_of_zero_bytes_is_an_error_and_not_an_endless_loop(on_disk, disk):
    _, err = on_disk(f"""
collector = pprofplus.start("api", interval_s=0.05)
wait_until(lambda: collector.samples > 2)
faults = {str(disk.faults)!r}
def fail(word):
    open(faults + ".new", "w").write(word)
    os.rename(faults + ".new", faults)
fail("write-0")
time.sleep(0.5)
pprofplus.mark("nothing is taken")
before = collector.samples
fail("")
wait_until(lambda: collector.samples > before + 5)
""")
    assert "the file system wrote 0 bytes of the page" in err
    (run,) = disk.runs
    assert "mark" in run.kinds
    assert run.bad == 0


@pytest.mark.parametrize("error", ["EIO", "ESTALE"])
def test_a_temporary_error_of_fstat_costs_no_sample_and_no_descriptor(on_disk, disk, error):
    (count, descriptors), _ = on_disk(f"""
collector = pprofplus.start("api", interval_s=0.05)
wait_until(lambda: collector.samples > 2)
faults = {str(disk.faults)!r}
def fail(word):
    open(faults + ".new", "w").write(word)
    os.rename(faults + ".new", faults)
before = len(os.listdir("/proc/self/fd"))
for _ in range(5):
    fail("getattr-{error}")
    time.sleep(0.2)
    fail("")
    time.sleep(0.2)
after = len(os.listdir("/proc/self/fd"))
pprofplus.stop()
print(json.dumps([collector.samples, after - before]))
""")
    (run,) = disk.runs
    assert descriptors <= 1
    assert run.lost == 0
    assert len(run.samples) == count
    times = [mono_ms for mono_ms, _, _ in run.samples]
    assert len(set(times)) == len(times)


def test_an_error_of_close_loses_no_sample_and_leaks_no_descriptor(on_disk, disk):
    disk.fail("flush-EIO")
    (count, descriptors), _ = on_disk("""
from pprofplus import settings
settings.MIN_INTERVAL_S = 0.001
before = len(os.listdir("/proc/self/fd"))
collector = pprofplus.start("api", interval_s=0.01, max_bytes=1 << 18)
for round in range(6):  # another table begins another segment
    pprofplus.gauge(f"g{round}", lambda: 1)
    now = collector.samples
    wait_until(lambda: collector.samples > now + 5)
pprofplus.stop()
print(json.dumps([collector.samples, len(os.listdir("/proc/self/fd")) - before]))
""")
    # the descriptor of the SIGTERM handler, which is redirected to /dev/null
    assert descriptors <= 1
    (run,) = disk.runs
    assert len(run.samples) == count
    assert run.lost == 0
