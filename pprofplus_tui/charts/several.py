"""Curves of several runs to pictures and figures: a comparison, or the survey of a service."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pprofplus_tui.charts.palette import FAINT
from pprofplus_tui.charts.picture import Line, Picture, plot_area
from pprofplus_tui.charts.portray import Manner
from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.compare import age_ticks, last_value, shared_moment, value_at
from pprofplus_tui.model.findings import Findings, Member, Rest
from pprofplus_tui.model.fleet import band, on_grid, standing_out, total
from pprofplus_tui.model.frames import Shape
from pprofplus_tui.model.growth import growth_per_h
from pprofplus_tui.model.listing import LETTERS
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.series import Points
from pprofplus_tui.model.study import COMPARE, SUM, Study
from pprofplus_tui.model.ticks import YAxis, fit_axis
from pprofplus_tui.model.timeaxis import time_ticks
from pprofplus_tui.model.units import format_quantity
from pprofplus_tui.model.window import Window

Charts = list[tuple[str, Picture]]


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
    """

    study: Study
    window: Window
    kind: ChartKind
    runs: tuple[Run, ...]
    curves: Mapping[str, Points]
    width_ms: int


class GroupPortrayer:
    """Makes pictures of several runs; remembers the y axes so that they do not jump."""

    def __init__(self, manner: Manner) -> None:
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
        moment_ms = study.cursor_ms if study.cursor_ms is not None else shared_moment(curves)
        members = tuple(
            _member(run, i, points, moment_ms, scene.width_ms)
            for i, (run, points) in enumerate(zip(scene.runs, curves, strict=True))
        )
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
        top, growth = standing_out(curves, by_size=study.by_size, before=before)
        if findings.whole:
            self._top = ranking, top
        by_path = {run.path: run for run in scene.runs}
        count = -(-window.span_ms // width_ms)
        levels = {
            path: on_grid(points, begin_ms, width_ms, count) for path, points in curves.items()
        }
        others = [path for path in levels if path not in top]
        moment_ms = study.cursor_ms
        if moment_ms is None:
            moment_ms = max((int(points.t_ms[-1]) for points in curves.values()), default=None)
        now: dict[str, float] = {}
        for path, points in curves.items():
            value = None if moment_ms is None else value_at(points, moment_ms, width_ms)
            if value is not None:
                now[path] = value
        members = tuple(
            replace(
                _member(by_path[path], i, curves[path], moment_ms, width_ms), growth_h=growth[path]
            )
            for i, path in enumerate(top)
        )
        values = [now[path] for path in others if path in now]
        rest = Rest(len(others), min(values, default=None), max(values, default=None), sum(values))
        found = replace(
            findings,
            members=members,
            rest=rest if others else None,
            moment_ms=moment_ms,
            total=sum(now.values()) if now else None,
        )
        lines = [self._line(member, curves[member.path], kind) for member in members][::-1]
        if others:
            behind = band([levels[path] for path in others], begin_ms, width_ms)
            lines.insert(0, Line(f"{len(others)} others", FAINT, behind))
        everyone = total(list(levels.values()), begin_ms, width_ms)
        told = "" if found.total is None else self._told(found.total, kind)
        ranked = "largest" if study.by_size else "fastest growing"
        note = f"the {len(members)} {ranked}" + (f", {len(others)} others" if others else "")
        charts = []
        for shape in study.shapes:
            if shape.chart == SUM:
                title = f"{findings.label} of all together"
                picture = self._picture(scene, shape, (Line("sum", 0, everyone, told),), title, "")
            else:
                title = f"{kind.title}: {findings.label}"
                picture = self._picture(scene, shape, tuple(lines), title, note)
            charts.append((shape.chart, picture))
        return found, charts

    def _told(self, value: float, kind: ChartKind) -> str:
        return format_quantity(value, kind.unit, ascii_only=self._manner.plain)

    def _line(self, member: Member, points: Points, kind: ChartKind) -> Line:
        value = last_value(points) if member.value is None else member.value
        told = "" if value is None else self._told(value, kind)
        label = f"{member.letter} {member.service} {member.pid}"
        return Line(label, member.colour, points, told, tag=member.letter)

    def _picture(
        self, scene: Scene, shape: Shape, lines: tuple[Line, ...], title: str, note: str
    ) -> Picture:
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
        return Picture(
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


def _member(run: Run, index: int, points: Points, moment_ms: int | None, width_ms: int) -> Member:
    value = last_value(points) if moment_ms is None else value_at(points, moment_ms, width_ms)
    return Member(
        run.path,
        run.service,
        run.pid,
        run.state,
        run.begin_ms,
        LETTERS[index],
        index,
        value,
        growth_per_h(points),
    )
