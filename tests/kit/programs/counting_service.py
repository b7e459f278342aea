"""A service that counts its samples and collects its warnings.

Not imported: tests put its text, after that of kit.waiting, before their own program.
"""

import json
import logging
import os
import random
import sys

import pprofplus
from pprofplus import settings
from pprofplus.log.writer import Writer
from pprofplus.probes import probe_set

settings.MIN_INTERVAL_S = 0.002  # with values that change much, a page fills quickly
probe_set._SLOW_NS = 10**12  # the tests must pass on a machine that stalls for seconds

warnings = []
writers = []
history = []  # the write error after each sample
between = []  # a function that the collector's thread calls before its next sample


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
    noisy = [value + random.randrange(1 << 30) for value in values]
    noisy[:1] = [len(history)][: len(noisy)]
    _add(self, mono_ms, unix_ms, noisy)
    history.append(self.write_error)


Writer.add = _counted


def wait_for(condition):
    """Wait for an effect of the collector's thread."""
    wait_until(condition, pause_s=0.002, describe=lambda: (warnings, history[-1:]))


def between_samples(action):
    """Run `action` on the collector's thread, before a sample and not during a write."""
    between.append(action)
    wait_for(lambda: not between)


def samples(count):
    """Wait for `count` more samples, written or not."""
    goal = len(history) + count
    wait_for(lambda: len(history) >= goal)


def lost():
    """Return the number of lost samples that are not yet reported."""
    return writers[-1].lost


def in_trouble():
    """Return whether the last write failed."""
    return history[-1] is not None


def fill(path):
    """Fill the disk of `path` completely."""
    with open(path, "ab", buffering=0) as file:
        size = 1 << 16
        while size >= 1 << 12:
            try:
                file.write(b"x" * size)
            except OSError:
                size >>= 1


def resumed(since):
    """Wait until a write succeeds; return how many samples after number `since` that was."""
    wait_for(lambda: None in history[since:])
    return history.index(None, since) - since + 1


def report(**more):
    """Stop recording and print the results for the test."""
    pprofplus.stop()
    sys.stdout.write(json.dumps({"taken": len(history), "warnings": warnings, **more}))
