"""Writes long logs quickly: one day from the collector's page builder, repeated."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from pprofplus.log.format import (
    COLUMNS_OFFSET,
    DATA,
    DATA_HEAD,
    DATA_HEAD_OFFSET,
    PAGE_SIZE,
    PREFIX,
    DataHead,
    RunHeader,
    pack_header,
    pack_page,
    read_prefix,
)
from pprofplus.log.log_directory import run_name, segment_name
from pprofplus.log.page import PageBuilder
from pprofplus.log.segment import SEGMENT_BYTES
from pprofplus.log.summary import Summary
from pprofplus.metrics import BYTES, CATALOGUE, COUNTER

DAY_S = 86_400
BEGIN_MS = 1_767_225_600_000
_MIB = 1 << 20
METRICS = tuple(
    (metric.name, metric.unit, metric.kind) for metric in CATALOGUE if metric.source != "tracing"
)
# changes of a demo service: share of the seconds with a change, size of the step
_RESTLESS = {
    "rss": (0.35, 4096 * 8),
    "uss": (0.35, 4096 * 8),
    "pss": (0.35, 4096 * 8),
    "cgroup_used": (0.5, 4096 * 16),
    "heap_used": (0.95, 60_000),
    "heap_idle": (0.5, 16_384),
    "heap_blocks": (0.95, 700),
    "malloc_used": (0.6, 9_000),
    "malloc_free": (0.6, 9_000),
    "malloc_trimmable": (0.2, 9_000),
    "gc_pending_0": (0.95, 300),
    "gc_pending_1": (0.8, 4),
    "gc_pending_2": (0.1, 2),
    "gc_runs_0": (0.7, 4),
    "gc_runs_1": (0.15, 1),
    "gc_runs_2": (0.02, 1),
    "gc_collected": (0.4, 200),
    "gc_pause": (0.7, 900),
    "gc_pause_max": (0.7, 400),
    "cpu_user": (0.95, 30_000),
    "cpu_system": (0.95, 6_000),
    "faults_minor": (0.5, 60),
    "threads": (0.02, 2),
    "fds": (0.05, 3),
}


@dataclass(frozen=True)
class Day:
    """A day of a service at 1 Hz.

    Attributes:
        header: of the log.
        pages: data pages, at most PAGE_SIZE bytes each.
        rows: values as recorded, shape (DAY_S, metrics).
    """

    header: RunHeader
    pages: tuple[bytes, ...]
    rows: np.ndarray


def _values(seconds: int) -> np.ndarray:
    rng = np.random.default_rng(4711)
    columns = []
    for name, unit, kind in METRICS:
        share, size = _RESTLESS.get(name, (0.0, 1))
        steps = rng.integers(-size, size + 1, seconds) * (rng.random(seconds) < share)
        level = 80 * _MIB if unit == BYTES else 1000
        if kind == COUNTER:
            column = level + np.cumsum(np.abs(steps))
        else:
            # around a wave: a random walk could become negative
            wave = np.sin(np.arange(seconds) / 5000) * level / 8 * (share > 0)
            column = level + wave.astype(np.int64) // 4096 * 4096 + steps
        columns.append(column)
    return np.stack(columns, axis=1)


def make_day(seconds: int = DAY_S) -> Day:
    """Return a day, or a part of it, as the collector would have written it."""
    header = RunHeader(
        service="api", pid=4711, start_ms=BEGIN_MS, metrics=METRICS, host="bench", interval_ms=1000
    )
    rows = _values(seconds)
    late_ms = (np.random.default_rng(1).random(seconds) < 0.1).astype(int)
    at_ms = (np.arange(seconds) * 1000 + late_ms).tolist()
    page = PageBuilder(header.schema, header.counters, 0, 1000)
    pages = []
    for mono_ms, row in zip(at_ms, rows.tolist(), strict=True):
        if not page.add(mono_ms, BEGIN_MS + mono_ms, row):
            pages.append(bytes(page))
            page = page.follow(page.number + 1, 1000)
            page.add(mono_ms, BEGIN_MS + mono_ms, row)
    return Day(header, (*pages, bytes(page)), rows)


def _moved(page: bytes, number: int, shift_ms: int, later_ms: int, increase: np.ndarray) -> bytes:
    """Return a page with later times (wall clock: `later_ms` more) and with values increased."""
    head_length = int.from_bytes(page[12:16], "little")
    fields = list(DATA_HEAD.unpack_from(page, DATA_HEAD_OFFSET))
    for i in (4, 5, 6):
        fields[i] += shift_ms
    fields[5] += later_ms
    end = COLUMNS_OFFSET + 8 * len(increase)
    cells = np.frombuffer(page, "<i8", len(increase), COLUMNS_OFFSET) + increase
    head = DATA_HEAD.pack(*fields) + cells.astype("<i8").tobytes() + page[end:head_length]
    assert PREFIX.size + len(head) == head_length
    return pack_page(DATA, number, head, page[head_length:])


@dataclass(frozen=True)
class _Finished:
    """The head of a page with the attributes that a summary reads."""

    head: DataHead

    def __getattr__(self, name: str) -> object:
        return getattr(self.head, name)

    @property
    def number(self) -> int:
        return self.head.prefix.number

    @property
    def anchor_ms(self) -> int:
        return self.head.first_unix_ms - self.head.first_mono_ms

    @property
    def measures(self) -> tuple[tuple[int, ...], ...]:
        return self.head.first, self.head.lo, self.head.hi


def write_run(
    log_directory: Path,
    day: Day,
    days: int,
    *,
    summarised: bool = True,
    header: RunHeader | None = None,
) -> Path:
    """Write the day `days` times in sequence; return the run directory.

    `header` may be that of another run with the same metrics. Counters continue from day to day;
    the rate of the first sample of a day is not exact.
    """
    header = header or day.header
    columns = len(header.metrics)
    later_ms = header.start_ms - day.header.start_ms
    gain = np.where(header.counters, day.rows[-1] - day.rows[0], 0)
    increase = np.zeros(3 * columns, np.int64)
    directory = log_directory / header.service / run_name(header.pid, header.start_ms)
    directory.mkdir(parents=True)
    for private in (log_directory, directory.parent, directory):
        private.chmod(0o700)
    start = [page.ljust(PAGE_SIZE, b"\0") for page in pack_header(header)]
    pages_per_segment = SEGMENT_BYTES // PAGE_SIZE - len(start) - 1
    pages: list[bytes] = []
    segment = number = 0
    summary = Summary(header.schema, columns, pages_per_segment + 1)

    def flush() -> None:
        nonlocal segment, summary
        segment += 1
        path = directory / segment_name(segment)
        last = summary.page() or b""
        path.write_bytes(b"".join([*start, *pages, last]))
        path.chmod(0o600)
        pages.clear()
        summary = Summary(header.schema, columns, pages_per_segment + 1)

    for i in range(days):
        increase[:columns] = gain * i
        for page in day.pages:
            moved = _moved(page, number, i * DAY_S * 1000, later_ms, increase[:columns])
            if summarised:
                finished = _Finished(DataHead(read_prefix(moved), moved))
                summary.add_page(cast("PageBuilder", finished), len(start) + len(pages))
            pages.append(moved.ljust(PAGE_SIZE, b"\0"))
            number += 1
            if len(pages) == pages_per_segment:
                flush()
    if pages:
        flush()
    return directory


def write_runs(log_directory: Path, day: Day, services: int, runs: int, days: int) -> None:
    """Write `runs` runs for each service, of `days` days each, in sequence."""
    for service in range(services):
        for i in range(runs):
            header = RunHeader(
                service=f"service-{service:02d}",
                pid=1000 + 100 * service + i,
                start_ms=BEGIN_MS + i * days * DAY_S * 1000 + service,
                metrics=day.header.metrics,
                host="bench",
                interval_ms=1000,
            )
            write_run(log_directory, day, days, header=header)


def cached_run(days: int, seconds: int = DAY_S) -> Path:
    """Return the log directory of a run of `days`, which is written once and kept."""
    log_directory = Path(tempfile.gettempdir()) / f"pprofplus-benchmark-{days}x{seconds}-2"
    if not (log_directory / "complete").exists():
        shutil.rmtree(log_directory, ignore_errors=True)
        write_run(log_directory, make_day(seconds), days)
        (log_directory / "complete").touch()
    return log_directory
