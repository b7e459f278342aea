"""The effect of the collector on a busy program, as JSON on standard output.

    python latency_child.py loop|thread|throughput ROUNDS SLICE_S DIRECTORY

*loop* and *thread*: one process works in turns without the collector, with it at 1 Hz, without it
again, and with it at 10 Hz. The difference between the two without it is the noise of the machine.

*throughput*: a CPU-bound thread runs with a collector that takes a sample every other tenth of a
second. So adjacent windows of a tenth of a second have one sample or none, and little else differs
between them.
"""

import asyncio
import json
import sys
import threading
import time

import pprofplus
from pprofplus.probes.smaps import RollupProbe
from pprofplus.recording import run_recorder
from pprofplus.recording.schedule import on_grid_ns

ARMS = {"without": 0.0, "1 Hz": 1.0, "without, again": 0.0, "10 Hz": 0.1}
_SETTLE_S = 0.5  # half of the longest interval: each slice of n seconds has n samples at 1 Hz
_TASKS = 3
_PAUSES_S = (0.0, 0.001)
_WORK_S = 0.0002
_CHUNK_S = 0.001
_WINDOW_S = 0.1
_BEFORE_S = 0.01  # from the start of a window to its sample
_SHORT_S = 0.0001


def _spin(turns):
    total = 0
    for i in range(turns):
        total += i & 7
    return total


def _turns(seconds):
    """Return the number of turns of `_spin` that take `seconds`."""
    best_ns = 1 << 62
    for _ in range(200):
        began_ns = time.perf_counter_ns()
        _spin(1000)
        best_ns = min(best_ns, time.perf_counter_ns() - began_ns)
    return max(1, round(seconds * 1e9 / best_ns * 1000))


def _thread(slice_s):
    """Return a function that does a slice of work and returns the time of each chunk (ns)."""
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
    """Return a function that runs a busy loop and returns the delay of each wake-up (ns)."""
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
    """Do a slice of work with the collector at an interval, or without it if that is 0.

    Returns the times of the work, and the number of samples in that time.
    """
    collector = None
    if interval_s:
        collector = pprofplus.start("busy", interval_s=interval_s, directory=directory)
    threading.Event().wait(_SETTLE_S)
    samples = collector.samples if collector else 0
    times = work()
    samples = collector.samples - samples if collector else 0
    if collector:
        pprofplus.stop()
    return times, samples


def _windows(seconds, grid_ns):
    """Work for `seconds`; return (nanoseconds, CPU nanoseconds) per chunk for each window.

    The first window and every other one after it have a sample if the collector uses that grid.
    """
    window_ns = round(_WINDOW_S * 1e9)
    turns = _turns(_SHORT_S)
    clock, cpu = time.monotonic_ns, time.process_time_ns
    begin_ns = grid_ns - round(_BEFORE_S * 1e9)
    begin_ns += -(-(clock() - begin_ns) // (2 * window_ns)) * 2 * window_ns
    while clock() < begin_ns:
        _spin(turns)
    found = []
    until_ns = begin_ns
    for _ in range(round(seconds / _WINDOW_S) // 2 * 2):
        until_ns += window_ns
        then_ns, cpu_ns, chunks = clock(), cpu(), 0
        while (now_ns := clock()) < until_ns:
            _spin(turns)
            chunks += 1
        # if the machine stalled for longer than a window, there was no work in it
        if chunks:
            found.append(((now_ns - then_ns) / chunks, (cpu() - cpu_ns) / chunks))
        else:
            found.append(None)
    return found


def throughput(rounds, slice_s, directory):
    """Return the windows with the collector and without, and the CPU time of its samples (us)."""
    own_us = []
    sample = run_recorder.RunRecorder.sample

    def timed(self):
        began_ns = time.thread_time_ns()
        sample(self)
        own_us.append((time.thread_time_ns() - began_ns) / 1000)

    run_recorder.RunRecorder.sample = timed
    # the same proportion of expensive samples as at 1 Hz
    RollupProbe.min_period_s = 9 * _WINDOW_S
    found = {"with": [], "without": [], "own_us": own_us}
    for _ in range(rounds):
        collector = pprofplus.start(
            "busy", interval_s=2 * _WINDOW_S, budget=0.005, directory=directory
        )
        grid_ns = on_grid_ns(collector._recorder.began_ns)
        found["with"].append(_windows(slice_s, grid_ns))
        pprofplus.stop()
        found["without"].append(_windows(slice_s, grid_ns))
    return found


def _quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000


def measure(kind, rounds, slice_s, directory):
    """Return by arm the quantiles (us) and the number of samples."""
    work = {"loop": _loop, "thread": _thread}[kind](slice_s)
    times = {arm: [] for arm in ARMS}
    samples = dict.fromkeys(ARMS, 0)
    pprofplus.start("warm", directory=directory)
    work()
    pprofplus.stop()
    order = list(ARMS)
    for _ in range(rounds):
        for arm in order:
            took, taken = _slice(work, ARMS[arm], directory)
            times[arm] += took
            samples[arm] += taken
        order.reverse()  # so that a steady change of the machine affects all arms equally
    found = {}
    for arm, values in times.items():
        values.sort()
        found[arm] = {
            "p50": _quantile(values, 0.5),
            "p99": _quantile(values, 0.99),
            "p99.9": _quantile(values, 0.999),
            "samples": samples[arm],
        }
    return found


if __name__ == "__main__":
    what, rounds_, slice_s_, log_directory = sys.argv[1:]
    numbers = int(rounds_), float(slice_s_), log_directory
    result = throughput(*numbers) if what == "throughput" else measure(what, *numbers)
    json.dump(result, sys.stdout)
