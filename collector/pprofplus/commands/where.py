"""`pprofplus where`: the log directory."""

from __future__ import annotations

import argparse
import sys

from pprofplus.commands.common_arguments import add_directory_option
from pprofplus.log.log_directory import default_log_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the log directory."""
    add_directory_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print it; return the exit code."""
    sys.stdout.write(f"{options.dir or default_log_directory()}\n")
    return 0
