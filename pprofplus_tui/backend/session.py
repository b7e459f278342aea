"""Answers requests of the screens from a source: runs, verdicts and charts."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from pprofplus.errors import PprofplusError
from pprofplus_tui.analysis.verdict_tracker import VERDICT_SERIES, VerdictTracker
from pprofplus_tui.backend.cgroup_sharing import with_sharers
from pprofplus_tui.backend.chart_data import SeriesPoints, events_within, query_all
from pprofplus_tui.backend.comparison_reader import ComparisonReader
from pprofplus_tui.backend.growth_ranking import GrowthRanking
from pprofplus_tui.charts.at_cursor import at_cursor
from pprofplus_tui.charts.build import ChartBuilder, ChartStyle, buckets_for, wanted_by
from pprofplus_tui.charts.renderer import Renderer
from pprofplus_tui.charts.spec import ChartSpec
from pprofplus_tui.charts.strokes import MAX_BUCKETS
from pprofplus_tui.model.cell_rows import Rows
from pprofplus_tui.model.chart_options import as_levels
from pprofplus_tui.model.charts import ChartKind, ChartTable, charts_for
from pprofplus_tui.model.comparison_request import ComparisonRequest
from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.events import end_events
from pprofplus_tui.model.messages import ChartRequest, Drawn, Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.points import SeriesKey
from pprofplus_tui.model.runs import LIVE, Run, RunId, Runs, find, opening
from pprofplus_tui.model.sparkline import sparkline
from pprofplus_tui.model.verdict import VERDICT_BUCKETS, Verdicts
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.port import RunInfo, RunReader, Selection, Source

SPARK_CELLS = 6
_SLOW_OPEN_S = 0.1  # the charts of a run that takes longer to open are shown one by one
_FIRST_CHARTS_S = 1.0  # timeout for drawing the first charts, which takes a fraction of it
_DETAIL_SLICE_S = 0.03  # to read listed runs in full, between two checks for requests
_SLICE_S = 0.05  # to read new runs, likewise
_BATCH_GROWTH = 1.25  # the list is sorted again when it has grown by this factor


class Session:
    """Owns the catalogue of runs and the renderer. Only the backend's thread uses it.

    `on_drawn` is called from the renderer's thread; it must only pass the value on.
    """

    def __init__(self, options: Options, source: Source, on_drawn: Callable[[Drawn], None]) -> None:
        self._options = options
        self._source = source
        self._on_drawn = on_drawn
        self._catalog = source.catalog(Selection(options.service, options.all_pids))
        self._renderer = Renderer(self._drawn)
        style = ChartStyle(options.plain, options.colourless, options.zone)
        self._builder = ChartBuilder(style)
        self._comparison = ComparisonReader(style, source)
        self._runs = Runs()
        self._reader: RunReader | None = None  # of the run shown
        # Without a cache reading takes longer than drawing: each chart is shown when it is read.
        # With a cache one query for all charts is faster.
        self._cold = True
        # the last charts without the cursor, and the request that they answer
        self._last_charts: list[tuple[ChartKind, ChartSpec]] = []
        self._last_request: ChartRequest | None = None
        self._tracker = VerdictTracker()
        self._ranking = GrowthRanking(source)
        # True after the first charts of a run, which are drawn before its verdicts are computed
        self._unjudged = False
        self._in_view: tuple[RunId, ...] = ()
        self._pending: dict[RunId, RunInfo | None] = {}  # changes not yet applied to the list
        self._unread = 0  # unread runs when new runs were last added to the list

    def close(self) -> None:
        """Join the renderer's thread."""
        self._renderer.close()

    def _drawn(self, key: object, chart: ChartSpec, rows: Rows) -> None:
        more = not self._cold and self._renderer.waiting
        self._on_drawn(Drawn(str(key), chart.width, chart.height, rows, more=more))

    def refresh(self, in_view: tuple[RunId, ...] = (), *, ranking: bool = False) -> None:
        """Check for new and changed runs; read only summaries of runs that are not `in_view`.

        With `ranking`, for a list sorted by growth, also judge live runs.
        """
        self._catalog.refresh(frozenset(in_view), time.monotonic() + _SLICE_S)
        if in_view or ranking:
            self.read_more(in_view, ranking=ranking)
        self._apply_changes()

    def read_more(self, in_view: tuple[RunId, ...], *, ranking: bool = False) -> None:
        """Read runs for some milliseconds: first those in view, then unread ones."""
        self._in_view = in_view
        catalog, until_s = self._catalog, time.monotonic() + _DETAIL_SLICE_S
        changed = catalog.complete(in_view, until_s)
        if not ranking:
            self._ranking.forget()
        elif self._ranking.update(catalog.running, until_s):
            self._pending.update((info.id, info) for info in catalog.running)
            changed = True
        if catalog.unread:
            changed |= catalog.read_unread(time.monotonic() + _SLICE_S)
        if changed:
            self._apply_changes()

    @property
    def loading(self) -> bool:
        """Whether some runs are not read yet."""
        return bool(self._catalog.unread)

    @property
    def has_more(self) -> bool:
        """Whether there are more runs to read or to judge."""
        unread = self._catalog.unread or self._catalog.incomplete(self._in_view)
        return bool(unread) or self._ranking.has_more or self._unjudged

    def _apply_changes(self) -> None:
        """Apply the changes to the list; while many runs are unread, add new ones in batches.

        Each batch sorts the whole list, which may take as long as to read the batch.
        """
        catalog, changes = self._catalog, self._pending
        changes.update(catalog.changes())
        if catalog.unread and catalog.read <= _BATCH_GROWTH * len(self._runs):
            places = self._runs.places
            known = {run: info for run, info in changes.items() if run in places}
            for run in known:
                del changes[run]
            changes = known
        else:
            self._pending, self._unread = {}, catalog.unread
        gone = [run for run, info in changes.items() if info is None]
        new = [self._as_run(info) for info in changes.values() if info is not None]
        if gone or new:
            self._runs = self._runs.changed(new, gone)

    def _as_run(self, info: RunInfo) -> Run:
        return Run(
            info.id,
            info.service,
            info.pid,
            info.state,
            info.begin_ms,
            info.end_ms,
            info.rss_bytes,
            # no sparkline over a slow connection: it changes with each sample
            ""
            if self._options.low_bandwidth or not len(info.recent)
            else sparkline(info.recent, SPARK_CELLS, ascii_only=self._options.plain),
            charts_for(self._metrics_of(info)),
            info.pinned,
            self._ranking.verdict(info.id),
        )

    def _metrics_of(self, info: RunInfo) -> tuple[tuple[str, str, str], ...]:
        """Return the metrics of the whole run if it is open, else those of its newest schema."""
        reader = self._reader
        return reader.metrics if reader is not None and reader.id == info.id else info.metrics

    def prefetch(self, request: ChartRequest) -> None:
        """Open the run that the screen will request first."""
        run = find(self._runs, self._options.run) or opening(self._runs)
        if request.run is None and run is not None:
            with suppress(PprofplusError):  # the request raises it again
                self._open(run.id)

    def answer(self, request: ChartRequest, *, fresh: bool, before: Frame | None) -> Frame:
        """Return the frame that answers a request; submit the changed charts to the renderer.

        Args:
            request: what to show.
            fresh: whether the request is new.
            before: the last answer.
        """
        self._comparison.close()  # the screen shows one run again
        unjudged, self._unjudged = self._unjudged, False
        run = find(self._runs, request.run)
        verdicts = (
            before.verdicts if before is not None and before.run == request.run else Verdicts()
        )
        reading = before.cursor if before is not None else None
        death: Death | None = None
        if run is not None and request.window is not None:
            reader, changed = self._open(run.id)
            run = self._with_all_charts(run)
            death = reader.death(run.state, self._catalog.infos.values(), at_once=True)
            changed |= before is not None and before.death != death
            previous = find(before.runs, run.id) if before is not None else None
            # the last samples before the end matter most: draw all of them
            ended = previous is not None and previous.state != run.state
            # if only the cursor moved, the charts stay the same
            drawn = replace(request, cursor_ms=None) == self._last_request
            charts_unchanged = drawn and (request.window.frozen or not (changed or ended))
            due = fresh or ended or self._tracker.is_due(reader, request.window)
            first = self._cold and not charts_unchanged
            judging = (not charts_unchanged and due and not first) or (
                charts_unchanged and unjudged
            )
            levels: SeriesPoints | None = None
            if not charts_unchanged:
                extra_series = VERDICT_SERIES if judging else ()
                growing = run.state == LIVE
                levels = self._draw(request, run.charts, extra_series, death, growing=growing)
            if fresh or not charts_unchanged:
                reading = self._draw_cursor(request.window, request.cursor_ms)
            self._unjudged = first
            if judging:  # in parallel with the renderer, but after the first charts of a run
                if charts_unchanged:
                    self._renderer.wait_idle(_FIRST_CHARTS_S)
                verdicts = self._tracker.verdicts(reader, request.window, verdicts, levels)
            elif run.rss_bytes is not None and (not charts_unchanged or request.window.following):
                # also if the charts did not change: the list may have a newer sample
                verdicts = verdicts.with_rss(run.rss_bytes)
            verdicts = with_sharers(verdicts, reader, run, request.window, self._catalog.running)
        runs = self._runs
        return Frame(
            runs,
            self._catalog.services if not runs else (),
            self._problem(request.run),
            request.run,
            verdicts,
            reading,
            death=death,
            unread=self._unread,
        )

    def _problem(self, run: RunId | None) -> str:
        """Return one line about a read problem, of the selected run first."""
        reader = self._reader
        shown = reader.problems if reader is not None and reader.id == run else ()
        return next(iter((*shown, *self._catalog.problems)), "")

    def answer_comparison(
        self, comparison: ComparisonRequest, *, fresh: bool, before: Frame | None
    ) -> tuple[Frame, bool]:
        """Answer a comparison of runs; return (frame, whether there is more to read)."""
        infos = self._catalog.infos
        frozen = comparison.window is not None and comparison.window.frozen and not fresh
        findings, more = before.findings if before is not None else None, False
        if not frozen or findings is None or not findings.whole:
            findings, charts, more = self._comparison.answer(
                comparison, self._runs, infos, None if fresh else findings
            )
            self._renderer.submit_all(charts)
        frame = replace(before or Frame(), runs=self._runs, findings=findings, unread=self._unread)
        return frame, more

    def _open(self, run: RunId) -> tuple[RunReader, bool]:
        """Return (the refreshed reader of a run, whether it has new data)."""
        reader = self._reader
        if reader is not None and reader.id == run:
            return reader, reader.refresh()
        began_s = time.monotonic()
        self._tracker.forget()
        self._reader = self._source.open(run)
        # opening the first run of a session also loads modules
        self._cold = reader is None or time.monotonic() - began_s > _SLOW_OPEN_S
        self._builder.forget()
        return self._reader, True

    def _with_all_charts(self, run: Run) -> Run:
        """Return the opened run with what only its whole log shows.

        This is the charts of all its metrics, and its begin if the clock was set.
        """
        reader = self._reader
        if reader is None:
            return run
        begin_ms = reader.begin_ms if reader.has_data else run.begin_ms
        known = replace(run, charts=charts_for(reader.metrics), begin_ms=begin_ms)
        if known == run:
            return run
        self._runs = self._runs.changed([known])
        return known

    def _draw(
        self,
        request: ChartRequest,
        charts: ChartTable,
        extra_series: tuple[SeriesKey, ...],
        death: Death | None,
        *,
        growing: bool,
    ) -> SeriesPoints | None:
        """Build the charts of a request; return points for the verdicts if they were queried."""
        reader, window = self._reader, request.window
        if reader is None or window is None:
            return None
        begin_ms, end_ms = window.begin_ms, window.end_ms
        self._last_request = None
        run = find(self._runs, request.run)
        events = events_within(reader, run, begin_ms, end_ms)
        later = end_events(run, self._runs, death) if run is not None else ()
        events += tuple(event for event in later if begin_ms <= event.t_ms < end_ms)
        kinds = [
            (shape, as_levels(kind) if shape.levels else kind)
            for shape in request.shapes
            # a screen may still request a chart that this run lacks
            if (kind := charts.by_id.get(shape.chart)) is not None
        ]
        built: list[tuple[ChartKind, ChartSpec]] = []
        known = {} if self._cold else query_all(reader, window, kinds, extra_series)
        for shape, kind in kinds:
            buckets, wanted = buckets_for(shape), wanted_by(kind)
            if self._cold:
                points = reader.query(begin_ms, end_ms, buckets, wanted, exact=False)
            else:
                points = {one: known[buckets][one] for one in wanted}
            chart = self._builder.chart(kind, shape, window, points, growing=growing, events=events)
            built.append((kind, chart))
            if self._cold and request.cursor_ms is None:
                # the renderer draws one chart while the next one is read
                self._renderer.submit(kind.id, chart)
        self._last_charts = built
        self._last_request = replace(request, cursor_ms=None)
        return known.get(VERDICT_BUCKETS)

    def _draw_cursor(self, window: Window, cursor_ms: int | None) -> Reading | None:
        """Submit the last charts with the cursor; return the sample at the cursor."""
        reader, charts = self._reader, self._last_charts
        reading = None
        if reader is not None and cursor_ms is not None:
            wanted = [key for kind, _ in charts for key in wanted_by(kind)]
            # accept any sample in the column of the cursor
            reading = reader.sample_at(cursor_ms, window.span_ms // (2 * MAX_BUCKETS), wanted)
            charts = [(kind, at_cursor(chart, kind, reading)) for kind, chart in charts]
        self._renderer.submit_all((kind.id, chart) for kind, chart in charts)
        self._cold = False
        return reading
