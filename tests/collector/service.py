"""A service for tests of trouble: it counts its samples itself, and keeps what it was warned of.

Not imported by tests: its text is put before a test's own program, and run in a process.
"""

import json
import logging
import os  # noqa: F401 - for the programs that go on from here
import random
import sys
import threading
import time

import pprofplus
from pprofplus import settings
from pprofplus.log.writer import Writer
from pprofplus.probes import probe_set

settings.LEAST_INTERVAL_S = 0.002  # with figures that change a lot, a page is soon full
probe_set._SLOW_NS = 10**12  # a machine that stands still for seconds is not what a test is about

heard = []
writers = []
history = []  # after each sample, what was wrong with the disk


class _Hearing(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())


logging.getLogger("pprofplus").addHandler(_Hearing(logging.WARNING))
_add = Writer.add


def _counted(self, mono_ms, unix_ms, values):
    """Add a sample whose first figure is its number, and whose others take room in the log."""
    if self not in writers:
        writers.append(self)
    noisy = [value + random.randrange(1 << 30) for value in values]  # noqa: S311 - not for secrets
    noisy[:1] = [len(history)][: len(noisy)]
    _add(self, mono_ms, unix_ms, noisy)
    history.append(self.trouble)


Writer.add = _counted


def wait_for(condition):
    """Wait for what the collector's thread does."""
    end, pause = time.monotonic() + 60, threading.Event()
    while not condition():
        assert time.monotonic() < end, (heard, history[-1:])
        pause.wait(0.002)


def samples(count):
    """Wait for so many more samples, written or not."""
    goal = len(history) + count
    wait_for(lambda: len(history) >= goal)


def lost():
    """Return the samples that are lost and not yet told of."""
    return writers[-1].lost


def in_trouble():
    """Tell whether the last write failed."""
    return history[-1] is not None


def fill(path):
    """Leave no room for another block on the disk of `path`."""
    with open(path, "ab", buffering=0) as file:  # noqa: PTH123 - a script
        size = 1 << 16
        while size >= 1 << 12:
            try:
                file.write(b"x" * size)
            except OSError:  # noqa: PERF203 - that is what it is for
                size >>= 1


def resumed(since):
    """Wait until writing works; return which sample after number `since` was the first."""
    wait_for(lambda: None in history[since:])
    return history.index(None, since) - since + 1


def tell(**more):
    """End recording, and tell the test what happened."""
    pprofplus.stop()
    sys.stdout.write(json.dumps({"taken": len(history), "heard": heard, **more}))
