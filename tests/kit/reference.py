"""Reads whole runs with the reference decoder: slow, simple, and correct."""

import fcntl
from pathlib import Path

from pprofplus.errors import LogFormatError
from pprofplus.log.format import (
    DATA,
    EVENT_KINDS,
    HEADER,
    LOST,
    PAGE_SIZE,
    header_part,
    parse_header,
    rate_milli,
    read_data_page,
    read_prefix,
)
from pprofplus.log.log_directory import parse_segment_name


class Run:
    """The content of a run.

    headers: one per segment; pages: of all segments, in order, without superseded versions;
    page_headers: the header of the segment of each page;
    samples: (mono_ms, unix_ms, {metric: value}); bad: number of pages that cannot be read.
    """

    def __init__(self, directory):
        self.directory = Path(directory)
        self.headers = []
        self.bad = 0
        pages = {}
        for path in segments(directory):
            header, found, bad = read_segment(path.read_bytes())
            self.headers.append(header)
            self.bad += bad
            for page in found:
                key = page.head.prefix.number
                if key not in pages or weight(page) > weight(pages[key][1]):
                    pages[key] = (header, page)
        ordered = [pages[key] for key in sorted(pages)]
        self.pages = [page for _, page in ordered]
        self.page_headers = [header for header, _ in ordered]
        self.samples = []
        self.events = []
        for header, page in ordered:
            assert page.head.schema == header.schema
            names = [name for name, _, _ in header.metrics]
            rows = zip(*page.columns, strict=True) if page.columns else ()
            self.samples += [
                (mono, unix, dict(zip(names, row, strict=True)))
                for mono, unix, row in zip(page.mono_ms, page.unix_ms, rows, strict=True)
            ]
            self.events += page.events

    @property
    def header(self):
        return self.headers[0]

    @property
    def lost(self):
        """The number of samples that the log reports as lost."""
        return sum(event.value for event in self.events if event.kind == LOST)

    @property
    def kinds(self):
        return [EVENT_KINDS[event.kind] for event in self.events]


class Timeline:
    """All samples of a run on its time axis, as a reader shows them.

    `samples` is a list of (t_ms, interval_ms, {metric: level}, {counter: rate per second}); the
    rate is None at a counter's first sample.
    """

    def __init__(self, directory):
        run = Run(directory)
        self.pages = list(zip(run.pages, run.page_headers, strict=True))
        self.samples = list(self._samples())

    def _samples(self):
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
                            rate_milli(values[name] - before[1][name], mono_ms - before[0]) / 1000
                        )
                before = (mono_ms, values)
                yield mono_ms + offset, page.head.interval_ms, values, rates

    def series(self, request, begin_ms, end_ms):
        """Return (t_ms, interval, value or None) of each sample in the window with the metric."""
        name, rate = request
        found = []
        for t_ms, interval, values, rates in self.samples:
            figures = rates if rate else values
            if begin_ms <= t_ms < end_ms and name in figures:
                value = figures[name]
                found.append((t_ms, interval, None if value is None else float(value)))
        return found


def weight(page):
    return (page.head.samples, len(page.events))


def read_segment(data):
    """Return (header or None, all intact data pages, number of bad pages)."""
    parts, pages, bad = {}, [], 0
    for at in range(0, len(data), PAGE_SIZE):
        page = data[at : at + PAGE_SIZE]
        try:
            prefix = read_prefix(page)
            if prefix.type == HEADER:
                part, count, text = header_part(prefix, page)
                parts[part] = text
                assert part < count
            elif prefix.type == DATA:
                pages.append(read_data_page(page))
        except LogFormatError:
            bad += 1
    header = parse_header(b"".join(parts[i] for i in sorted(parts))) if parts else None
    return header, pages, bad


def segments(directory):
    """Return the segments of a run, oldest first."""
    return sorted(path for path in Path(directory).iterdir() if parse_segment_name(path.name))


def runs(log_directory, service=None):
    """Return the directories of all runs, oldest first."""
    found = Path(log_directory).glob(f"{service or '*'}/*-*")
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def is_locked(path):
    """Return whether a writer holds the segment's lock."""
    with Path(path).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def is_live(directory):
    """Return whether the run's newest segment is locked."""
    return is_locked(segments(directory)[-1])


def runs_by_pid(log_directory):
    """Return by pid the content of each run that has a segment; each pid must have one run."""
    return {
        int(path.name.split("-")[0]): Run(path) for path in runs(log_directory) if segments(path)
    }


def used_bytes(log_directory):
    """Return the size of all segments in a log directory."""
    while True:
        try:
            return sum(path.stat().st_size for path in Path(log_directory).rglob("*.pplog*"))
        except FileNotFoundError:  # a run was removed meanwhile: count again
            continue
