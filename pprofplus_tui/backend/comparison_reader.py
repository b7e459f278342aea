"""Answers what a view of several runs asks: reads many runs in slices, and orders its charts."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pprofplus_tui.analysis.aligned_runs import shifted
from pprofplus_tui.analysis.verdict_tracker import judged_curve
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

_DRAWN_EACH_S = 1.0  # while there is more to read
_SLICE_S = 0.04  # of reading, before it is asked whether something else is wanted by now
_REOPENED_S = 30.0  # a growing run that there was no room for is read again no sooner
_OLDEST_MS = 30_000  # a growing run is read on at least that often
_JUDGED_SHARE = 50  # of the window in new samples, before a curve is judged again
_MOST_BYTES = 48 << 20  # held by all readers together

_Key = tuple[int, int, int, str, bool]  # begin, end, buckets, metric, rate


@dataclass(eq=False)
class _Kept:
    """A run that was opened, and the answer it gave last."""

    reader: RunReader | None
    key: _Key | None = None
    points: Points = field(default_factory=Points.empty)
    verdict: Verdict = field(default_factory=Verdict)  # on the points
    judged: _Key | None = None  # what it was given for
    judged_ms: int = -1  # and how far the points then reached
    end_ms: int = -1  # of the run, when the reader was last refreshed
    read_s: float = 0.0  # monotonic, when it was last opened


def main_series(infos: Iterable[RunInfo], chart: str) -> tuple[ChartKind, ChartSeries]:
    """Return the chart of that id and its main series; memory if no run has it, or of a stack."""
    kind: ChartKind | None = None
    for info in infos:
        table = charts_for(info.metrics)
        kind = table.by_id.get(chart)
        if kind is not None:
            break
    if kind is None or kind.total:  # a stack has no main series but the sum of its parts
        kind = charts_for(()).charts[0]
    return kind, kind.series[-1]


class ComparisonReader:
    """Reads many runs for one picture. Only the backend's thread uses it."""

    def __init__(self, manner: ChartStyle, source: Source) -> None:
        self._source = source
        self._builder = ComparisonBuilder(manner)
        self._kept: dict[RunId, _Kept] = {}
        self._drawn_s = 0.0
        self._told: Findings | None = None  # with the charts drawn last
        self._drawn: tuple[ComparisonRequest, tuple[tuple[str, str], ...]] | None = None

    def close(self) -> None:
        """Drop all readers: no view of several runs is open."""
        self._kept.clear()
        self._drawn = self._told = None
        self._builder.forget()

    def answer(
        self,
        study: ComparisonRequest,
        runs: tuple[Run, ...],
        infos: Mapping[RunId, RunInfo],
        before: Findings | None = None,
    ) -> tuple[Findings, Charts, bool]:
        """Return (findings, charts to draw, whether there is more to read).

        Reads for some 40 ms at the most, so that a key need not wait for sixty runs; what is
        still to be read is left out of the charts, and the findings tell how many runs that is.
        """
        members = study.members(runs)
        kind, series = main_series(
            (infos[run.id] for run in members if run.id in infos), study.chart
        )
        empty = Findings(study.kind, series.label, kind.unit, study.aligned)
        window = study.window
        if window is None or not study.shapes:
            return empty, [], False
        buckets = max(JUMPS, *(buckets_for(shape) for shape in study.shapes))
        if before is not None and before.whole and self._is_new_enough(study, members, buckets):
            return _with_totals(before, members, infos), [], False
        present_ms = _present_ms(members)
        curves: dict[RunId, Points] = {}
        wanted = [run for run in members if _reaches(run, study, window)]
        until = time.monotonic() + _SLICE_S
        read = 0
        for run in wanted:
            late = time.monotonic() > until
            points = self._points(run, study, window, buckets, series, late=late)
            if points is not None and self._is_judged(run.id, kind, series, late=late):
                read += 1
            if points is None:  # what was known in the window before stands until it is read
                points = self._stand_in(run, study, series)
            if points is not None:
                curves[run.id] = points
        self._forget({run.id for run in wanted})
        count = sum(len(points) > 0 for points in curves.values())
        findings = replace(empty, read=read, of=len(wanted), count=count)
        findings = _with_totals(findings, members, infos)
        pending = read < len(wanted)
        if pending and time.monotonic() - self._drawn_s < _DRAWN_EACH_S:
            if self._told is not None and self._told.kind == study.kind:
                told = self._told  # its figures stand until there are new ones
                findings = replace(told, read=read, of=len(wanted))
            return findings, [], True
        self._drawn_s = time.monotonic()
        self._drawn = study, tuple((run.id, run.state) for run in members)
        width_ms = TimeBuckets.at_most(window.begin_ms, window.end_ms, buckets).width_ms
        named = members if study.kind == COMPARE else wanted
        lives = {run.id: _life(run, infos.get(run.id), study, series, present_ms) for run in named}
        verdicts = {
            run_id: self._kept[run_id].verdict if run_id in self._kept else Verdict()
            for run_id in curves
        }
        # at one age there is no present that runs share
        edge_ms = 0 if study.aligned else present_ms
        scene = Scene(study, window, kind, members, curves, width_ms, lives, verdicts, edge_ms)
        self._told, charts = self._builder.build(scene, findings)
        return self._told, charts, pending

    def _is_new_enough(
        self, study: ComparisonRequest, members: tuple[Run, ...], buckets: int
    ) -> bool:
        """Tell whether the charts are as they were drawn, but for less than a bucket of time.

        Only then all lines go on at once, not each in a second of its own.
        """
        states = tuple((run.id, run.state) for run in members)
        if study.window is None or self._drawn != (study, states):
            return False
        bucket_s = min(study.window.span_ms // buckets, _OLDEST_MS) / 1000
        return time.monotonic() - self._drawn_s < bucket_s

    # -- reading

    def _points(  # noqa: PLR0913 - private: what is asked of one run
        self,
        run: Run,
        study: ComparisonRequest,
        window: Window,
        buckets: int,
        series: ChartSeries,
        *,
        late: bool,
    ) -> Points | None:
        """Return a run's curve in the study's time; None if it is too late to read it now."""
        shift_ms = run.begin_ms if study.aligned else 0
        begin_ms, end_ms = window.begin_ms + shift_ms, window.end_ms + shift_ms
        key: _Key = (begin_ms, end_ms, buckets, series.metric, series.rate)
        kept = self._kept.get(run.id)
        if kept is not None and kept.key == key:
            # less than a bucket of new time would hardly be seen, and there may be sixty runs
            newer_ms = run.end_ms - kept.end_ms
            little = run.running and 0 <= newer_ms < min(window.span_ms // buckets, _OLDEST_MS)
            if newer_ms == 0 or little or window.frozen:
                return shifted(kept.points, shift_ms)
        if late and (kept is None or kept.key != key):
            return None
        now_s = time.monotonic()
        if (
            kept is not None
            and kept.key == key
            and kept.reader is None
            and (late or now_s - kept.read_s < _REOPENED_S)
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

    def _stand_in(self, run: Run, study: ComparisonRequest, series: ChartSeries) -> Points | None:
        """Return the curve that was read last, if it is one of the same metric."""
        kept = self._kept.get(run.id)
        if kept is None or kept.key is None or kept.key[3:] != (series.metric, series.rate):
            return None
        return shifted(kept.points, run.begin_ms if study.aligned else 0)

    def _is_judged(
        self, run_id: RunId, kind: ChartKind, series: ChartSeries, *, late: bool
    ) -> bool:
        """Judge a curve if there is enough new in it; False if it is too late for the first time.

        That costs about as much as to read it.
        """
        kept = self._kept.get(run_id)
        if kept is None or kept.key is None or kept.reader is None:
            return True
        begin_ms, end_ms, *_ = kept.key
        new_ms = kept.end_ms - kept.judged_ms
        if kept.judged == kept.key and 0 <= new_ms < (end_ms - begin_ms) // _JUDGED_SHARE:
            return True
        # a verdict stands while it nearly holds, in a view that only goes on
        same = kept.judged is not None and _goes_on(kept.judged, kept.key)
        if not same:
            kept.verdict, kept.judged = Verdict(), None
        if late:
            return same
        # recorded are thousandths, and what is no change is said of the true unit
        unit = kind.unit if series.scale == 1 else ""
        wanted = series.metric, series.rate
        before = kept.verdict.kind if same else ""
        found = judged_curve(kept.reader, begin_ms, end_ms, wanted, unit, before)
        if series.scale != 1:
            found = replace(
                found,
                per_hour=found.per_hour / series.scale,
                low=found.low / series.scale,
                high=found.high / series.scale,
                change=found.change / series.scale,
            )
        kept.verdict, kept.judged, kept.judged_ms = found, kept.key, kept.end_ms
        return True

    def _forget(self, wanted: set[RunId]) -> None:
        """Drop surplus readers, first those not wanted; the curve of a wanted one stays."""
        readers = (kept.reader for kept in self._kept.values())
        held_bytes = sum(reader.held_bytes for reader in readers if reader is not None)
        for run_id in sorted(self._kept, key=lambda run_id: run_id in wanted):
            if held_bytes <= _MOST_BYTES:
                return
            kept = self._kept[run_id]
            if kept.reader is not None:
                held_bytes -= kept.reader.held_bytes
                kept.reader = None
            if run_id not in wanted:
                del self._kept[run_id]


def _reaches(run: Run, study: ComparisonRequest, window: Window) -> bool:
    """Tell whether a run has anything to show in the window."""
    if study.aligned:
        return window.begin_ms <= run.end_ms - run.begin_ms
    return run.begin_ms < window.end_ms and run.end_ms >= window.begin_ms


def _goes_on(key: _Key, later: _Key) -> bool:
    """Tell whether two requests are of one view that time moved."""
    spans = {end_ms - begin_ms for begin_ms, end_ms, *_ in (key, later)}
    return key[2:] == later[2:] and len(spans) == 1


def _present_ms(runs: Iterable[Run]) -> int:
    """Return the newest sample of the runs that are live, else of all; unix ms."""
    ends = [(run.state == LIVE, run.end_ms) for run in runs]
    return max(ends, default=(False, 0))[1]


def _life(
    run: Run, info: RunInfo | None, study: ComparisonRequest, series: ChartSeries, present_ms: int
) -> Lifetime:
    """Return when a run has values, in the study's time."""
    if not run.running or info is None:
        life = Lifetime.of_ended_run(run.begin_ms, run.end_ms)
    else:
        newest = None if series.rate else info.last.get(series.metric)
        life = Lifetime.of_live_run(
            run.begin_ms,
            run.end_ms,
            info.interval_ms,
            # one whose samples arrive may have been looked at some seconds ago
            present_ms if run.state == LIVE else run.end_ms,
            None if newest is None else newest / series.scale,
        )
    return life.earlier(run.begin_ms) if study.aligned else life


def _with_totals(
    findings: Findings, runs: Iterable[Run], infos: Mapping[RunId, RunInfo]
) -> Findings:
    """Return the findings with the sums of the newest samples of what runs now."""
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
