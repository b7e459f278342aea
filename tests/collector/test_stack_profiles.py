"""CPU, wall, block and lock profiles of this process and of real services."""

import os
import socket
import sys
import threading
import time

import pytest

from kit.profiles import Capture, capture, samples, time_in
from kit.waiting import wait_until
from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.profiles import stack_sampler
from pprofplus.profiles.capture import CaptureRequest, ProfileRefusedError
from pprofplus.profiles.thread_states import ThreadStates

pytestmark = pytest.mark.skipif(
    not ThreadStates().available, reason="the platform does not show what threads wait for"
)
NS = 1_000_000_000
DEFAULT_INTERVAL_S = 0.005


@pytest.fixture
def host():
    """Start threads of a host; they get a function that is true until the end of the test."""
    ending = threading.Event()
    threads = []

    def start(*functions, name=None):
        for function in functions:
            threads.append(
                threading.Thread(target=function, args=(lambda: not ending.is_set(),), name=name)
            )
            threads[-1].start()
        return threads

    yield start
    ending.set()
    for thread in threads:
        thread.join(60)


def count_up(numbers=20_000):
    total = 0
    for number in range(numbers):
        total += number
    return total


def spend_long():
    for _ in range(6):
        count_up()


def spend_short():
    for _ in range(2):
        count_up()


def busy(running):
    while running():
        spend_long()
        spend_short()


def test_cpu_time_is_divided_as_the_program_divides_it(host):
    host(busy)
    cpu = capture(stack_sampler, "cpu", window_s=2.0)["cpu"]
    both = time_in(cpu, "spend_long", "spend_short")
    assert both > 0.2 * NS
    assert 0.4 < time_in(cpu, "spend_long") / both < 0.97  # 0.75


@pytest.mark.slow
def test_the_cpu_time_of_a_thread_is_that_of_its_clock(host):
    (thread,) = host(busy)
    clock = time.pthread_getcpuclockid(thread.ident)
    begin_ns = time.clock_gettime_ns(clock)
    cpu = capture(stack_sampler, "cpu")["cpu"]
    used_ns = time.clock_gettime_ns(clock) - begin_ns
    found_ns = sum(
        values[1]
        for _, labels, values in samples(cpu)
        if labels.get("thread_id") == thread.native_id
    )
    assert 0.5 * used_ns < found_ns <= used_ns


def nap(running):
    while running():
        time.sleep(0.02)


def test_a_thread_that_sleeps_has_wall_time_in_the_state_sleep_and_hardly_cpu_time(host):
    host(nap)
    parts = capture(stack_sampler, "cpu", "wall", "block")
    wall_ns = time_in(parts["wall"], "nap")
    assert 0.8 * NS < wall_ns < 1.5 * NS
    assert time_in(parts["wall"], "nap", state="sleep") > 0.7 * wall_ns
    assert time_in(parts["block"], "nap", state="sleep") > 0.7 * wall_ns
    assert time_in(parts["cpu"], "nap") < 0.2 * wall_ns


@pytest.mark.slow
def test_every_thread_has_the_whole_window_as_wall_time(host):
    host(nap, busy, nap)
    wall = capture(stack_sampler, "wall")["wall"]
    by_thread = {}
    for _, labels, values in samples(wall):
        tid = labels["thread_id"]
        by_thread[tid] = by_thread.get(tid, 0) + values[1]
    totals = sorted(by_thread.values())[-4:]  # with the main thread
    assert len(totals) == 4
    assert all(0.7 * NS < total < 1.5 * NS for total in totals), totals


def test_waits_for_a_lock_are_at_the_line_that_waits_with_the_address_of_the_lock(host):
    lock = threading.Lock()

    def holder(running):
        while running():
            with lock:
                time.sleep(0.1)

    def waiter(running):
        while running():
            with lock:
                pass

    host(holder, waiter)
    parts = capture(stack_sampler, "lock", "block")
    assert time_in(parts["lock"], "waiter", state="lock") > 0.5 * NS
    assert time_in(parts["block"], "waiter", state="lock") > 0.5 * NS
    addresses = {
        labels.get("lock") for stack, labels, _ in samples(parts["lock"]) if "waiter" in stack[0]
    }
    assert len({address for address in addresses if address}) == 1
    assert time_in(parts["lock"], "holder", state="sleep") == 0


