"""The kind `threads`: every thread, asyncio task and greenlet, with its stack and state."""

import importlib.util
import json
import os
import sys

import pytest

from kit.programs import TAKE_PROFILE

needs_gevent = pytest.mark.skipif(
    importlib.util.find_spec("gevent") is None, reason="gevent is not installed"
)

TASKS = (
    TAKE_PROFILE
    + """
import asyncio, json, sys, threading
async def sleeps(depth):
    if depth:
        await sleeps(depth - 1)
    else:
        await asyncio.sleep(1000)
async def asked(setup):
    global kept
    kept = setup()
    await asyncio.sleep(0.05)
    return take("threads")
"""
)


@pytest.fixture
def dump(run):
    """Run a program, and return what it prints as JSON."""

    def finish(program, *arguments):
        return json.loads(" ".join(run(program, *arguments)))

    return finish


def test_each_thread_is_a_sample_with_its_name_and_the_kernels_id(dump):
    program = (
        TAKE_PROFILE
        + """
import json, threading
ending, tids = threading.Event(), []
def waits():
    tids.append(threading.get_native_id())
    ending.wait()
threads = [threading.Thread(target=waits, name=f"worker {i}", daemon=True) for i in range(3)]
for thread in threads: thread.start()
while len(tids) < 3: pass
dumped = take("threads")
print(json.dumps([dumped.having("__main__.waits"), tids, dumped.part.note]))
"""
    )
    samples, tids, note = dump(program)
    assert {labels["thread"] for _, _, labels in samples} == {"worker 0", "worker 1", "worker 2"}
    assert {labels["thread_id"] for _, _, labels in samples} == set(tids)
    assert {labels["type"] for _, _, labels in samples} == {"thread"}
    assert note.startswith("4 threads")


@pytest.mark.skipif(
    not os.path.exists("/proc/self/syscall"), reason="the kernel does not show system calls"
)
def test_the_state_of_a_thread_tells_what_it_waits_for(dump):
    program = (
        TAKE_PROFILE
        + """
import json, os, select, threading, time
lock = threading.Lock(); lock.acquire()
reading, _ = os.pipe()
def locks(): lock.acquire()
def sleeps(): time.sleep(100)
def polls(): select.poll().poll(100_000)
def reads(): os.read(reading, 1)
for function in (locks, sleeps, polls, reads):
    threading.Thread(target=function, daemon=True).start()
time.sleep(0.3)
dumped = take("threads")
print(json.dumps([[labels for _, _, labels in dumped.having(f"__main__.{name}")]
                  for name in ("locks", "sleeps", "polls", "reads")]))
"""
    )
    locks, sleeps, polls, reads = dump(program)
    assert [each[0]["state"] for each in (locks, sleeps, polls, reads)] == [
        "lock",
        "sleep",
        "poll",
        "io",
    ]
    assert int(locks[0]["lock"], 16) > 0


def test_a_task_is_the_chain_of_coroutines_that_it_awaits(dump):
    program = (
        TASKS
        + """
async def agen():
    while True:
        await sleeps(0)
        yield 1
async def iterates():
    async for _ in agen(): pass
class Awaitable:
    def __await__(self):
        return sleeps(1).__await__()
async def awaits_an_object():
    await Awaitable()
async def takes_the_next():
    await anext(agen(), None)
setup = lambda: [asyncio.ensure_future(each) for each in
                 (sleeps(2), iterates(), awaits_an_object(), takes_the_next())]
dumped = asyncio.run(asked(setup))
print(json.dumps([stack for stack, _, _ in dumped.samples]))
"""
    )
    stacks = dump(program)
    assert ["asyncio.tasks.sleep", *["__main__.sleeps"] * 3] in stacks
    leaf = ["asyncio.tasks.sleep", "__main__.sleeps"]
    assert [*leaf, "__main__.agen", "__main__.iterates"] in stacks
    assert [*leaf, "__main__.sleeps", "__main__.awaits_an_object"] in stacks
    assert [*leaf, "__main__.agen", "__main__.takes_the_next"] in stacks


