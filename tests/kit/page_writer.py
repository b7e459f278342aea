"""Writes runs page by page in the log format; a test decides the content of each page."""

import contextlib
import os
from pathlib import Path

from kit.units import MIB
from pprofplus.log import format as fmt
from pprofplus.log.log_directory import run_name, segment_name
from pprofplus.log.page import PageBuilder
from pprofplus.log.summary import Summary

METRICS = (
    ("rss", "B", "gauge"),
    ("cpu_user", "us", "counter"),
    ("threads", "count", "gauge"),
)
START_MS = 1_760_000_000_000


def header_of(metrics=METRICS, **kwargs) -> fmt.RunHeader:
    given = {"service": "api", "pid": 7, "start_ms": START_MS, "metrics": tuple(metrics), **kwargs}
    return fmt.RunHeader(**given)


class PageWriter:
    """Writes a run in the log format: versions of the open page alternate between two slots."""

    def __init__(
        self,
        root,
        *,
        service="api",
        pid=7,
        start_ms=START_MS,
        metrics=METRICS,
        interval_ms=1000,
        slots_per_segment=128,
        summarised=False,
    ):
        self.path = Path(root, service, run_name(pid, start_ms))
        self.path.mkdir(parents=True, exist_ok=True)
        self.start_ms = start_ms
        self.interval_ms = interval_ms
        self.slots_per_segment = slots_per_segment
        self.summarised = summarised
        self.summary = None
        self.segment = 0
        self.file = -1
        self.page = None
        self.number = 0
        self._before = None
        self._before_ms = 0
        self._use(service, pid, metrics)
        self._open()

    def _use(self, service, pid, metrics):
        self.header = header_of(
            metrics,
            service=service,
            pid=pid,
            start_ms=self.start_ms,
            interval_ms=self.interval_ms,
        )

    def change_metrics(self, metrics):
        """Begin a segment with another schema; rates of metrics that existed before continue."""
        self.close_page()
        previous = self.page.follow(0, 1)._previous
        self._before = dict(zip([n for n, _, _ in self.header.metrics], previous[1], strict=True))
        self._before_ms = previous[0]
        self._use(self.header.service, self.header.pid, metrics)
        self.page = None
        self._open()

    def _open(self):
        if self.file >= 0:
            self._summarise()
            os.close(self.file)
        self.segment += 1
        self.file = os.open(self.segment_path(), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        pages = fmt.pack_header(self.header)
        for i, page in enumerate(pages):
            os.pwrite(self.file, page, i * fmt.PAGE_SIZE)
        self.slot = len(pages)
        self.turn = 0
        self.summary = Summary(self.header.schema, len(self.header.metrics), 48)

    def _summarise(self):
        """End the segment with a summary of blocks of three pages."""
        page = self.summary.page(least_pages=1) if self.summarised else None
        if page is not None:
            os.pwrite(self.file, page, self.slot * fmt.PAGE_SIZE)
            os.ftruncate(self.file, self.slot * fmt.PAGE_SIZE + len(page))

    def segment_path(self, number=None):
        return self.path / segment_name(number or self.segment)

    def _write(self):
        at = (self.slot + self.turn) * fmt.PAGE_SIZE
        os.pwrite(self.file, bytes(self.page), at)
        self.turn ^= 1

    def _begin_page(self, values=()):
        if self.page is None:
            previous = None
            if self._before is not None:
                names = [name for name, _, _ in self.header.metrics]
                previous = (
                    self._before_ms,
                    [self._before.get(n, v) for n, v in zip(names, values, strict=True)],
                )
            self.page = PageBuilder(
                self.header.schema,
                self.header.counters,
                self.number,
                self.interval_ms,
                previous,
            )
        else:
            self.page = self.page.follow(self.number, self.interval_ms)
        self.number += 1

    def close_page(self):
        """End the page: its last version goes to the first of its two slots."""
        if self.page is None:
            return
        self.turn = 0
        self._write()
        self.summary.add_page(self.page, self.slot)
        self.slot += 1
        self.turn = 0
        if self.slot >= self.slots_per_segment:
            self._open()

    def new_page(self):
        self.close_page()
        self._begin_page()

    def add(self, mono_ms, values, unix_ms=None, *, write=True):
        unix = self.start_ms + mono_ms if unix_ms is None else unix_ms
        if self.page is None:
            self._begin_page(values)
        if not self.page.add(mono_ms, unix, list(values)):
            self.new_page()
            assert self.page.add(mono_ms, unix, list(values))
        if write:
            self._write()

    def event(self, kind, mono_ms, value=0, text=""):
        event = fmt.Event(kind, mono_ms, self.start_ms + mono_ms, value, text)
        if self.page is None:
            self._begin_page()
        if not self.page.add_event(event):
            self.new_page()
            assert self.page.add_event(event)
        self._write()

    def close(self):
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


@contextlib.contextmanager
def page_writers(log_directory):
    """Yield a function that creates a `PageWriter` there; all are closed at the end."""
    made = []

    def make(**options):
        made.append(PageWriter(log_directory, **options))
        return made[-1]

    try:
        yield make
    finally:
        for writer in made:
            writer.close()


def write_pages(logs, header, pages, service=None):
    """Write a run of these pages in one segment; return its directory.

    `service` is the name of its directory, by default that in the header.
    """
    path = Path(logs, service or header.service, f"{header.pid}-{header.start_ms}")
    path.mkdir(parents=True)
    all_pages = [*fmt.pack_header(header), *map(bytes, pages)]
    (path / segment_name(1)).write_bytes(
        b"".join(page.ljust(fmt.PAGE_SIZE, b"\0") for page in all_pages)
    )
    return path


def write_short_run(log_directory, pid=4711, start_ms=1_795_169_333_907, service="api"):
    """Write a run of ten minutes that ended normally; return its directory."""
    names = ("rss", "uss", "heap_sys", "heap_used")
    header = header_of(
        [(name, "B", "gauge") for name in names],
        service=service,
        pid=pid,
        start_ms=start_ms,
        host="host",
        boot_id="boot",
        argv=("python",),
        python="3",
        collector="1",
    )
    page = PageBuilder(header.schema, header.counters, 0, 1000)
    page.add_event(fmt.Event(fmt.START, 0, start_ms, 0, ""))
    for n in range(120):
        used = 50 * MIB + (n % 40) * MIB
        page.add(5000 * n, start_ms + 5000 * n, [100 * MIB + n * MIB, 90 * MIB, 2 * used, used])
    page.add_event(fmt.Event(fmt.STOP, 600_000, start_ms + 600_000, -1, ""))
    return write_pages(log_directory, header, [page])
