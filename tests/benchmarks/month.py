"""A month and a year at 1 Hz: the time to the first charts, and of each pan and zoom."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

from month_keys import among_runs, through_the_terminal
from pprofplus_tui.charts.build import (
    ChartBuilder,
    ChartStyle,
    SeriesKey,
    Shape,
    buckets_for,
    wanted_by,
)
from pprofplus_tui.charts.renderer import Renderer
from pprofplus_tui.model.charts import PRIORITY, STANDARD
from pprofplus_tui.model.grid_layout import arrange
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.open import open_source
from pprofplus_tui.sources.port import RunReader
from synthetic import DAY_S, cached_run, make_day, write_run, write_runs
from tables import Column, Row, Table
from timing import Effort, quantile

_AREA = (165, 47)  # space for charts in a 200x50 terminal
_DRAWN_WITHIN_S = 10.0


class ChartPath:
    """Queries and draws charts like the monitor's backend, without the terminal."""

    def __init__(self) -> None:
        places = arrange(*_AREA, len(PRIORITY))
        self._shapes = [
            Shape(chart, at.width, at.height) for chart, at in zip(PRIORITY, places, strict=True)
        ]
        self._builder = ChartBuilder(ChartStyle())
        self._renderer = Renderer(lambda *_: None)
        self.query_ms: list[float] = []

    def close(self) -> None:
        """Join the renderer."""
        self._renderer.close()

    def draw(self, run: RunReader, window: Window) -> None:
        """Query and draw all default charts; return after they are drawn."""
        began = time.perf_counter()
        by_buckets: dict[int, dict[SeriesKey, None]] = {}
        for shape in self._shapes:
            wanted = by_buckets.setdefault(buckets_for(shape), {})
            wanted.update(dict.fromkeys(wanted_by(STANDARD.by_id[shape.chart])))
        found: dict[int, dict[SeriesKey, Points]] = {
            buckets: run.query(window.begin_ms, window.end_ms, buckets, tuple(wanted))
            for buckets, wanted in by_buckets.items()
        }
        self.query_ms.append((time.perf_counter() - began) * 1000)
        for shape in self._shapes:
            points = found[buckets_for(shape)]
            kind = STANDARD.by_id[shape.chart]
            picture = self._builder.chart(kind, shape, window, points, growing=False)
            self._renderer.submit(shape.chart, picture)
        if not self._renderer.wait_idle(_DRAWN_WITHIN_S) or self._renderer.errors:
            raise RuntimeError(f"charts were not drawn: {self._renderer.errors}")


def steps_through(full: Window) -> list[tuple[str, Window]]:
    """Return (kind, window) of each step: zoom in to a minute, pan at each level, zoom out."""
    steps = []
    window = full
    anchor_ms = full.begin_ms + full.span_ms * 5 // 8
    while window.span_ms > 60_000:
        window = window.zoom_in(anchor_ms)
        steps.append(("zoom", window))
        for fraction in (-0.25, -0.25, -1.0, 0.25, 1.0, 0.25):
            window = window.pan(fraction)
            steps.append(("pan", window))
    while window.span_ms < full.span_ms:
        window = window.zoom_out(anchor_ms)
        steps.append(("zoom", window))
    return steps


def _first_chart(log_directory: Path) -> dict[str, float]:
    """Return the milliseconds of each stage up to the first charts."""
    with closing(ChartPath()) as path:
        marks = [time.perf_counter()]
        source = open_source([str(log_directory)])
        catalog = source.catalog()
        catalog.refresh()
        marks.append(time.perf_counter())
        run = source.open(catalog.runs[0].id)
        marks.append(time.perf_counter())
        path.draw(run, Window.fit(run.begin_ms, run.end_ms))
        marks.append(time.perf_counter())
        found, index, drawn = (b - a for a, b in pairwise(marks))
        query_ms = path.query_ms[0]
    return {
        "catalogue": found * 1000,
        "page heads": index * 1000,
        "query": query_ms,
        "six charts drawn": drawn * 1000 - query_ms,
        "all": (marks[-1] - marks[0]) * 1000,
    }


def _walk(log_directory: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return (total milliseconds, milliseconds of the query) of each step, by kind."""
    taken: dict[str, list[tuple[float, float]]] = {"pan": [], "zoom": []}
    source = open_source([str(log_directory)])
    catalog = source.catalog()
    catalog.refresh()
    with closing(ChartPath()) as path:
        for _ in range(rounds):
            run = source.open(catalog.runs[0].id)
            full = Window.fit(run.begin_ms, run.end_ms)
            path.draw(run, full)
            for kind, window in steps_through(full):
                began = time.perf_counter()
                path.draw(run, window)
                took_ms = (time.perf_counter() - began) * 1000
                taken[kind].append((took_ms, path.query_ms[-1]))
    return taken


def _step_row(name: str, taken: list[tuple[float, float]]) -> Row:
    total, queries = zip(*taken, strict=True)
    figures = (len(taken), statistics.median(total), quantile(total, 0.99), max(total))
    return Row(name, (*figures, statistics.median(queries)))


@contextmanager
def _year(effort: Effort) -> Iterator[tuple[Path, int]]:
    """Yield (log directory of a run of a year, its days); it is too large to be kept."""
    days = effort.count(365, 365, 2)
    with tempfile.TemporaryDirectory() as made:
        log_directory = Path(made) / "logs"
        write_run(log_directory, make_day(effort.count(DAY_S, DAY_S, DAY_S // 24)), days)
        yield log_directory, days


def _opened_and_walked(
    name: str, log_directory: Path, at_most_ms: int, effort: Effort
) -> list[Table]:
    firsts = [_first_chart(log_directory) for _ in range(effort.count(15, 5, 1))]
    stages = {stage: statistics.median(first[stage] for first in firsts) for stage in firsts[0]}
    taken = _walk(log_directory, effort.count(3, 1))
    return [
        Table(
            f"{name}: to the first charts (files in the page cache)",
            (Column("time", "ms", at_most=at_most_ms),),
            (
                Row("six charts at 200x50", (stages.pop("all"),)),
                *(Row(f"  of which {what}", (took,), detail=True) for what, took in stages.items()),
            ),
        ),
        Table(
            f"{name}: one step (query and six charts)",
            (
                Column("steps", compared=False),
                Column("median", "ms", at_most=50),
                Column("p99", "ms", at_most=120),
                Column("worst", "ms"),
                Column("query alone", "ms"),
            ),
            tuple(_step_row(kind, found) for kind, found in taken.items()),
            ours=2,
        ),
        *through_the_terminal(name, log_directory, at_most_ms, effort),
    ]


def measure(effort: Effort) -> list[Table]:
    """Draw a month and a year from disk, pan and zoom in them; switch among 200 runs."""
    seconds = effort.count(DAY_S, DAY_S, DAY_S // 24)
    days = effort.count(30, 30, 1)
    name = f"Month ({days * seconds:,} samples)"
    tables = _opened_and_walked(name, cached_run(days, seconds), 150, effort)
    with _year(effort) as (log_directory, days):
        tables += _opened_and_walked(
            f"Year ({days * seconds:,} samples)", log_directory, 400, effort
        )
    with tempfile.TemporaryDirectory() as made:
        log_directory = Path(made) / "logs"
        services, runs = effort.count(20, 20, 2), effort.count(10, 10, 2)
        write_runs(log_directory, make_day(seconds), services, runs, effort.count(2, 1))
        tables += among_runs(
            f"{services * runs} runs in {services} services", log_directory, effort
        )
    return tables
