"""Writes many short ended runs quickly, with the same content as the collector's logs."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from pprofplus.log.format import PAGE_SIZE, START, STOP, Event, RunHeader, pack_header
from pprofplus.log.log_directory import run_name, segment_name
from pprofplus.log.page import PageBuilder
from pprofplus.metrics import BYTES
from synthetic import METRICS

SAMPLES = 2
_SERVICES = 5
_MIB = 1 << 20
_INTERVAL_MS = 1000
_APART_MS = 1500
_FIRST_PID, _PIDS = 1000, 30_000


def _values(run: int, sample: int) -> list[int]:
    """Return a sample of a run; its first metric, rss, grows by 1 MiB per sample."""
    base = 20 * _MIB + run % 97 * 4096 * 31
    return [
        base + sample * _MIB if name == "rss" else base if unit == BYTES else 100 + sample
        for name, unit, _ in METRICS
    ]


def _segment(header: RunHeader, run: int, *, died: bool) -> bytes:
    """Return the only segment of a run; if the run died, it has two versions of the page."""
    (first,) = pack_header(header)
    page = PageBuilder(header.schema, header.counters, 0, _INTERVAL_MS)
    mono_ms = 1_000_000 + run * _APART_MS
    versions = []
    page.add_event(Event(START, mono_ms, header.start_ms))
    for i in range(SAMPLES):
        at_ms = i * _INTERVAL_MS
        page.add(mono_ms + at_ms, header.start_ms + at_ms, _values(run, i))
        versions.append(bytes(page))
    if not died:
        end_ms = (SAMPLES - 1) * _INTERVAL_MS + 300
        page.add_event(Event(STOP, mono_ms + end_ms, header.start_ms + end_ms))
        versions = [bytes(page)]
    slots = [first, *versions]
    return b"".join([*(slot.ljust(PAGE_SIZE, b"\0") for slot in slots[:-1]), slots[-1]])


def _headers(count: int, end_ms: int) -> Iterator[RunHeader]:
    for run in range(count):
        service = f"job-{run % _SERVICES}"
        yield RunHeader(
            service=service,
            pid=_FIRST_PID + run % _PIDS,
            start_ms=end_ms - (count - run) * _APART_MS,
            metrics=METRICS,
            host="bench",
            boot_id="b235d807-2f53-42e2-9eec-2cca36dbd80c",
            argv=("/usr/bin/python3", "-m", service, "--job", str(run)),
            python="CPython 3.11.7",
            collector="0.1.0",
            interval_ms=_INTERVAL_MS,
        )


def write_ended_runs(log_directory: Path, count: int, *, ended_s_ago: float = 3600.0) -> None:
    """Write `count` runs of two samples each, in five services; every third run died.

    The last run ended `ended_s_ago` seconds ago; all files have that modification time.
    """
    ended_s = time.time() - ended_s_ago
    private = 0o700
    log_directory.mkdir(mode=private)
    for service in range(min(count, _SERVICES)):
        (log_directory / f"job-{service}").mkdir(mode=private)
    for run, header in enumerate(_headers(count, int(ended_s * 1000))):
        directory = f"{log_directory}/{header.service}/{run_name(header.pid, header.start_ms)}"
        os.mkdir(directory, private)
        path = f"{directory}/{segment_name(1)}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file, _segment(header, run, died=run % 3 == 0))
        os.utime(file, (ended_s, ended_s))
        os.close(file)
        os.utime(directory, (ended_s, ended_s))
