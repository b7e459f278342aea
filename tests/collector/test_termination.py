"""A SIGTERM that ends a process by default is recorded, and ends it as it would without us."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from kit import monitor_reader, reference
from kit.programs import RECORDING_SERVICE, WAITING
from kit.waiting import wait_until
from pprofplus.log.log_directory import TERMINATED_NAME
from pprofplus.system.descriptor import read_small_file

EVER_S = 60
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tried on Linux")

SERVICE = (
    WAITING
    + RECORDING_SERVICE
    + """
mark = collector.directory + "/sigterm"
def armed():
    return os.path.exists(collector.directory + "/sigterm")
def up(*more):
    print("up", os.getpid(), *more, flush=True)
"""
)
SLEEP = SERVICE + "wait_until(armed)\nup()\ntime.sleep(600)\n"


@pytest.fixture
def up(spawn):
    """Start a program and wait until it prints that it runs; return the process and its output."""

    def start(program, **options):
        process = spawn(program, **options)
        return process, process.stdout.readline().split()[1:]

    return start


def states(log_directory):
    if not monitor_reader.AVAILABLE:
        pytest.skip(monitor_reader.WHY_NOT)
    from pprofplus_tui.sources.local.catalog import Catalog

    catalog = Catalog([str(log_directory)])
    catalog.refresh()
    return {info.pid: info.state for info in catalog.runs}


def marks(log_directory):
    return {
        int(path.name.split("-")[0]): (path / TERMINATED_NAME).read_text()
        for path in reference.runs(log_directory)
        if (path / TERMINATED_NAME).exists()
    }


def test_it_ends_by_the_signal_without_output_and_has_exited(up, log_directory):
    process, _ = up(SLEEP)
    process.terminate()
    out, err = process.communicate(timeout=EVER_S)
    assert (process.returncode, out, err) == (-signal.SIGTERM, "", "")
    assert states(log_directory) == {process.pid: "exited"}
    assert "in <module>" in marks(log_directory)[process.pid]  # where the program was


def test_a_killed_process_has_died(up, log_directory):
    process, _ = up(SLEEP)
    process.kill()
    process.wait(EVER_S)
    assert states(log_directory) == {process.pid: "died"}
    assert marks(log_directory) == {process.pid: ""}


@pytest.mark.parametrize("held", ["ctypes.PyDLL(None).sleep(600)", "ctypes.CDLL(None).sleep(600)"])
def test_it_ends_a_process_that_hangs_in_c_code_with_and_without_the_gil(up, log_directory, held):
    process, _ = up(SERVICE + f"import ctypes\nwait_until(armed)\nup()\n{held}\n")
    time.sleep(0.5)
    process.terminate()
    assert process.wait(EVER_S) == -signal.SIGTERM
    assert states(log_directory) == {process.pid: "exited"}


def test_the_program_sees_the_default_and_only_its_own_handler_runs(up, log_directory):
    process, _ = up(
        SERVICE
        + """
wait_until(armed)
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
came = []
assert signal.signal(signal.SIGTERM, lambda *_: came.append(True)) == signal.SIG_DFL
up()
wait_until(lambda: came)
wait_until(lambda: collector.samples > 5)
assert os.path.getsize(mark) == 0
sys.exit(7)
"""
    )
    process.terminate()
    assert process.communicate(timeout=EVER_S) == ("", "")
    assert process.returncode == 7
    assert marks(log_directory) == {}
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert run.kinds == ["start", "stop"]


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *_: sys.exit(7)"])
def test_a_program_with_an_earlier_handler_keeps_it_and_has_no_mark(up, log_directory, handler):
    process, _ = up(
        f"import signal, sys\nsignal.signal(signal.SIGTERM, {handler})\n"
        + SERVICE
        + "wait_until(lambda: collector.samples > 3)\nup()\nsys.stdin.readline()\nsys.exit(8)\n",
        stdin=subprocess.PIPE,
    )
    assert marks(log_directory) == {}
    process.terminate()
    if "IGN" in handler:
        time.sleep(0.2)
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.wait(EVER_S) == (8 if "IGN" in handler else 7)


def test_a_default_that_the_program_restores_ends_it(up):
    process, _ = up(
        SERVICE
        + """
wait_until(armed)
before = signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGTERM, before)
up()
time.sleep(600)
"""
    )
    process.terminate()
    assert process.wait(EVER_S) == -signal.SIGTERM


def test_of_a_parent_and_its_child_only_the_terminated_one_has_the_mark(up, log_directory):
    process, (_, child) = up(
        SERVICE
        + """
wait_until(armed)
child = os.fork()
if child == 0:
    wait_until(lambda: collector.directory and armed())
    up(os.getpid())
    time.sleep(600)
