"""What a program of known shares consists of, and how it accounts for its time itself.

Each function that a program lists is charged with the time during which it is the innermost listed
one of its thread: by the wall clock, by the CPU clock of the thread, and in waits for a lock. The
clocks are read at each call and return, without any profiler.
"""

import contextlib
import cProfile
import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_wall_ns, _cpu_ns = time.perf_counter_ns, time.thread_time_ns
_local = threading.local()
_accounts: list["_Account"] = []
_ended: dict[str, list[int]] = {}  # the sum of the accounts of threads that have ended
_reading = threading.Lock()

KINDS = ("wall", "cpu", "block", "lock")


@dataclass(frozen=True)
class Program:
    """One program of known shares.

    Attributes:
        name: unique within its module.
        group: "coarse", "fine", "web", "native", "waits", "locks" or "threads": chooses the goals.
        run: does the work until the turns end; called on the main thread.
        functions: names of all listed functions; no other function has such a name.
        other_waits: those that wait for something other than locks and the GIL.
        idle: those in which threads wait for work; they are left out of all shares, because they
            would hide the errors of all others.
        rest: the listed function that is charged with what lies in no listed function, or "".
        busy: threads that compete for the GIL.
        holds_gil: C calls hold the GIL longer than a tick lasts, so that no thread can tick then.
        one_thread: all listed functions run on one thread.
        load: arguments of `load_generator` after the port, of a service; else empty.
        needs: a package without which it cannot run, or "".
    """

    name: str
    group: str
    run: Callable[["Turns"], None]
    functions: tuple[str, ...]
    other_waits: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    rest: str = ""
    busy: int = 1
    holds_gil: bool = False
    one_thread: bool = False
    load: tuple[object, ...] = ()
    needs: str = ""


class _Account:
    """Times of the functions of one thread, by name: [wall ns, CPU ns, ns in acquire, calls]."""

    def __init__(self):
        self.times = {}
        self.names = []
        self.thread = threading.current_thread()
        self.clock = time.pthread_getcpuclockid(threading.get_ident())
        self.mark = ("", _wall_ns(), _cpu_ns())  # what runs now, and since when
        _accounts.append(self)

    def switch(self, name, calls=0):
        """Charge the time since the last switch; `name` runs from now on."""
        wall_ns, cpu_ns = _wall_ns(), _cpu_ns()
        now, began_ns, began_cpu_ns = self.mark
        self.mark = (name, wall_ns, cpu_ns)
        if now:
            times = self.times.get(now)
            if times is None:
                times = self.times[now] = [0, 0, 0, 0]
            times[0] += wall_ns - began_ns
            times[1] += cpu_ns - began_cpu_ns
        if calls:
            self.times.setdefault(name, [0, 0, 0, 0])[3] += calls


def _account():
    try:
        return _local.account
    except AttributeError:
        _local.account = _Account()
        return _local.account


def listed(function):
    """Charge a function with its time; it is listed by its name."""
    name = function.__name__

    @functools.wraps(function)
    def charged(*args):
        account = _account()
        account.names.append(name)
        account.switch(name, 1)
        try:
            return function(*args)
        finally:
            account.names.pop()
            account.switch(account.names[-1] if account.names else "")

    return charged


def acquire(lock):
    """Acquire a lock, and charge the function that waits with the time in `acquire`."""
    began_ns = _wall_ns()
    lock.acquire()
    waited_ns = _wall_ns() - began_ns
    account = _account()
    if account.names:
        account.times.setdefault(account.names[-1], [0, 0, 0, 0])[2] += waited_ns


def times():
    """Return by function [wall ns, CPU ns, ns in acquire, calls], of all threads, until now."""
    with _reading:
        total = {name: list(values) for name, values in _ended.items()}
        for account in _accounts.copy():
            if not account.thread.is_alive():
                _accounts.remove(account)
                _add(_ended, account.times)
            _add(total, account.times)
            name, began_ns, began_cpu_ns = account.mark
            if name:  # it has not returned yet
                values = total.setdefault(name, [0, 0, 0, 0])
                values[0] += _wall_ns() - began_ns
                with contextlib.suppress(OSError):  # its thread has just ended
                    values[1] += time.clock_gettime_ns(account.clock) - began_cpu_ns
        return total


def _add(total, more):
    for name, values in more.copy().items():
        known = total.setdefault(name, [0, 0, 0, 0])
        for index, value in enumerate(values):
            known[index] += value


class Turns:
    """Says to the loops of a program when to end, and counts what they did.

    Attributes:
        stopping: is set at the end.
        work: [units of work done, longest gap in ns] of each thread that counts.
        unit_ends_ns: when units of work were done (CLOCK_MONOTONIC), of all threads.
        port: the port of a service, where a program has one.
    """

    def __init__(self):
        self.stopping = threading.Event()
        self.work = []
        self.unit_ends_ns = []
        self.port = 0
        self._profile_clock = None
        self._profiles = {}

    def more(self):
        """Return whether to go on; each loop of a thread asks before each turn."""
        clock = self._profile_clock
        thread = threading.get_ident()
        if (clock is not None) != (thread in self._profiles):
            self._switch_profile(clock, thread)
        return not self.stopping.is_set()

    def counter(self):
        """Return [units of work, longest gap in ns], both counted by one thread."""
        count = [0, 0]
        self.work.append(count)
        return count

    def profile_by(self, clock):
        """Let each thread profile itself with cProfile by a clock, from its next turn on."""
        self._profile_clock = clock

    def end_profiles(self, timeout_s=5.0):
        """End the profiles; return by function the seconds in its calls, and the total."""
        self._profile_clock = None
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and any(one.began for one in self._profiles.values()):
            time.sleep(0.01)
        found, total = {}, 0.0
        for one in self._profiles.values():
            total += one.seconds
            for entry in one.profile.getstats():
                name = getattr(entry.code, "co_name", "")
                found[name] = found.get(name, 0.0) + entry.totaltime
        self._profiles = {}
        return found, total

    def _switch_profile(self, clock, thread):
        if clock is not None:
            self._profiles[thread] = _OwnProfile(clock)
            self._profiles[thread].start()
        elif self._profiles[thread].began:
            self._profiles[thread].end()


class _OwnProfile:
    """A profile of one thread by cProfile."""

    def __init__(self, clock):
        self.profile = cProfile.Profile(clock)
        self.clock = clock
        self.began = 0.0
        self.seconds = 0.0

    def start(self):
        self.began = self.clock()
        self.profile.enable()

    def end(self):
        self.profile.disable()
        self.seconds = self.clock() - self.began
        self.began = 0.0


def in_threads(functions, turns):
    """Run each function with the turns on a thread of its own until all of them end."""
    threads = [threading.Thread(target=function, args=(turns,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def turns_of(seconds, once):
    """Return how many turns of `once(turns)` take about `seconds`, by the CPU clock."""
    best_ns = 1 << 62
    for _ in range(50):
        began_ns = _cpu_ns()
        once(1000)
        best_ns = min(best_ns, max(1, _cpu_ns() - began_ns))
    return max(1, round(seconds * 1e9 * 1000 / best_ns))
