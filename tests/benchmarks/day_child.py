"""A day of one collector at a high rate, as JSON on standard output.

    python day_child.py SAMPLES DIRECTORY traced|plain
    python day_child.py SECONDS DIRECTORY grid

*traced* compares the memory that the code of pprofplus has allocated after a twelfth of the samples
and at the end; *plain* compares the blocks and the resident set of the process. *grid* runs the
real thread at 0.05 s.
"""

import gc
import json
import os
import random
import statistics
import sys
import threading
import time
import tracemalloc

import pprofplus
from candidates import memory_bytes
from pprofplus.recording import run_recorder
from pprofplus.recording.schedule import next_due_ns, on_grid_ns
from simulated import open_collector

_OWN = f"{os.path.dirname(pprofplus.__file__)}/*"
_SWEEP_SAMPLES = 3600
_INTERVAL_S = 0.05


def _held_bytes():
    """Return the bytes that the code of pprofplus has allocated and not freed."""
    found = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, _OWN)])
    return sum(trace.size for trace in found.traces)


def _record(samples, directory, measure):
    """Record `samples` like the thread does; return two measurements and the number of segments."""
    collector = open_collector("day", directory, max_bytes=1 << 18)  # so that segments are rotated
    record = collector._recorder
    draw = random.Random(4711)
    kept = [b""] * 1000
    measured = []
    sample = 0
    for until in (samples // 12, samples):
        # an open page keeps its samples: so measure when a page has just begun
        while sample < until or record.writer._page.samples > 1:
            kept[draw.randrange(1000)] = bytes(draw.randrange(400))
            record.emit_warnings()
            record.handle_requests()
            record.sample()
            sample += 1
            if sample % _SWEEP_SAMPLES == 0:
                collector._request_expiry()
        gc.collect()
        measured.append(measure())
    collector._close()
    made = max(int(name.split(".")[0]) for name in os.listdir(collector.directory))
    return measured, made


def day(samples, directory, *, traced):
    """Return the growth between the two measurements."""
    if traced:
        tracemalloc.start(1)
        (before, after), made = _record(samples, directory, _held_bytes)
        return {"held": after - before, "segments": made}
    measured, made = _record(samples, directory, lambda: (sys.getallocatedblocks(), memory_bytes()))
    (blocks, memory), (blocks_then, memory_then) = measured
    found = {"blocks": blocks_then - blocks, "segments": made}
    if memory is not None:
        found["rss"] = memory_then[0] - memory[0]
    return found


def grid(seconds, directory):
    """Return the drift of a day of grid points (ns), and of the real thread's samples (us)."""
    interval_ns = round(1e9 * _INTERVAL_S)
    draw = random.Random(4711)
    first_ns = due_ns = on_grid_ns(time.monotonic_ns())
    for _ in range(86_400):
        due_ns = next_due_ns(due_ns, interval_ns, due_ns + draw.randrange(3 * interval_ns))
    times_ns = []
    sample = run_recorder.RunRecorder.sample

    def timed(self):
        times_ns.append(time.monotonic_ns())
        sample(self)

    run_recorder.RunRecorder.sample = timed
    collector = pprofplus.start("grid", interval_s=_INTERVAL_S, directory=directory)
    threading.Event().wait(seconds)
    begin_ns = on_grid_ns(collector._recorder.began_ns)
    pprofplus.stop()
    # stop() takes the last sample
    late = [(time_ns - begin_ns) % interval_ns for time_ns in times_ns[:-1]]
    share = max(1, len(late) // 4)
    moved_ns = statistics.median(late[-share:]) - statistics.median(late[:share])
    return {
        "simulated": (due_ns - first_ns) % interval_ns,
        "real": moved_ns / 1000,
        "late": statistics.median(late) / 1000,
        "samples": len(late),
    }


if __name__ == "__main__":
    if sys.argv[3] == "grid":
        result = grid(float(sys.argv[1]), sys.argv[2])
    else:
        result = day(int(sys.argv[1]), sys.argv[2], traced=sys.argv[3] == "traced")
    json.dump(result, sys.stdout)
