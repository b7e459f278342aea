"""Writes an export: each sample of a window, or the smallest, largest and last of each step.

Columns: `time` (ISO 8601 with offset, milliseconds), `unix_ms`, `service`, `pid`, then one for each
metric, with the name of the metric and its unit: bytes end in `_bytes`, microseconds in `_us`,
counts have no suffix, other units are appended (`queue_depth_jobs`). Values that are logged in
thousandths are written in whole units, with at most three decimals. Counters are written as
recorded, not as rates. If a sample lacks a metric, the value is empty, in JSON null. Steps have
`samples`, and three columns for each metric: `rss_bytes_min`, `rss_bytes_max`, `rss_bytes_last`.
"""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import BinaryIO

from pprofplus_tui.atomic_file import OutputError, free_path, new_file
from pprofplus_tui.export.columns import FIXED, MetricKey, labels
from pprofplus_tui.export.sheets import Samples, Sheet, Steps, step_headings
from pprofplus_tui.export.timestamps import moment
from pprofplus_tui.model.export_job import Exported
from pprofplus_tui.sources.port import RunReader

CSV, JSON, JSONL = FORMATS = ("csv", "json", "jsonl")  # the last two are the same: JSON lines
_SUFFIXES = {CSV: ".csv", JSON: ".jsonl", JSONL: ".jsonl"}


class ExportCancelledError(OutputError):
    """The export was cancelled; no file remains."""


def suggest_path(
    service: str,
    pid: int,
    begin_ms: int,
    end_ms: int,
    directory: Path,
    zone: tzinfo | None = None,
    *,
    form: str = CSV,
) -> Path:
    """Return an unused path in `directory`, named after the run and the window.

    `zone` None is the local time zone.
    """
    begin, end = (moment(ms, zone).strftime("%Y%m%dT%H%M%S") for ms in (begin_ms, end_ms))
    # begins with a fixed word, because a service may be named "-rf" or ".hidden"
    stem = f"pprofplus-{service}-{pid}-{begin}-{end}"
    return free_path(directory, stem, _SUFFIXES[form])


def export(
    runs: Sequence[RunReader],
    begin_ms: int,
    end_ms: int,
    path: str | Path,
    *,
    form: str = CSV,
    zone: tzinfo | None = None,
    metrics: Sequence[str] | None = None,
    every_ms: int | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the samples in [begin_ms, end_ms), unix ms, to a new file at `path`.

    The file is complete or absent. `progress` is called with the fraction done, 0 to 1;
    `cancelled` is called now and then. The runs, opened with `Access.SAMPLES`, follow one after the
    other; `zone` None is the local time zone. `metrics` are the exact names to write, None for all;
    `every_ms` is the length of a step, None for each sample.

    Raises FileExistsError if `path` exists and not `overwrite`, UnknownMetricError,
    ExportCancelledError, and OutputError if the file cannot be written.
    """
    target = Path(path)
    with new_file(target, overwrite=overwrite) as out:
        rows, skipped = write_rows(
            runs,
            begin_ms,
            end_ms,
            out,
            form=form,
            zone=zone,
            metrics=metrics,
            every_ms=every_ms,
            progress=progress,
            cancelled=cancelled,
        )
        size_bytes = out.tell()
    problems = tuple(line for run in runs for line in run.problems)
    return Exported(target, rows, size_bytes, skipped, problems)


def write_rows(
    runs: Sequence[RunReader],
    begin_ms: int,
    end_ms: int,
    out: BinaryIO,
    *,
    form: str = CSV,
    zone: tzinfo | None = None,
    metrics: Sequence[str] | None = None,
    every_ms: int | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[int, int]:
    """Write the samples to an open binary file, as `export` does; return (rows, skipped pages).

    Raises UnknownMetricError, ExportCancelledError, ValueError if `form` is not one of FORMATS,
    and what `out` raises.
    """
    if form not in FORMATS:
        raise ValueError(f"{form!r}: not one of {', '.join(FORMATS)}")
    for run in runs:
        run.refresh()
    samples = [run.samples(begin_ms, end_ms, metrics) for run in runs]
    named = labels(runs, metrics)
    if form == CSV:
        words = list(named.values())
        headings = step_headings(words) if every_ms else words
        out.write((",".join((*FIXED, *headings)) + "\n").encode())
    total, done, rows, skipped = sum(map(len, samples)), 0, 0, 0
    for run, mine in zip(runs, samples, strict=True):
        sheet = _sheet(run, named, zone, form, begin_ms, every_ms)
        for blocks in mine:
            if cancelled is not None and cancelled():
                raise ExportCancelledError("cancelled, nothing was written")
            for block in blocks:
                text, count = sheet.add(block, begin_ms, end_ms)
                out.write(text.encode())
                rows += count
                skipped += block.damaged
            done += len(blocks)
            if progress is not None:
                progress(done / total)
        text, count = sheet.end()
        out.write(text.encode())
        rows += count
    return rows, skipped


def _sheet(
    run: RunReader,
    named: dict[MetricKey, str],
    zone: tzinfo | None,
    form: str,
    begin_ms: int,
    every_ms: int | None,
) -> Sheet:
    if every_ms is None:
        return Samples(run, named, zone, as_json=form != CSV)
    return Steps(run, named, zone, begin_ms, every_ms, as_json=form != CSV)
