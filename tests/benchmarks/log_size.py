"""The size of a sample on disk, measured with the services of the demo."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from pprofplus.errors import LogFormatError
from pprofplus.log.format import PAGE_SIZE, DataPage, head_size, read_data_page
from pprofplus.log.segment import SEGMENT_BYTES
from pprofplus_tui.demo.services import SERVICES
from pprofplus_tui.sources.local.run_log import RunLog
from tables import Column, Row, Table
from timing import Effort

_COLUMNS = (
    Column("samples", compared=False),
    Column("metrics", compared=False),
    Column("a sample", "B"),
    Column("a value", "B", at_most=1.6),
    Column("a day at 1 Hz", "MB"),
)
_HEADER_SHARE = 1 + PAGE_SIZE / SEGMENT_BYTES  # a segment's first page is its header


@dataclass(frozen=True)
class Size:
    """The size of a service's log: bytes per sample in our format and in two others."""

    samples: int
    metrics: int
    ours: float
    json_lines: float
    structs: float

    def row(self, name: str, sample_bytes: float, *, detail: bool = False) -> Row:
        """Return the row of one format, or of one service in our format."""
        a_day = sample_bytes * 86_400 / 1e6
        figures = (self.samples, self.metrics, sample_bytes, sample_bytes / self.metrics, a_day)
        return Row(name, figures, detail=detail)


def record(log_directory: Path, seconds: float, interval_s: float) -> None:
    """Run the services of the demo for `seconds`; they log to `log_directory`."""
    environment = {**os.environ, "PPROFPLUS_INTERVAL": str(interval_s)}
    with ExitStack() as started:
        for name in SERVICES:
            process = started.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "pprofplus_tui.demo.services", name, str(log_directory)],
                    stdin=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                )
            )
            started.callback(process.stdin.close)
        threading.Event().wait(seconds)


def _pages(directory: Path) -> list[DataPage]:
    """Return the data pages of a run, each in its newest version."""
    found: dict[int, DataPage] = {}
    for path in directory.glob("*.pplog"):
        data = path.read_bytes()
        for at in range(0, len(data), PAGE_SIZE):
            with suppress(LogFormatError):  # a header, or an older version of a page
                page = read_data_page(data[at : at + PAGE_SIZE])
                number = page.head.prefix.number
                if number not in found or found[number].head.samples < page.head.samples:
                    found[number] = page
    return list(found.values())


def size_of(directory: Path) -> Size:
    """Return the size of a run's samples.

    The last page is not full, so its head would count too much. Therefore the size is calculated
    from the stream bytes per sample, for full pages with heads in segments with headers.
    """
    log = RunLog(str(directory), last_slots=1)
    log.refresh()
    names = [name for name, _, _ in log.metrics]
    pages = [page for page in _pages(directory) if page.head.columns == len(names)]
    samples = sum(page.head.samples for page in pages)
    body = sum(sum(page.head.lengths) for page in pages)
    per_page = (PAGE_SIZE - head_size(len(names))) / (body / samples)
    rows = [
        dict(zip(["t", *names], row, strict=True))
        for page in pages
        for row in zip(page.unix_ms, *page.columns, strict=True)
    ]
    lines = sum(len(json.dumps(row, separators=(",", ":"))) + 1 for row in rows)
    return Size(
        samples,
        len(names),
        PAGE_SIZE / per_page * _HEADER_SHARE,
        lines / samples,
        8.0 * (1 + len(names)),
    )


def measure(effort: Effort) -> list[Table]:
    """Record the demo, and compare sizes."""
    seconds, interval_s = effort.pick(150, 30, 1), effort.pick(1.0, 1.0, 0.05)
    with tempfile.TemporaryDirectory() as made:
        log_directory = Path(made) / "logs"
        record(log_directory, seconds, interval_s)
        found = {
            f"{p.parent.name} {p.name.split('-')[0]}": size_of(p)
            for p in log_directory.glob("*/*-*")
        }
    sizes = list(found.values())
    total = sum(size.samples for size in sizes)

    def mean(attribute: str) -> float:
        return sum(getattr(size, attribute) * size.samples for size in sizes) / total

    mean_size = Size(total, sizes[0].metrics, mean("ours"), mean("json_lines"), mean("structs"))
    services = sorted(found, key=lambda name: found[name].ours)
    return [
        Table(
            f"Log size: the demo's services for {seconds:.0f} s at {1 / interval_s:.0f} Hz",
            _COLUMNS,
            (
                mean_size.row("pprofplus", mean_size.ours),
                *(
                    found[name].row(f"  of which {name.split()[0]}", found[name].ours, detail=True)
                    for name in services
                ),
                mean_size.row("raw 8-byte structs", mean_size.structs),
                mean_size.row("JSON lines", mean_size.json_lines),
            ),
            ("Full pages with heads, in segments with headers.",),
        )
    ]
