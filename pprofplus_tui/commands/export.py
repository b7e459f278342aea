"""`pprofplus-tui export`: the samples of one run or several, or their extremes per step."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TextIO

from pprofplus_tui.commands.common_arguments import OUTPUT, RUN, add_run_options
from pprofplus_tui.commands.errors import NothingFoundError, UsageError
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean

if TYPE_CHECKING:
    from pprofplus_tui.commands.unread_runs import UnreadRuns
    from pprofplus_tui.sources.port import RunReader


class ExportRequest(NamedTuple):
    """What to export, and where to.

    Attributes:
        runs: names of runs; () for those that the options choose.
        form: one of export.FORMATS.
        metrics: exact names, or None for all.
        every_ms: length of a step, or None for every sample.
        output: path of a new file; None and "-" are standard output.
    """

    runs: tuple[str, ...] = ()
    form: str = "csv"
    metrics: tuple[str, ...] | None = None
    every_ms: int | None = None
    output: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to export, and the format."""
    parser.epilog = "Exports the newest run; with RUN, --service or --pid, all runs that match."
    parser.add_argument("runs", nargs="*", metavar="RUN", help=RUN)
    add_run_options(parser)
    parser.add_argument(
        "--format",
        choices=("csv", "json", "jsonl"),
        default="csv",
        help="json and jsonl both write one object per line (default: csv)",
    )
    parser.add_argument(
        "--metrics", metavar="NAME,...", help="only these metrics; their exact names"
    )
    parser.add_argument(
        "--every",
        metavar="SPAN",
        help="write min, max and last of each metric per step of this length",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help=OUTPUT)


def run(arguments: argparse.Namespace, options: Options) -> int:
    """Export to standard output or to a new file; return the exit code.

    Raises UsageError, NothingFoundError.
    """
    from pprofplus_tui.commands.argument_values import names_in, span_ms_in

    metrics = None if arguments.metrics is None else names_in(arguments.metrics, "--metrics")
    request = ExportRequest(
        tuple(arguments.runs),
        arguments.format,
        metrics,
        span_ms_in(arguments.every),
        arguments.output,
    )
    return export_runs(options, request, sys.stdout.buffer, sys.stderr)


def export_runs(options: Options, request: ExportRequest, out: BinaryIO, err: TextIO) -> int:
    """Write the samples to a new file, or to `out`; return the exit code.

    `err` gets one line with the runs that were chosen and the result, and one for each run that
    could not be read completely. Raises NothingFoundError and UsageError.
    """
    from pprofplus_tui.atomic_file import OutputError
    from pprofplus_tui.commands.run_choice import chosen_runs, newest_of, window_of
    from pprofplus_tui.commands.unread_runs import UnreadRuns
    from pprofplus_tui.export import UnknownMetricError
    from pprofplus_tui.sources.open import open_source
    from pprofplus_tui.sources.port import Access

    unread = UnreadRuns()
    source = open_source(options.directories)
    found, others = chosen_runs(source, options, request.runs, unread)
    runs = [source.open(info.id, Access.SAMPLES) for info in found]
    for reader in runs:
        unread.note_run(reader)
    extents = [(reader.begin_ms, reader.end_ms) for reader in runs]
    begin_ms, end_ms = window_of(options, found, lambda: extents)
    if others:
        err.write(newest_of(found[0], others))
    _check_metrics(runs, request.metrics or (), unread, err)
    try:
        rows, skipped = _write(runs, (begin_ms, end_ms), request, out, err)
    except FileExistsError as error:
        raise UsageError(clean(str(error))) from error
    except UnknownMetricError as error:
        raise UsageError(str(error)) from error
    except OutputError as error:
        raise NothingFoundError(clean(str(error))) from error
    if skipped:
        err.write(f"pprofplus-tui: {skipped} damaged pages in this window were skipped\n")
    if not rows:
        err.write("pprofplus-tui: no samples in this window\n")
    for reader in runs:
        unread.note_run(reader)  # reading its samples may have found more
    return unread.exit_code(err, 0 if rows and not skipped else 1)


def _check_metrics(
    runs: "Sequence[RunReader]", metrics: Sequence[str], unread: "UnreadRuns", err: TextIO
) -> None:
    """Raise an error if a metric is unknown, before anything is written."""
    from pprofplus_tui.export import unknown_metrics

    problem = unknown_metrics(runs, metrics)
    if problem and unread.exit_code(err):  # its samples may be among those that cannot be read
        raise NothingFoundError(problem)
    if problem:
        raise UsageError(problem)


def _write(
    runs: "Sequence[RunReader]",
    window_ms: tuple[int, int],
    request: ExportRequest,
    out: BinaryIO,
    err: TextIO,
) -> tuple[int, int]:
    """Write the samples; return (rows, damaged pages that were skipped)."""
    from pprofplus_tui.export import export, write_rows
    from pprofplus_tui.model.units import format_bytes

    metrics, every_ms = request.metrics, request.every_ms
    begin_ms, end_ms = window_ms
    if request.output is None or request.output == "-":
        rows, skipped = write_rows(
            runs, begin_ms, end_ms, out, form=request.form, metrics=metrics, every_ms=every_ms
        )
        out.flush()
        return rows, skipped
    done = export(
        runs,
        begin_ms,
        end_ms,
        request.output,
        form=request.form,
        metrics=metrics,
        every_ms=every_ms,
    )
    if done.rows:
        what = "samples" if every_ms is None else "steps"
        size = format_bytes(done.size_bytes)
        err.write(f"{clean(str(done.path))}: {done.rows} {what}, {size}\n")
    else:
        Path(request.output).unlink()  # a file with headings only would block the next attempt
    return done.rows, done.skipped_pages