assert os.waitpid(child, 0)[1] == signal.SIGTERM
wait_until(lambda: collector.samples > 3)
time.sleep(600)
"""
    )
    os.kill(int(child), signal.SIGTERM)
    wait_until(lambda: states(log_directory)[int(child)] == "exited", EVER_S)
    assert marks(log_directory)[process.pid] == ""
    process.kill()
    process.wait()
    assert states(log_directory) == {process.pid: "died", int(child): "exited"}


def test_a_child_terminated_before_it_records_does_not_write_the_parents_mark(run, log_directory):
    run(
        SERVICE
        + """
wait_until(armed)
for _ in range(50):
    child = os.fork()
    if child == 0:
        time.sleep(600)
    os.kill(child, signal.SIGTERM)
    assert os.waitpid(child, 0)[1] == signal.SIGTERM
wait_until(lambda: os.path.getsize(mark) == 0)
"""
    )
    assert marks(log_directory) == {}


def test_the_mark_of_a_child_unknown_to_python_is_erased(run):
    run(
        SERVICE
        + """
import ctypes
wait_until(armed)
child = ctypes.PyDLL(None).fork()
if child == 0:
    ctypes.CDLL(None).pause()
time.sleep(0.1)
os.kill(child, signal.SIGTERM)
assert os.waitpid(child, 0)[1] == signal.SIGTERM
wait_until(lambda: os.path.getsize(mark) == 0)
"""
    )


def test_a_program_that_the_process_starts_has_the_default(run):
    run(
        SERVICE
        + """
import subprocess
wait_until(armed)
with subprocess.Popen(["sleep", "600"]) as other:
    wait_until(lambda: b"sleep" in open(f"/proc/{other.pid}/cmdline", "rb").read())
    (line,) = [l for l in open(f"/proc/{other.pid}/status") if l.startswith("SigCgt")]
    assert not int(line.split()[1], 16) >> 14 & 1
    assert not [n for n in os.listdir(f"/proc/{other.pid}/fd") if int(n) > 2]
    other.terminate()
    assert other.wait(60) == -signal.SIGTERM
"""
    )


def test_a_host_that_closes_every_descriptor_has_nothing_written_to_its_files(up, tmp_path):
    process, _ = up(
        SERVICE
        + f"""
wait_until(armed)
os.closerange(3, 4096)
files = [open(f"{tmp_path}/file{{n}}", "w") for n in range(200)]
up()
time.sleep(600)
"""
    )
    process.terminate()
    assert process.wait(EVER_S) == -signal.SIGTERM
    assert {(tmp_path / f"file{n}").stat().st_size for n in range(200)} == {0}


def test_after_a_host_has_closed_every_descriptor_the_next_refresh_restores_the_mark(
    up, log_directory
):
    process, _ = up(
        SERVICE
        + """
wait_until(armed)
os.closerange(3, 4096)
before = collector.samples
wait_until(lambda: collector.samples > before + 3)
up()
time.sleep(600)
"""
    )
    process.terminate()
    assert process.wait(EVER_S) == -signal.SIGTERM
    assert states(log_directory) == {process.pid: "exited"}


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a pid namespace needs root"
)
def test_as_pid_1_it_ignores_the_signal_and_the_mark_is_erased(up, log_directory):
    process, (pid,) = up(
        SERVICE
        + """
wait_until(armed)
up()
sys.stdin.readline()
before = collector.samples
wait_until(lambda: collector.samples > before + 3)
assert os.path.getsize(mark) == 0
""",
        prefix=("unshare", "--pid", "--fork", "--mount-proc"),
        stdin=subprocess.PIPE,
    )
    assert pid == "1"
    task = f"/proc/{process.pid}/task/{process.pid}/children"
    (inner,) = map(int, read_small_file(task).split())
    os.kill(inner, signal.SIGTERM)
    time.sleep(0.2)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(EVER_S) == 0
    assert set(states(log_directory).values()) == {"exited"}


def test_a_terminated_worker_of_multiprocessing_has_exited(run, log_directory):
    run(
        """
import multiprocessing, time
import pprofplus
from pprofplus.lifecycle import current
pprofplus.start("api", interval_s=0.05)
def work(queue):
    while current()[0].samples < 5:
        time.sleep(0.005)
    queue.put(1)
    time.sleep(600)
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=work, args=(queue,))
    worker.start()
    queue.get()
    worker.terminate()
    worker.join()
    assert worker.exitcode == -15
"""
    )
    assert list(states(log_directory).values()) == ["exited"] * 2


BUSY = """
import json, threading
import pprofplus
pprofplus.start("api", interval_s=0.05)
def work(depth=0):
    data = [{"a": [1, 2, {"b": str(n)}]} for n in range(50)]
    json.loads(json.dumps(data))
    exec("x = [n for n in range(100)]")
    if depth < 20:
        work(depth + 1)
def forever():
    while True:
        work()
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
print("up", flush=True)
forever()
"""


@pytest.mark.slow
def test_at_any_moment_of_a_busy_program_it_ends_by_that_signal(up):
    chance = random.Random(7)
    for _ in range(100):
        process, _ = up(BUSY)
        time.sleep(chance.uniform(0, 0.2))
        process.terminate()
        assert process.wait(EVER_S) == -signal.SIGTERM
