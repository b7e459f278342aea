"""The thread between disk and screen: it looks at the logs, answers requests, orders charts."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pprofplus_tui.charts.picture import Picture, Rows
from pprofplus_tui.charts.portray import (
    Manner,
    Portrayer,
    Shape,
    Wanted,
    buckets_for,
    wanted_by,
)
from pprofplus_tui.charts.renderer import Renderer
from pprofplus_tui.logs.catalog import Catalog, RunInfo
from pprofplus_tui.logs.history import query
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.charts import CHART_BY_ID
from pprofplus_tui.model.facts import FACT_METRICS, Facts, read_facts
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import LIVE, Run, find, ordered
from pprofplus_tui.model.series import Points
from pprofplus_tui.model.sparkline import sparkline
from pprofplus_tui.model.window import Window

TICK_S = 1.0
SPARK_CELLS = 6
_FACTS: tuple[Wanted, ...] = tuple((metric, False) for metric in FACT_METRICS)


@dataclass(frozen=True)
class Request:
    """What the screen wants to see.

    Attributes:
        run: path of a run, or None to be told of the runs only.
        window: the stretch of time.
        shapes: the charts to draw and their sizes.
    """

    run: str | None = None
    window: Window | None = None
    shapes: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Frame:
    """What there is to tell besides the charts.

    Attributes:
        runs: those that the options ask for, in the order of the list.
        other_services: services that are there but not asked for.
        problem: one line about what could not be read, or "".
        run: the run that `facts` are of.
        facts: figures of the requested window.
    """

    runs: tuple[Run, ...] = ()
    other_services: tuple[str, ...] = ()
    problem: str = ""
    run: str | None = None
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A chart as it is to be shown."""

    chart: str
    width: int
    height: int
    rows: Rows


class Feed:
    """Owns the catalogue of runs and the renderer; whoever makes it starts and closes it.

    Both callbacks are called from threads of the feed and must only hand the value over.
    """

    def __init__(
        self,
        catalog: Catalog,
        options: Options,
        on_frame: Callable[[Frame], None],
        on_drawn: Callable[[Drawn], None],
    ) -> None:
        self._catalog = catalog
        self._options = options
        self._on_frame = on_frame
        self._on_drawn = on_drawn
        self._portrayer = Portrayer(Manner(options.plain, options.colourless, options.zone))
        self._changed = threading.Condition()
        self._request = Request()
        self._fresh = True
        self._closing = False
        self._log: RunLog | None = None
        self._sparks: dict[str, tuple[int, str]] = {}
        self._renderer: Renderer | None = None
        self._thread = threading.Thread(target=self._run, name="pprofplus-feed", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._renderer = Renderer(self._drawn)
        self._thread.start()

    def close(self) -> None:
        """Stop, and join both threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        if self._renderer is not None:
            self._renderer.close()

    def show(self, request: Request) -> None:
        """Answer this request now, and again whenever the log has more to say."""
        with self._changed:
            self._fresh = self._fresh or request != self._request
            self._request = request
            self._changed.notify_all()

    def _drawn(self, key: object, picture: Picture, rows: Rows) -> None:
        self._on_drawn(Drawn(str(key), picture.width, picture.height, rows))

    def _run(self) -> None:
        frame: Frame | None = None
        look_at = time.monotonic()
        runs: tuple[Run, ...] = ()
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._fresh or self._closing, max(0.0, look_at - time.monotonic())
                )
                if self._closing:
                    return
                request, fresh, self._fresh = self._request, self._fresh, False
            try:
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + TICK_S
                    self._catalog.refresh()
                    runs = self._runs()
                told = self._answer(request, runs, fresh=fresh, before=frame)
            except Exception as error:  # noqa: BLE001 - a log that cannot be read must not end the monitor
                told = replace(
                    frame or Frame(), problem=f"reading failed: {type(error).__name__}: {error}"
                )
            if told != frame:
                frame = told
                self._on_frame(told)

    def _runs(self) -> tuple[Run, ...]:
        asked = self._options
        found = [
            info
            for info in self._catalog.runs
            if asked.service in {None, info.service} and asked.pid in {None, info.pid}
        ]
        return ordered(self._as_run(info) for info in found)

    def _as_run(self, info: RunInfo) -> Run:
        kept = self._sparks.get(info.path)
        if kept is None or kept[0] != info.end_ms:
            kept = (
                info.end_ms,
                sparkline(info.recent, SPARK_CELLS, ascii_only=self._options.plain),
            )
            self._sparks[info.path] = kept
        return Run(
            info.path,
            info.service,
            info.pid,
            info.state,
            info.begin_ms,
            info.end_ms,
            info.last.get("rss"),
            kept[1],
        )

    def _answer(
        self, request: Request, runs: tuple[Run, ...], *, fresh: bool, before: Frame | None
    ) -> Frame:
        run = find(runs, request.run)
        facts = before.facts if before is not None and before.run == request.run else Facts()
        if run is not None and request.window is not None:
            changed = self._open(run.path)
            was = find(before.runs, run.path) if before is not None else None
            # the last samples before an end are the ones that matter: draw them all
            ended = was is not None and was.state != run.state
            frozen = request.window.frozen and not fresh
            if (changed or fresh or ended) and not frozen:
                facts = self._draw(request, request.window, growing=run.state == LIVE)
        return Frame(
            runs,
            tuple(sorted({info.service for info in self._catalog.runs})) if not runs else (),
            self._catalog.problems[0] if self._catalog.problems else "",
            request.run,
            facts,
        )

    def _open(self, path: str) -> bool:
        """Make `path` the log that is read; return whether it has anything new."""
        if self._log is None or self._log.path != path:
            self._log = self._catalog.open(path)
            self._portrayer.forget()
            return True
        return self._log.refresh()

    def _draw(self, request: Request, window: Window, *, growing: bool) -> Facts:
        """Order the charts of a request and return the figures for its window."""
        log, renderer = self._log, self._renderer
        if log is None or renderer is None:
            return Facts()
        by_buckets: dict[int, dict[Wanted, None]] = {}
        for shape in request.shapes:
            wanted = by_buckets.setdefault(buckets_for(shape), {})
            wanted.update(dict.fromkeys(wanted_by(CHART_BY_ID[shape.chart])))
        most = max(by_buckets, default=8)
        by_buckets.setdefault(most, {}).update(dict.fromkeys(_FACTS))
        answers: dict[int, dict[Wanted, Points]] = {
            buckets: query(log, window.begin_ms, window.end_ms, buckets, tuple(wanted))
            for buckets, wanted in by_buckets.items()
        }
        for shape in request.shapes:
            points = answers[buckets_for(shape)]
            kind = CHART_BY_ID[shape.chart]
            picture = self._portrayer.picture(kind, shape, window, points, growing=growing)
            renderer.submit(shape.chart, picture)
        levels = answers[most]
        return read_facts(
            {metric: levels[metric, False] for metric, _ in _FACTS if (metric, False) in levels}
        )
