"""`pprofplus-tui export`: samples, or steps of them, of one run or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from pprofplus_tui.atomic_file import OutputError
from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.export import CSV, UnknownMetricError, export, unknown_metrics, write_rows
from pprofplus_tui.headless.choice import chosen_runs, of_several, window_of
from pprofplus_tui.headless.unread import Unread
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes
from pprofplus_tui.sources.local.run_log import RunLog


@dataclass(frozen=True)
class ExportWish:
    """What to export and where to.

    Attributes:
        runs: names of runs; none: what the options choose.
        form: one of export.FORMATS.
        metrics: exact names, or None for all.
        every_ms: length of a step, or None for every sample.
        output: path of a new file; None and "-" are standard output.
    """

    runs: tuple[str, ...] = ()
    form: str = CSV
    metrics: tuple[str, ...] | None = None
    every_ms: int | None = None
    output: str | None = None


def export_runs(options: Options, wish: ExportWish, out: BinaryIO, told: TextIO) -> int:
    """Write the samples to a new file, or to `out`; return the exit code.

    What was chosen and how it went is one line on `told`, and one about each run of which not all
    could be read. Raises NothingFoundError and UsageError.
    """
    unread = Unread()
    found, others = chosen_runs(options, wish.runs, unread)
    runs = [RunLog(info.path) for info in found]
    for run in runs:
        run.refresh()
        unread.note_run(run)
    begin_ms, end_ms = window_of(options, found, lambda: [run.extent_ms for run in runs])
    if others:
        told.write(of_several(found[0], others))
    _check_metrics(runs, wish.metrics or (), unread, told)
    try:
        rows, skipped = _write(runs, begin_ms, end_ms, wish, out, told)
    except FileExistsError as error:
        raise UsageError(clean(str(error))) from error
    except UnknownMetricError as error:
        raise UsageError(str(error)) from error
    except OutputError as error:
        raise NothingFoundError(clean(str(error))) from error
    if skipped:
        told.write(f"pprofplus-tui: {skipped} damaged pages in this window were skipped\n")
    if not rows:
        told.write("pprofplus-tui: no samples in this window\n")
    for run in runs:
        unread.note_run(run)  # its pages were read since
    return unread.exit_code(told, 0 if rows and not skipped else 1)


def _check_metrics(
    runs: Sequence[RunLog], metrics: Sequence[str], unread: Unread, told: TextIO
) -> None:
    """Raise an error if there is no such metric, before anything is written."""
    problem = unknown_metrics(runs, metrics)
    if problem and unread.exit_code(told):  # the samples may be in a segment that cannot be read
        raise NothingFoundError(problem)
    if problem:
        raise UsageError(problem)


def _write(  # noqa: PLR0913, PLR0917 - the window, the file, and what is told
    runs: Sequence[RunLog],
    begin_ms: int,
    end_ms: int,
    wish: ExportWish,
    out: BinaryIO,
    told: TextIO,
) -> tuple[int, int]:
    """Write them; return (rows, pages that were skipped)."""
    metrics, every_ms = wish.metrics, wish.every_ms
    if wish.output is None or wish.output == "-":
        rows, skipped = write_rows(
            runs, begin_ms, end_ms, out, form=wish.form, metrics=metrics, every_ms=every_ms
        )
        out.flush()
        return rows, skipped
    done = export(
        runs, begin_ms, end_ms, wish.output, form=wish.form, metrics=metrics, every_ms=every_ms
    )
    if done.rows:
        what = "samples" if every_ms is None else "steps"
        size = format_bytes(done.size_bytes)
        told.write(f"{clean(str(done.path))}: {done.rows} {what}, {size}\n")
    else:
        Path(wish.output).unlink()  # headings alone would only stand in the way of the next try
    return done.rows, done.skipped_pages