@pytest.mark.slow
def test_waits_for_a_socket_are_io(host):
    ours, theirs = socket.socketpair()

    def receive(_):
        ours.recv(1)

    host(receive)
    try:
        block = capture(stack_sampler, "block")["block"]
    finally:
        theirs.send(b"x")
    assert time_in(block, "receive", state="io") > 0.7 * NS
    ours.close()
    theirs.close()


@pytest.mark.slow
def test_threads_that_compete_for_the_gil_wait_for_it_and_ticks_are_taken_in_bursts(host):
    host(busy, busy, busy, busy)
    parts = capture(stack_sampler, "wall", "lock", window_s=2.0)
    assert time_in(parts["wall"], "busy", state="gil") > 1.0 * NS
    assert time_in(parts["lock"], "busy", state="gil") > 1.0 * NS
    (line,) = [line for line in parts["wall"].profile.comments if line.startswith("in bursts")]
    assert not line.endswith(": 0% of the ticks")


def test_threads_of_this_package_are_left_out(host):
    host(busy)
    wall = capture(stack_sampler, "wall")["wall"]
    # the thread of the request and the one that ticks; the main thread waits in kit.profiles
    for stack, _, _ in samples(wall):
        assert not any(name.startswith("pprofplus.profiles.") for name in stack), stack


def test_labels_are_name_and_number_of_the_thread(host):
    (thread,) = host(busy, name="worker-7")
    cpu = capture(stack_sampler, "cpu", window_s=0.5)["cpu"]
    found = {
        (labels["thread"], labels["thread_id"])
        for stack, labels, _ in samples(cpu)
        if any(name.endswith(".busy") for name in stack)
    }
    assert found == {("worker-7", thread.native_id)}


def test_the_comments_say_how_many_ticks_were_taken(host):
    host(busy)
    comments = capture(stack_sampler, "cpu", window_s=0.5)["cpu"].profile.comments
    assert any(line.startswith("rate: 100 Hz") for line in comments)
    assert any(line.startswith("ticks: ") and " requested" in line for line in comments)
    assert any(line.startswith("wait for the GIL: p99") for line in comments)


DEEP = f"""
import sys, threading, time
sys.path[:0] = {[entry for entry in sys.path if entry]!r}
from kit.profiles import capture, samples
from pprofplus.profiles import stack_sampler

def deep(depth):
    if depth:
        deep(depth - 1)
    else:
        time.sleep(600)

sys.setrecursionlimit(20_000)
threading.stack_size(512 << 20)
threading.Thread(target=deep, args=(10_000,), daemon=True).start()
time.sleep(0.2)
threading.stack_size(0)
wall = capture(stack_sampler, "wall", window_s=0.5)["wall"]
stacks = [stack for stack, _, _ in samples(wall) if stack[0].endswith(".deep")]
print(*({{(len(stack), stack[-1]) for stack in stacks}}).pop())
"""


def test_a_recursion_of_ten_thousand_is_truncated(run):
    assert run(DEEP) == ["1025", "[truncated]"]


@pytest.mark.slow
def test_thousands_of_stacks_are_limited(host, monkeypatch):
    monkeypatch.setattr("pprofplus.profiles.pprof_encoder.MAX_STACKS", 5)
    functions = []
    for number in range(400):
        space = {"time": time}
        exec(f"def generated_{number}(): time.sleep(0.001)", space)
        functions.append(space[f"generated_{number}"])

    def call_all(running):
        while running():
            for function in functions:
                function()

    host(call_all)
    wall = capture(stack_sampler, "wall", window_s=1.0, hz=300)["wall"]
    assert wall.profile.other
    assert len({tuple(stack) for stack, _, _ in samples(wall)}) <= 6


@pytest.mark.slow
def test_threads_that_start_and_end_all_the_time_do_not_disturb(host):
    def churn(running):
        while running():
            short = [threading.Thread(target=count_up, args=(2_000,)) for _ in range(5)]
            for thread in short:
                thread.start()
            for thread in short:
                thread.join()

    host(churn)
    parts = capture(stack_sampler, "cpu", "wall")
    assert time_in(parts["wall"], "churn") > 0.5 * NS
    assert not any(line.startswith("lost") for line in parts["cpu"].profile.comments)


