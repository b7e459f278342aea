"""Samples to CSV or JSON lines: every one of a window, whole files or none.

Columns: `time` (ISO 8601 with offset, milliseconds), `unix_ms`, `service`, `pid`, then one a
metric, named by the metric and its unit: bytes end in `_bytes`, microseconds in `_us`, counts have
the name alone, other units follow as they are called (`queue_depth_jobs`). What is logged in
thousandths comes in whole units, with three decimals at the most. Counters are as recorded, not
rates. A metric that a sample has not is an empty cell, in JSON null.
"""

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import BinaryIO

from pprofplus.errors import PprofplusError
from pprofplus.metrics import BYTES, COUNT, MICROSECONDS
from pprofplus_tui.logs.history import rows_within
from pprofplus_tui.logs.rows import batches, iso_times, moment, page_values
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.series import Ints
from pprofplus_tui.model.units import true_unit

CSV, JSON = FORMATS = ("csv", "json")
_SUFFIXES = {CSV: ".csv", JSON: ".jsonl"}
_UNIT_SUFFIXES = {BYTES: "bytes", MICROSECONDS: "us", COUNT: ""}
_FIXED = ("time", "unix_ms", "service", "pid")
_MOST_LETTERS = 100  # of a name or a unit: a heading, not a text
_MODE = 0o600  # what a service does is not for all to read

Key = tuple[str, str]


class ExportError(PprofplusError):
    """The file could not be written; its text is one line that says why."""


class ExportCancelledError(ExportError):
    """The export was cancelled, and left nothing behind."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: of the file.
        rows: samples in it.
        size_bytes: of the file.
        skipped_pages: pages in the window that were damaged or gone.
    """

    path: Path
    rows: int
    size_bytes: int
    skipped_pages: int


def suggest_path(  # noqa: PLR0913, PLR0917 - what a name is made of
    service: str,
    pid: int,
    begin_ms: int,
    end_ms: int,
    directory: Path,
    zone: tzinfo | None = None,
    *,
    form: str = CSV,
) -> Path:
    """Return a path in `directory` that is free, named after the run and the window.

    `zone` None is the local one.
    """
    begin, end = (moment(ms, zone).strftime("%Y%m%dT%H%M%S") for ms in (begin_ms, end_ms))
    # begins with a fixed word: a service may be called "-rf" or ".hidden"
    stem = f"pprofplus-{service}-{pid}-{begin}-{end}"
    path = directory / (stem + _SUFFIXES[form])
    count = 1
    while os.path.lexists(path):
        count += 1
        path = directory / f"{stem}-{count}{_SUFFIXES[form]}"
    return path


