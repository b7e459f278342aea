"""`pprofplus-tui demo`: services, a temporary directory, the monitor on them, nothing left."""

import time
from dataclasses import replace

from pprofplus_tui.demo.past_runs import write_history
from pprofplus_tui.demo.processes import demo_directory, running_services
from pprofplus_tui.model.options import Options
from pprofplus_tui.run import run_monitor
from pprofplus_tui.signals import ended_by_signals

_WEEK_MS = 7 * 86_400_000


def run_demo(options: Options, *, history: bool) -> int:
    """Run the demo until the user leaves the monitor; return its exit code.

    With `history` the logs begin with a week that ended just now, and the monitor opens on it.
    """
    with ended_by_signals() as ignore, demo_directory() as directory:
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
