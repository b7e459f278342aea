"""Stacks of all threads, and the short switch interval, in real processes."""

import gc
import os
import sys
import threading
import time

import pytest

from kit.waiting import wait_until
from pprofplus.profiles.stack_walk import MAX_DEPTH
from pprofplus.profiles.switch_interval import PreciseTimers, ShortSwitchInterval
from pprofplus.profiles.thread_stacks import ThreadStacks
from pprofplus.profiles.thread_states import ThreadStates
from pprofplus.system.background import BackgroundThread, WakeEvent, own_threads

ON_LINUX = sys.platform == "linux"
PATH = f"import sys; sys.path[:0] = {[entry for entry in sys.path if entry]!r}\n"


@pytest.fixture
def sleeper():
    """Start threads that wait until the end of the test."""
    ending, threads = threading.Event(), []

    def start(name=None, depth=0):
        def recurse(left):
            return recurse(left - 1) if left else ending.wait()

        threads.append(threading.Thread(target=recurse, args=(depth,), name=name))
        threads[-1].start()
        return threads[-1]

    yield start
    ending.set()
    for thread in threads:
        thread.join(60)


def of(stacks, thread):
    return next((each for each in stacks.collect() if each.ident == thread.ident), None)


def settled(stacks, thread):
    """Return a thread when it has come to its wait."""
    return wait_until(lambda: (found := of(stacks, thread)) and not found.moved and found)


def test_a_thread_has_its_name_number_clock_and_stack(sleeper):
    thread, stacks = sleeper("a-name", depth=3), ThreadStacks()
    found = settled(stacks, thread)
    assert (found.name, found.tid) == ("a-name", thread.native_id)
    if ON_LINUX:
        clock = time.pthread_getcpuclockid(thread.ident)
        assert found.cpu_ns == time.clock_gettime_ns(clock)
    names = [stacks.frame(frame).name.rpartition(".")[2] for frame in stacks.frames(found.stack)]
    assert names[-4:] == ["recurse", "run", "_bootstrap_inner", "_bootstrap"]
    assert names.count("recurse") == 4


