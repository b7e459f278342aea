"""`pprofplus-tui list`: the runs found, as a table or as JSON."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from pprofplus_tui.headless.choice import find_runs
from pprofplus_tui.headless.unread import Unread, one_line
from pprofplus_tui.logs.catalog import Catalog, RunInfo
from pprofplus_tui.model.options import Options
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


def list_runs(options: Options, *, as_json: bool, out: TextIO, told: TextIO) -> int:
    """Print the runs with their samples counted; return the exit code.

    What could not be read is named on `told`.
    """
    unread = Unread()
    runs = [Catalog.scan(Catalog([]), info) for info in find_runs(options, unread)]
    runs.sort(key=lambda info: (info.service, -info.begin_ms, info.pid))
    if as_json:
        json.dump([_as_json(info) for info in runs], out, indent=2)
        out.write("\n")
    else:
        out.writelines(line + "\n" for line in table([_HEADINGS, *map(_as_row, runs)]))
    for info in runs:
        unread.note(one_line(f"{info.service}/{Path(info.path).name}", info.problems))
    return unread.exit_code(told)


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
