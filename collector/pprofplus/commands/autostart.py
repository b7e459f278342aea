"""`pprofplus autostart`: the directory that makes each Python record itself, for PYTHONPATH."""

from __future__ import annotations

# pathlib costs each command 5 ms
# ruff: noqa: PTH118, PTH120
import argparse
import os
import sys

import pprofplus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.commands import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "autostart",
        help="print the directory that PYTHONPATH leads to where PPROFPLUS_AUTOSTART is used",
        description="Prints a directory. A Python whose PYTHONPATH has it, and whose environment "
        "has PPROFPLUS_AUTOSTART=service, records itself.",
    )
    parser.set_defaults(run=run)


def bootstrap() -> str:
    """Return the directory, absolute; it holds one file, `sitecustomize.py`."""
    return os.path.join(os.path.dirname(os.path.abspath(pprofplus.__file__)), "autostart")  # noqa: PTH100 - as above


def run(_: argparse.Namespace) -> int:
    """Print it; return the exit code."""
    sys.stdout.write(f"{bootstrap()}\n")
    return 0
