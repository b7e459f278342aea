"""Makes the golden segments: run `python tests/collector/golden/make.py` once a release."""

from pathlib import Path

from pprofplus.log.format import (
    FORK,
    LOST,
    MARK,
    PAGE_SIZE,
    START,
    STOP,
    Event,
    RunHeader,
    pack_header,
)
from pprofplus.log.page import PageBuilder
from pprofplus.log.summary import Summary

METRICS = (
    ("rss", "B", "gauge"),
    ("cpu_user", "us", "counter"),
    ("fds", "count", "gauge"),
    ("queue_depth", "jobs", "gauge"),
)
START_MS = 1_795_169_333_907
SAMPLES = 900


def values(i):
    """Return the values of sample i: a saw-tooth, a steady counter, a constant, extremes."""
    extreme = (-(1 << 63), (1 << 63) - 1, 0)[i % 3] if i % 100 < 3 else i // 50
    return [100_000_000 + 4096 * (i * i % 701), 1500 * i + i % 7, 12, extreme]


def times(i):
    """Return (monotonic, unix) milliseconds: on time except for a stall and a clock step."""
    mono_ms = 5_000 + 1000 * i + (3 if i % 40 == 0 else 0) + (60_000 if i >= 500 else 0)
    return mono_ms, START_MS + mono_ms - 5_000 + (3_600_000 if i >= 700 else 0)


def header():
    """Return the header."""
    return RunHeader(
        service="golden",
        pid=4711,
        start_ms=START_MS,
        metrics=METRICS,
        host="example",
        boot_id="0c8e1f4e-0000-4000-8000-000000000000",
        argv=("python", "app.py", "--name", "Grüße"),
        python="CPython 3.11.7",
        collector="0.1.0",
        interval_ms=1000,
    )


def segment():
    """Return a complete segment, as after a normal end."""
    pages = [*pack_header(header()), *map(bytes, data_pages())]
    padded = [one.ljust(PAGE_SIZE, b"\0") for one in pages[:-1]]
    return b"".join((*padded, pages[-1]))


def summarised():
    """Return a segment of more pages, with the summary that a segment of 32 would have."""
    head = header()
    pages = pack_header(head)
    summary = Summary(head.schema, len(head.metrics), 32)
    for page in data_pages(every=150):
        summary.add_page(page, len(pages))
        pages.append(bytes(page))
    pages.append(summary.page(least_pages=1))
    padded = [one.ljust(PAGE_SIZE, b"\0") for one in pages[:-1]]
    return b"".join((*padded, pages[-1]))


def data_pages(every=SAMPLES):
    """Return the data pages, with at most that many samples each."""
    head = header()
    done = []
    page = PageBuilder(head.schema, head.counters, 0, 1000)
    page.add_event(Event(START, *times(0)))
    page.add_event(Event(FORK, *times(0), 4700))
    for i in range(SAMPLES):
        if i == 700 or page.samples == every or not page.add(*times(i), values(i)):
            done.append(page)
            page = page.follow(page.number + 1, 1000)
            page.add(*times(i), values(i))
        if i == 450:
            page.add_event(Event(MARK, *times(i), 0, "deploy 1.4.2 ✓"))
            page.add_event(Event(LOST, *times(i), 3, "ENOSPC"))
    page.add_event(Event(STOP, *times(SAMPLES - 1)))
    return [*done, page]


if __name__ == "__main__":
    (Path(__file__).parent / "format-1.1.pplog").write_bytes(summarised())
