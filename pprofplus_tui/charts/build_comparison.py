"""Curves of several runs to pictures and figures: a comparison, or the survey of a service."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pprofplus_tui.analysis.across_runs import (
    Levels,
    band,
    on_grid,
    standing_out,
    total,
    up_to_present,
)
from pprofplus_tui.analysis.aligned_runs import age_ticks, last_value, shared_moment, value_at
from pprofplus_tui.charts.build import ChartStyle
from pprofplus_tui.charts.palette import FAINT
from pprofplus_tui.charts.spec import ChartSpec, Line, plot_area
from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.comparison_request import COMPARE, SUM, ComparisonRequest
from pprofplus_tui.model.findings import Findings, Member, Rest
from pprofplus_tui.model.lifetimes import Lifetime
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.run_filter import LETTERS
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.ticks import YAxis, fit_axis
from pprofplus_tui.model.time_axis import time_ticks
from pprofplus_tui.model.units import format_quantity
from pprofplus_tui.model.verdict import Verdict
from pprofplus_tui.model.window import Window

Charts = list[tuple[str, ChartSpec]]


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is to be drawn of a study.

    Attributes:
        study: what was asked.
        window: its window.
        kind: the chart whose main series the curves are.
        runs: of the study, in its order.
        curves: by path, in the study's time and the chart's unit; of the runs read so far.
        width_ms: of a bucket of theirs.
        lives: by path, when each run has values, in the study's time.
        verdicts: by path, what each curve does.
        present_ms: the newest sample of all runs that go on, unix ms; 0 where times are ages.
    """

    study: ComparisonRequest
    window: Window
    kind: ChartKind
    runs: tuple[Run, ...]
    curves: Mapping[str, Points]
    width_ms: int
    lives: Mapping[str, Lifetime]
    verdicts: Mapping[str, Verdict]
    present_ms: int

    def value(self, path: str, moment_ms: int | None) -> float | None:
        """Return a run's value at a moment, None: its last."""
        points, life = self.curves.get(path, Points.empty()), self.lives[path]
        if moment_ms is None:
            return last_value(points, life)
        return value_at(points, moment_ms, self.width_ms, life)

    def member(self, run: Run, index: int, moment_ms: int | None) -> Member:
        """Return what is known of a run."""
        value = self.value(run.path, moment_ms)
        why = ""
        if value is None and moment_ms is not None:
            why = self.lives[run.path].why_not(moment_ms, aligned=self.study.aligned)
        return Member(
            run.path,
            run.service,
            run.pid,
            run.state,
            run.begin_ms,
            LETTERS[index],
            index,
            value,
            why,
            self.verdicts.get(run.path, _UNJUDGED),
        )


_UNJUDGED = Verdict()


