"""Answers a comparison request: reads many runs in time slices and builds the charts."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pprofplus_tui.analysis.aligned_runs import shifted
from pprofplus_tui.analysis.verdict_tracker import series_verdict
from pprofplus_tui.charts.build import ChartStyle, buckets_for
from pprofplus_tui.charts.build_comparison import Charts, ComparisonBuilder, Scene
from pprofplus_tui.model.charts import ChartKind, ChartSeries, charts_for
from pprofplus_tui.model.comparison_request import COMPARE, ComparisonRequest
from pprofplus_tui.model.findings import Findings
from pprofplus_tui.model.lifetimes import Lifetime, stale_ms
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.runs import LIVE, Run, RunId
from pprofplus_tui.model.time_buckets import TimeBuckets
from pprofplus_tui.model.verdict import Verdict
from pprofplus_tui.model.window import JUMPS, Window
from pprofplus_tui.sources.port import NoRunError, RunInfo, RunReader, Source

_DRAW_INTERVAL_S = 1.0  # between two drawings while runs are still unread
_SLICE_S = 0.04  # of reading, before the thread checks for a new request
_MIN_REOPEN_S = 30.0  # before a live run with an evicted reader is opened again
_MAX_AGE_MS = 30_000  # a live run is read again at least that often
_NEW_SHARE = 50  # a curve is judged again after new samples of 1/50 of the window
_MAX_READER_BYTES = 48 << 20  # held by all readers together

_Key = tuple[int, int, int, str, bool]  # begin, end, buckets, metric, rate


@dataclass(eq=False)
class _Kept:
    """An opened run, and the points and the verdict of its last query."""

    reader: RunReader | None
    key: _Key | None = None
    points: Points = field(default_factory=Points.empty)
    verdict: Verdict = field(default_factory=Verdict)  # on the points
    judged_key: _Key | None = None  # the key of the verdict
    judged_ms: int = -1  # end_ms at the verdict
    end_ms: int = -1  # of the run, when the reader was last refreshed
    read_s: float = 0.0  # monotonic, when it was last opened


def main_series(infos: Iterable[RunInfo], chart: str) -> tuple[ChartKind, ChartSeries]:
    """Return the chart with that id and its main series; memory if no run has it.

    A stacked chart is replaced by memory: its only main series is the sum of its parts.
    """
    kind: ChartKind | None = None
    for info in infos:
        table = charts_for(info.metrics)
        kind = table.by_id.get(chart)
        if kind is not None:
            break
    if kind is None or kind.total:
        kind = charts_for(()).charts[0]
    return kind, kind.series[-1]


class ComparisonReader:
    """Reads the runs of a comparison. Only the backend's thread uses it."""

    def __init__(self, style: ChartStyle, source: Source) -> None:
        self._source = source
        self._builder = ComparisonBuilder(style)
        self._kept: dict[RunId, _Kept] = {}
        self._drawn_s = 0.0
        self._last_findings: Findings | None = None  # of the charts drawn last
        self._drawn: tuple[ComparisonRequest, tuple[tuple[str, str], ...]] | None = None

    def close(self) -> None:
        """Drop all readers: no comparison is open."""
        self._kept.clear()
        self._drawn = self._last_findings = None
        self._builder.forget()

    def answer(
        self,
        comparison: ComparisonRequest,
        runs: tuple[Run, ...],
        infos: Mapping[RunId, RunInfo],
        before: Findings | None = None,
    ) -> tuple[Findings, Charts, bool]:
        """Return (findings, charts to draw, whether there is more to read).

        Reads for about 40 ms, so that a key does not wait for sixty runs. Unread runs are missing
        in the charts; the findings have their number.
        """
        members = comparison.members(runs)
        kind, series = main_series(
            (infos[run.id] for run in members if run.id in infos), comparison.chart
        )
        empty = Findings(comparison.kind, series.label, kind.unit, comparison.aligned)
        window = comparison.window
        if window is None or not comparison.shapes:
            return empty, [], False
        buckets = max(JUMPS, *(buckets_for(shape) for shape in comparison.shapes))
        if (
            before is not None
            and before.whole
            and self._is_new_enough(comparison, members, buckets)
        ):
            return _with_totals(before, members, infos), [], False
        present_ms = _present_ms(members)
        curves: dict[RunId, Points] = {}
        wanted = [run for run in members if _reaches(run, comparison, window)]
        until = time.monotonic() + _SLICE_S
        read = 0
        for run in wanted:
            late = time.monotonic() > until
            points = self._points(run, comparison, window, buckets, series, late=late)
            if points is not None and self._update_verdict(run.id, kind, series, late=late):
                read += 1
            if points is None:  # show the points of the last window until the run is read
                points = self._previous_curve(run, comparison, series)
            if points is not None:
                curves[run.id] = points
        self._evict_readers({run.id for run in wanted})
        count = sum(len(points) > 0 for points in curves.values())
        findings = replace(empty, read=read, of=len(wanted), count=count)
        findings = _with_totals(findings, members, infos)
        pending = read < len(wanted)
        if pending and time.monotonic() - self._drawn_s < _DRAW_INTERVAL_S:
            if self._last_findings is not None and self._last_findings.kind == comparison.kind:
                last = self._last_findings  # show its figures until the next drawing
                findings = replace(last, read=read, of=len(wanted))
            return findings, [], True
        self._drawn_s = time.monotonic()
        self._drawn = comparison, tuple((run.id, run.state) for run in members)
        width_ms = TimeBuckets.at_most(window.begin_ms, window.end_ms, buckets).width_ms
        with_lifetime = members if comparison.kind == COMPARE else wanted
        lives = {
            run.id: _lifetime(run, infos.get(run.id), comparison, series, present_ms)
            for run in with_lifetime
        }
        verdicts = {
            run_id: self._kept[run_id].verdict if run_id in self._kept else Verdict()
            for run_id in curves
        }
        # ages have no common present
        edge_ms = 0 if comparison.aligned else present_ms
        scene = Scene(comparison, window, kind, members, curves, width_ms, lives, verdicts, edge_ms)
        self._last_findings, charts = self._builder.build(scene, findings)
        return self._last_findings, charts, pending

    def _is_new_enough(
        self, comparison: ComparisonRequest, members: tuple[Run, ...], buckets: int
    ) -> bool:
        """Return whether the charts drawn last are less than a bucket old.

        If so, nothing is drawn: then all lines advance together, not each at its own time.
        """
        states = tuple((run.id, run.state) for run in members)
        if comparison.window is None or self._drawn != (comparison, states):
            return False
        bucket_s = min(comparison.window.span_ms // buckets, _MAX_AGE_MS) / 1000
        return time.monotonic() - self._drawn_s < bucket_s

    # -- reading

    def _points(  # noqa: PLR0913 - private: a query of one run
        self,
        run: Run,
        comparison: ComparisonRequest,
        window: Window,
        buckets: int,
        series: ChartSeries,
        *,
        late: bool,
    ) -> Points | None:
        """Return a run's curve in the time of the comparison.

        None if the run must be read and `late` is set: the time slice is over.
        """
        shift_ms = run.begin_ms if comparison.aligned else 0
        begin_ms, end_ms = window.begin_ms + shift_ms, window.end_ms + shift_ms
        key: _Key = (begin_ms, end_ms, buckets, series.metric, series.rate)
        kept = self._kept.get(run.id)
        if kept is not None and kept.key == key:
            # less than a bucket of new samples is not visible, and there may be sixty runs
            newer_ms = run.end_ms - kept.end_ms
            little = run.running and 0 <= newer_ms < min(window.span_ms // buckets, _MAX_AGE_MS)
            if newer_ms == 0 or little or window.frozen:
                return shifted(kept.points, shift_ms)
        if late and (kept is None or kept.key != key):
            return None
        now_s = time.monotonic()
        if (
            kept is not None
            and kept.key == key
            and kept.reader is None
            and (late or now_s - kept.read_s < _MIN_REOPEN_S)
        ):
            return shifted(kept.points, shift_ms)
        if kept is None or kept.reader is None:
            try:
                reader = self._source.open(run.id)
            except NoRunError:
                return Points.empty()
            kept = self._kept[run.id] = _Kept(reader, end_ms=run.end_ms, read_s=now_s)
        elif kept.end_ms != run.end_ms:
            reader = kept.reader
            reader.refresh()
            kept.end_ms = run.end_ms
        else:
            reader = kept.reader
        request = (series.metric, series.rate)
        points = reader.query(begin_ms, end_ms, buckets, [request])[request]
        if series.scale != 1:
            points = replace(points, lo=points.lo / series.scale, hi=points.hi / series.scale)
        kept.key, kept.points = key, points
        return shifted(points, shift_ms)

    def _previous_curve(
        self, run: Run, comparison: ComparisonRequest, series: ChartSeries
    ) -> Points | None:
        """Return the curve that was read last, if it is of the same metric."""
        kept = self._kept.get(run.id)
        if kept is None or kept.key is None or kept.key[3:] != (series.metric, series.rate):
            return None
        return shifted(kept.points, run.begin_ms if comparison.aligned else 0)

    def _update_verdict(
        self, run_id: RunId, kind: ChartKind, series: ChartSeries, *, late: bool
    ) -> bool:
        """Judge a curve with enough new samples; return False if `late` leaves it without verdict.

        Judging costs about as much as reading the curve.
        """
        kept = self._kept.get(run_id)
        if kept is None or kept.key is None or kept.reader is None:
            return True
        begin_ms, end_ms, *_ = kept.key
        new_ms = kept.end_ms - kept.judged_ms
        if kept.judged_key == kept.key and 0 <= new_ms < (end_ms - begin_ms) // _NEW_SHARE:
            return True
        # in a view that only follows time, the last kind of verdict has hysteresis
        same = kept.judged_key is not None and _is_same_view(kept.judged_key, kept.key)
        if not same:
            kept.verdict, kept.judged_key = Verdict(), None
        if late:
            return same
        # scaled values are recorded as thousandths: thresholds of the unit do not apply to them
        unit = kind.unit if series.scale == 1 else ""
        wanted = series.metric, series.rate
        before = kept.verdict.kind if same else ""
        found = series_verdict(kept.reader, begin_ms, end_ms, wanted, unit, before)
        if series.scale != 1:
            found = replace(
                found,
                per_hour=found.per_hour / series.scale,
                low=found.low / series.scale,
                high=found.high / series.scale,
                change=found.change / series.scale,
            )
        kept.verdict, kept.judged_key, kept.judged_ms = found, kept.key, kept.end_ms
        return True

    def _evict_readers(self, wanted: set[RunId]) -> None:
        """Evict readers above the memory limit, unwanted ones first; keep curves of wanted runs."""
        readers = (kept.reader for kept in self._kept.values())
        held_bytes = sum(reader.held_bytes for reader in readers if reader is not None)
        for run_id in sorted(self._kept, key=lambda run_id: run_id in wanted):
            if held_bytes <= _MAX_READER_BYTES:
                return
            kept = self._kept[run_id]
            if kept.reader is not None:
                held_bytes -= kept.reader.held_bytes
                kept.reader = None
            if run_id not in wanted:
                del self._kept[run_id]


def _reaches(run: Run, comparison: ComparisonRequest, window: Window) -> bool:
    """Return whether a run has samples in the window."""
    if comparison.aligned:
        return window.begin_ms <= run.end_ms - run.begin_ms
    return run.begin_ms < window.end_ms and run.end_ms >= window.begin_ms


def _is_same_view(key: _Key, later: _Key) -> bool:
    """Return whether two keys differ only in the position of the window in time."""
    spans = {end_ms - begin_ms for begin_ms, end_ms, *_ in (key, later)}
    return key[2:] == later[2:] and len(spans) == 1


def _present_ms(runs: Iterable[Run]) -> int:
    """Return the time of the newest sample of live runs, else of all runs; unix ms."""
    ends = [(run.state == LIVE, run.end_ms) for run in runs]
    return max(ends, default=(False, 0))[1]


def _lifetime(
    run: Run,
    info: RunInfo | None,
    comparison: ComparisonRequest,
    series: ChartSeries,
    present_ms: int,
) -> Lifetime:
    """Return the period in which a run has values, in the time of the comparison."""
    if not run.running or info is None:
        life = Lifetime.of_ended_run(run.begin_ms, run.end_ms)
    else:
        newest = None if series.rate else info.last.get(series.metric)
        life = Lifetime.of_live_run(
            run.begin_ms,
            run.end_ms,
            info.interval_ms,
            # a live run may have been checked some seconds ago
            present_ms if run.state == LIVE else run.end_ms,
            None if newest is None else newest / series.scale,
        )
    return life.earlier(run.begin_ms) if comparison.aligned else life


def _with_totals(
    findings: Findings, runs: Iterable[Run], infos: Mapping[RunId, RunInfo]
) -> Findings:
    """Return the findings with the sums of the newest samples of running runs."""
    running = [run for run in runs if run.running and run.id in infos]
    present_ms = _present_ms(running)
    fresh = [
        infos[run.id].last
        for run in running
        if run.state == LIVE or present_ms - run.end_ms < stale_ms(infos[run.id].interval_ms)
    ]

    def of(metric: str) -> int | None:
        values = [row[metric] for row in fresh if metric in row]
        return sum(values) if values else None

    return replace(
        findings,
        rss_bytes=of("rss"),
        uss_bytes=of("uss"),
        running=len(running),
        silent=len(running) - len(fresh),
    )
