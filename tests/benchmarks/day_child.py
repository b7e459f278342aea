"""A day of one collector at a high rate, as JSON on standard output.

    python day_child.py SAMPLES DIRECTORY traced|plain
    python day_child.py SECONDS DIRECTORY grid

*traced* compares the heap that pprofplus's own files hold after a twelfth of the samples with what
they hold at the end, *plain* the blocks and the resident set of the whole process. *grid* has the
real thread run at 0.05 s.
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
from simulated import opened

_OWN = f"{os.path.dirname(pprofplus.__file__)}/*"  # noqa: PTH120 - a pattern
_SWEEP_SAMPLES = 3600
_INTERVAL_S = 0.05


def _held_bytes():
    """Return the bytes that pprofplus's own files have allocated and not given back."""
    found = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, _OWN)])  # noqa: FBT003 - its own call
    return sum(trace.size for trace in found.traces)


def _live(samples, directory, look):
    """Record so many samples, as the thread does; return two looks, and the segments made."""
    collector = opened("day", directory, max_bytes=1 << 18)  # segments are made and dropped
    record = collector._recorder
    draw = random.Random(4711)  # noqa: S311 - not for secrets
    kept = [b""] * 1000
    looks = []
    sample = 0
    for until in (samples // 12, samples):
        # a page in the making holds what it says: so each look is at one that has just begun
        while sample < until or record.writer._page.samples > 1:
            kept[draw.randrange(1000)] = bytes(draw.randrange(400))
            record.emit_warnings()
            record.handle_requests()
            record.sample()
            sample += 1
            if sample % _SWEEP_SAMPLES == 0:
                collector._request_expiry()
        gc.collect()
        looks.append(look())
    collector._close()
    made = max(int(name.split(".")[0]) for name in os.listdir(collector.directory))  # noqa: PTH208
    return looks, made


def day(samples, directory, *, traced):
    """Return what grew from the one look to the other."""
    if traced:
        tracemalloc.start(1)
        (before, after), made = _live(samples, directory, _held_bytes)
        return {"held": after - before, "segments": made}
    looks, made = _live(samples, directory, lambda: (sys.getallocatedblocks(), memory_bytes()))
    (blocks, memory), (blocks_then, memory_then) = looks
    found = {"blocks": blocks_then - blocks, "segments": made}
    if memory is not None:
        found["rss"] = memory_then[0] - memory[0]
    return found


def grid(seconds, directory):
    """Return how far the grid moved in a day's points (ns), and in the real thread's hours (us)."""
    interval_ns = round(1e9 * _INTERVAL_S)
    draw = random.Random(4711)  # noqa: S311 - not for secrets
    first_ns = due_ns = on_grid_ns(time.monotonic_ns())
    for _ in range(86_400):
        due_ns = next_due_ns(due_ns, interval_ns, due_ns + draw.randrange(3 * interval_ns))
    hours_ns = []
    sample = run_recorder.RunRecorder.sample

    def timed(self):
        hours_ns.append(time.monotonic_ns())
        sample(self)

    run_recorder.RunRecorder.sample = timed
    collector = pprofplus.start("grid", interval_s=_INTERVAL_S, directory=directory)
    threading.Event().wait(seconds)
    begin_ns = on_grid_ns(collector._recorder.began_ns)
    pprofplus.stop()
    late = [(hour_ns - begin_ns) % interval_ns for hour_ns in hours_ns[:-1]]  # stop() takes one
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
