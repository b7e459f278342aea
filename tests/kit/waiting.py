"""Waits until another thread or process has done something, and fails after a deadline.

Programs that tests start contain the text of this module (see programs): it needs only the
standard library.
"""

import threading
import time


def wait_until(condition, within_s=60, *, pause_s=0.01, describe=None):
    """Return the first true value of `condition()`; `describe()` is the message of a failure."""
    pause = threading.Event()  # a test may replace time.sleep
    end = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < end, describe() if describe else f"not within {within_s} s"
        pause.wait(pause_s)
    return found


def wait_at_most(condition, within_s, *, pause_s=0.01):
    """Return the first true value of `condition()`, or its last value after the deadline."""
    pause = threading.Event()
    end = time.monotonic() + within_s
    while not (found := condition()) and time.monotonic() < end:
        pause.wait(pause_s)
    return found
