"""`pprofplus autostart`: the directory for PYTHONPATH in which Python finds the autostart hook."""

from __future__ import annotations

import argparse
import os
import sys

import pprofplus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the long help; there are no arguments."""
    parser.description = (
        "Prints a directory. A Python process that has it in PYTHONPATH, and "
        "PPROFPLUS_AUTOSTART=service in its environment, records itself."
    )


def bootstrap() -> str:
    """Return the absolute path of the directory; it holds only `sitecustomize.py`."""
    return os.path.join(os.path.dirname(os.path.abspath(pprofplus.__file__)), "autostart")


def run(_: argparse.Namespace) -> int:
    """Print it; return the exit code."""
    sys.stdout.write(f"{bootstrap()}\n")
    return 0
