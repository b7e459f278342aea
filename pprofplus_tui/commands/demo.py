"""`pprofplus-tui demo`: real services in a temporary log directory, and the monitor on them."""

import argparse
import time
from dataclasses import replace

from pprofplus_tui.commands.common_arguments import add_config_option, add_display_options
from pprofplus_tui.model.durations import WEEK_MS
from pprofplus_tui.model.options import Options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the demo and those of the monitor."""
    parser.add_argument("--history", action="store_true", help="also write a week of past samples")
    add_config_option(parser)
    add_display_options(parser)


def run(arguments: argparse.Namespace, options: Options) -> int:
    """Run the demo until the user quits the monitor; return its exit code.

    With --history the logs begin with a week that ends now, and the monitor opens on it. The
    services and the log directory are removed at the end. Raises UsageError.
    """
    from pprofplus_tui.commands.open_monitor import prepare_monitor, run_monitor

    prepare_monitor()
    from pprofplus_tui.demo.past_runs import write_history
    from pprofplus_tui.demo.processes import demo_directory, running_services
    from pprofplus_tui.signals import ended_by_signals
    from pprofplus_tui.sources.open import run_in_directory

    with ended_by_signals() as ignore, demo_directory() as directory:
        options = replace(options, directories=(str(directory),))
        if arguments.history:
            now_ms = time.time_ns() // 1_000_000
            path = write_history(directory, begin_ms=now_ms - WEEK_MS, end_ms=now_ms)
            options = replace(options, run=run_in_directory(str(path)))
        with running_services(directory):
            try:
                return run_monitor(options)
            finally:
                ignore()  # the application's event loop has reset the handlers of the signals
