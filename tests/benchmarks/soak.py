"""A week of following in a few minutes: what the readers and charts have grown by at its end."""

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

from month import Desk
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.open import open_source
from synthetic import BEGIN_MS, DAY_S, Day, make_day, write_run
from tables import Column, Row, Table
from timing import Effort

_WINDOW_MS = 6 * 3_600_000


def _growing(home: Path, day: Day, days: int) -> Iterator[int]:
    """Write the run page after page; give the unix ms up to which it goes."""
    whole = write_run(home / "whole", day, days)
    directory = home / "logs" / whole.parent.name / whole.name
    directory.mkdir(parents=True)
    for private in (home / "logs", directory.parent, directory):
        private.chmod(0o700)
    at_ms = BEGIN_MS
    step_ms = DAY_S * 1000 // len(day.pages)
    for source in sorted(whole.iterdir()):
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
    """Follow the run as the monitor does; return MB resident, and milliseconds a look."""
    rss = psutil.Process().memory_info
    taken: list[float] = []
    day_mb: list[float] = []
    with tempfile.TemporaryDirectory() as made, closing(Desk()) as desk:
        home = Path(made)
        source = open_source([str(home / "logs")])
        catalog, log = source.catalog(), None
        for at_ms in _growing(home, make_day(seconds), days):
            began = time.perf_counter()
            catalog.refresh()
            if log is None and catalog.runs:
                log = source.open(catalog.runs[0].id)
            if log is not None:
                log.refresh()
                begin_ms = max(log.begin_ms, log.end_ms - _WINDOW_MS)
                desk.draw(log, Window.fit(begin_ms, max(log.end_ms, begin_ms + 60_000)))
                if at_ms // 1000 % 20 == 0:
                    desk.draw(log, Window.fit(log.begin_ms, log.end_ms))
            taken.append((time.perf_counter() - began) * 1000)
            desk.query_ms.clear()
            if (at_ms - BEGIN_MS) // (DAY_S * 1000) > len(day_mb):
                day_mb.append(rss().rss / 1e6)
        day_mb.append(rss().rss / 1e6)
    return {
        "first": day_mb[0],
        "last": day_mb[-1],
        "grown": max(0.0, day_mb[-1] - day_mb[0]),
        "look": statistics.median(taken),
        "looks": len(taken),
    }


def measure(effort: Effort) -> list[Table]:
    """Follow a week that passes quickly, in a process of its own."""
    days, seconds = effort.count(7, 7, 2), effort.count(DAY_S, DAY_S, DAY_S // 24)
    words = [sys.executable, __file__, str(days), str(seconds)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return [
        Table(
            f"Soak: {days} days followed, a look a page ({found['looks']} looks)",
            (
                Column("after a day", "MB"),
                Column("at the end", "MB", at_most=120),
                Column("grown", "MB", at_most=10),
                Column("a look, median", "ms"),
            ),
            (
                Row(
                    "readers and charts",
                    (found["first"], found["last"], found["grown"], found["look"]),
                ),
            ),
        )
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_follow(int(sys.argv[1]), int(sys.argv[2]))))
