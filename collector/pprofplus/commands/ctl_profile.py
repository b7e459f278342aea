"""`pprofplus ctl profile`: take profiles of a service, of one process or of all at once."""

from __future__ import annotations

import argparse
import re
import sys

from pprofplus.commands.common_arguments import add_directory_option, checked, print_error
from pprofplus.settings import check_service
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.commands.profile_files import ProfileFile
    from pprofplus.commands.request_exchange import Answer
    from pprofplus.log.discovery import RunLocation
    from pprofplus.profiles.kinds import ProfileKind
    from pprofplus.profiles.output_files import OutputFiles

SUMMARY = "take profiles: CPU, wall, locks, threads, heap and others"
_MAX_LINE = 200
# what else a kind shows with a window
_HINTS = {"heap": "to see what grows: --seconds 30"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kinds and what to take of them."""
    parser.description = (
        "Takes profiles inside the live processes of a service, without root or ptrace. They are "
        "kept in the directory of each run, and -o writes a copy; the profiles of several "
        "processes are merged in it, with the label pid. Without -o, the heaviest entries of one "
        "process are printed. Ctrl-C ends it in the service, too. "
        "Exit codes: 0 all are taken, 1 not all are, 2 wrong usage."
    )
    parser.add_argument(
        "kinds", metavar="KIND", nargs="*", type=checked(_check_kind), help="see --list"
    )
    parser.add_argument(
        "--list", action="store_true", help="print all kinds, and what they cost the service"
    )
    parser.add_argument("--service", metavar="NAME", type=checked(check_service), help="exactly")
    parser.add_argument("--pid", metavar="PID", type=int, help="this process alone")
    parser.add_argument(
        "--seconds",
        metavar="SECONDS",
        type=checked(_check_seconds),
        default=0.0,
        help="length of the window (default: see --list)",
    )
    parser.add_argument(
        "--hz",
        metavar="HZ",
        type=checked(_check_hz),
        default=0,
        help="ticks a second, for kinds that sample (default: 100)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="take it even if it costs the service more than is allowed",
    )
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="also write a file, or one for each kind to DIR/"
    )
    add_directory_option(parser)
    parser.set_defaults(parser=parser)


def run(options: argparse.Namespace) -> int:
    """Take the profiles, and print where they are; return the exit code."""
    from pprofplus.profiles.kinds import KINDS
    from pprofplus.profiles.taking import check_kinds

    if options.list:
        sys.stdout.writelines(f"{line}\n" for line in kind_table(list(KINDS.values())))
        return 0
    if not options.kinds:
        options.parser.error("name at least one KIND, or use --list")
    if not options.service and options.pid is None:
        options.parser.error("one of the arguments --service and --pid is required")
    kinds = check_kinds(options.kinds)
    return _take([KINDS[name] for name in kinds], options)


def kind_table(kinds: list[ProfileKind]) -> list[str]:
    """Return the lines of a table of kinds: name, window, cost, meaning, and warnings."""
    rows = [("KIND", "WINDOW", "COST", "MEANING")]
    for kind in kinds:
        window = f"{kind.window_s:g} s" if kind.window_s else "-"
        rows.append((kind.name, window, kind.cost, kind.meaning))
        if kind.warning:
            rows.append(("", "", "", f"({kind.warning})"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _check_kind(name: str) -> str:
    from pprofplus.profiles.taking import check_kinds

    return check_kinds([name])[0]


def _check_seconds(text: str) -> float:
    from pprofplus.profiles.taking import check_seconds

    seconds = check_seconds(text)
    if not seconds:
        raise ValueError(f"seconds {text}: use more than 0")
    return seconds


def _check_hz(text: str) -> int:
    from pprofplus.profiles.taking import check_hz

    hz = check_hz(text)
    if not hz:
        raise ValueError(f"hz {text}: use 1 or more")
    return hz


def _take(kinds: list[ProfileKind], options: argparse.Namespace) -> int:
    from pprofplus.commands.request_exchange import find_live_runs
    from pprofplus.profiles.output_files import OutputFiles

    output = None
    if options.output is not None:
        try:
            output = OutputFiles(options.output, len(kinds))
        except ValueError as error:
            options.parser.error(str(error))
        except OSError as error:
            print_error(f"{options.output}: {error.strerror}")
            return 1
    runs, complete = find_live_runs(options)
    if not runs:
        return 1
    shown = [_show_answer(answer) for answer in _ask(kinds, options, runs)]
    files = [file for found, _ in shown for file in found]
    complete = complete and all(done for _, done in shown)
    if output is not None:
        return 0 if _write(files, output) and complete else 1
    _print_paths(files, runs[0].service)
    if len(runs) == 1:
        for file in files:
            _print_top(file, "" if options.seconds else _HINTS.get(file.artefact.kind, ""))
    return 0 if complete else 1


def _ask(
    kinds: list[ProfileKind], options: argparse.Namespace, runs: list[RunLocation]
) -> list[Answer]:
    """Print the warnings of the kinds, request them, and return the answers of all runs."""
    from pprofplus.commands.request_exchange import Exchange
    from pprofplus.control.requests import Request
    from pprofplus.recording.run_actions import PROFILE

    for kind in kinds:
        if kind.warning:
            print_error(f"{kind.name}: {kind.warning}")
    arguments = {
        "kinds": [kind.name for kind in kinds],
        "seconds": options.seconds,
        "hz": options.hz,
        "force": options.force,
    }
    exchange = Exchange(PROFILE, PROFILE.duration_s(arguments))
    return exchange.ask(runs, Request(PROFILE.name, arguments))


def _show_answer(answer: Answer) -> tuple[list[ProfileFile], bool]:
    """Print what a run answered, except the names of files; return its files, and success.

    After a failure, the files that were stored before are returned, too.
    """
    from pprofplus.commands.profile_files import read_profile
    from pprofplus.log.artefacts import ARTEFACT_NAME

    files, done, rest = [], answer.done, []
    who = f"{answer.location.service} {answer.location.pid}"
    for piece in answer.text.split("; "):
        if not re.fullmatch(ARTEFACT_NAME, piece):
            rest.append(piece)
            continue
        try:
            files.append(read_profile(answer.location.path, answer.location.pid, piece))
        except (OSError, ValueError) as error:
            print_error(f"{who}: {piece}: {error}")
            done = False
    # names of holders have arrows, and the output is ASCII
    text = printable("; ".join(rest).replace("\N{LEFTWARDS ARROW}", "<-"))
    if text:
        (sys.stdout if answer.done else sys.stderr).write(f"{who}: {text}\n")
    return files, done


def _print_paths(files: list[ProfileFile], service: str) -> None:
    from pprofplus.profiles.top_text import quantity

    for file in files:
        size = quantity(file.artefact.size_bytes, "bytes")
        line = f"{service} {file.pid}: {file.artefact.kind}: {file.path} ({size})"
        sys.stdout.write(f"{printable(line)}\n")


def _print_top(file: ProfileFile, hint: str) -> None:
    from pprofplus.errors import ProfileFormatError
    from pprofplus.log.artefacts import PROFILE_SUFFIX
    from pprofplus.profiles.pprof_decoder import decode_profile
    from pprofplus.profiles.top_text import top_lines

    if file.artefact.suffix != PROFILE_SUFFIX:
        return
    try:
        lines = top_lines(file.artefact.kind, decode_profile(file.data))
    except ProfileFormatError as error:
        print_error(f"{file.path}: {error}")
        return
    sys.stdout.write("\n")
    sys.stdout.writelines(f"{printable(line)[:_MAX_LINE]}\n" for line in lines)
    if hint:
        sys.stdout.write(f"  {hint}\n")


def _write(files: list[ProfileFile], output: OutputFiles) -> bool:
    """Write one file for each kind; return whether that succeeded."""
    from pprofplus.commands.profile_files import merged
    from pprofplus.errors import ProfileFormatError
    from pprofplus.profiles.output_files import source_path
    from pprofplus.profiles.top_text import quantity

    groups: dict[str, list[ProfileFile]] = {}
    for file in files:
        groups.setdefault(file.artefact.kind, []).append(file)
    written = True
    for kind, group in groups.items():
        name = min(group, key=lambda file: file.artefact.unix_ms).artefact.name
        try:
            data, source = merged(group)
            path = output.store(name, data)
            if source:
                output.store(source_path(name), source)
        except (OSError, ProfileFormatError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            print_error(f"{kind} cannot be written: {reason or error}")
            written = False
            continue
        count = len(group)
        of = f"of {count} processes, " if count > 1 else ""
        size = quantity(len(data), "bytes")
        sys.stdout.write(f"{kind}: {printable(path)} ({of}{size})\n")
    return written and bool(files)
