"""Stacks of real services: what threads do, how they died, forks, pauses, and nothing if off."""

import json
import os
import signal
from pathlib import Path

import pytest

import pprofplus
from kit import reference, stack_reference
from kit.waiting import wait_until
from pprofplus.settings import Settings

EVER_S = 60

SERVICE = """
import os, sys, threading, time
import pprofplus
from pprofplus.recording import sampler
sampler._STACKS_DELAY_NS = 0
def deep(n, f): return deep(n - 1, f) if n else f()
gate = threading.Lock()
gate.acquire()
def sleeps():
    while True: time.sleep(1000)
def locked():
    gate.acquire()
def spins():
    while True: sum(range(1000))
for f in (sleeps, locked, spins):
    threading.Thread(target=deep, args=(20, f), name=f.__name__, daemon=True).start()
collector = pprofplus.start("api", interval_s=0.2)
print(collector.directory, flush=True)
"""


def stored(directory):
    return stack_reference.read_run(directory)


def wait_for_ticks(directory, count, *, biased=None):
    def has():
        found = [tick for tick in stored(directory) if biased in {None, tick.biased}]
        return found if len(found) >= count else None

    return wait_until(has, EVER_S)


@pytest.mark.slow
def test_the_stacks_states_and_cpu_of_all_threads_are_on_disk_after_a_kill(spawn):
    process = spawn(SERVICE + "time.sleep(1000)")
    directory = process.stdout.readline().strip()
    found = wait_for_ticks(directory, 4)
    wait_for_ticks(directory, 5, biased=False)
    process.kill()
    process.wait(EVER_S)
    found = stored(directory)
    last = {name: row for (_, name), row in found[-1].threads.items()}
    assert set(last) == {"MainThread", "sleeps", "locked", "spins"}
    leaf = {name: stack[-1][0].rpartition(".")[2] for name, (stack, _, _) in last.items()}
    assert leaf.pop("MainThread") == "<module>"
    assert all(name == function for name, function in leaf.items())
    assert all(len(last[name][0]) >= 22 for name in ("sleeps", "locked", "spins"))
    if Path(f"/proc/{os.getpid()}/syscall").exists():
        assert (last["sleeps"][1], last["locked"][1]) == (5, 3)
        assert last["spins"][1] in {1, 2, 9}
    _, cpu_ms = stack_reference.summed(found)
    used = {name: ms for (_, name), ms in cpu_ms.items()}
    assert used["spins"] > 20
    assert used.get("sleeps", 0) < 50


@pytest.mark.slow
def test_the_grid_of_the_samples_holds_during_bursts(spawn, log_directory):
    process = spawn(SERVICE + "time.sleep(1000)")
    directory = process.stdout.readline().strip()
    wait_for_ticks(directory, 10, biased=False)
    process.kill()
    process.wait(EVER_S)
    times = [sample[0] for sample in reference.Run(directory).samples]
    places = [round((time - times[0]) / 200) for time in times]
    # no burst of 100 ms or more shifts the grid or skips a place
    assert len(set(places)) >= 0.9 * (places[-1] + 1)


@pytest.mark.slow
def test_the_switch_interval_is_the_hosts_again_after_bursts(run):
    program = """
import sys, threading, time
sys.setswitchinterval(0.003)
import pprofplus
from pprofplus.recording import sampler, stack_recording
sampler._STACKS_DELAY_NS = 0
stack_recording._BURST_NS = stack_recording._PLAIN_NS = 200_000_000
collector = pprofplus.start("api", interval_s=0.2)
seen = set()
end = time.monotonic() + 3
while time.monotonic() < end:
    seen.add(round(sys.getswitchinterval(), 6))
    threading.Event().wait(0.001)
pprofplus.stop()
print(sorted(seen), round(sys.getswitchinterval(), 6))
"""
    assert " ".join(run(program)) == "[1e-05, 0.003] 0.003"


