"""A service that counts its samples itself, and keeps the warnings that it gets.

Not imported: its text, after that of kit.waiting, stands before a test's own program.
"""

import json
import logging
import os  # noqa: F401 - for the programs that go on from here
import random
import sys

import pprofplus
from pprofplus import settings
from pprofplus.log.writer import Writer
from pprofplus.probes import probe_set

settings.MIN_INTERVAL_S = 0.002  # with values that change a lot, a page is soon full
probe_set._SLOW_NS = 10**12  # these tests must not depend on a machine that stalls for seconds

warnings = []
writers = []
history = []  # the error of the disk after each sample
between = []  # what the collector's thread does before its next sample


class _WarningList(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())


logging.getLogger("pprofplus").addHandler(_WarningList(logging.WARNING))
_add = Writer.add


def _counted(self, mono_ms, unix_ms, values):
    """Add a sample whose first value is its number, and whose others need space in the log."""
    if between:
        between[0]()
        between.clear()
    if self not in writers:
        writers.append(self)
    noisy = [value + random.randrange(1 << 30) for value in values]  # noqa: S311 - not for secrets
    noisy[:1] = [len(history)][: len(noisy)]
    _add(self, mono_ms, unix_ms, noisy)
    history.append(self.write_error)


Writer.add = _counted


def wait_for(condition):
    """Wait for an effect of the collector's thread."""
    wait_until(condition, pause_s=0.002, describe=lambda: (warnings, history[-1:]))


def between_samples(action):
    """Run `action` on the collector's thread: never between a check of the log and a write."""
    between.append(action)
    wait_for(lambda: not between)


def samples(count):
    """Wait for that many more samples, written or not."""
    goal = len(history) + count
    wait_for(lambda: len(history) >= goal)


def lost():
    """Return the samples that are lost and not yet reported."""
    return writers[-1].lost


def in_trouble():
    """Return whether the last write failed."""
    return history[-1] is not None


def fill(path):
    """Fill the disk of `path` so that no block is free."""
    with open(path, "ab", buffering=0) as file:  # noqa: PTH123 - a script
        size = 1 << 16
        while size >= 1 << 12:
            try:
                file.write(b"x" * size)
            except OSError:  # noqa: PERF203 - that is what it is for
                size >>= 1


def resumed(since):
    """Wait until writing works; return the first sample after number `since`."""
    wait_for(lambda: None in history[since:])
    return history.index(None, since) - since + 1


def report(**more):
    """End recording, and print the results for the test."""
    pprofplus.stop()
    sys.stdout.write(json.dumps({"taken": len(history), "warnings": warnings, **more}))
