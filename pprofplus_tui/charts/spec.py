"""The specification of a chart: plain values, no colours, no plotext."""

from dataclasses import dataclass, fields

import numpy as np

from pprofplus_tui.model.points import Points
from pprofplus_tui.model.ticks import LABEL_CELLS, YAxis

_ROOMY = 40  # from this width on, labels are padded
_LABELLED = 24  # below it there is no room for labels at all


@dataclass(frozen=True)
class Line:
    """One series of a chart.

    Attributes:
        label: its name in the legend.
        colour: palette index, taken modulo the palette's size.
        points: what to draw, in the axis's unit.
        value: the value the legend shows after the label, already formatted; may be empty.
        metric: the name in the log of what it shows, or "".
        tag: one character written on the line in some places, to identify it without colour; or
            "".
    """

    label: str
    colour: int
    points: Points
    value: str = ""
    metric: str = ""
    tag: str = ""


@dataclass(frozen=True)
class ChartMarker:
    """An event, drawn as a fainter line than a mark.

    Attributes:
        ms: unix milliseconds.
        text: its word; only the first letter is shown where there is no room.
        style: the name of its style.
        main: its text comes before the times on the border.
    """

    ms: int
    text: str
    style: str
    main: bool = False


@dataclass(frozen=True)
class ChartSpec:
    """Everything that one chart shows.

    Attributes:
        title: at the left of the top border.
        width: cells of the whole chart with its frame.
        height: rows of the whole chart with its frame.
        begin_ms: unix milliseconds at the left edge of the plot.
        end_ms: unix milliseconds at its right edge.
        y: the y axis.
        x_ticks: (unix ms, label) on the bottom border, as `time_axis.time_ticks` gives them for
            `plot_area(width, height).width` cells.
        lines: the series; a later one is drawn over an earlier one.
        marks: (unix ms, label) drawn as vertical lines.
        events: other events; see `ChartMarker`.
        note: a short text after the title.
        cursor_ms: unix milliseconds of the time cursor, or None.
        ascii_only: nothing but ASCII is drawn.
        distinct: lines are distinguished without colour, by their markers.
        empty: the text if no line has a point.
        zone: the name of the time zone, for the corner below the y labels.
        stacked: the lines are bands, from the bottom up; their points have both edges.
    """

    title: str
    width: int
    height: int
    begin_ms: int
    end_ms: int
    y: YAxis
    x_ticks: tuple[tuple[int, str], ...] = ()
    lines: tuple[Line, ...] = ()
    marks: tuple[tuple[int, str], ...] = ()
    events: tuple[ChartMarker, ...] = ()
    note: str = ""
    cursor_ms: int | None = None
    ascii_only: bool = False
    distinct: bool = False
    empty: str = "no samples in this window"
    zone: str = ""
    stacked: bool = False


@dataclass(frozen=True)
class Area:
    """The plot inside the frame, in cells of the chart.

    Attributes:
        left: column of its first cell.
        top: row of its first cell.
        width: cells, may be 0.
        height: rows, may be 0.
        label_cells: width of the column of y labels, 0 if there is none.
        padded: there is a space on either side of a y label.
    """

    left: int
    top: int
    width: int
    height: int
    label_cells: int
    padded: bool


def plot_area(width: int, height: int) -> Area:
    """Return where the plot lies in a chart of this size; charts of one width agree on it."""
    labels = LABEL_CELLS if width >= _LABELLED else 0
    padded = width >= _ROOMY
    # The frame, and with labels the axis and the padding.
    left = 1 + (labels + 1 + (2 if padded else 0) if labels else 0)
    return Area(left, 1, max(width - left - 1, 0), max(height - 2, 0), labels, padded)


def same_chart(one: ChartSpec | None, other: ChartSpec) -> bool:
    """Return whether two charts look the same, comparing points by their values."""
    if one is None:
        return False
    for field in fields(ChartSpec):
        if field.name != "lines" and getattr(one, field.name) != getattr(other, field.name):
            return False
    return len(one.lines) == len(other.lines) and all(
        (a.label, a.colour, a.value, a.tag) == (b.label, b.colour, b.value, b.tag)
        and same_points(a.points, b.points)
        for a, b in zip(one.lines, other.lines, strict=True)
    )


def same_points(one: Points, other: Points) -> bool:
    """Return whether two series hold the same values."""
    return one is other or (
        np.array_equal(one.t_ms, other.t_ms)
        and np.array_equal(one.lo, other.lo)
        and np.array_equal(one.hi, other.hi)
        and np.array_equal(one.breaks, other.breaks)
    )