@pytest.mark.slow
def test_a_forked_child_has_stacks_of_its_own(spawn, log_directory):
    process = spawn(
        SERVICE
        + """
time.sleep(1.5)
child = os.fork()
if child == 0:
    collector.open_now()
    def works():
        while True: sum(range(100)); time.sleep(0.001)
    threading.Thread(target=works, name="child's", daemon=True).start()
    print(collector.directory, flush=True)
else:
    print(flush=True)
time.sleep(30)
os._exit(0)
"""
    )
    parent = process.stdout.readline().strip()
    lines = {process.stdout.readline().strip(), process.stdout.readline().strip()}
    (child,) = lines - {""}
    assert child != parent
    found = wait_for_ticks(child, 3)
    names = {name for tick in found for _, name in tick.threads}
    assert "child's" in names
    assert "spins" not in names
    before = len(stored(parent))
    wait_for_ticks(parent, before + 2)
    assert "child's" not in {name for tick in stored(parent) for _, name in tick.threads}
    process.kill()
    os.kill(int(Path(child).name.split("-")[0]), signal.SIGKILL)


@pytest.mark.slow
def test_a_paused_recording_stores_no_stacks(spawn):
    process = spawn(
        SERVICE
        + """
time.sleep(1.5)
collector.pause()
time.sleep(0.3)
print("paused", flush=True)
sys.stdin.read()
""",
        stdin=-1,
    )
    directory = process.stdout.readline().strip()
    process.stdout.readline()
    before = len(stored(directory))
    assert before
    with pytest.raises(AssertionError):
        wait_until(lambda: len(stored(directory)) > before, 2.5)
    process.kill()


@pytest.mark.parametrize("setting", [{"PPROFPLUS_STACKS": "0"}, {}])
def test_without_stacks_nothing_of_them_is_loaded_or_written(run, log_directory, setting):
    argument = "" if setting else ", stacks=False"
    program = f"""
import json, sys, time
import pprofplus
from pprofplus.recording import sampler
sampler._STACKS_DELAY_NS = 0
collector = pprofplus.start("api", interval_s=0.05{argument})
while collector.samples < 5: time.sleep(0.01)
pprofplus.stop()
names = [name for name in sys.modules if name.startswith("pprofplus.")]
# retention knows what a file of stacks may grow to
names = [name for name in names if name != "pprofplus.log.stack_format"]
print(json.dumps([name for name in names if "stack" in name or "profiles" in name]))
"""
    assert json.loads(" ".join(run(program, env={**os.environ, **setting}))) == []
    assert list(log_directory.rglob("*.ppstacks")) == []


def test_a_process_that_lives_for_a_second_loads_nothing_of_stacks(run):
    program = """
import sys, time
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
while collector.samples < 15: time.sleep(0.01)
print([name for name in sys.modules if name.startswith("pprofplus.") and "_stack" in name])
"""
    assert run(program) == ["[]"]


@pytest.mark.slow
def test_a_child_forked_without_python_has_no_stacks_and_works(run, log_directory):
    program = """
import ctypes, os, threading, time
import pprofplus
from pprofplus.recording import sampler
collector = pprofplus.start("api", interval_s=0.05)
while collector.samples < 3: time.sleep(0.01)
child = ctypes.PyDLL(None).fork()
if child == 0:
    sampler._STACKS_DELAY_NS = 0
    pprofplus.start("api")
    first = collector.samples
    while collector.samples < first + 40: time.sleep(0.01)
    names = os.listdir(collector.directory)
    os._exit(any("stacks" in name for name in names))
print(os.waitpid(child, 0)[1])
"""
    assert run(program) == ["0"]


def test_the_setting_is_an_argument_or_in_the_environment(monkeypatch):
    assert Settings("api").stacks is True
    assert Settings("api", stacks=False).stacks is False
    monkeypatch.setenv("PPROFPLUS_STACKS", "0")
    assert Settings("api").stacks is False
    assert Settings("api", stacks=True).stacks is True


@pytest.mark.slow
def test_stacks_that_cannot_be_taken_stop_no_sample(log_directory, monkeypatch, run):
    program = """
import time
import pprofplus
from pprofplus.profiles import thread_stacks
from pprofplus.recording import sampler
sampler._STACKS_DELAY_NS = 0
def fail(self, first=()):
    raise ZeroDivisionError("a test")
thread_stacks.ThreadStacks.collect = fail
import logging
logging.disable()
collector = pprofplus.start("api", interval_s=0.05)
while collector.samples < 60: time.sleep(0.01)
pprofplus.stop()
print(time.process_time() < 2)
"""
    assert run(program) == ["True"]


def test_the_documentation_of_start_has_the_setting():
    assert "PPROFPLUS_STACKS" in pprofplus.start.__doc__
