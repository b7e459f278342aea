"""`pprofplus doctor`: checks whether a service started here would be recorded, and how."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from pprofplus.commands.autostart import bootstrap
from pprofplus.commands.common_arguments import add_directory_option, checked
from pprofplus.settings import check_service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the log directory and the service."""
    parser.description = (
        "Records a test run, and prints the log directory and the reason for it, which metrics "
        "are available, and the cost of a sample. Run it with the user and the environment of the "
        "service. Exit codes: 0 healthy, 1 not, 2 wrong usage."
    )
    add_directory_option(parser)
    parser.add_argument(
        "--service",
        metavar="NAME",
        type=checked(check_service),
        help="also check the directory of this service",
    )


def run(options: argparse.Namespace) -> int:
    """Print the report; return the exit code."""
    import logging

    from pprofplus import __version__
    from pprofplus.doctor.availability import examine_sources
    from pprofplus.doctor.check_report import CheckReport
    from pprofplus.doctor.destination import examine_destination
    from pprofplus.doctor.environment import examine_environment
    from pprofplus.system.locks import LOCKS_EXIST

    report = CheckReport()
    user = f", uid {os.geteuid()}" if hasattr(os, "geteuid") else ""
    report.lines.append(
        f"pprofplus {__version__}, {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()} {platform.machine()}"
        f"{_c_library()}{user}"
    )
    # the warnings of start() are in the report, with advice
    logging.getLogger("pprofplus").addHandler(logging.NullHandler())
    examine_environment(report, bootstrap())
    if LOCKS_EXIST:
        examine_destination(report, options.dir, options.service)
        examine_sources(report)
    else:
        report.add_problem("this platform has no file locks: nothing is recorded here")
    report.conclude("healthy: a service started like this is recorded")
    sys.stdout.write("".join(f"{line}\n" for line in report.lines))
    return 1 if report.problems else 0


def _c_library() -> str:
    name, version = platform.libc_ver()
    return f", {name} {version}" if name else ""
