"""What a busy program notices of the collector, as JSON on standard output.

    python latency_child.py loop|thread ROUNDS SLICE_S DIRECTORY

One process, in slices of work by turns: without the collector, with it at 1 Hz, without it again,
with it at 10 Hz. What the two without it differ by is the machine's noise.
"""

import asyncio
import json
import sys
import threading
import time

import pprofplus

ARMS = {"without": 0.0, "1 Hz": 1.0, "without, again": 0.0, "10 Hz": 0.1}
_SETTLE_S = 0.5  # half of the longest interval: each slice of n seconds has n samples at 1 Hz
_TASKS = 3
_PAUSES_S = (0.0, 0.001)
_WORK_S = 0.0002
_CHUNK_S = 0.001


def _spin(turns):
    total = 0
    for i in range(turns):
        total += i & 7
    return total


def _turns(seconds):
    """Return the turns of `_spin` that take so long here."""
    best_ns = 1 << 62
    for _ in range(200):
        began_ns = time.perf_counter_ns()
        _spin(1000)
        best_ns = min(best_ns, time.perf_counter_ns() - began_ns)
    return max(1, round(seconds * 1e9 / best_ns * 1000))


def _thread(slice_s):
    """Return a function that does a slice of work and returns the time of each chunk of it (ns)."""
    turns, count = _turns(_CHUNK_S), max(1, round(slice_s / _CHUNK_S))

    def work():
        now_ns = time.perf_counter_ns
        times = []
        then_ns = now_ns()
        for _ in range(count):
            _spin(turns)
            end_ns = now_ns()
            times.append(end_ns - then_ns)
            then_ns = end_ns
        return times

    return work


def _loop(slice_s):
    """Return a function that runs a busy loop, and returns how late each wake-up was (ns)."""
    turns = _turns(_WORK_S)

    async def task(late_ns, end_ns):
        turn = 0
        while (now_ns := time.perf_counter_ns()) < end_ns:
            pause_s = _PAUSES_S[turn % len(_PAUSES_S)]
            await asyncio.sleep(pause_s)
            late_ns.append(time.perf_counter_ns() - now_ns - round(pause_s * 1e9))
            _spin(turns)
            turn += 1

    async def busy():
        late_ns = []
        end_ns = time.perf_counter_ns() + round(slice_s * 1e9)
        await asyncio.gather(*(task(late_ns, end_ns) for _ in range(_TASKS)))
        return late_ns

    return lambda: asyncio.run(busy())


def _slice(work, interval_s, directory):
    """Do a slice of work with the collector at an interval, or without; return what it took."""
    collector = None
    if interval_s:
        collector = pprofplus.start("busy", interval_s=interval_s, directory=directory)
    threading.Event().wait(_SETTLE_S)
    samples = collector.samples if collector else 0
    cpu_s, began_ns = time.process_time(), time.perf_counter_ns()
    times = work()
    wall_s, cpu_s = (time.perf_counter_ns() - began_ns) / 1e9, time.process_time() - cpu_s
    samples = collector.samples - samples if collector else 0
    if collector:
        pprofplus.stop()
    return times, (wall_s, cpu_s, samples)


def _quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000


def measure(kind, rounds, slice_s, directory):
    """Return by arm its quantiles (us) and (wall s, CPU s, samples) of each of its slices."""
    work = {"loop": _loop, "thread": _thread}[kind](slice_s)
    times = {arm: [] for arm in ARMS}
    slices = {arm: [] for arm in ARMS}
    pprofplus.start("warm", directory=directory)
    work()
    pprofplus.stop()
    order = list(ARMS)
    for _ in range(rounds):
        for arm in order:
            took, whole = _slice(work, ARMS[arm], directory)
            times[arm] += took
            slices[arm].append(whole)
        order.reverse()  # what changes steadily meanwhile hits each arm alike
    found = {}
    for arm, values in times.items():
        values.sort()
        found[arm] = {
            "p50": _quantile(values, 0.5),
            "p99": _quantile(values, 0.99),
            "p99.9": _quantile(values, 0.999),
            "slices": slices[arm],
        }
    return found


if __name__ == "__main__":
    json.dump(measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]), sys.stdout)
