"""Options that several subcommands share, and their error line."""

from __future__ import annotations

import argparse
import sys

from pprofplus.settings import check_directory, check_interval_s, check_service
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def checked(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return `check` as the type of an option: argparse reports its ValueError as wrong usage."""

    def convert(text: str) -> Any:  # noqa: ANN401 - as the check returns
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def add_directory_option(parser: argparse.ArgumentParser) -> None:
    """Add --dir, the log directory: `options.dir` is its absolute path, or None."""
    parser.add_argument(
        "--dir",
        metavar="DIR",
        type=checked(check_directory),
        help="the log directory, as in start(directory=DIR)",
    )


def add_recording_options(parser: argparse.ArgumentParser, default_service: str) -> None:
    """Add the options of a command that records: --service, --interval and --dir.

    `default_service` is the help for the name of the service if none is given.
    """
    parser.add_argument(
        "--service",
        metavar="NAME",
        type=checked(check_service),
        help=f"the name of the service (default: {default_service})",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=checked(check_interval_s),
        help="time between samples, 0.05 to 3600",
    )
    add_directory_option(parser)


def print_error(text: str) -> None:
    """Print one line on stderr."""
    sys.stderr.write(f"pprofplus: {printable(text)}\n")
