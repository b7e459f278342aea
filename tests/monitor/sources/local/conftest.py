"""A writer of test logs, and a reference reader in plain Python to compare the fast one with."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pprofplus.errors import LogFormatError
from pprofplus.log import format as fmt
from pprofplus.log import log_directory
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


class Writer:
    """Writes a run as the format specifies: versions of the live page alternate in two slots."""

    def __init__(  # noqa: PLR0913 - what the facts differ in
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
        self.path = Path(root, service, log_directory.run_name(pid, start_ms))
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
        self._then_ms = 0
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
        """Begin a segment with another schema; rates continue for metrics that it shares."""
        self.close_page()
        then = self.page.follow(0, 1)._previous
        self._before = dict(zip([n for n, _, _ in self.header.metrics], then[1], strict=True))
        self._then_ms = then[0]
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
        return self.path / log_directory.segment_name(number or self.segment)

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
                    self._then_ms,
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


class Reference:
    """Every sample of a run, read by `format.read_data_page`, on the time axis of the run.

    `samples` is a list of (t_ms, interval_ms, {metric: level}, {counter: rate per second}); the
    rate is None at a counter's first sample.
    """

    def __init__(self, path):
        pages: dict[int, tuple[fmt.DataPage, fmt.RunHeader]] = {}
        for file in sorted(Path(path).glob("*.pplog")):
            raw = file.read_bytes()
            header = fmt.parse_header(fmt.header_part(fmt.read_prefix(raw), raw)[2])
            for at in range(0, len(raw), fmt.PAGE_SIZE):
                try:
                    page = fmt.read_data_page(raw[at : at + fmt.PAGE_SIZE])
                except LogFormatError:
                    continue
                number = page.head.prefix.number
                known = pages.get(number)
                if known is None or _fullness(known[0]) < _fullness(page):
                    pages[number] = (page, header)
        self.pages = [pages[number] for number in sorted(pages)]
        self.samples = list(self._samples())

    def _samples(self) -> Iterator[tuple[int, int, dict[str, int], dict[str, float]]]:
        offsets = [page.head.first_unix_ms - page.head.first_mono_ms for page, _ in self.pages]
        before = None
        for i, (page, header) in enumerate(self.pages):
            offset = min(offsets[i:])
            for n, mono_ms in enumerate(page.mono_ms):
                values = {name: page.columns[c][n] for c, (name, _, _) in enumerate(header.metrics)}
                rates = {}
                for name, _, kind in header.metrics:
                    if kind != "counter":
                        continue
                    rates[name] = None
                    if before is not None and name in before[1]:
                        rates[name] = (
                            fmt.rate_milli(values[name] - before[1][name], mono_ms - before[0])
                            / 1000
                        )
                before = (mono_ms, values)
                yield mono_ms + offset, page.head.interval_ms, values, rates

    def series(self, request, begin_ms, end_ms):
        """(t_ms, interval, value or None) of the samples in the window that have the metric."""
        name, rate = request
        found = []
        for t_ms, interval, values, rates in self.samples:
            figures = rates if rate else values
            if begin_ms <= t_ms < end_ms and name in figures:
                value = figures[name]
                found.append((t_ms, interval, None if value is None else float(value)))
        return found


def _fullness(page):
    return page.head.samples, page.head.events_bytes


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    return SimpleNamespace(
        Writer=Writer, Reference=Reference, METRICS=METRICS, START_MS=START_MS, header_of=header_of
    )


@pytest.fixture
def write_run(tmp_path) -> Iterator[Callable[..., Writer]]:
    """Make a `Writer` in a new log directory."""
    made = []

    def make(**kwargs) -> Writer:
        writer = Writer(tmp_path, **kwargs)
        made.append(writer)
        return writer

    yield make
    for writer in made:
        writer.close()