def test_the_state_of_a_task_tells_whether_it_runs_could_run_or_waits(dump):
    program = (
        TASKS
        + """
async def fresh(): pass
async def main():
    waiting = asyncio.ensure_future(sleeps(0))
    await asyncio.sleep(0.05)
    ready = asyncio.ensure_future(fresh())
    return take("threads")
dumped = asyncio.run(main())
print(json.dumps(dumped.samples))
"""
    )
    states = {
        stack[-1]: (labels["state"], stack)
        for stack, _, labels in dump(program)
        if labels["type"] == "task"
    }
    assert states["__main__.sleeps"][0] == "suspended"
    assert states["__main__.fresh"][0] == "ready"
    state, stack = states["__main__.main"]
    assert state == "running"
    assert "__main__.take" in stack  # where it runs is known from its thread


def test_names_that_asyncio_gives_are_no_labels_so_that_equal_stacks_are_one_sample(dump):
    program = (
        TASKS
        + """
def setup():
    named = [asyncio.get_running_loop().create_task(sleeps(1), name=f"job {i}") for i in range(50)]
    return named + [asyncio.ensure_future(sleeps(1)) for _ in range(100)]
dumped = asyncio.run(asked(setup))
print(json.dumps(dumped.having("__main__.sleeps")))
"""
    )
    samples = dump(program)
    named = [labels["task"] for _, _, labels in samples if "task" in labels]
    assert len(named) == 20  # of one stack
    assert all(name.startswith("job ") for name in named)
    assert sum(values[0] for _, values, _ in samples) == 150
    assert len(samples) == 21


def test_tasks_of_loops_in_other_threads_carry_the_name_of_that_thread(dump):
    program = (
        TASKS
        + """
def loop(): asyncio.run(sleeps(1))
threading.Thread(target=loop, name="the other loop", daemon=True).start()
import time; time.sleep(0.3)
dumped = take("threads")
print(json.dumps([each for each in dumped.having("__main__.sleeps") if each[2]["type"] == "task"]))
"""
    )
    ((_, values, labels),) = dump(program)
    assert values == [1]
    assert labels["thread"] == "the other loop"


def test_tasks_of_classes_of_the_host_are_read_without_calling_its_code(dump):
    program = (
        TASKS
        + """
called = []
class Hostile:
    def __eq__(self, other): called.append("eq"); return self is other
    def __hash__(self): called.append("hash"); return id(self)
    def __bool__(self): called.append("bool"); return False
    def __repr__(self): called.append("repr"); return "x"
    __str__ = __repr__
class CTask(Hostile, asyncio.Task):
    @property
    def _coro(self): called.append("_coro")
    def get_name(self): called.append("get_name")
    def done(self): called.append("done")
class PyTask(Hostile, asyncio.tasks._PyTask):
    @property
    def __dict__(self): called.append("__dict__")
def setup():
    loop = asyncio.get_running_loop()
    return [CTask(sleeps(3), loop=loop, name="in C"),
            PyTask(sleeps(4), loop=loop, name="in Python")]
async def main():
    tasks = setup()
    await asyncio.sleep(0.05)
    called.clear()
    found = take("threads").having("__main__.sleeps")
    heard = list(called)
    for task in tasks: task.cancel()
    return found, heard
print(json.dumps(asyncio.run(main())))
"""
    )
    samples, called = dump(program)
    assert called == []
    assert {(labels["task"], len(stack)) for stack, _, labels in samples} == {
        ("in C", 5),
        ("in Python", 6),
    }


def test_a_name_with_escapes_or_of_a_subclass_of_str_does_no_harm(dump):
    program = (
        TASKS
        + """
class Text(str):
    def __str__(self): return self
    def startswith(self, *_): raise AssertionError
def setup():
    loop = asyncio.get_running_loop()
    return [loop.create_task(sleeps(i), name=name) for i, name in
            enumerate(["\\x1b[31mred\\n", Text("sub"), "\\ud800", "x" * 100_000])]
dumped = asyncio.run(asked(setup))
print(json.dumps([each[2].get("task") for each in dumped.having("__main__.sleeps")]))
"""
    )
    names = dump(program)
    assert "\x1b[31mred\n" in names  # what shows it must clean it, as all text of a profile
    assert "sub" not in names
    assert max(len(name or "") for name in names) <= 4096


