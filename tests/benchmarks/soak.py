"""Follows a week of samples in a few minutes; measures the growth of the monitor's memory."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil

from month import ChartPath
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.open import open_source
from synthetic import BEGIN_MS, DAY_S, Day, make_day, write_run
from tables import Column, Row, Table
from timing import Effort

_WINDOW_MS = 6 * 3_600_000


def _growing(root: Path, day: Day, days: int) -> Iterator[int]:
    """Write the run page by page; yield the unix ms of its end."""
    complete = write_run(root / "complete", day, days)
    directory = root / "logs" / complete.parent.name / complete.name
    directory.mkdir(parents=True)
    for private in (root / "logs", directory.parent, directory):
        private.chmod(0o700)
    at_ms = BEGIN_MS
    step_ms = DAY_S * 1000 // len(day.pages)
    for source in sorted(complete.iterdir()):
        data = source.read_bytes()
        target = os.open(directory / source.name, os.O_CREAT | os.O_WRONLY, 0o600)
        page = 8192
        os.write(target, data[:page])
        for at in range(page, len(data), page):
            os.write(target, data[at : at + page])
            at_ms += step_ms
            yield at_ms
        os.close(target)
        source.unlink()


def _follow(days: int, seconds: int) -> dict[str, float]:
    """Follow the run like the monitor; return resident MB, and milliseconds per refresh."""
    rss = psutil.Process().memory_info
    taken: list[float] = []
    day_mb: list[float] = []
    with tempfile.TemporaryDirectory() as made, closing(ChartPath()) as charts:
        root = Path(made)
        source = open_source([str(root / "logs")])
        catalog, log = source.catalog(), None
        for at_ms in _growing(root, make_day(seconds), days):
            began = time.perf_counter()
            catalog.refresh()
            if log is None and catalog.runs:
                log = source.open(catalog.runs[0].id)
            if log is not None:
                log.refresh()
                begin_ms = max(log.begin_ms, log.end_ms - _WINDOW_MS)
                charts.draw(log, Window.fit(begin_ms, max(log.end_ms, begin_ms + 60_000)))
                if at_ms // 1000 % 20 == 0:
                    charts.draw(log, Window.fit(log.begin_ms, log.end_ms))
            taken.append((time.perf_counter() - began) * 1000)
            charts.query_ms.clear()
            if (at_ms - BEGIN_MS) // (DAY_S * 1000) > len(day_mb):
                day_mb.append(rss().rss / 1e6)
        day_mb.append(rss().rss / 1e6)
    return {
        "first": day_mb[0],
        "last": day_mb[-1],
        "grown": max(0.0, day_mb[-1] - day_mb[0]),
        "refresh": statistics.median(taken),
        "refreshes": len(taken),
    }


def measure(effort: Effort) -> list[Table]:
    """Follow a simulated week in a separate process."""
    days, seconds = effort.count(7, 7, 2), effort.count(DAY_S, DAY_S, DAY_S // 24)
    words = [sys.executable, __file__, str(days), str(seconds)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return [
        Table(
            f"Soak: {days} days followed, a refresh per page ({found['refreshes']} refreshes)",
            (
                Column("after a day", "MB"),
                Column("at the end", "MB", at_most=120),
                Column("grown", "MB", at_most=10),
                Column("a refresh, median", "ms"),
            ),
            (
                Row(
                    "readers and charts",
                    (found["first"], found["last"], found["grown"], found["refresh"]),
                ),
            ),
        )
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_follow(int(sys.argv[1]), int(sys.argv[2]))))
