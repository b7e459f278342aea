"""What the command does without a screen: `list`, `export`, `pin` and `unpin`."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, TextIO

from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.export import CSV, JSON, ExportError, export, write_rows
from pprofplus_tui.logs.catalog import Catalog, RunInfo
from pprofplus_tui.logs.pins import PinError, set_pin
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import RUNNING
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.timeaxis import local
from pprofplus_tui.model.units import format_bytes, format_span_ms

_HEADINGS = (
    "SERVICE",
    "PID",
    "STATE",
    "RSS",
    "BEGIN",
    "LASTED",
    "SAMPLES",
    "LOG",
    "DAMAGED",
    "PINNED",
)
_RIGHT = {"PID", "RSS", "LASTED", "SAMPLES", "LOG", "DAMAGED"}


def find_runs(options: Options) -> list[RunInfo]:
    """Return the runs that the options ask for, running ones first, then the newest.

    Raises NothingFoundError with a line that says what there is instead.
    """
    catalog = Catalog(list(options.directories))
    catalog.refresh()
    found = [
        info
        for info in catalog.runs
        if options.service in {None, info.service} and options.pid in {None, info.pid}
    ]
    if found:
        return sorted(found, key=lambda info: (info.state not in RUNNING, -info.begin_ms))
    where = ", ".join(options.directories)
    asked = [f"service {options.service}"] if options.service is not None else []
    asked += [f"pid {options.pid}"] if options.pid is not None else []
    line = f"no run of {' '.join(asked)} in {where}" if asked else f"no run in {where}"
    services = sorted({info.service for info in catalog.runs})
    hint = f"; there are {', '.join(services)}" if services else "; name the directory with --dir"
    problem = f"; {catalog.problems[0]}" if catalog.problems else ""
    raise NothingFoundError(clean(line + hint + problem))


def list_runs(options: Options, *, as_json: bool, out: TextIO) -> int:
    """Print the runs with their samples counted; return the exit code."""
    runs = [Catalog.scan(Catalog([]), info) for info in find_runs(options)]
    runs.sort(key=lambda info: (info.service, -info.begin_ms, info.pid))
    if as_json:
        json.dump([_as_json(info) for info in runs], out, indent=2)
        out.write("\n")
        return 0
    out.writelines(line + "\n" for line in table([_HEADINGS, *map(_as_row, runs)]))
    return 0


def _as_json(info: RunInfo) -> dict[str, object]:
    return {
        "service": info.service,
        "pid": info.pid,
        "state": info.state,
        "begin_ms": info.begin_ms,
        "end_ms": info.end_ms,
        "samples": info.samples,
        "size_bytes": info.size_bytes,
        "damaged_pages": info.damaged_pages,
        "pinned": info.pinned,
        "path": info.path,
    }


def _as_row(info: RunInfo) -> tuple[str, ...]:
    rss = info.last.get("rss")
    return (
        info.service,
        str(info.pid),
        info.state,
        "" if rss is None else format_bytes(rss),
        f"{local(info.begin_ms, None):%Y-%m-%d %H:%M:%S %Z}",
        format_span_ms(info.end_ms - info.begin_ms),
        str(info.samples),
        format_bytes(info.size_bytes),
        str(info.damaged_pages) if info.damaged_pages else "",
        "pinned" if info.pinned else "",
    )


def table(rows: list[tuple[str, ...]]) -> Iterable[str]:
    """Yield the rows as lines with aligned columns; the first row has the headings."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
            for cell, width, heading in zip(row, widths, rows[0], strict=True)
        ]
        yield "  ".join(cells).rstrip()


def pin_run(options: Options, name: str, *, pinned: bool, out: TextIO) -> int:
    """Pin or unpin the run called `name`: SERVICE/PID or SERVICE/PID-START; return the exit code.

    Raises UsageError if several are called so, NothingFoundError if none is or it may not be done.
    """
    service, _, rest = name.strip("/").rpartition("/")
    catalog = Catalog(list(options.directories))
    catalog.refresh()
    found = [
        info.path
        for info in catalog.runs
        if info.service == service and rest in {str(info.pid), Path(info.path).name}
    ]
    if not found:
        where = ", ".join(options.directories)
        raise NothingFoundError(
            clean(f"no run {name} in {where}; name it SERVICE/PID, as  pprofplus-tui list  does")
        )
    if len(found) > 1:
        names = ", ".join(f"{service}/{Path(path).name}" for path in found)
        raise UsageError(clean(f"{len(found)} runs are called {name}: name one of {names}"))
    try:
        set_pin(found[0], pinned=pinned)
    except PinError as error:
        raise NothingFoundError(clean(str(error))) from error
    out.write(clean(f"{found[0]}: {'pinned' if pinned else 'not pinned'}") + "\n")
    return 0


def window_of(options: Options, info: RunInfo) -> tuple[int, int]:
    """Return [begin_ms, end_ms) that the options ask for; without any, the whole run.

    `--last` counts from now for a run that goes on, else from its end.
    """
    now_ms = time.time_ns() // 1_000_000
    begin_ms, end_ms, last_ms = options.begin_ms, options.end_ms, options.last_ms
    if begin_ms is not None and end_ms is None and last_ms is not None:
        end_ms = begin_ms + last_ms
    if end_ms is None:
        end_ms = max(now_ms, info.end_ms + 1) if info.state in RUNNING else info.end_ms + 1
    if begin_ms is None:
        begin_ms = end_ms - last_ms if last_ms is not None else info.begin_ms
    if end_ms <= begin_ms:
        raise UsageError("the window ends before it begins: check --begin, --end, --last")
    return begin_ms, end_ms


def export_run(options: Options, form: str, output: str | None, out: BinaryIO, told: TextIO) -> int:
    """Write the samples of one run to a new file, or to `out` if `output` is None or "-".

    What was chosen and how it went is one line on `told`. Returns the exit code; raises
    NothingFoundError and UsageError.
    """
    if form not in {CSV, JSON}:
        raise UsageError(f"--format {form}: csv or json")
    found = find_runs(options)
    info = found[0]
    begin_ms, end_ms = window_of(options, info)
    if len(found) > 1:
        told.write(
            f"pprofplus-tui: {info.service} {info.pid}, the newest of {len(found)} runs; "
            "choose another with --service and --pid\n"
        )
    run = RunLog(info.path)
    try:
        if output is None or output == "-":
            rows, skipped = write_rows(run, begin_ms, end_ms, out, form=form)
            out.flush()
        else:
            done = export(run, begin_ms, end_ms, Path(output), form=form)
            rows, skipped = done.rows, done.skipped_pages
            size = format_bytes(done.size_bytes)
            if rows:
                told.write(f"{clean(str(done.path))}: {rows} samples, {size}\n")
            else:
                done.path.unlink()  # headings alone would only stand in the way of the next try
    except FileExistsError as error:
        raise UsageError(clean(str(error))) from error
    except ExportError as error:
        raise NothingFoundError(clean(str(error))) from error
    if skipped:
        told.write(f"pprofplus-tui: {skipped} damaged pages in this window were skipped\n")
    if not rows:
        told.write("pprofplus-tui: no samples in this window\n")
    return 0 if rows else 1
