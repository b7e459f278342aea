"""Programs that count the work they do, so that the cost of a profile can be measured."""

import threading
import time

from known_shares import Program, in_threads, turns_of


def _spin(turns):
    total = 0
    for i in range(turns):
        total += i & 7
    return total


def _busy(threads, unit_s):
    """Return a program of threads that do units of work, each through a few calls."""

    def run(turns):
        count_of_unit = turns_of(unit_s, _spin)

        def deeper(depth):
            return deeper(depth - 1) if depth else _spin(count_of_unit)

        def loop(turns):
            count, note, now_ns = turns.counter(), turns.unit_ends_ns.append, time.monotonic_ns
            while turns.more():
                deeper(20)
                count[0] += 1
                note(now_ns())

        in_threads([loop] * threads, turns)

    return run


def _resting(threads, depth):
    """Return a program of threads that wait in a deep stack, and work a little now and then."""

    def run(turns):
        def wait(left):
            return wait(left - 1) if left else turns.stopping.wait(0.1)

        def loop(turns):
            count = turns.counter()
            while turns.more():
                wait(depth)
                _spin(2_000)
                count[0] += 1

        in_threads([loop] * threads, turns)

    return run


class _Session:
    """An object as a service holds many."""

    def __init__(self, number):
        self.number = number
        self.rows = [number, str(number)]


def _spinning(objects):
    """Return a program that holds objects, and whose one thread looks for gaps in its own time."""

    def run(turns):
        kept = [_Session(number) for number in range(objects // 3)]  # with a dict and a list each

        def loop(turns):
            count, now_ns = turns.counter(), time.perf_counter_ns
            then_ns = now_ns()
            while turns.more():
                for _ in range(500):
                    at_ns = now_ns()
                    count[1] = max(count[1], at_ns - then_ns)
                    then_ns = at_ns
                count[0] += 1

        in_threads([loop], turns)
        kept.clear()

    return run


def _starting(turns):
    """Start threads that end at once, one after another."""
    count = turns.counter()
    while turns.more():
        thread = threading.Thread(target=_spin, args=(100,))
        thread.start()
        thread.join()
        count[0] += 1


def _allocating(turns):
    def loop(turns):
        count, kept = turns.counter(), []
        while turns.more():
            kept.append([{"number": number, "text": f"item {number}"} for number in range(100)])
            if len(kept) > 200:
                kept.clear()
            count[0] += 1

    in_threads([loop], turns)


PROGRAMS = (
    Program("one busy thread", "cost", _busy(1, 0.0005), ()),
    Program("four competing threads", "cost", _busy(4, 0.0005), (), busy=4),
    Program("ten threads of depth 30", "cost", _resting(10, 30), (), busy=0),
    Program("a million objects", "cost", _spinning(1_000_000), ()),
    Program("a small process", "cost", _spinning(3_000), ()),
    Program("a program that starts threads", "cost", _starting, ()),
    Program("a thread that allocates", "cost", _allocating, ()),
)
