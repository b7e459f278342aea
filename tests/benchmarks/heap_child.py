"""One collector in a process with a large heap, as JSON on standard output.

    python heap_child.py BYTES STEPS DIRECTORY

The heap has live Python objects of usual small sizes, and a tenth as much memory from malloc, of
which every other piece is freed. It changes between the samples like that of a service.
"""

import gc
import json
import random
import sys
import time

from candidates import memory_bytes

_RECORD_BYTES = 700
_PIECE_BYTES = 20_000
_WARM_UP = 20
_REPLACED = 300


def _record(number):
    return [number, f"user {number}", bytes(280 + number % 120), (number, -number), {"id": number}]


def _heap(size_bytes):
    """Return (records, pieces) of `size_bytes` together."""
    gc.disable()  # otherwise it traverses the growing heap repeatedly
    records = [_record(number) for number in range(size_bytes // _RECORD_BYTES)]
    pieces = [bytearray(_PIECE_BYTES) for _ in range(size_bytes // 5 // _PIECE_BYTES)]
    del pieces[::2]
    gc.enable()
    gc.collect()  # moves the objects to the old generation, as in a service
    return records, pieces


def measure(size_bytes, steps, directory):
    """Return import (ms), memory (bytes), CPU of each collection (us), the run directory."""
    records, pieces = _heap(size_bytes)
    held = memory_bytes()
    began_ns = time.perf_counter_ns()
    import pprofplus

    import_ms = (time.perf_counter_ns() - began_ns) / 1e6
    before = memory_bytes()
    pprofplus.start("start", directory=directory)
    after = memory_bytes()
    pprofplus.stop()
    from simulated import open_collector

    collector = open_collector("heap", directory)
    sample = collector._recorder.sample
    draw = random.Random(4711)
    costs_us = []
    for step in range(_WARM_UP + steps):
        for _ in range(draw.randrange(_REPLACED)):
            place = draw.randrange(len(records))
            records[place] = _record(place + step)
        gc.disable()  # a collection now would be caused by the records
        began_ns = time.thread_time_ns()
        sample()
        costs_us.append((time.thread_time_ns() - began_ns) / 1000)
        gc.enable()
    found = {
        "python": sys.version.split()[0],
        "import_ms": import_ms,
        "costs_us": costs_us[_WARM_UP:],
        "metrics": len(collector._recorder.probe_set.metrics),
        "log": collector.directory,
        "pieces": len(pieces),
    }
    collector._close()
    if held is not None:
        found["held"] = held[0]
        found["rss"] = before[0] - held[0] + after[0] - before[0]
    return found


if __name__ == "__main__":
    json.dump(measure(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]), sys.stdout)
    sys.stdout.flush()
    import os

    os._exit(0)  # freeing gigabytes object by object takes longer than the benchmark