def test_a_finalizer_of_the_host_does_not_run_on_our_thread(host):
    found = set()

    class Watched:
        def __del__(self):
            found.add(threading.get_ident())

    def make(running):
        while running():
            watched = Watched()
            count_up(50)
            del watched

    (thread,) = host(make)
    capture(stack_sampler, "wall", hz=1000)
    assert found == {thread.ident}


@pytest.mark.slow
def test_a_host_that_traces_and_profiles_its_code_is_not_disturbed(host):
    calls = []

    def traced(running):
        sys.settrace(lambda frame, event, arg: None)
        sys.setprofile(lambda frame, event, arg: calls.append(event) if len(calls) < 10 else None)
        busy(running)

    (thread,) = host(traced)
    cpu = capture(stack_sampler, "cpu")["cpu"]
    assert thread.is_alive()
    assert calls
    assert time_in(cpu, "busy") > 0.1 * NS


def switch_interval():
    return pytest.approx(sys.getswitchinterval())


def test_the_switch_interval_is_short_during_the_window_and_restored_after_it(host):
    assert switch_interval() == DEFAULT_INTERVAL_S
    running = Capture(stack_sampler, "wall", window_s=1.0)
    wait_until(lambda: sys.getswitchinterval() < 0.001)
    running.result()
    assert switch_interval() == DEFAULT_INTERVAL_S


def test_the_switch_interval_is_restored_when_the_capture_is_cancelled():
    running = Capture(stack_sampler, "wall", window_s=600)
    wait_until(lambda: sys.getswitchinterval() < 0.001)
    running.task.cancelled.set()
    with pytest.raises(ActionCancelledError):
        running.result()
    assert switch_interval() == DEFAULT_INTERVAL_S