def test_a_task_whose_coroutine_is_not_written_in_python_is_counted(dump):
    program = (
        TASKS
        + """
import collections.abc
class Foreign(collections.abc.Coroutine):
    def send(self, value): return None
    def throw(self, *error): raise error[0]
    def close(self): pass
    def __await__(self): return self
def setup(): return [asyncio.get_running_loop().create_task(Foreign())]
dumped = asyncio.run(asked(setup))
print(json.dumps(dumped.total("[coroutine not written in Python]")))
"""
    )
    assert dump(program) == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_an_eager_task_is_seen_in_its_first_step_and_later(dump):
    program = (
        TASKS
        + """
found = []
async def eager():
    found.append([labels["state"] for stack, _, labels in take("threads").samples
                  if labels["type"] == "task" and stack[-1] == "__main__.eager"])
    await sleeps(0)
async def main():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    task = asyncio.ensure_future(eager())
    await asyncio.sleep(0.05)
    found.append([labels["state"] for *_, labels in take("threads").having("__main__.eager")])
asyncio.run(main())
print(json.dumps(found))
"""
    )
    assert dump(program) == [["running"], ["suspended"]]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are of a static type")
def test_tasks_are_also_found_by_their_type_as_python_3_14_needs_it(dump):
    program = (
        TASKS
        + """
from pprofplus.profiles import task_stacks
task_stacks.all_are_listed = lambda: False
task_stacks.weak_sets = lambda: []
class Mine(asyncio.Task): pass
def setup():
    loop = asyncio.get_running_loop()
    return [asyncio.ensure_future(sleeps(1)), Mine(sleeps(1), loop=loop)]
dumped = asyncio.run(asked(setup))
print(json.dumps(dumped.total("__main__.sleeps")))
"""
    )
    assert dump(program) == 2


def test_a_deep_chain_of_coroutines_is_cut(dump):
    program = (
        TASKS
        + """
sys.setrecursionlimit(5000)
dumped = asyncio.run(asked(lambda: [asyncio.ensure_future(sleeps(1500))]))
((stack, _, _),) = dumped.having("__main__.sleeps")
print(json.dumps(len(stack)))
"""
    )
    assert dump(program) == 1000


def test_tasks_may_end_while_they_are_walked(dump):
    program = (
        TASKS
        + """
async def brief(): await sleeps_a_little()
async def sleeps_a_little(): await asyncio.sleep(0.001)
stopping = threading.Event()
async def churn():
    while not stopping.is_set():
        await asyncio.gather(*[brief() for _ in range(300)])
sys.setswitchinterval(1e-5)
thread = threading.Thread(target=lambda: asyncio.run(churn()))
thread.start()
seen = 0
for _ in range(40):
    dumped = take("threads")
    seen = max(seen, dumped.total("__main__.brief"))
    assert all(set(stack) <= {"__main__.brief", "__main__.sleeps_a_little", "asyncio.tasks.sleep"}
               for stack, _, labels in dumped.having("__main__.brief") if labels["type"] == "task"
               and labels["state"] == "suspended")
stopping.set()
thread.join()
print(json.dumps(seen))
"""
    )
    assert dump(program) > 50


@pytest.mark.slow
def test_ten_thousand_tasks_and_a_thousand_threads_are_all_counted_in_a_small_file(dump):
    program = (
        TASKS
        + """
ending = threading.Event()
threads = [threading.Thread(target=ending.wait) for _ in range(1000)]
for thread in threads: thread.start()
def setup():
    loop = asyncio.get_running_loop()
    return [loop.create_task(sleeps(5), name=f"request {i}") for i in range(10_000)]
dumped = asyncio.run(asked(setup))
ending.set()
print(json.dumps([dumped.total("__main__.sleeps"), dumped.total("threading.Event.wait")
                  or dumped.total("threading.wait"), len(dumped.encoded)]))
"""
    )
    tasks, threads, size_bytes = dump(program)
    assert (tasks, threads) == (10_000, 1000)
    assert size_bytes < 40_000


