"""`pprofplus-tui demo`: services, a temporary directory, the monitor on them, nothing left."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from pprofplus_tui.demo.history import write_history
from pprofplus_tui.demo.processes import demo_directory, running_services
from pprofplus_tui.demo.signals import ENDING
from pprofplus_tui.model.options import Options
from pprofplus_tui.run import run_monitor

_WEEK_MS = 7 * 86_400_000


@contextmanager
def _ended_by_signals() -> Iterator[Callable[[], None]]:
    """Turn the first signal to end into SystemExit; provide what makes any further one ignored.

    So what was begun is cleaned up, and the cleaning, which takes seconds at most, is not broken
    off by a second Ctrl-C.
    """

    def ignore() -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)

    def leave(number: int, _: FrameType | None) -> None:
        ignore()
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in ENDING}
    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_demo(options: Options, *, history: bool) -> int:
    """Run the demo until the user leaves the monitor; return its exit code.

    With `history` the logs begin with a week that ended just now, and the monitor opens on it.
    """
    with _ended_by_signals() as ignore, demo_directory() as directory:
        options = replace(options, directories=(str(directory),))
        if history:
            now_ms = time.time_ns() // 1_000_000
            run = write_history(directory, begin_ms=now_ms - _WEEK_MS, end_ms=now_ms)
            options = replace(options, run=str(run))
        with running_services(directory):
            try:
                return run_monitor(options)
            finally:
                ignore()  # the application's loop has left the signals to their defaults