def test_a_frame_has_module_file_and_lines(sleeper):
    thread, stacks = sleeper(), ThreadStacks()
    found = settled(stacks, thread)
    frames = [stacks.frame(frame) for frame in stacks.frames(found.stack)]
    (frame,) = [frame for frame in frames if frame.name.endswith("recurse")]
    assert frame.name.startswith(__name__)
    assert os.path.samefile(frame.filename, __file__)
    with open(__file__, encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert "ending.wait()" in lines[frame.line - 1]
    assert "def recurse" in lines[frame.first_line - 1]


def test_the_main_thread_and_threads_that_threading_does_not_know_are_collected():
    import _thread

    lock = _thread.allocate_lock()
    lock.acquire()
    ident = _thread.start_new_thread(lock.acquire, ())
    results = []
    stacks = ThreadStacks()
    # such a thread has no frame of Python, so that it is left out
    thread = threading.Thread(target=lambda: results.extend(stacks.collect()))
    thread.start()
    thread.join(60)
    lock.release()
    assert "MainThread" in [each.name for each in results]
    assert ident not in [each.ident for each in results]


def test_the_calling_thread_and_our_own_threads_are_left_out(sleeper):
    ours, wake = [], WakeEvent()

    def work():
        ours.append(threading.get_ident())
        wake.wait(60)

    thread = BackgroundThread(work)
    thread.start()
    try:
        wait_until(lambda: ours)
        assert own_threads()[ours[0]]
        idents = [each.ident for each in ThreadStacks().collect()]
        assert ours[0] not in idents
        assert threading.get_ident() not in idents
    finally:
        wake.set()
        thread.join(60)
    assert ours[0] not in own_threads()


def test_a_thread_that_has_ended_is_reported_once(sleeper):
    stacks, event = ThreadStacks(), threading.Event()
    thread = threading.Thread(target=event.wait)
    thread.start()
    before = settled(stacks, thread)
    event.set()
    thread.join(60)
    stacks.collect()
    assert stacks.ended == [before]
    assert thread.ident not in [each.ident for each in stacks.collect()]


@pytest.mark.skipif(not ON_LINUX, reason="no CPU clocks of other threads")
def test_a_thread_that_stands_still_is_not_walked_again(sleeper, monkeypatch):
    thread, stacks = sleeper(), ThreadStacks()
    stack = settled(stacks, thread).stack
    walked = []
    monkeypatch.setattr(ThreadStacks, "_number", lambda *_: walked.append(1) or 0)
    found = of(stacks, thread)
    assert (found.stack, found.moved, walked) == (stack, False, [])


def test_equal_stacks_have_one_number_and_forget_begins_anew(sleeper):
    first, second, stacks = sleeper(depth=5), sleeper(depth=5), ThreadStacks()
    assert settled(stacks, first).stack == settled(stacks, second).stack
    stacks.forget()
    assert len(stacks) == 0
    assert stacks.frames(of(stacks, first).stack)


def test_after_a_limit_new_stacks_are_one(sleeper, monkeypatch):
    monkeypatch.setattr("pprofplus.profiles.thread_stacks.MAX_KNOWN", 0)
    first, second, stacks = sleeper(depth=1), sleeper(depth=2), ThreadStacks()
    settled(stacks, first), settled(stacks, second)
    numbers = {of(stacks, first).stack, of(stacks, second).stack}
    names = [
        [stacks.frame(frame).name for frame in stacks.frames(number)] for number in sorted(numbers)
    ]
    assert stacks.full
    assert ["[other]"] in names
    assert len(stacks) <= 3


def test_a_deep_stack_keeps_its_innermost_frames(run):
    program = """
import threading, time
from pprofplus.profiles.thread_stacks import ThreadStacks
def deep(depth):
    deep(depth - 1) if depth else time.sleep(600)
sys.setrecursionlimit(9000)
threading.stack_size(512 << 20)
threading.Thread(target=deep, args=(5000,), daemon=True).start()
time.sleep(0.3)
stacks = ThreadStacks()
(thread,) = stacks.collect()
frames = stacks.frames(thread.stack)
print(len(frames), stacks.frame(frames[0]).name, stacks.frame(frames[-1]).name)
"""
    assert run(PATH + program) == [str(MAX_DEPTH + 1), "__main__.deep", "[truncated]"]


def test_no_frame_is_kept_after_a_tick(sleeper):
    class Local:
        alive = 0

        def __init__(self):
            Local.alive += 1

        def __del__(self):
            Local.alive -= 1

    leaving, left = threading.Event(), threading.Event()

    def function():
        local = Local()
        leaving.wait()
        return str(local)

    def call():
        function()
        left.set()
        leaving.wait()

    thread = threading.Thread(target=call)
    thread.start()
    stacks = ThreadStacks()
    settled(stacks, thread)
    assert Local.alive == 1
    gc.disable()
    try:
        leaving.set()
        assert left.wait(60)
        assert Local.alive == 0
    finally:
        gc.enable()
        thread.join(60)


def test_names_are_read_without_code_of_the_host(sleeper):
    class Strange(threading.Thread):
        @property
        def name(self):
            raise AssertionError("code of the host was called")

        @name.setter
        def name(self, value):
            pass

        def __getattribute__(self, name):
            if threading.get_ident() == caller[0]:
                raise AssertionError("code of the host was called")
            return super().__getattribute__(name)

    ending, caller, found = threading.Event(), [0], []
    thread = Strange(target=ending.wait, name="strange")
    thread.start()
    ident, stacks = thread.ident, ThreadStacks()

    def collect():
        caller[0] = threading.get_ident()
        found.extend(each.name for each in stacks.collect() if each.ident == ident)

    try:
        # a thread of `threading` would call the class's methods itself
        background = BackgroundThread(collect)
        background.start()
        background.join(60)
    finally:
        caller[0] = 0
        ending.set()
        thread.join(60)
    assert found == ["strange"]


def test_states_are_collected_with_the_stacks(sleeper):
    states = ThreadStates()
    if not states.available:
        pytest.skip("the platform does not show what threads wait for")
    thread, stacks = sleeper(), ThreadStacks(states)
    found = settled(stacks, thread)
    assert found.state == "lock"
    assert found.lock
    states.close()


def test_a_forked_child_closes_the_files_of_states_also_after_they_were_closed_once(sleeper):
    states = ThreadStates()
    if not states.available:
        pytest.skip("the platform does not show what threads wait for")
    thread = sleeper()
    for _ in range(2):
        stacks = ThreadStacks(states)
        settled(stacks, thread)
        numbers = list(states._numbers.values())
        assert numbers
        child = os.fork()
        if not child:
            still_open = [fd for fd in numbers if os.path.exists(f"/proc/self/fd/{fd}")]
            os._exit(len(still_open))
        assert os.waitpid(child, 0)[1] == 0
        states.close()


def test_in_a_forked_child_the_threads_are_its_own(sleeper):
    stacks = ThreadStacks()
    settled(stacks, sleeper())
    child = os.fork()
    if not child:
        os._exit(len(stacks.collect()))  # only the calling thread exists
    assert os.waitpid(child, 0)[1] == 0


def test_a_child_that_was_forked_without_informing_python_can_collect(run):
    program = """
import ctypes, os, threading, time
from pprofplus.profiles.thread_stacks import ThreadStacks
threads = [threading.Thread(target=time.sleep, args=(600,), daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
libc = ctypes.PyDLL(None)
child = libc.fork()
if not child:
    new = threading.Thread(target=time.sleep, args=(600,), daemon=True)
    stacks = ThreadStacks()
    for _ in range(3):
        stacks.collect()
    os._exit(0)
print(os.waitpid(child, 0)[1])
os._exit(0)
"""
    found = run(PATH + program + "\n")
    assert found in ([], ["0"])


def test_the_switch_interval_may_be_nested_and_is_restored_by_the_last():
    before = sys.getswitchinterval()
    with ShortSwitchInterval():
        with ShortSwitchInterval():
            assert sys.getswitchinterval() < 0.001
        assert sys.getswitchinterval() < 0.001
    assert sys.getswitchinterval() == before


def test_a_host_with_a_shorter_interval_keeps_it():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        host = sys.getswitchinterval()
        with ShortSwitchInterval():
            assert sys.getswitchinterval() == host
        assert sys.getswitchinterval() == host
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(not ON_LINUX, reason="Linux only")
def test_timers_are_precise_in_the_block_and_restored_after_it():
    path = f"/proc/{threading.get_native_id()}/timerslack_ns"

    def slack_ns():
        with open(path, encoding="ascii") as file:
            return int(file.read())

    before, timers = slack_ns(), PreciseTimers()
    with timers:
        assert (timers.active, slack_ns()) == (True, 1)
    assert slack_ns() == before
