"""`pprofplus-tui report`: a time window of one run or several, as an HTML page."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from pprofplus_tui.commands.common_arguments import OUTPUT, RUN, add_run_options
from pprofplus_tui.commands.errors import NothingFoundError, UsageError
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean

if TYPE_CHECKING:
    from pprofplus_tui.reports.content import RunReport
    from pprofplus_tui.sources.port import RunInfo, Source

_MAX_RUNS = 40  # a longer page is not readable
_MAX_TITLES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to report, and where to."""
    parser.epilog = (
        "Reports on the newest run; with RUN, --service or --pid, on all runs that match."
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help=RUN)
    add_run_options(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help=OUTPUT)


def run(arguments: argparse.Namespace, options: Options) -> int:
    """Write the page; return the exit code. Raises UsageError, NothingFoundError."""
    return write_report(options, arguments.runs, arguments.output, sys.stdout, sys.stderr)


def write_report(
    options: Options, names: Sequence[str], output: str | None, out: TextIO, err: TextIO
) -> int:
    """Write the page to a new file, or to `out` if `output` is None or "-"; return the exit code.

    Raises NothingFoundError and UsageError.
    """
    from pprofplus import __version__
    from pprofplus_tui.commands.run_choice import chosen_runs, deaths_of, newest_of, window_of
    from pprofplus_tui.commands.unread_runs import UnreadRuns
    from pprofplus_tui.model.runs import RUNNING
    from pprofplus_tui.model.units import format_bytes
    from pprofplus_tui.reports.collect import report_run
    from pprofplus_tui.reports.content import Report
    from pprofplus_tui.reports.html_page import write_page
    from pprofplus_tui.sources.open import open_source
    from pprofplus_tui.sources.port import Access

    unread = UnreadRuns()
    source = open_source(options.directories)
    found, others = chosen_runs(source, options, names, unread)
    extents = (_extent_of(source, info) for info in found)
    begin_ms, end_ms = window_of(options, found, lambda: extents)
    if others:
        err.write(newest_of(found[0], others))
    # running ones first, then the newest
    found = sorted(found, key=lambda info: (info.state not in RUNNING, -info.begin_ms))
    deaths = deaths_of(source, found)
    runs: list[RunReport] = []
    left_out = 0
    for info in found:
        reader = source.open(info.id, Access.SAMPLES)
        within = reader.has_samples(begin_ms, end_ms)
        unread.note_run(reader)
        if not within:
            continue
        if len(runs) < _MAX_RUNS:
            death = deaths.get(info.id)
            runs.append(report_run(info, reader, (begin_ms, end_ms), options.zone, death))
            unread.note_run(reader)  # decoding may have found more
        else:
            left_out += 1
    code = unread.exit_code(err)
    if not runs:
        raise NothingFoundError("no samples in this window")
    page = write_page(
        Report(
            _title(runs),
            begin_ms,
            end_ms,
            time.time_ns() // 1_000_000,
            tuple(runs),
            left_out,
            __version__,
        ),
        options.zone,
    )
    if output is None or output == "-":
        out.write(page)
        return code
    size_bytes = _write_file(output, page.encode())
    what = f"{len(runs)} runs" if len(runs) > 1 else f"{runs[0].service} {runs[0].pid}"
    err.write(f"{clean(output)}: {what}, {format_bytes(size_bytes)}\n")
    return code


def _write_file(output: str, data: bytes) -> int:
    """Write a new file; return its size. Raises UsageError if it exists, NothingFoundError."""
    from pprofplus_tui.atomic_file import OutputError, new_file

    try:
        with new_file(output) as file:
            file.write(data)
    except FileExistsError as error:
        raise UsageError(clean(str(error))) from error
    except OutputError as error:
        raise NothingFoundError(clean(str(error))) from error
    return len(data)


def _extent_of(source: "Source", info: "RunInfo") -> tuple[int, int]:
    """Return the unix ms of a run's first and last sample, without keeping it in memory."""
    reader = source.open(info.id)
    return reader.begin_ms, reader.end_ms


def _title(runs: "Sequence[RunReport]") -> str:
    services = list(dict.fromkeys(run.service for run in runs))
    if len(runs) == 1:
        return f"Memory of {runs[0].service} {runs[0].pid}"
    more = ", …" if len(services) > _MAX_TITLES else ""
    return f"Memory of {', '.join(services[:_MAX_TITLES])}{more}"
