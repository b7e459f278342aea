"""The commands of `pprofplus`, one module each: `add()` says its options, and what runs it.

A module here is loaded for `pprofplus --help` too: what only the command itself needs is imported
in the function that runs it.
"""

from __future__ import annotations

import argparse
import sys

from pprofplus.settings import check_directory, check_interval_s, check_service
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name


def checked(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return `check` as the type of an option: its ValueError becomes the one line of usage."""

    def convert(text: str) -> Any:  # noqa: ANN401 - whatever the check returns
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def add_dir(parser: argparse.ArgumentParser) -> None:
    """Add --dir, the home of all logs: `options.dir` is its absolute path, or None."""
    parser.add_argument(
        "--dir",
        metavar="DIR",
        type=checked(check_directory),
        help="home of all logs, as start(directory=DIR) takes it",
    )


def add_recording(parser: argparse.ArgumentParser, default_service: str) -> None:
    """Add what a command that records is told: --service, --interval and --dir.

    `default_service` says whose name it is if none is given.
    """
    parser.add_argument(
        "--service",
        metavar="NAME",
        type=checked(check_service),
        help=f"the service's name; else {default_service}",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=checked(check_interval_s),
        help="from sample to sample, 0.05 to 3600",
    )
    add_dir(parser)


def complain(text: str) -> None:
    """Say one line on stderr."""
    sys.stderr.write(f"pprofplus: {printable(text)}\n")