def test_a_trigger_looks_at_few_frames_because_each_costs_memory(dump):
    program = (
        TASKS
        + """
from pprofplus.profiles import task_stacks
task_stacks.FEW_FRAMES = 100
async def main():
    kept = [asyncio.ensure_future(sleeps(3)) for _ in range(1000)]
    await asyncio.sleep(0.05)
    return take("threads", why="limit-75"), take("threads")
few, all_of_them = asyncio.run(main())
print(json.dumps([few.total("__main__.sleeps"), few.part.note, all_of_them.part.note]))
"""
    )
    count, few, all_of_them = dump(program)
    assert count == 1000
    if sys.version_info >= (3, 11):
        assert "without lines" in few
    assert "without lines" not in all_of_them


@needs_gevent
def test_each_greenlet_is_counted_with_its_stack(dump):
    program = (
        "import gevent.monkey; gevent.monkey.patch_all()\n"
        + TAKE_PROFILE.replace(
            "from _thread import allocate_lock as _new_lock",
            "from gevent.monkey import get_original\n"
            "_new_lock = get_original('_thread', 'allocate_lock')",
        )
        .replace(
            "from _thread import start_new_thread as _start_thread",
            "_start_thread = get_original('_thread', 'start_new_thread')",
        )
        .replace("from time import sleep as _sleep", "_sleep = get_original('time', 'sleep')")
        + """
import gevent, json
def waits(depth):
    if depth: waits(depth - 1)
    else: gevent.sleep(1000)
class Mine(gevent.Greenlet):
    def _run(self): waits(0)
kept = [gevent.spawn(waits, 2) for _ in range(300)]
mine = Mine(); mine.start()
gevent.sleep(0.1)
kept += [gevent.spawn(waits, 2) for _ in range(7)]
dead = gevent.spawn(int); dead.join()
not_begun = gevent.spawn(waits, 0)
dumped = take("threads")
from pprofplus.probes.concurrency import GreenletsProbe
print(json.dumps([dumped.samples, GreenletsProbe().read()]))
"""
    )
    samples, count = dump(program)
    greenlets = {
        tuple(stack): (values[0], labels["state"])
        for stack, values, labels in samples
        if labels["type"] == "greenlet"
    }
    assert greenlets[("gevent.hub.sleep", *["__main__.waits"] * 3)] == (307, "suspended")
    mine = [stack for stack in greenlets if "_run" in stack[-1]]
    assert len(mine) == 1
    assert greenlets[("[greenlet, not begun]",)] == (1, "not begun")
    # with the hub; the one that runs the program is its thread
    assert count == [307 + 1 + 1 + 1]


@needs_gevent
def test_where_greenlets_are_not_used_nothing_is_searched(dump):
    program = (
        TAKE_PROFILE
        + """
import gc, json, greenlet
from pprofplus.probes.concurrency import GreenletsProbe
def fail(*_, **__): raise AssertionError("searched")
gc.get_referrers = gc.get_objects = fail
take("threads")
print(json.dumps(GreenletsProbe().read()))
"""
    )
    assert dump(program) is None


@needs_gevent
def test_plain_greenlets_are_found_too(dump):
    program = (
        TAKE_PROFILE
        + """
import greenlet, json
main = greenlet.getcurrent()
def waits(): main.switch()
kept = [greenlet.greenlet(waits) for _ in range(10)]
for each in kept: each.switch()
print(json.dumps(take("threads").total("__main__.waits")))
"""
    )
    assert dump(program) == 10


def test_a_program_without_asyncio_does_not_load_it(dump):
    program = (
        TAKE_PROFILE
        + """
import json, sys
take("threads")
print(json.dumps([name for name in ("asyncio", "greenlet", "gevent") if name in sys.modules]))
"""
    )
    assert dump(program) == []