class ComparisonBuilder:
    """Makes pictures of several runs; remembers the y axes so that they do not jump."""

    def __init__(self, manner: ChartStyle) -> None:
        self._manner = manner
        self._axes: dict[str, YAxis] = {}
        self._of: tuple[str, str] = "", ""
        self._top: tuple[object, tuple[str, ...]] = None, ()

    def forget(self) -> None:
        """Choose axes and lines afresh."""
        self._axes.clear()
        self._top = None, ()

    def portray(self, scene: Scene, findings: Findings) -> tuple[Findings, Charts]:
        """Return the findings with the figures of the runs, and the pictures."""
        of = scene.study.kind, scene.kind.id
        if of != self._of:
            self._axes.clear()
            self._of = of
        if scene.study.kind == COMPARE:
            return self._compared(scene, findings)
        return self._surveyed(scene, findings)

    def _compared(self, scene: Scene, findings: Findings) -> tuple[Findings, Charts]:
        study, kind = scene.study, scene.kind
        curves = [scene.curves.get(run.path, Points.empty()) for run in scene.runs]
        moment_ms = study.cursor_ms
        if moment_ms is None and all(map(len, curves[:2])):
            lives = [scene.lives[run.path] for run in scene.runs]
            moment_ms = shared_moment(lives, scene.window)
        members = tuple(scene.member(run, i, moment_ms) for i, run in enumerate(scene.runs))
        # the first one is what the others are compared with: it is drawn on top
        lines = tuple(
            self._line(member, points, kind) for member, points in zip(members, curves, strict=True)
        )[::-1]
        title = f"{kind.title}: {findings.label}"
        note = "since each start" if study.aligned else ""
        charts = [
            (shape.chart, self._picture(scene, shape, lines, title, note)) for shape in study.shapes
        ]
        return replace(findings, members=members, moment_ms=moment_ms), charts

    def _surveyed(self, scene: Scene, findings: Findings) -> tuple[Findings, Charts]:
        study, kind, window = scene.study, scene.kind, scene.window
        curves = {path: points for path, points in scene.curves.items() if len(points)}
        width_ms, begin_ms = scene.width_ms, window.begin_ms
        ranking = study.service, study.by_size, study.chart, window.span_ms
        before = self._top[1] if self._top[0] == ranking else ()
        top = standing_out(curves, scene.verdicts, by_size=study.by_size, before=before)
        if findings.whole:
            self._top = ranking, top
        by_path = {run.path: run for run in scene.runs}
        count = -(-window.span_ms // width_ms)
        levels = {
            path: up_to_present(
                on_grid(points, begin_ms, width_ms, count),
                begin_ms,
                width_ms,
                scene.lives[path],
                scene.present_ms,
            )
            for path, points in curves.items()
        }
        others = [path for path in levels if path not in top]
        moment_ms = study.cursor_ms
        if moment_ms is None:
            last = (scene.lives[path].last_ms for path in curves)
            moment_ms = max((min(ms, window.end_ms - 1) for ms in last), default=None)
        now: dict[str, float] = {}
        if moment_ms is not None:
            values = {path: scene.value(path, moment_ms) for path in curves}
            now = {path: value for path, value in values.items() if value is not None}
        # at one age, runs of different times would be added up, and extremes do not add up
        summable = not study.aligned and not kind.series[-1].extreme
        found = replace(
            findings,
            members=tuple(scene.member(by_path[path], i, moment_ms) for i, path in enumerate(top)),
            rest=_rest(others, now, summable=summable) if others else None,
            moment_ms=moment_ms,
            total=sum(now.values()) if now and summable else None,
            summed=len(now),
        )
        members = found.members
        lines = [self._line(member, curves[member.path], kind) for member in members][::-1]
        if others:
            behind = band([levels[path] for path in others], begin_ms, width_ms)
            lines.insert(0, Line(f"{len(others)} others", FAINT, behind))
        ranked = "largest" if study.by_size else "fastest growing"
        note = f"the {len(members)} {ranked}" + (f", {len(others)} others" if others else "")
        charts = []
        for shape in study.shapes:
            if shape.chart == SUM:
                charts.append((SUM, self._everyone(scene, shape, levels, found)))
                continue
            title = f"{kind.title}: {findings.label}"
            charts.append((shape.chart, self._picture(scene, shape, tuple(lines), title, note)))
        return found, charts

    def _everyone(
        self, scene: Scene, shape: Shape, levels: Mapping[str, Levels], found: Findings
    ) -> ChartSpec:
        """Return the chart of all runs together: their sum, or their extremes."""
        kind, begin_ms, width_ms = scene.kind, scene.window.begin_ms, scene.width_ms
        if kind.series[-1].extreme:
            everyone = band(list(levels.values()), begin_ms, width_ms)
            told = self._told(float(everyone.hi.max()), kind) if len(everyone) else ""
            line = Line(found.label, 0, everyone, told)
            return self._picture(scene, shape, (line,), f"{found.label} of all", "")
        lives = [scene.lives[path] for path in levels]
        everyone = total(list(levels.values()), lives, begin_ms, width_ms)
        told = "" if found.total is None else self._told(found.total, kind)
        note = f"{found.summed} runs" if found.summed != 1 else "1 run"
        title = f"{found.label} of all together"
        return self._picture(scene, shape, (Line("sum", 0, everyone, told),), title, note)

    def _told(self, value: float, kind: ChartKind) -> str:
        return format_quantity(value, kind.unit, ascii_only=self._manner.plain)

    def _line(self, member: Member, points: Points, kind: ChartKind) -> Line:
        told = member.why_not if member.value is None else self._told(member.value, kind)
        label = f"{member.letter} {member.service} {member.pid}"
        return Line(label, member.colour, points, told, tag=member.letter)

    def _picture(
        self, scene: Scene, shape: Shape, lines: tuple[Line, ...], title: str, note: str
    ) -> ChartSpec:
        manner, window, kind, study = self._manner, scene.window, scene.kind, scene.study
        area = plot_area(shape.width, shape.height)
        drawn = [line.points for line in lines if len(line.points)]
        axis = fit_axis(
            self._axes.get(shape.chart),
            min((float(points.lo.min()) for points in drawn), default=0.0),
            max((float(points.hi.max()) for points in drawn), default=0.0),
            kind.unit,
            area.height,
            zero_based=kind.zero_based,
            ascii_only=manner.plain,
            noise=kind.noise,
        )
        if drawn:
            self._axes[shape.chart] = axis
        ticks = (
            age_ticks(window.begin_ms, window.end_ms, area.width)
            if study.aligned
            else time_ticks(window.begin_ms, window.end_ms, area.width, manner.zone)
        )
        return ChartSpec(
            title=title,
            width=shape.width,
            height=shape.height,
            begin_ms=window.begin_ms,
            end_ms=window.end_ms,
            y=axis,
            x_ticks=ticks,
            lines=lines,
            note=note,
            cursor_ms=study.cursor_ms,
            ascii_only=manner.plain,
            distinct=manner.colourless,
        )


def _rest(others: list[str], now: Mapping[str, float], *, summable: bool) -> Rest:
    """Return what the runs without a line of their own are at the moment."""
    values = [now[path] for path in others if path in now]
    low, high = min(values, default=None), max(values, default=None)
    return Rest(len(others), len(values), low, high, sum(values) if summable else None)
