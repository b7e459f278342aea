"""`pprofplus ctl profiles`: list the profiles of a service, also those of ended processes."""

from __future__ import annotations

import argparse
import os
import sys

from pprofplus.commands.common_arguments import add_directory_option, checked, print_error
from pprofplus.settings import check_service
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.log.artefacts import Artefact

SUMMARY = "list the profiles of a service, also those of ended processes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the service and a process."""
    parser.description = (
        "Lists the profiles in the run directories of a service, the oldest first. "
        "Exit codes: 0 listed, 1 there is none or not all can be read, 2 wrong usage."
    )
    parser.add_argument(
        "--service", metavar="NAME", required=True, type=checked(check_service), help="exactly"
    )
    parser.add_argument("--pid", metavar="PID", type=int, help="this process of it alone")
    add_directory_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print the table; return the exit code."""
    from pprofplus.commands.request_exchange import print_denied
    from pprofplus.log.discovery import log_directories

    found: list[tuple[Artefact, int, str]] = []
    denied: list[str] = []
    for log_directory in log_directories(options.dir):
        _list_runs(os.path.join(log_directory, options.service), options.pid, found, denied)
    print_denied(denied)
    if found:
        found.sort(key=lambda each: (each[0].unix_ms, each[1], each[0].name))
        sys.stdout.writelines(f"{line}\n" for line in _table(found))
    elif not denied:
        who = options.service if options.pid is None else f"{options.service} {options.pid}"
        print_error(f"no profile of {who}; take one: pprofplus ctl profile KIND --service NAME")
    return 0 if found and not denied else 1


def _list_runs(
    path: str,
    wanted: int | None,
    found: list[tuple[Artefact, int, str]],
    denied: list[str],
) -> None:
    """Add the profiles of the runs of a service, and the paths that may not be read."""
    from pprofplus.log.artefacts import SOURCE_SUFFIX, list_artefacts
    from pprofplus.log.log_directory import parse_run_name
    from pprofplus.system.descriptor import DIRECTORY, close_descriptor

    try:
        names = sorted(os.listdir(path))
    except PermissionError:
        denied.append(path)
        return
    except OSError:
        return
    for name in names:
        parsed = parse_run_name(name)
        if parsed is None or wanted not in {None, parsed[0]}:
            continue
        run_path = os.path.join(path, name)
        try:
            run_fd = os.open(run_path, DIRECTORY)
        except PermissionError:
            denied.append(run_path)
            continue
        except OSError:  # it was removed
            continue
        try:
            found += [
                (artefact, parsed[0], run_path)
                for artefact in list_artefacts(run_fd)
                if artefact.suffix != SOURCE_SUFFIX
            ]
        except OSError:
            continue
        finally:
            close_descriptor(run_fd)


def _table(found: list[tuple[Artefact, int, str]]) -> list[str]:
    from pprofplus.profiles.top_text import quantity

    rows = [("TIME", "PID", "KIND", "WHY", "SIZE", "PATH")]
    for artefact, pid, path in found:
        size = quantity(artefact.size_bytes, "bytes")
        time = _local_time(artefact.unix_ms)
        full = printable(os.path.join(path, artefact.name))
        rows.append((time, str(pid), artefact.kind, artefact.why or "-", size, full))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _local_time(unix_ms: int) -> str:
    from time import localtime, strftime

    try:
        return strftime("%Y-%m-%d %H:%M:%S", localtime(unix_ms / 1000))
    except (OverflowError, ValueError, OSError):  # a name that no clock made
        return str(unix_ms)
