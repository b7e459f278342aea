"""The kind `allocs`: lines that allocated what was kept in the window, by tracemalloc."""

import json

import pytest

from kit.programs import TAKE_PROFILE, WAITING

LEAKING = (
    TAKE_PROFILE
    + WAITING
    + """
import _tracemalloc, json, os, sys, threading, time
kept, pool = [], []
class Leak:
    @staticmethod
    def grow():
        kept.append(bytes(1000))
def churn():
    pool.append(bytes(2000))
    if len(pool) > 100: pool.pop(0)
def temporary():
    return [bytes(3000) for _ in range(10)]
def serve():
    while not ending.is_set():
        Leak.grow(); churn(); temporary(); time.sleep(0.0005)
ending = threading.Event()
thread = threading.Thread(target=serve)
thread.start()
def done(value):
    ending.set()
    thread.join()
    print(json.dumps(value))
"""
)


@pytest.fixture
def dump(run):
    """Run a program, and return what it prints as JSON."""

    def finish(program, *arguments):
        return json.loads(" ".join(run(LEAKING + program, *arguments)))

    return finish


def test_what_is_kept_grows_in_both_halves_and_what_churns_only_in_the_first(dump):
    taken, tracing = dump(
        """
taken = take("allocs", 2.0)
done([taken.samples, _tracemalloc.is_tracing()])
"""
    )
    sums = {}
    for stack, values, labels in taken:
        sums.setdefault(stack[0], {})[labels["half"]] = values
    leak = sums["__main__.Leak.grow"]
    assert leak["second"][1] > 0.3 * leak["first"][1]
    assert leak["first"][0] > 100
    churn = sums["__main__.churn"]
    assert churn.get("second", [0, 0])[0] <= 5
    assert 90 <= churn["first"][0] <= 110
    # no more than one round of them is alive
    assert sum(values[0] for values in sums.get("__main__.temporary", {}).values()) <= 10
    assert not tracing


def test_the_stack_is_one_line_with_its_function_and_file(dump):
    frames, script = dump(
        """
taken = take("allocs", 0.5)
done([taken.profile.frames, __file__])
"""
    )
    ((_, filename, line, first_line),) = [f for f in frames if f[0] == "__main__.Leak.grow"]
    assert filename == script
    with open(script) as file:
        lines = file.read().splitlines()
    assert "kept.append" in lines[line - 1]
    assert "staticmethod" in lines[first_line - 1] or "def grow" in lines[first_line - 1]


@pytest.mark.slow
def test_the_hosts_own_tracing_is_read_with_its_depth_and_goes_on(dump):
    samples, note, tracing, limit = dump(
        """
import tracemalloc
tracemalloc.start(7)
time.sleep(0.3)
taken = take("allocs", 1.0)
done([taken.samples, taken.part.note, tracemalloc.is_tracing(), tracemalloc.get_traceback_limit()])
"""
    )
    assert (tracing, limit) == (True, 7)
    stacks = [stack for stack, _, _ in samples if stack[0] == "__main__.Leak.grow"]
    assert stacks[0][1] == "__main__.serve"
    assert "the program's own tracemalloc was read, with 7 frames" in note


def test_what_the_host_had_traced_before_the_window_is_not_in_it(dump):
    blocks = dump(
        """
import tracemalloc
ending.set(); thread.join()
tracemalloc.start()
old = [bytes(1000) for _ in range(5000)]
taken = take("allocs", 0.3)
done(sum(values[0] for _, values, _ in taken.samples))
"""
    )
    assert blocks < 500


def test_a_host_that_traces_too_much_is_refused_unless_it_is_forced(dump):
    text, forced = dump(
        """
import tracemalloc
from pprofplus.profiles import allocation_sites
ending.set(); thread.join()
tracemalloc.start()
old = [object() for _ in range(60_000)]
allocation_sites.MAX_TRACES = 10_000
try:
    take("allocs", 0.1)
except ProfileRefusedError as error:
    text = str(error)
done([text, take("allocs", 0.1, force=True).part.note])
"""
    )
    assert "blocks are traced: to list them stops the program for about" in text
    assert "kept in 0.1 s" in forced


@pytest.mark.slow
def test_a_window_in_which_too_much_is_kept_ends_early(dump):
    note, took_s, labels, tracing = dump(
        """
from pprofplus.profiles import allocation_sites
allocation_sites.MAX_TRACES = 20_000
def flood():
    for _ in range(400):
        kept.extend([object() for _ in range(100)]); time.sleep(0.002)
threading.Thread(target=flood).start()
taken = take("allocs", 30.0)
done([taken.part.note, taken.profile.duration_ns / 1e9, [s[2] for s in taken.samples],
      _tracemalloc.is_tracing()])
"""
    )
    assert "ended early" in note
    assert took_s < 25
    assert not any(labels)  # it ended before half time
    assert not tracing


def test_a_flood_between_two_looks_is_refused_and_tracing_ends(dump):
    text, tracing = dump(
        """
from pprofplus.profiles import allocation_sites
allocation_sites.MAX_TRACES = 1000
class Floods(FreeTask):
    def wait(self, timeout_s):
        kept.append([object() for _ in range(50_000)])
try:
    take("allocs", 5.0, task=Floods())
except ProfileRefusedError as error:
    text = str(error)
done([text, _tracemalloc.is_tracing()])
"""
    )
    assert "use a shorter window" in text
    assert not tracing


def test_a_cancelled_window_stops_tracing(dump):
    assert not dump(
        """
class Cancelled(FreeTask):
    def wait(self, timeout_s):
        raise KeyError("cancelled")
try:
    take("allocs", 5.0, task=Cancelled())
except KeyError:
    done(_tracemalloc.is_tracing())
"""
    )


@pytest.mark.slow
def test_a_child_that_is_forked_in_the_window_does_not_trace(dump):
    before, in_child, parent = dump(
        """
from _thread import start_new_thread
found = []
start_new_thread(lambda: found.append(parts_of("allocs", 1.5)), ())
wait_until(_tracemalloc.is_tracing)
before = _tracemalloc.is_tracing()
pid = os.fork()
if not pid:
    os._exit(10 + _tracemalloc.is_tracing())
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
wait_until(lambda: found)
done([before, status - 10, found[0][0].note])
"""
    )
    assert (before, in_child) == (True, 0)
    assert "kept in 1.5 s" in parent


@pytest.mark.slow
def test_a_host_that_stops_tracemalloc_ends_the_window(dump):
    note = dump(
        """
def stop():
    wait_until(_tracemalloc.is_tracing)
    time.sleep(0.2)
    _tracemalloc.stop()
threading.Thread(target=stop).start()
done(take("allocs", 30.0).part.note)
"""
    )
    assert "the program stopped tracemalloc" in note


def test_the_module_tracemalloc_with_its_imports_is_not_loaded(dump):
    assert not dump(
        """
take("allocs", 0.1)
done("tracemalloc" in sys.modules)
"""
    )
