"""`pprofplus-tui demo`: services, a temporary directory, the monitor on them, nothing left."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from pprofplus_tui.demo.history import write_history
from pprofplus_tui.demo.processes import demo_directory, running_services
from pprofplus_tui.model.options import Options
from pprofplus_tui.run import run_monitor

_WEEK_MS = 7 * 86_400_000


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that what was begun is cleaned up."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_demo(options: Options, *, history: bool) -> int:
    """Run the demo until the user leaves the monitor; return its exit code.

    With `history` the logs begin with a week that ended just now, and the monitor opens on it.
    """
    with _ended_by_signals(), demo_directory() as directory:
        options = replace(options, directories=(str(directory),))
        if history:
            now_ms = time.time_ns() // 1_000_000
            run = write_history(directory, begin_ms=now_ms - _WEEK_MS, end_ms=now_ms)
            options = replace(options, run=str(run))
        with running_services(directory):
            return run_monitor(options)
