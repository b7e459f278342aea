"""Builds the charts and figures of a comparison from curves of several runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pprofplus_tui.analysis.across_runs import (
    BucketLevels,
    band,
    in_buckets,
    most_important_runs,
    total,
    up_to_present,
)
from pprofplus_tui.analysis.aligned_runs import age_ticks, last_value, shared_moment, value_at
from pprofplus_tui.charts.build import ChartStyle
from pprofplus_tui.charts.kept_axes import KeptAxes
from pprofplus_tui.charts.palette import FAINT
from pprofplus_tui.charts.spec import ChartSpec, Line, plot_area
from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.comparison_request import COMPARE, SUM, ComparisonRequest
from pprofplus_tui.model.findings import Findings, Member, Rest
from pprofplus_tui.model.lifetimes import Lifetime
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.run_filter import LETTERS
from pprofplus_tui.model.runs import Run, RunId
from pprofplus_tui.model.time_axis import time_ticks
from pprofplus_tui.model.time_buckets import TimeBuckets
from pprofplus_tui.model.units import format_quantity
from pprofplus_tui.model.verdict import Verdict
from pprofplus_tui.model.window import Window

Charts = list[tuple[str, ChartSpec]]


@dataclass(frozen=True, eq=False)
class Scene:
    """The input of the charts of a comparison.

    Attributes:
        request: of the screen.
        window: its window.
        kind: the chart whose main series is drawn.
        runs: those of the request, in its order.
        curves: by run, in the request's time and the chart's unit; of the runs read so far.
        width_ms: of a bucket of theirs.
        lives: by run, when each run has values, in the request's time.
        verdicts: by run, on each curve.
        present_ms: the newest sample of all live runs, unix ms; 0 if times are ages.
    """

    request: ComparisonRequest
    window: Window
    kind: ChartKind
    runs: tuple[Run, ...]
    curves: Mapping[RunId, Points]
    width_ms: int
    lives: Mapping[RunId, Lifetime]
    verdicts: Mapping[RunId, Verdict]
    present_ms: int

    @property
    def buckets(self) -> TimeBuckets:
        """The window in buckets of the curves' width."""
        return TimeBuckets.of_width(self.window.begin_ms, self.window.end_ms, self.width_ms)

    def value(self, run_id: RunId, moment_ms: int | None) -> float | None:
        """Return a run's value at a moment, None: its last."""
        points, life = self.curves.get(run_id, Points.empty()), self.lives[run_id]
        if moment_ms is None:
            return last_value(points, life)
        return value_at(points, moment_ms, self.width_ms, life)

    def member(self, run: Run, index: int, moment_ms: int | None) -> Member:
        """Return the figures of a run."""
        value = self.value(run.id, moment_ms)
        why = ""
        if value is None and moment_ms is not None:
            why = self.lives[run.id].reason_for_none(moment_ms, aligned=self.request.aligned)
        return Member(
            run.id,
            run.service,
            run.pid,
            run.state,
            run.begin_ms,
            LETTERS[index],
            index,
            value,
            why,
            self.verdicts.get(run.id, _UNJUDGED),
        )


_UNJUDGED = Verdict()


