"""`pprofplus where`: the directory that logs are written to."""

from __future__ import annotations

import argparse
import sys

from pprofplus.commands import add_dir
from pprofplus.log.log_directory import default_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.commands import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser("where", help="print the directory that logs are written to")
    add_dir(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print it; return the exit code."""
    sys.stdout.write(f"{options.dir or default_home()}\n")
    return 0
