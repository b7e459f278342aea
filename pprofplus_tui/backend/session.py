"""Answers the screen's requests from a source: which runs, which figures, which charts."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pprofplus.errors import PprofplusError
from pprofplus_tui.analysis.verdict_tracker import FACTS, VerdictTracker
from pprofplus_tui.backend.cgroup_sharing import with_sharers
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
from pprofplus_tui.model.events import RunEvent, end_events
from pprofplus_tui.model.messages import ChartRequest, Drawn, Frame, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.points import Points, SeriesKey
from pprofplus_tui.model.runs import LIVE, Run, RunId, Runs, find, opening
from pprofplus_tui.model.sparkline import sparkline
from pprofplus_tui.model.verdict import VERDICT_BUCKETS, Verdicts
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.port import RunInfo, RunReader, Selection, Source

Levels = dict[SeriesKey, Points]

SPARK_CELLS = 6
_LONG_S = 0.1  # the charts of a run that takes longer to open are shown one by one
_FIRST_CHARTS_S = 1.0  # a limit: drawing them takes a fraction of that
_CLOSER_S = 0.03  # of reading runs in the list, before keys are answered
_SLICE_S = 0.05  # of reading new runs, likewise
_WORTH_IT = 1.25
_MOST_EVENTS = 64  # on a chart


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
        manner = ChartStyle(options.plain, options.colourless, options.zone)
        self._builder = ChartBuilder(manner)
        self._comparison = ComparisonReader(manner, source)
        self._runs = Runs()
        self._reader: RunReader | None = None  # of the run shown
        # reading takes longer than drawing, so each chart is shown when it is read. Once all is
        # cached, one query for all charts is faster
        self._cold = True
        # the charts drawn last, without the cursor, and their request
        self._pictures: list[tuple[ChartKind, ChartSpec]] = []
        self._answered: ChartRequest | None = None
        self._tracker = VerdictTracker()
        self._ranking = GrowthRanking(source)
        # the first charts of a run are drawn before its verdicts
        self._unjudged = False
        self._in_view: tuple[RunId, ...] = ()
        self._pending: dict[RunId, RunInfo | None] = {}  # changes that the list does not show yet
        self._unread = 0  # when new runs were last added to the list

    def close(self) -> None:
        """Join the renderer's thread."""
        self._renderer.close()

    def _drawn(self, key: object, picture: ChartSpec, rows: Rows) -> None:
        more = not self._cold and self._renderer.waiting
        self._on_drawn(Drawn(str(key), picture.width, picture.height, rows, more=more))

    def refresh(self, in_view: tuple[RunId, ...] = (), *, ranking: bool = False) -> None:
        """Check for new and changed runs; of runs not `in_view`, only summaries are read.

        For a list in the order of growth, `ranking`, live runs are judged too.
        """
        self._catalog.refresh(frozenset(in_view), time.monotonic() + _SLICE_S)
        if in_view or ranking:
            self.read_more(in_view, ranking=ranking)
        self._take_runs()

    def read_more(self, in_view: tuple[RunId, ...], *, ranking: bool = False) -> None:
        """Read runs for some milliseconds: first those in view, then those not read yet."""
        self._in_view = in_view
        catalog, until_s = self._catalog, time.monotonic() + _CLOSER_S
        changed = catalog.complete(in_view, until_s)
        if not ranking:
            self._ranking.forget()
        elif self._ranking.judge(catalog.running, until_s):
            self._pending.update((info.id, info) for info in catalog.running)
            changed = True
        if catalog.unread:
            changed |= catalog.read_on(time.monotonic() + _SLICE_S)
        if changed:
            self._take_runs()

    @property
    def loading(self) -> bool:
        """Whether there are runs that were not read yet."""
        return bool(self._catalog.unread)

    @property
    def has_more(self) -> bool:
        """Whether there are more runs to read or to judge."""
        unread = self._catalog.unread or self._catalog.lacking(self._in_view)
        return bool(unread) or self._ranking.lacking or self._unjudged

    def _take_runs(self) -> None:
        """Apply the changes to the list; while many runs are unread, new ones in batches.

        Each batch sorts the whole list, which may take as long as reading the batch.
        """
        catalog, changes = self._catalog, self._pending
        changes.update(catalog.changes())
        if catalog.unread and catalog.read <= _WORTH_IT * len(self._runs):
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
            # not over a slow connection: it changes with each sample
            ""
            if self._options.low_bandwidth or not len(info.recent)
            else sparkline(info.recent, SPARK_CELLS, ascii_only=self._options.plain),
            charts_for(self._metrics_of(info)),
            info.pinned,
            self._ranking.verdict(info.id),
        )

    def _metrics_of(self, info: RunInfo) -> tuple[tuple[str, str, str], ...]:
        """Return the metrics of a run: of all of it if it is read, of its end otherwise."""
        reader = self._reader
        return reader.metrics if reader is not None and reader.id == info.id else info.metrics

    def prefetch(self, request: ChartRequest) -> None:
        """Open the run that the screen will request first, before it does."""
        run = find(self._runs, self._options.run) or opening(self._runs)
        if request.run is None and run is not None:
            with suppress(PprofplusError):  # the request will raise it again
                self._open(run.id)

    def answer(self, request: ChartRequest, *, fresh: bool, before: Frame | None) -> Frame:
        """Return the frame that answers a request, and order the charts that have changed.

        Args:
            request: what to show.
            fresh: the request is a new one.
            before: the last answer.
        """
        self._comparison.close()  # the screen shows one run again
        unjudged, self._unjudged = self._unjudged, False
        run = find(self._runs, request.run)
        facts = before.facts if before is not None and before.run == request.run else Verdicts()
        reading = before.cursor if before is not None else None
        death: Death | None = None
        if run is not None and request.window is not None:
            reader, changed = self._open(run.id)
            run = self._with_all_charts(run)
            death = reader.death(run.state, self._catalog.infos.values(), at_once=True)
            changed |= before is not None and before.death != death
            was = find(before.runs, run.id) if before is not None else None
            # the last samples before an end matter most: draw them all
            ended = was is not None and was.state != run.state
            # if only the cursor moved, the charts stay the same
            drawn = replace(request, cursor_ms=None) == self._answered
            still = drawn and (request.window.frozen or not (changed or ended))
            due = fresh or ended or self._tracker.is_due(reader, request.window)
            first = self._cold and not still
            judging = (not still and due and not first) or (still and unjudged)
            levels: Levels | None = None
            if not still:
                facts_too = FACTS if judging else ()
                growing = run.state == LIVE
                levels = self._draw(request, run.charts, facts_too, death, growing=growing)
            if fresh or not still:
                reading = self._point(request.window, request.cursor_ms)
            self._unjudged = first
            if judging:  # while the charts are drawn, but not before the first ones are
                if still:
                    self._renderer.wait_idle(_FIRST_CHARTS_S)
                facts = self._tracker.judge(reader, request.window, facts, levels)
            elif run.rss_bytes is not None and (not still or request.window.following):
                # also while the charts do not move: the list may have a later sample
                facts = facts.with_rss(run.rss_bytes)
            facts = with_sharers(facts, reader, run, request.window, self._catalog.running)
        runs = self._runs
        return Frame(
            runs,
            self._catalog.services if not runs else (),
            self._problem(request.run),
            request.run,
            facts,
            reading,
            death=death,
            unread=self._unread,
        )

    def _problem(self, run: RunId | None) -> str:
        """Return one line about what could not be read: of the run that is shown, else of any."""
        reader = self._reader
        shown = reader.problems if reader is not None and reader.id == run else ()
        return next(iter((*shown, *self._catalog.problems)), "")

    def answer_comparison(
        self, study: ComparisonRequest, *, fresh: bool, before: Frame | None
    ) -> tuple[Frame, bool]:
        """Answer a comparison of runs; return (frame, whether there is more to read)."""
        infos = self._catalog.infos
        frozen = study.window is not None and study.window.frozen and not fresh
        findings, more = before.findings if before is not None else None, False
        if not frozen or findings is None or not findings.whole:
            findings, pictures, more = self._comparison.answer(
                study, self._runs, infos, None if fresh else findings
            )
            self._renderer.submit_all(pictures)
        frame = replace(before or Frame(), runs=self._runs, findings=findings, unread=self._unread)
        return frame, more

    def _open(self, run: RunId) -> tuple[RunReader, bool]:
        """Return the reader of a run, refreshed, and whether it has anything new."""
        reader = self._reader
        if reader is not None and reader.id == run:
            return reader, reader.refresh()
        began_s = time.monotonic()
        self._tracker.forget()
        self._reader = self._source.open(run)
        # the first run of a session also waits for modules that its first use loads
        self._cold = reader is None or time.monotonic() - began_s > _LONG_S
        self._builder.forget()
        return self._reader, True

    def _with_all_charts(self, run: Run) -> Run:
        """Return the opened run with what only its whole record shows.

        These are the charts of all its metrics, and its begin if its clock was set.
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
        facts_too: tuple[SeriesKey, ...],
        death: Death | None,
        *,
        growing: bool,
    ) -> Levels | None:
        """Order the charts of a request; return the points of the verdicts if they cost nothing."""
        reader, window = self._reader, request.window
        if reader is None or window is None:
            return None
        begin_ms, end_ms = window.begin_ms, window.end_ms
        self._answered = None
        run = find(self._runs, request.run)
        events = _events_within(reader, run, begin_ms, end_ms)
        later = end_events(run, self._runs, death) if run is not None else ()
        events += tuple(event for event in later if begin_ms <= event.t_ms < end_ms)
        kinds = [
            (shape, as_levels(kind) if shape.levels else kind)
            for shape in request.shapes
            # otherwise the screen does not know yet that this run has no such metric
            if (kind := charts.by_id.get(shape.chart)) is not None
        ]
        pictures: list[tuple[ChartKind, ChartSpec]] = []
        known = {} if self._cold else _asked_at_once(reader, window, kinds, facts_too)
        for shape, kind in kinds:
            buckets, wanted = buckets_for(shape), wanted_by(kind)
            if self._cold:
                points = reader.query(begin_ms, end_ms, buckets, wanted, exact=False)
            else:
                points = {one: known[buckets][one] for one in wanted}
            picture = self._builder.chart(
                kind, shape, window, points, growing=growing, events=events
            )
            pictures.append((kind, picture))
            if self._cold and request.cursor_ms is None:
                # one by one, so that the first is drawn while the next is read
                self._renderer.submit(kind.id, picture)
        self._pictures = pictures
        self._answered = replace(request, cursor_ms=None)
        return known.get(VERDICT_BUCKETS)

    def _point(self, window: Window, cursor_ms: int | None) -> Reading | None:
        """Order the last charts again, with the cursor; return the sample at the cursor."""
        reader, pictures = self._reader, self._pictures
        reading = None
        if reader is not None and cursor_ms is not None:
            wanted = [request for kind, _ in pictures for request in wanted_by(kind)]
            # samples in the cursor's column are near enough
            reading = reader.sample_at(cursor_ms, window.span_ms // (2 * MAX_BUCKETS), wanted)
            pictures = [(kind, at_cursor(picture, kind, reading)) for kind, picture in pictures]
        self._renderer.submit_all((kind.id, picture) for kind, picture in pictures)
        self._cold = False
        return reading


def _events_within(
    reader: RunReader, run: Run | None, begin_ms: int, end_ms: int
) -> tuple[RunEvent, ...]:
    """Return the events in a window; at its end those after the last sample of an ended run."""
    if run is None or run.running or end_ms <= reader.last_sample_ms:
        return reader.events(begin_ms, end_ms, most=_MOST_EVENTS, exact=False)
    found = reader.events(begin_ms, most=_MOST_EVENTS, exact=False)
    return tuple(replace(event, t_ms=min(event.t_ms, end_ms - 1)) for event in found)


def _asked_at_once(
    reader: RunReader,
    window: Window,
    kinds: Sequence[tuple[Shape, ChartKind]],
    facts_too: tuple[SeriesKey, ...],
) -> dict[int, Levels]:
    """Return, by number of buckets, the points of all charts of that width, in one query each."""
    asked: dict[int, dict[SeriesKey, None]] = {}
    for shape, kind in kinds:
        asked.setdefault(buckets_for(shape), {}).update(dict.fromkeys(wanted_by(kind)))
    if VERDICT_BUCKETS in asked:
        asked[VERDICT_BUCKETS].update(dict.fromkeys(facts_too))
    return {
        buckets: reader.query(window.begin_ms, window.end_ms, buckets, tuple(wanted), exact=False)
        for buckets, wanted in asked.items()
    }