class ComparisonBuilder:
    """Builds charts of several runs; keeps the y axes so that they do not jump."""

    def __init__(self, style: ChartStyle) -> None:
        self._style = style
        self._axes = KeptAxes(ascii_only=style.plain)
        self._of: tuple[str, str] = "", ""
        self._top: tuple[object, tuple[RunId, ...]] = None, ()

    def forget(self) -> None:
        """Forget all axes and lines."""
        self._axes.clear()
        self._top = None, ()

    def build(self, scene: Scene, findings: Findings) -> tuple[Findings, Charts]:
        """Return the findings with the figures of the runs, and the charts."""
        of = scene.request.kind, scene.kind.id
        if of != self._of:
            self._axes.clear()
            self._of = of
        if scene.request.kind == COMPARE:
            return self._comparison(scene, findings)
        return self._service(scene, findings)

    def _comparison(self, scene: Scene, findings: Findings) -> tuple[Findings, Charts]:
        request, kind = scene.request, scene.kind
        curves = [scene.curves.get(run.id, Points.empty()) for run in scene.runs]
        moment_ms = request.cursor_ms
        if moment_ms is None and all(map(len, curves[:2])):
            lives = [scene.lives[run.id] for run in scene.runs]
            moment_ms = shared_moment(lives, scene.window)
        members = tuple(scene.member(run, i, moment_ms) for i, run in enumerate(scene.runs))
        # the others are compared with the first one: it is drawn on top
        lines = tuple(
            self._line(member, points, kind) for member, points in zip(members, curves, strict=True)
        )[::-1]
        title = f"{kind.title}: {findings.label}"
        note = "time since each start" if request.aligned else ""
        charts = [
            (shape.chart, self._chart(scene, shape, lines, title, note)) for shape in request.shapes
        ]
        return replace(findings, members=members, moment_ms=moment_ms), charts

    def _service(self, scene: Scene, findings: Findings) -> tuple[Findings, Charts]:
        request, kind, window = scene.request, scene.kind, scene.window
        curves = {run_id: points for run_id, points in scene.curves.items() if len(points)}
        buckets = scene.buckets
        ranking = request.service, request.by_size, request.chart, window.span_ms
        before = self._top[1] if self._top[0] == ranking else ()
        top = most_important_runs(curves, scene.verdicts, by_size=request.by_size, before=before)
        if findings.whole:
            self._top = ranking, top
        by_id = {run.id: run for run in scene.runs}
        levels = {
            run_id: up_to_present(
                in_buckets(points, buckets), buckets, scene.lives[run_id], scene.present_ms
            )
            for run_id, points in curves.items()
        }
        others = [run_id for run_id in levels if run_id not in top]
        moment_ms = request.cursor_ms
        if moment_ms is None:
            last = (scene.lives[run_id].last_ms for run_id in curves)
            moment_ms = max((min(ms, window.end_ms - 1) for ms in last), default=None)
        now: dict[RunId, float] = {}
        if moment_ms is not None:
            values = {run_id: scene.value(run_id, moment_ms) for run_id in curves}
            now = {run_id: value for run_id, value in values.items() if value is not None}
        # ages would add up runs of different times, and extremes do not add up
        summable = not request.aligned and not kind.series[-1].extreme
        found = replace(
            findings,
            members=tuple(
                scene.member(by_id[run_id], i, moment_ms) for i, run_id in enumerate(top)
            ),
            rest=_rest(others, now, summable=summable) if others else None,
            moment_ms=moment_ms,
            total=sum(now.values()) if now and summable else None,
            summed=len(now),
        )
        members = found.members
        lines = [self._line(member, curves[member.id], kind) for member in members][::-1]
        if others:
            rest = band([levels[run_id] for run_id in others], buckets)
            lines.insert(0, Line(f"{len(others)} others", FAINT, rest))
        ranked = "largest" if request.by_size else "fastest growing"
        note = f"the {len(members)} {ranked}" + (f", {len(others)} others" if others else "")
        charts = []
        for shape in request.shapes:
            if shape.chart == SUM:
                charts.append((SUM, self._everyone(scene, shape, levels, found)))
                continue
            title = f"{kind.title}: {findings.label}"
            charts.append((shape.chart, self._chart(scene, shape, tuple(lines), title, note)))
        return found, charts

    def _everyone(
        self, scene: Scene, shape: Shape, levels: Mapping[RunId, BucketLevels], found: Findings
    ) -> ChartSpec:
        """Return the chart of all runs together: their sum, or their extremes."""
        kind = scene.kind
        if kind.series[-1].extreme:
            everyone = band(list(levels.values()), scene.buckets)
            value = self._formatted(float(everyone.hi.max()), kind) if len(everyone) else ""
            line = Line(found.label, 0, everyone, value)
            return self._chart(scene, shape, (line,), f"{found.label} of all runs", "")
        lives = [scene.lives[run_id] for run_id in levels]
        everyone = total(list(levels.values()), lives, scene.buckets)
        value = "" if found.total is None else self._formatted(found.total, kind)
        note = f"{found.summed} runs" if found.summed != 1 else "1 run"
        title = f"total {found.label} of all runs"
        return self._chart(scene, shape, (Line("sum", 0, everyone, value),), title, note)

    def _formatted(self, value: float, kind: ChartKind) -> str:
        return format_quantity(value, kind.unit, ascii_only=self._style.plain)

    def _line(self, member: Member, points: Points, kind: ChartKind) -> Line:
        value = (
            member.missing_reason if member.value is None else self._formatted(member.value, kind)
        )
        label = f"{member.letter} {member.service} {member.pid}"
        return Line(label, member.colour, points, value, tag=member.letter)

    def _chart(
        self, scene: Scene, shape: Shape, lines: tuple[Line, ...], title: str, note: str
    ) -> ChartSpec:
        style, window, kind, request = self._style, scene.window, scene.kind, scene.request
        area = plot_area(shape.width, shape.height)
        drawn = [line.points for line in lines]
        ticks = (
            age_ticks(window.begin_ms, window.end_ms, area.width)
            if request.aligned
            else time_ticks(window.begin_ms, window.end_ms, area.width, style.zone)
        )
        return ChartSpec(
            title=title,
            width=shape.width,
            height=shape.height,
            begin_ms=window.begin_ms,
            end_ms=window.end_ms,
            y=self._axes.fit(shape.chart, kind, drawn, area.height, noise=kind.noise),
            x_ticks=ticks,
            lines=lines,
            note=note,
            cursor_ms=request.cursor_ms,
            ascii_only=style.plain,
            distinct=style.colourless,
        )


def _rest(others: list[RunId], now: Mapping[RunId, float], *, summable: bool) -> Rest:
    """Return the figures of the runs without a line of their own."""
    values = [now[run_id] for run_id in others if run_id in now]
    low, high = min(values, default=None), max(values, default=None)
    return Rest(len(others), len(values), low, high, sum(values) if summable else None)