def test_the_switch_interval_is_restored_after_an_error(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("pprofplus.profiles.sampled_time.SampledTime.add", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        capture(stack_sampler, "wall")
    assert switch_interval() == DEFAULT_INTERVAL_S


def test_a_switch_interval_that_the_host_sets_meanwhile_stays():
    running = Capture(stack_sampler, "wall", window_s=0.5)
    wait_until(lambda: sys.getswitchinterval() < 0.001)
    sys.setswitchinterval(0.02)
    try:
        running.result()
        assert switch_interval() == 0.02
    finally:
        sys.setswitchinterval(DEFAULT_INTERVAL_S)


def test_a_child_forked_during_a_profile_has_the_interval_of_the_host():
    running = Capture(stack_sampler, "wall", window_s=1.0)
    wait_until(lambda: sys.getswitchinterval() < 0.001)
    child = os.fork()
    if not child:
        os._exit(0 if abs(sys.getswitchinterval() - DEFAULT_INTERVAL_S) < 0.001 else 1)
    assert os.waitpid(child, 0)[1] == 0
    running.result()


@pytest.mark.parametrize(
    "request_",
    [
        CaptureRequest(("cpu",), 1.0, hz=0),
        CaptureRequest(("cpu",), 1.0, hz=1001),
        CaptureRequest(("wall",), 0.0),
    ],
)
def test_a_rate_or_window_out_of_range_is_refused(request_):
    with pytest.raises(ProfileRefusedError):
        stack_sampler.check(request_)


def test_without_states_only_wall_is_taken(monkeypatch, host):
    monkeypatch.setattr("pprofplus.profiles.thread_states._NUMBERS", {})
    with pytest.raises(ProfileRefusedError, match="only the kind wall"):
        stack_sampler.check(CaptureRequest(("cpu", "wall"), 1.0))
    host(nap)
    wall = capture(stack_sampler, "wall", window_s=0.3)["wall"]
    assert {labels["state"] for _, labels, _ in samples(wall)} == {"unknown"}
    assert any(line.startswith("lost: what threads wait for") for line in wall.profile.comments)


def test_a_build_without_the_gil_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(ProfileRefusedError, match="free-threaded"):
        stack_sampler.check(CaptureRequest(("wall",), 1.0))


PATH = f"import sys; sys.path[:0] = {[entry for entry in sys.path if entry]!r}\n"
GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent, os, threading, time
from kit.profiles import ProfileTask, samples, time_in
from pprofplus.profiles import stack_sampler
from pprofplus.profiles.capture import CaptureRequest

def compute():
    end = time.perf_counter() + 0.005
    while time.perf_counter() < end:
        pass

def work():
    while not ended:
        compute()
        gevent.sleep(0.01)

beats, parts, ended, threads = 0, {}, [], []

def beat():
    global beats
    while not ended:
        gevent.sleep(0.01)
        beats += 1
        threads.append(len(os.listdir("/proc/self/task")))

def profile():
    for part in stack_sampler.take(CaptureRequest(("cpu", "wall"), 1.5), ProfileTask()):
        parts[part.kind] = part

others = [gevent.spawn(work), gevent.spawn(beat)]
gevent.spawn(profile).join()
ended.append(1)
gevent.joinall(others)
(hub,) = {labels["thread"] for _, labels, _ in samples(parts["wall"])}
print(hub, beats > 5, max(threads) > 1, sys.getswitchinterval())
cpu = parts["cpu"]
print(time_in(cpu, "compute") > 0.5 * sum(values[1] for _, _, values in samples(cpu)))
"""


@pytest.mark.slow
def test_under_gevent_ticks_come_from_a_real_thread_and_greenlets_run_meanwhile(run):
    pytest.importorskip("gevent")
    assert run(PATH + GEVENT) == ["MainThread", "True", "True", "0.005", "True"]


STORM = """
import os, subprocess, threading, time
from kit.profiles import Capture
from pprofplus.profiles import stack_sampler

def open_states():
    links = []
    for number in range(3, 200):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass
    return [link for link in links if link.endswith("/syscall")]

def storm():
    while not ended:
        child = os.fork()
        if not child:
            os._exit(0 if sys.getswitchinterval() == 0.005 and not open_states() else 1)
        codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        codes.add(subprocess.run(["true"], check=False).returncode)

ended, codes = [], set()
threads = [threading.Thread(target=storm) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(3):
    parts = Capture(stack_sampler, "cpu", "wall", window_s=0.6).result()
    assert len(parts["wall"].profile)
ended.append(1)
for thread in threads:
    thread.join()
before = len(os.listdir("/proc/self/fd"))
Capture(stack_sampler, "cpu", window_s=0.2).result()
print(codes, sys.getswitchinterval(), len(os.listdir("/proc/self/fd")) - before, open_states())
"""


@pytest.mark.slow
def test_a_service_may_fork_and_exec_all_the_time_during_a_profile(run):
    assert run(PATH + STORM) == ["{0}", "0.005", "0", "[]"]


EXEC = """
import os, threading, time
from kit.profiles import Capture
from pprofplus.profiles import stack_sampler
if len(sys.argv) > 1:
    print(open(f"/proc/{os.getpid()}/timerslack_ns").read().strip(), sys.getswitchinterval())
    sys.exit()
Capture(stack_sampler, "wall", window_s=600)
while sys.getswitchinterval() > 0.001:
    time.sleep(0.01)
os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:], "again"])
"""


def test_an_exec_during_a_profile_leaves_nothing_of_it(run):
    assert run(PATH + EXEC) == ["50000", "0.005"]


EXIT = """
import time
from kit.profiles import Capture
from pprofplus.profiles import stack_sampler
Capture(stack_sampler, "wall", "cpu", window_s=600)
while sys.getswitchinterval() > 0.001:
    time.sleep(0.01)
print("ends")
"""


def test_a_process_that_ends_during_a_profile_ends_cleanly(run):
    assert run(PATH + EXIT) == ["ends"]


MANY = """
import threading, time
from pprofplus.profiles.thread_stacks import ThreadStacks

def deep(depth):
    deep(depth - 1) if depth else time.sleep(600)

for _ in range(100):
    threading.Thread(target=deep, args=(50,), daemon=True).start()
time.sleep(1)
stacks = ThreadStacks()
for _ in range(20):
    threads = stacks.collect()
    if not any(thread.moved for thread in threads):
        break
print(len(threads), len(stacks), sum(thread.moved for thread in threads))
"""


def test_a_tick_walks_none_of_a_hundred_deep_idle_threads(run):
    threads, stacks, moved = map(int, run(PATH + MANY))
    assert (threads, stacks < 10, moved) == (100, True, 0)
