"""Many runs on one grid of time: which stand out, what the rest is, what all are together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pprofplus_tui.model.growth import growth_per_h
from pprofplus_tui.model.series import Bools, Floats, Points
from pprofplus_tui.model.study import TOP


@dataclass(frozen=True, eq=False)
class Levels:
    """A curve on a grid, n buckets: extremes of each, NaN where there was nothing.

    Attributes:
        lo, hi: shape (n,).
    """

    lo: Floats
    hi: Floats


def on_grid(points: Points, begin_ms: int, width_ms: int, count: int) -> Levels:
    """Return the points in buckets of `width_ms` from `begin_ms` on.

    Between two points without a gap the former value is held.
    """
    lo, hi = np.full(count, np.nan), np.full(count, np.nan)
    places = (points.t_ms - begin_ms) // width_ms
    inside = (places >= 0) & (places < count)
    places = places[inside]
    if not len(places):
        return Levels(lo, hi)
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    at = places[starts]
    lo[at] = np.minimum.reduceat(points.lo[inside], starts)
    hi[at] = np.maximum.reduceat(points.hi[inside], starts)
    held = np.where(points.breaks[inside][starts[1:]], 0, np.diff(at) - 1)
    if held.any():
        source = np.repeat(at[:-1], held)
        ends = np.cumsum(held)
        steps = np.arange(int(ends[-1])) - np.repeat(ends - held, held)
        lo[source + 1 + steps], hi[source + 1 + steps] = lo[source], hi[source]
    return Levels(lo, hi)


def _as_points(lo: Floats, hi: Floats, there: Bools, begin_ms: int, width_ms: int) -> Points:
    at = np.flatnonzero(there)
    breaks = np.zeros(len(at), np.bool_)
    breaks[1:] = np.diff(at) > 1
    t_ms = begin_ms + at * width_ms + width_ms // 2
    return Points(t_ms.astype(np.int64), lo[at], hi[at], breaks)


def band(levels: Sequence[Levels], begin_ms: int, width_ms: int) -> Points:
    """Return from the smallest to the largest value of all curves, bucket by bucket."""
    if not levels:
        return Points.empty()
    low = np.array([level.lo for level in levels])
    high = np.array([level.hi for level in levels])
    there = ~np.isnan(low).all(axis=0)
    low, high = np.where(np.isnan(low), np.inf, low), np.where(np.isnan(high), -np.inf, high)
    return _as_points(low.min(axis=0), high.max(axis=0), there, begin_ms, width_ms)


def total(levels: Sequence[Levels], begin_ms: int, width_ms: int) -> Points:
    """Return the sum of all curves; what it was within a bucket lies between its extremes."""
    if not levels:
        return Points.empty()
    low = np.array([level.lo for level in levels])
    high = np.array([level.hi for level in levels])
    there = ~np.isnan(low).all(axis=0)
    return _as_points(np.nansum(low, axis=0), np.nansum(high, axis=0), there, begin_ms, width_ms)


def standing_out(
    curves: Mapping[str, Points], *, by_size: bool, top: int = TOP, before: Sequence[str] = ()
) -> tuple[tuple[str, ...], dict[str, float | None]]:
    """Return (names of the curves that grow most or are largest, growth an hour of each curve).

    Those that stood out `before` keep their places while they are nearly among them: many
    workers are much alike, and their lines must not change colours with every sample.
    """
    growth = {name: growth_per_h(points) for name, points in curves.items()}
    there = [name for name, points in curves.items() if len(points)]

    def rank(name: str) -> tuple[float, str]:
        figure = float(curves[name].hi[-1]) if by_size else growth[name]
        return (-figure if figure is not None else float("inf"), name)

    ranked = sorted(there, key=rank)
    near = set(ranked[: 2 * top])
    kept = [name for name in before if name in near][:top]
    if len(kept) == top and ranked[0] not in kept:
        kept.pop()  # whatever the others do, the first of all is shown
    others = [name for name in ranked if name not in kept][: top - len(kept)]
    return (*kept, *others), growth
