"""Writes logs with the collector's writer, with times that the test sets."""

import fcntl
import os
import time
from pathlib import Path

from kit.units import MIB
from pprofplus.log.format import MARK, PAUSE, START, STOP, Event, RunHeader
from pprofplus.log.writer import Writer
from pprofplus.metrics import BY_NAME

METRICS = (
    "rss",
    "uss",
    "vms",
    "heap_sys",
    "heap_used",
    "heap_idle",
    "malloc_sys",
    "malloc_used",
    "malloc_free",
    "gc_pause_max",
    "gc_runs_0",
    "cpu_user",
    "cpu_system",
    "threads",
)


def growing(i):
    """Return sample `i` of a service that grows by 64 KiB per sample, mostly in Python objects."""
    used = 40 * MIB + i * 65_536
    return {
        "rss": used + 30 * MIB,
        "uss": used + 20 * MIB,
        "vms": used + 300 * MIB,
        "heap_sys": used + 2 * MIB,
        "heap_used": used,
        "heap_idle": MIB,
        "malloc_sys": 12 * MIB,
        "malloc_used": 9 * MIB,
        "malloc_free": 3 * MIB,
        "gc_pause_max": 900 + 37 * (i % 11),
        "gc_runs_0": 2 * i,
        "cpu_user": 50_000 * i,
        "cpu_system": 9_000 * i,
        "threads": 4,
    }


class WrittenLogs:
    """A log directory; `run` writes one more run into it."""

    def __init__(self, path):
        self.path = path
        path.mkdir(mode=0o700)
        self._locks = []

    def run(
        self,
        service="api",
        pid=4711,
        *,
        begin_ms=1_800_000_000_000,
        count=600,
        interval_ms=1000,
        sample=growing,
        state="died",
        argv=("app.py",),
        own=(),
        marks=(),
    ):
        """Write a run and return its path; in the states live and paused it stays locked.

        `own` are its own metrics: (name, unit, kind, function of the sample's number). `marks` are
        (number of a sample, text). A paused run ends with a pause event.
        """
        header = RunHeader(
            service=service,
            pid=pid,
            start_ms=begin_ms,
            metrics=(
                *((n, BY_NAME[n].unit, BY_NAME[n].kind) for n in METRICS),
                *((name, unit, kind) for name, unit, kind, _ in own),
            ),
            argv=argv,
            interval_ms=interval_ms,
        )
        writer = Writer(str(self.path), header)
        writer.add_event(Event(START, 0, begin_ms))
        for i in range(count):
            row = sample(i)
            values = [*(row[n] for n in METRICS), *(figure(i) for *_, figure in own)]
            writer.add(i * interval_ms, begin_ms + i * interval_ms, values)
            for at, text in marks:
                if at == i:
                    writer.add_event(
                        Event(MARK, i * interval_ms, begin_ms + i * interval_ms, 0, text)
                    )
        assert writer.write_error is None
        end_ms = count * interval_ms
        if state == "paused":
            writer.add_event(Event(PAUSE, end_ms, begin_ms + end_ms))
        if state == "exited":
            writer.add_event(Event(STOP, end_ms, begin_ms + end_ms))
            writer.close()
        else:
            writer.abandon()
        if state in {"live", "paused"}:
            newest = max(Path(writer.directory).iterdir())
            lock = os.open(newest, os.O_RDWR)
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._locks.append(lock)
        return writer.directory

    def close(self):
        for lock in self._locks:
            os.close(lock)


class LiveRun:
    """A locked run of this process that a test writes sample by sample."""

    METRICS = ("rss", "heap_sys", "malloc_sys")

    def __init__(self, log_directory, begin_ms=None, count=30):
        log_directory.mkdir(mode=0o700, exist_ok=True)
        self.begin_ms = time.time_ns() // 1_000_000 - 30_000 if begin_ms is None else begin_ms
        header = RunHeader(
            service="api",
            pid=os.getpid(),
            start_ms=self.begin_ms,
            metrics=tuple((n, BY_NAME[n].unit, BY_NAME[n].kind) for n in self.METRICS),
            interval_ms=1000,
        )
        self.log_directory = log_directory
        self.writer = Writer(str(log_directory), header)
        self.count = 0
        self.add(count)

    def add(self, count=1, rss=100 * MIB):
        for _ in range(count):
            at_ms = self.count * 1000
            self.writer.add(at_ms, self.begin_ms + at_ms, [rss, 60 * MIB, 10 * MIB])
            self.count += 1

    @property
    def path(self):
        return str(self.writer.directory)
