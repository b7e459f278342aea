"""The speed of decoding a log, compared with the reference decoder and other formats."""

import json
import statistics
import tempfile
from pathlib import Path

import numpy as np

from pprofplus.log.format import DataHead, check_body, read_data_page, read_prefix, read_stream
from pprofplus_tui.sources.local.run_log import RunLog
from synthetic import DAY_S, Day, make_day, write_run
from tables import Column, Row, Table
from timing import Effort, median_ms, timed

_WANTED = ("rss", "heap_used", "malloc_used", "cpu_user")


def _plain_four(day: Day, columns: list[int]) -> list[list[int]]:
    """Decode four columns as `read_data_page` would."""
    found: list[list[int]] = [[] for _ in columns]
    for page in day.pages:
        prefix = read_prefix(page)
        head = DataHead(prefix, page)
        check_body(prefix, page)
        starts = np.cumsum([prefix.head_length, *head.lengths]).tolist()
        for values, column in zip(found, columns, strict=True):
            value = head.first[column]
            values.append(value)
            stream = page[starts[column + 1] : starts[column + 2]]
            for delta in read_stream(stream, head.samples - 1):
                value += delta
                values.append(value)
    return found


def _vectorised_ms(path: str) -> float:
    """Return the milliseconds to decode four columns of a log whose page heads are read."""
    log = RunLog(path)
    log.refresh()
    rows = range(log.table.count)
    wanted = [(row, log.table.column(name)) for row in rows for name in _WANTED]
    return timed(lambda: log.cache.decode(wanted))


def _rate(samples: int, milliseconds: float) -> float:
    return samples / milliseconds / 1000


def measure(effort: Effort) -> list[Table]:
    """Decode a day, and open a week."""
    seconds, rounds = effort.count(DAY_S, DAY_S, 3600), effort.count(15, 5, 1)
    slow = effort.count(3, 1)
    day = make_day(seconds)
    names = [name for name, _, _ in day.header.metrics]
    columns = [names.index(name) for name in _WANTED]
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in day.rows.tolist()]
    text = "\n".join(lines)
    raw = day.rows.astype("<i8").tobytes()
    with tempfile.TemporaryDirectory() as made:
        log_directory = Path(made)
        day_path = str(write_run(log_directory / "day", day, 1))
        week_path = str(write_run(log_directory / "week", day, 7))

        def from_lines() -> list[list[int]]:
            rows = [json.loads(line) for line in text.splitlines()]
            return [[row[name] for row in rows] for name in _WANTED]

        def from_structs() -> np.ndarray:
            rows = np.frombuffer(raw, "<i8").reshape(-1, len(names))
            return rows[:, columns].copy()

        vector_ms = statistics.median(_vectorised_ms(day_path) for _ in range(rounds))
        plain_ms = median_ms(lambda: _plain_four(day, columns), slow)
        all_ms = median_ms(lambda: [read_data_page(page) for page in day.pages], slow)
        lines_ms, structs_ms = median_ms(from_lines, slow), median_ms(from_structs, rounds)
        heads_ms = median_ms(lambda: RunLog(week_path).refresh(), rounds)
    four = (Column("time", "ms"), Column("samples/s", "M", compared=False))
    title = f"4 of {len(names)} columns of {seconds:,} samples (1 Hz)"
    return [
        Table(
            f"Decode: {title}",
            four,
            tuple(
                Row(name, (took, _rate(seconds, took)))
                for name, took in (
                    ("pprofplus, from disk with CRCs", vector_ms),
                    ("plain reference decoder, from memory", plain_ms),
                    ("the same, all columns", all_ms),
                    ("JSON lines, from memory", lines_ms),
                    ("raw structs, from memory", structs_ms),
                )
            ),
        ),
        Table(
            f"Open: data needed to draw all of 7 x {seconds:,} samples",
            (Column("time", "ms"),),
            (
                Row("pprofplus, page heads from disk", (heads_ms,)),
                Row("pprofplus, 4 columns decoded, calculated", (7 * vector_ms,)),
                Row("JSON lines, calculated", (7 * lines_ms,)),
            ),
        ),
    ]