def export(  # noqa: PLR0913 - the window, the file, and how
    runs: RunLog | Sequence[RunLog],
    begin_ms: int,
    end_ms: int,
    path: str | Path,
    *,
    form: str = CSV,
    zone: tzinfo | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the samples in [begin_ms, end_ms), unix ms, to a new file at `path`.

    It appears there whole or not at all. `progress` is told the share done, 0 to 1; `cancelled`
    is asked now and then. Runs follow one after the other; `zone` None is the local one.

    Raises FileExistsError if there is something at `path` and not `overwrite`,
    ExportCancelledError, and ExportError if the disk will not have it.
    """
    target = Path(path)
    if not overwrite and os.path.lexists(target):
        raise FileExistsError(f"{target}: is there already, choose another name")
    if os.path.isdir(target) or "\0" in str(target):  # noqa: PTH112 - Path.is_dir raises on long names
        raise ExportError(f"{target!s}: no name for a file".replace("\0", "?"))
    draft = target.with_name(f".pprofplus-{secrets.token_hex(6)}.part")
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            with os.fdopen(file, "wb") as out:
                rows, skipped = write_rows(
                    runs,
                    begin_ms,
                    end_ms,
                    out,
                    form=form,
                    zone=zone,
                    progress=progress,
                    cancelled=cancelled,
                )
                out.flush()
                os.fsync(out.fileno())
                size_bytes = out.tell()
            _publish(draft, target, overwrite=overwrite)
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()
    except FileExistsError:
        raise FileExistsError(f"{target}: is there already, choose another name") from None
    except OSError as error:
        raise ExportError(f"{target}: {error.strerror or error}") from error
    return Exported(target, rows, size_bytes, skipped)


def _publish(draft: Path, target: Path, *, overwrite: bool) -> None:
    """Give the finished file its name. Raises FileExistsError if that is taken."""
    if overwrite:
        draft.replace(target)
        return
    try:
        os.link(draft, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here: an empty file keeps the name for us until it is replaced.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
        try:
            draft.replace(target)
        except BaseException:
            target.unlink()
            raise


def write_rows(  # noqa: PLR0913 - as `export`
    runs: RunLog | Sequence[RunLog],
    begin_ms: int,
    end_ms: int,
    out: BinaryIO,
    *,
    form: str = CSV,
    zone: tzinfo | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[int, int]:
    """Write the samples to an open binary file, as `export` does; return (rows, skipped pages).

    Raises ExportCancelledError, ValueError if `form` is none of FORMATS, and what `out` raises.
    """
    if form not in FORMATS:
        raise ValueError(f"{form!r}: none of {', '.join(FORMATS)}")
    all_runs = [runs] if isinstance(runs, RunLog) else list(runs)
    for run in all_runs:
        run.refresh()
    pages = [rows_within(run.table, begin_ms, end_ms) for run in all_runs]
    labels = _labels(all_runs)
    if form == CSV:
        out.write((",".join((*_FIXED, *labels.values())) + "\n").encode())
    total, done, rows, skipped = sum(map(len, pages)), 0, 0, 0
    for run, mine in zip(all_runs, pages, strict=True):
        sheet = _Sheet(run, labels, form, zone)
        for batch in batches(run, mine):
            if cancelled is not None and cancelled():
                raise ExportCancelledError("cancelled, nothing was written")
            for text, samples, damaged in sheet.pages(batch, begin_ms, end_ms):
                out.write(text.encode())
                rows += samples
                skipped += damaged
            done += len(batch)
            if progress is not None:
                progress(done / total)
    return rows, skipped


class _Sheet:
    """The rows of one run."""

    def __init__(self, run: RunLog, labels: dict[Key, str], form: str, zone: tzinfo | None) -> None:
        self._run = run
        self._zone = zone
        self._orders: list[list[int]] = []
        self._fine: list[list[int]] = []  # which of these columns are in thousandths
        self._templates: list[str] = []
        for schema in range(len(run.table.schemas)):
            columns = _keys(run, schema)
            present = [key for key in labels if key in columns]
            self._orders.append([columns[key] for key in present])
            units = [unit for _, unit, _ in run.table.schemas[schema].metrics]
            fine = [true_unit(units[column])[1] != 1 for column in self._orders[-1]]
            self._fine.append([i for i, is_fine in enumerate(fine) if is_fine])
            formats = {key: "%s" if f else "%d" for key, f in zip(present, fine, strict=True)}
            self._templates.append(_template(run, formats, labels, form))

    def pages(self, batch: Ints, begin_ms: int, end_ms: int) -> Iterator[tuple[str, int, bool]]:
        """Give (text, samples in it, whether the page is damaged) of each page."""
        schema = int(self._run.table.rows["schema"][batch[0]])
        template = self._templates[schema]
        for t_ms, columns in page_values(self._run, batch, self._orders[schema]):
            inside = (t_ms >= begin_ms) & (t_ms < end_ms)
            times = t_ms[inside].tolist()
            texts = iso_times(times, self._zone)
            values = columns[:, inside].tolist()
            for column in self._fine[schema]:
                values[column] = list(map(_in_units, values[column]))
            cells = zip(texts, times, *values, strict=True)
            yield "".join(map(template.__mod__, cells)), len(times), not len(t_ms)


def _in_units(thousandths: int) -> str:
    """Return a number of thousandths as an exact decimal, without needless zeros."""
    whole, rest = divmod(abs(thousandths), 1000)
    text = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    return f"-{text}" if thousandths < 0 else text


def _keys(run: RunLog, schema: int) -> dict[Key, int]:
    """Return (name, unit) of each metric of one of the run's tables, and its column there."""
    metrics = run.table.schemas[schema].metrics
    return {(name, true_unit(unit)[0]): column for column, (name, unit, _) in enumerate(metrics)}


def _labels(runs: Sequence[RunLog]) -> dict[Key, str]:
    """Return the heading of each metric of the runs, all different."""
    labels: dict[Key, str] = {}
    taken = set(_FIXED)
    for run in runs:
        for schema in range(len(run.table.schemas)):
            for key in _keys(run, schema):
                if key not in labels:
                    labels[key] = _label(*key, taken)
    return labels


def _label(name: str, unit: str, taken: set[str]) -> str:
    # Names come out of a file: only what needs no quoting, and no spreadsheet takes for a formula.
    stem = re.sub(r"[^A-Za-z0-9_.]+", "_", name[:_MOST_LETTERS]).strip("_") or "metric"
    suffix = re.sub(r"[^A-Za-z0-9_]+", "_", _UNIT_SUFFIXES.get(unit, unit)[:_MOST_LETTERS])
    suffix = suffix.strip("_")
    told = not suffix or stem == suffix or stem.endswith(f"_{suffix}")
    label = stem if told else f"{stem}_{suffix}"
    free, count = label, 1
    while free in taken:
        count += 1
        free = f"{label}_{count}"
    taken.add(free)
    return free


def _template(run: RunLog, formats: dict[Key, str], labels: dict[Key, str], form: str) -> str:
    """Return the %-format of a row of a run's pages; `formats` are those of the metrics there."""
    if form == JSON:
        who = f'"service": {json.dumps(run.service)}, "pid": {run.pid}'
        cells = [f', "{label}": {formats.get(key, "null")}' for key, label in labels.items()]
        return f'{{"time": "%s", "unix_ms": %d, {who}{"".join(cells)}}}\n'
    # a leading "-" may begin a service's name, and a formula
    service = f"'{run.service}" if run.service.startswith("-") else run.service
    cells = [formats.get(key, "") for key in labels]
    return ",".join(("%s", "%d", service, str(run.pid), *cells)) + "\n"
