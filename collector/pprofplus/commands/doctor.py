"""`pprofplus doctor`: whether a service that is started here would be recorded, and how."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from pprofplus.commands import add_dir, checked
from pprofplus.commands.autostart import bootstrap
from pprofplus.settings import check_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.commands import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="tell whether a service started here would be recorded",
        description="Tries to record, and tells where logs go and why, what is available, and "
        "what a sample costs. Give it the user and the environment of the service. Exit code: 0 "
        "healthy, 1 not.",
    )
    add_dir(parser)
    parser.add_argument(
        "--service",
        metavar="NAME",
        type=checked(check_service),
        help="look at this service's directory, too",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was found; return the exit code."""
    import logging  # noqa: PLC0415 - only here

    from pprofplus import __version__  # noqa: PLC0415 - as above
    from pprofplus.doctor.availability import examine_sources  # noqa: PLC0415 - as above
    from pprofplus.doctor.check_report import CheckReport  # noqa: PLC0415 - as above
    from pprofplus.doctor.destination import examine_place  # noqa: PLC0415 - as above
    from pprofplus.doctor.environment import examine_environment  # noqa: PLC0415 - as above
    from pprofplus.system.locks import LOCKS_EXIST  # noqa: PLC0415 - as above

    report = CheckReport()
    user = f", uid {os.geteuid()}" if hasattr(os, "geteuid") else ""
    report.lines.append(
        f"pprofplus {__version__}, {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()} {platform.machine()}"
        f"{_c_library()}{user}"
    )
    # what start() would warn of is told below, with what to do
    logging.getLogger("pprofplus").addHandler(logging.NullHandler())
    examine_environment(report, bootstrap())
    if LOCKS_EXIST:
        examine_place(report, options.dir, options.service)
        examine_sources(report)
    else:
        report.trouble("this platform has no file locks: nothing is recorded here")
    report.conclude("healthy: a service started like this is recorded")
    sys.stdout.write("".join(f"{line}\n" for line in report.lines))
    return 1 if report.troubles else 0


def _c_library() -> str:
    name, version = platform.libc_ver()
    return f", {name} {version}" if name else ""
