"""Builds a chart from a row of the chart table and points: axes, legend, notes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo

from pprofplus_tui.charts.kept_axes import KeptAxes
from pprofplus_tui.charts.spec import ChartMarker, ChartSpec, Line, plot_area
from pprofplus_tui.charts.strokes import MAX_BUCKETS
from pprofplus_tui.model.charts import ChartKind, ChartSeries, Note
from pprofplus_tui.model.events import DEATH, MARKED, UNWATCHED, RunEvent
from pprofplus_tui.model.layers import Stack, absent_text, stack_of
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.points import Points, SeriesKey
from pprofplus_tui.model.ticks import YAxis
from pprofplus_tui.model.time_axis import Tick, time_ticks, zone_names
from pprofplus_tui.model.units import format_quantity
from pprofplus_tui.model.window import JUMPS, Window

_NEAR = 1.25  # a limit is near if the data reach four fifths of it

# The lines of a following chart are drawn again at most 100 times per window, or every 1.2 s.
_STEPS, _MIN_STEP_MS = 100, 1200
_MIN_WORDY_CELLS = 24
_WORDY = 60  # the border of a narrower plot has times only


@dataclass(frozen=True)
class ChartStyle:
    """How charts are drawn: ASCII only, lines distinguished without colour, the time zone."""

    plain: bool = False
    colourless: bool = False
    zone: tzinfo | None = None


def buckets_for(shape: Shape) -> int:
    """Return how many buckets of time a chart of that size can show.

    Two per cell, as braille has two dots; a multiple of the jumps of a following window, so that
    a jump moves whole buckets and the lines do not flicker.
    """
    cells = plot_area(shape.width, shape.height).width
    return max(JUMPS, min(MAX_BUCKETS, 2 * cells) // JUMPS * JUMPS)


def wanted_by(kind: ChartKind) -> tuple[SeriesKey, ...]:
    """Return the series that a chart needs, for its lines and notes."""
    return kind.metrics


def joined_notes(*notes: str, log: bool) -> str:
    """Return the text next to the title: the notes, and whether the scale is logarithmic."""
    return ", ".join(filter(None, ("log scale" if log else "", *notes)))


def _event(event: RunEvent, cells: int) -> ChartMarker:
    """Return an event as a plot of that width shows it; an end is always shown in words."""
    main = event.kind in {DEATH, UNWATCHED}
    worded = cells >= (_MIN_WORDY_CELLS if main else _WORDY)
    return ChartMarker(
        event.t_ms, event.short if worded else event.short[:1], event.description.style, main
    )


def _in_unit(points: Points, series: ChartSeries) -> Points:
    if series.scale == 1:
        return points
    return replace(points, lo=points.lo / series.scale, hi=points.hi / series.scale)


def _has_fractions(points: Points) -> bool:
    return bool((points.lo % 1).any() or (points.hi % 1).any())


def _is_near(limit: Points, others: list[Points]) -> bool:
    tops = [float(points.hi.max()) for points in others if len(points)]
    return bool(len(limit) and tops and float(limit.lo.min()) <= _NEAR * max(tops))


@dataclass(frozen=True, eq=False)
class _Last:
    """The last spec of a chart, and the time of its last point."""

    window: Window
    spec: ChartSpec
    reach_ms: int


class ChartBuilder:
    """Builds chart specs; keeps each chart's y axis so that it does not jump.

    Drawing lines is the main cost of a frame. So the lines of a following window are drawn again
    only when there is about one cell of new time; in between, only the numbers change.
    """

    def __init__(self, style: ChartStyle) -> None:
        self._style = style
        self._axes = KeptAxes(ascii_only=style.plain)
        self._last: dict[str, _Last] = {}
        # of the window that is drawn, by the width of a plot: charts of one width share them
        self._ticks: tuple[int, int, dict[int, tuple[Tick, ...]]] = (0, 0, {})

    def forget(self) -> None:
        """Forget all axes, for another run."""
        self._axes.clear()
        self._last.clear()

    def chart(  # noqa: PLR0913 - the parts of a chart
        self,
        kind: ChartKind,
        shape: Shape,
        window: Window,
        points: Mapping[SeriesKey, Points],
        *,
        growing: bool,
        marks: tuple[tuple[int, str], ...] = (),
        events: tuple[RunEvent, ...] = (),
    ) -> ChartSpec:
        """Return the spec of one chart; `points` may lack metrics that the log lacks.

        `marks` are (unix ms, text) of vertical lines; texts are shown if there is room, and so are
        the words of `events`. Marks among the events are drawn as marks. While the log is
        `growing`, the lines may be late by a cell.
        """
        style = self._style
        notes = [self._note(note, points) for note in kind.notes]
        if kind.total:
            stack = stack_of(
                kind, {name: found for (name, rate), found in points.items() if not rate}
            )
            lines = self._bands(kind, stack)
            notes += [absent_text(float(stack.absent[-1]))] if len(stack.absent) else []
        else:
            lines = self._lines(kind, points)
        wanted = [(kind.total, False)] if kind.total else kind.metrics[: len(kind.series)]
        known = any(found in points for found in wanted)
        area = plot_area(shape.width, shape.height)
        marks = (*marks, *((event.t_ms, event.text) for event in events if event.kind == MARKED))
        wordy = area.width >= _WORDY
        log = shape.log and not kind.total
        fresh = ChartSpec(
            title=kind.title,
            width=shape.width,
            height=shape.height,
            begin_ms=window.begin_ms,
            end_ms=window.end_ms,
            y=self._axis(kind, area.height, [line.points for line in lines], log=log),
            x_ticks=self._time_ticks(window, area.width),
            lines=lines,
            marks=marks if wordy else tuple((ms, "") for ms, _ in marks),
            events=tuple(_event(event, area.width) for event in events if event.kind != MARKED),
            note=joined_notes(*notes, log=log),
            ascii_only=style.plain,
            distinct=style.colourless,
            empty="no samples in this window" if known else "not in this log",
            zone=zone_names(window.begin_ms, window.end_ms, style.zone),
            stacked=bool(kind.total),
        )
        return self._with_kept_lines(kind, shape, window, fresh) if growing else fresh

    def _time_ticks(self, window: Window, cells: int) -> tuple[Tick, ...]:
        begin_ms, end_ms, known = self._ticks
        if (begin_ms, end_ms) != (window.begin_ms, window.end_ms):
            known = {}
            self._ticks = window.begin_ms, window.end_ms, known
        if cells not in known:
            known[cells] = time_ticks(window.begin_ms, window.end_ms, cells, self._style.zone)
        return known[cells]

    def _with_kept_lines(
        self, kind: ChartKind, shape: Shape, window: Window, fresh: ChartSpec
    ) -> ChartSpec:
        """Return the spec with the lines of the last one while little time has passed."""
        reach_ms = max(
            (int(line.points.t_ms[-1]) for line in fresh.lines if len(line.points)), default=0
        )
        # the time of a cell; in a wide chart of two minutes, every other second: short windows
        # cost the most output
        step_ms = max(
            window.span_ms / max(plot_area(shape.width, shape.height).width, 1),
            min(window.span_ms / _STEPS, _MIN_STEP_MS),
        )
        last = self._last.get(kind.id)
        same = last is not None and (
            last.window == window
            and window.following
            and (last.spec.width, last.spec.height) == (shape.width, shape.height)
            and last.spec.y == fresh.y
            and [line.label for line in last.spec.lines] == [line.label for line in fresh.lines]
        )
        if (
            last is None
            or not same
            # earlier than before: the clock was set back, and all points have moved
            or not 0 <= reach_ms - last.reach_ms < step_ms
        ):
            self._last[kind.id] = _Last(window, fresh, reach_ms)
            return fresh
        lines = zip(fresh.lines, last.spec.lines, strict=True)
        return replace(fresh, lines=tuple(replace(new, points=old.points) for new, old in lines))

    def _axis(self, kind: ChartKind, rows: int, drawn: list[Points], *, log: bool) -> YAxis:
        fine = any(_has_fractions(points) for points in drawn if len(points))
        noise = kind.noise if fine else None
        return self._axes.fit(kind.id, kind, drawn, rows, noise=noise, log=log)

    def _lines(self, kind: ChartKind, points: Mapping[SeriesKey, Points]) -> tuple[Line, ...]:
        found = [
            (series, _in_unit(points[series.metric, series.rate], series))
            for series in kind.series
            if (series.metric, series.rate) in points
        ]
        always = [data for series, data in found if not series.when_near]
        return tuple(
            self._line(kind, series, data)
            for series, data in found
            if not series.when_near or _is_near(data, always)
        )

    def _bands(self, kind: ChartKind, stack: Stack) -> tuple[Line, ...]:
        plain = self._style.plain
        return tuple(
            Line(
                series.label,
                series.colour,
                band,
                format_quantity(float(sizes[-1]), kind.unit, ascii_only=plain)
                if len(sizes)
                else "",
                series.metric,
            )
            for series, sizes, band in stack.bands
        )

    def _line(self, kind: ChartKind, series: ChartSeries, points: Points) -> Line:
        value = ""
        if len(points):
            shown = points.hi.max() if series.extreme else points.hi[-1]
            value = format_quantity(float(shown), kind.unit, ascii_only=self._style.plain)
        return Line(series.label, series.colour, points, value, series.metric)

    def _note(self, note: Note, points: Mapping[SeriesKey, Points]) -> str:
        last = [
            float(found.hi[-1])
            for metric in note.metrics
            if (found := points.get((metric, note.rate))) is not None and len(found)
        ]
        if not last:
            return ""
        number = format_quantity(sum(last), note.unit, ascii_only=self._style.plain)
        return f"{number} {note.label}"
