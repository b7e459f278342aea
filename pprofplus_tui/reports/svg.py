"""Draws a chart as SVG: shapes and texts, with colours from classes of the page's style."""

from collections.abc import Iterator

import numpy as np

from pprofplus_tui.charts.palette import COLOURS
from pprofplus_tui.charts.spec import ChartSpec, Line
from pprofplus_tui.model.points import Floats, Points
from pprofplus_tui.reports.markup import shown

WIDTH, HEIGHT = 920, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 92, 16, 24
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
_LETTER = 13  # height of a line of text
_MARK_GAP = 18  # between the numbers of two marks


def draw(spec: ChartSpec, marks: tuple[tuple[int, str], ...] = ()) -> str:
    """Return the chart as an <svg>.

    A line is a band from the smallest to the largest value of each bucket; a gap stays a gap.
    Each part of a stack is filled between its edges.
    `marks` are (unix ms, number in the list of events).
    """
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{shown(spec.title, 60)}">',
        *_axes(spec),
        *_marks(spec, marks),
    ]
    for at, line in enumerate(spec.lines):
        rank = 0 if spec.stacked else len(spec.lines) - 1 - at
        parts += _line(spec, line, rank)
    parts += _names(spec)
    parts.append("</svg>")
    return "\n".join(parts)


def _x(spec: ChartSpec, t_ms: Floats) -> Floats:
    share: Floats = (t_ms - spec.begin_ms) / (spec.end_ms - spec.begin_ms)
    return _LEFT + np.clip(share, 0, 1) * _PLOT_WIDTH


def _y(spec: ChartSpec, values: Floats) -> Floats:
    return _TOP + (1 - spec.y.fractions(values)) * _PLOT_HEIGHT


def _axes(spec: ChartSpec) -> Iterator[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for place, (_, label) in zip(spec.y.places(), spec.y.ticks, strict=True):
        y = _TOP + (1 - place) * _PLOT_HEIGHT
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
        yield f"{shown(label)}</text>"
    for ms, label in spec.x_ticks:
        (x,) = _x(spec, np.array([float(ms)]))
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom + 4}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        yield f"{shown(label)}</text>"
    yield f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>'


def _marks(spec: ChartSpec, marks: tuple[tuple[int, str], ...]) -> Iterator[str]:
    free = 0.0
    for ms, number in marks:
        (x,) = _x(spec, np.array([float(ms)]))
        yield f'<path class="mark" d="M{x:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>'
        if x >= free:
            yield f'<text class="marked" x="{x:.1f}" y="{_TOP - 4}" text-anchor="middle">'
            yield f"{shown(number)}</text>"
            free = x + _MARK_GAP


def _pieces(points: Points) -> Iterator[slice]:
    """Yield the parts without a gap."""
    starts = [0, *np.flatnonzero(points.breaks).tolist()]
    ends = [*starts[1:], len(points)]
    for begin, end in zip(starts, ends, strict=True):
        if end > begin:
            yield slice(begin, end)


def _line(spec: ChartSpec, line: Line, rank: int) -> Iterator[str]:
    """Yield the shapes of one line; rank 0 is the most important line."""
    points = line.points
    x = _x(spec, points.t_ms.astype(np.float64))
    lo, hi = _y(spec, points.lo), _y(spec, points.hi)
    path: list[str] = []
    for piece in _pieces(points):
        up = [f"{a:.1f} {b:.1f}" for a, b in zip(x[piece], hi[piece], strict=True)]
        down = [f"{a:.1f} {b:.1f}" for a, b in zip(x[piece], lo[piece], strict=True)]
        if len(up) == 1:
            path.append(f"M{up[0]}L{down[0]}h.1")
        elif up == down and not spec.stacked:
            path.append("M" + "L".join(up))
        else:
            path.append("M" + "L".join(up) + "L" + "L".join(reversed(down)) + "Z")
    if path:
        # only bands, which are closed, are filled
        bands = "".join(part for part in path if part.endswith("Z"))
        colour, way = line.colour % COLOURS, min(rank, 3)
        if spec.stacked:
            yield f'<path class="area c{colour}" d="{"".join(path)}"/>'
            return
        if bands:
            yield f'<path class="band c{colour}" d="{bands}"/>'
        yield f'<path class="line c{colour} d{way}" d="{"".join(path)}"/>'


def _names(spec: ChartSpec) -> Iterator[str]:
    """Yield the names next to the ends of the lines, without overlap."""
    places: list[tuple[float, Line]] = []
    for line in spec.lines:
        if len(line.points):
            points = line.points
            end = (points.lo[-1:] + points.hi[-1:]) / 2 if spec.stacked else points.hi[-1:]
            (y,) = _y(spec, end)
            places.append((float(y), line))
    places.sort(key=lambda place: place[0])
    lowest = HEIGHT - _BOTTOM
    at = [min(y + 4, lowest) for y, _ in places]
    for i in range(1, len(at)):
        at[i] = max(at[i], at[i - 1] + _LETTER)
    # if the last name would be below the plot, the names above it move up
    for i in range(len(at) - 1, -1, -1):
        at[i] = min(at[i], lowest - (len(at) - 1 - i) * _LETTER)
    for y, (_, line) in zip(at, places, strict=True):
        colour = line.colour % COLOURS
        yield f'<text class="name t{colour}" x="{WIDTH - _RIGHT + 6}" y="{y:.1f}">'
        yield f"{shown(line.label, 14)}</text>"
