"""The kind `threadcreate`: who started threads in the window."""

import json

import pytest

from kit.programs import TAKE_PROFILE, WAITING

STARTING = (
    TAKE_PROFILE
    + WAITING
    + """
import json, os, sys, threading, time
from pprofplus.profiles import thread_starts
NAME = next(n for n in thread_starts._NAMES if hasattr(threading, n))
original = getattr(threading, NAME)
def job(): pass
class Sub(threading.Thread):
    def run(self): pass
def by_function(): threading.Thread(target=job).start()
def by_class(): Sub().start()
def in_window(function, window_s=1.0):
    '''Take the profile, and call `function` in its window.'''
    begun = []
    class Begins(FreeTask):
        def wait(self, timeout_s):
            begun.append(1)
            _sleep(timeout_s)
    def call():
        wait_until(lambda: begun)
        function()
    caller = threading.Thread(target=call)
    caller.start()
    taken = take("threadcreate", window_s, task=Begins())
    caller.join()
    return taken
"""
)


@pytest.fixture
def dump(run):
    """Run a program, and return what it prints as JSON."""

    def finish(program, *arguments):
        return json.loads(" ".join(run(STARTING + program, *arguments)))

    return finish


def test_each_start_is_counted_by_its_stack_and_by_what_the_thread_runs(dump):
    samples, restored = dump(
        """
def starts():
    for _ in range(30): by_function(); by_class(); by_function()
taken = in_window(starts)
print(json.dumps([taken.samples, getattr(threading, NAME) is original]))
"""
    )
    found = {(stack[1], labels["target"]): values[0] for stack, values, labels in samples}
    assert found == {
        ("__main__.by_function", "__main__.job"): 60,
        ("__main__.by_class", "__main__.Sub"): 30,
    }
    assert all(stack[0].endswith("start") for stack, _, _ in samples)
    assert restored


@pytest.mark.slow
def test_a_start_that_fails_raises_the_same_error_as_without_us(dump):
    error = dump(
        """
def refuse(*args, **options): raise RuntimeError("can't start new thread")
setattr(threading, NAME, refuse)
errors = []
def starts():
    try: by_function()
    except RuntimeError as error: errors.append(str(error))
from _thread import start_new_thread
start_new_thread(lambda: (time.sleep(0.3), starts()), ())
take("threadcreate", 1.0)
print(json.dumps([errors, getattr(threading, NAME) is refuse]))
"""
    )
    assert error == [["can't start new thread"], True]


def test_what_the_host_has_put_over_ours_stays_and_works(dump):
    stays, ran = dump(
        """
ran = []
def patch():
    below = getattr(threading, NAME)
    def patched(*args, **options):
        ran.append(1)
        return below(*args, **options)
    setattr(threading, NAME, patched)
    global theirs
    theirs = patched
in_window(patch, 0.5)
thread = threading.Thread(target=job)
thread.start(); thread.join()
print(json.dumps([getattr(threading, NAME) is theirs, len(ran)]))
"""
    )
    assert (stays, ran) == (True, 1)


def test_a_cancelled_window_puts_the_function_back(dump):
    assert dump(
        """
class Cancelled(FreeTask):
    def wait(self, timeout_s): raise KeyError
try: take("threadcreate", 5.0, task=Cancelled())
except KeyError: print(json.dumps(getattr(threading, NAME) is original))
"""
    )


@pytest.mark.slow
def test_a_child_that_is_forked_in_the_window_has_the_original_function(dump):
    assert dump(
        """
codes = []
def fork():
    pid = os.fork()
    if not pid:
        os._exit(10 + (getattr(threading, NAME) is original))
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
in_window(fork)
print(json.dumps(codes))
"""
    ) == [11]


def test_starts_that_nobody_counts_in_time_are_lost_and_that_is_said(dump):
    total, note = dump(
        """
thread_starts._MAX_WAITING = 5
def starts():
    for _ in range(20): by_function()
class Slow(FreeTask):
    def wait(self, timeout_s):
        if not started: started.append(starts())
        time.sleep(0.1)
started = []
taken = take("threadcreate", 0.5, task=Slow())
print(json.dumps([taken.total("__main__.by_function"), taken.part.note]))
"""
    )
    assert total == 5
    assert note == "5 threads were started; 15 more could not be recorded"


def test_a_host_without_threading_is_refused(monkeypatch):
    import sys

    from pprofplus.profiles import thread_starts
    from pprofplus.profiles.capture import CaptureRequest, ProfileRefusedError

    monkeypatch.delitem(sys.modules, "threading")
    with pytest.raises(ProfileRefusedError, match="has not loaded `threading`"):
        thread_starts.check(CaptureRequest(("threadcreate",), 1.0))
