"""Many runs on one grid of time: which stand out, what the rest is, what all are together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pprofplus_tui.model.comparison_request import TOP
from pprofplus_tui.model.lifetimes import Lifetime
from pprofplus_tui.model.points import Bools, Floats, Ints, Points
from pprofplus_tui.model.verdict import Verdict


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


def up_to_present(
    levels: Levels, begin_ms: int, width_ms: int, life: Lifetime, present_ms: int
) -> Levels:
    """Return the levels of a run that goes on, held to the present, and cut off there.

    The newest bucket is unfinished: not every run has a sample in it yet, but each still has its
    memory. Of one that was read a moment later than others, there may be a newer one.
    `present_ms` is the newest sample that is known of all runs.
    """
    count = len(levels.lo)
    at = (life.last_ms - begin_ms) // width_ms
    end = (min(present_ms, life.until_ms - 1) - begin_ms) // width_ms
    if life.ended or not 0 <= at <= min(end, count - 1):
        return levels
    lo, hi = levels.lo.copy(), levels.hi.copy()
    lo[end + 1 :] = hi[end + 1 :] = np.nan
    if life.newest is not None:
        known = np.flatnonzero(~np.isnan(lo[:at]))
        if len(known):  # a curve is not read anew for each sample
            last = int(known[-1])
            lo[last + 1 : at], hi[last + 1 : at] = lo[last], hi[last]
        lo[at], hi[at] = np.fmin(lo[at], life.newest), np.fmax(hi[at], life.newest)
    known = np.flatnonzero(~np.isnan(lo[: end + 1]))
    if len(known):
        last = int(known[-1])
        held = life.newest if life.newest is not None and last == at else None
        lo[last + 1 : end + 1] = lo[last] if held is None else held
        hi[last + 1 : end + 1] = hi[last] if held is None else held
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


def total(
    levels: Sequence[Levels], lives: Sequence[Lifetime], begin_ms: int, width_ms: int
) -> Points:
    """Return the sum of all curves; what it was within a bucket lies between its extremes.

    A run counts for its lifetime only: of runs that follow each other within a bucket, no two
    that did not run at one time are added up.
    """
    if not levels:
        return Points.empty()
    low, high = np.array([level.lo for level in levels]), np.array([level.hi for level in levels])
    there = ~np.isnan(low)
    cut = _cut_by_lives(there, lives, begin_ms, width_ms)
    steady = there
    if len(cut):
        steady = there.copy()
        steady[cut[:, 0], cut[:, 1]] = False
    lo = np.where(steady, low, 0.0).sum(axis=0)
    hi = np.where(steady, high, 0.0).sum(axis=0)
    if len(cut):
        _add_cut(lo, hi, steady.any(axis=0), low, high, cut, begin_ms, width_ms)
    return _as_points(lo, hi, there.any(axis=0), begin_ms, width_ms)


def _cut_by_lives(there: Bools, lives: Sequence[Lifetime], begin_ms: int, width_ms: int) -> Ints:
    """Return (run, bucket, first ms, end ms) where a run began or ended within a bucket."""
    count = there.shape[1]
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for run, life in enumerate(lives):
        ends = (life.begin_ms, life.last_ms) if life.ended else (life.begin_ms,)
        for at in {(ms - begin_ms) // width_ms for ms in ends}:
            if 0 <= at < count and there[run, at]:
                first = max(begin_ms + at * width_ms, life.begin_ms)
                end = begin_ms + (at + 1) * width_ms
                found[run, at] = first, min(end, life.last_ms + 1) if life.ended else end
    rows = [(run, at, first, end) for (run, at), (first, end) in found.items()]
    return np.array(rows, np.int64).reshape(len(rows), 4)


def _add_cut(  # noqa: PLR0913, PLR0917 - private: the sums so far, the curves, the cut buckets
    lo: Floats,
    hi: Floats,
    others: Bools,
    low: Floats,
    high: Floats,
    cut: Ints,
    begin_ms: int,
    width_ms: int,
) -> None:
    """Add what begins or ends within a bucket to the sums: the extremes over that bucket's time.

    `others` tells where a run is there for the whole bucket; a time without any run counts not.
    """
    run, at, first, end = cut.T
    size = len(cut)
    bucket, when = np.concatenate((at, at)), np.concatenate((first, end))
    order = np.lexsort((when, bucket))
    bucket, when = bucket[order], when[order]
    steps = [
        np.cumsum(np.concatenate((values, -values))[order])
        for values in (low[run, at], high[run, at], np.ones(size, np.int64))
    ]
    # what holds for no time is no state: the next event is at the same instant
    next_ms = np.append(when[1:], begin_ms)
    final = np.append(bucket[1:] != bucket[:-1], True)
    next_ms[final] = begin_ms + (bucket[final] + 1) * width_ms
    counts = (next_ms > when) & ((steps[2] > 0) | others[bucket])
    opening = np.append(True, bucket[1:] != bucket[:-1])
    alone = others[bucket] & opening & (when > begin_ms + bucket * width_ms)
    added_lo, added_hi = np.full(len(lo), np.inf), np.full(len(hi), -np.inf)
    np.minimum.at(added_lo, bucket[counts], steps[0][counts])
    np.maximum.at(added_hi, bucket[counts], steps[1][counts])
    np.minimum.at(added_lo, bucket[alone], 0.0)
    np.maximum.at(added_hi, bucket[alone], 0.0)
    some = np.isfinite(added_lo)
    lo[some] += added_lo[some]
    hi[some] += added_hi[some]


def standing_out(
    curves: Mapping[str, Points],
    verdicts: Mapping[str, Verdict],
    *,
    by_size: bool,
    top: int = TOP,
    before: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the names of the curves that grow most or are largest.

    Those that stood out `before` keep their places while they are nearly among them: many
    workers are much alike, and their lines must not change colours with every sample.
    """
    there = [name for name, points in curves.items() if len(points)]

    def rank(name: str) -> tuple[float, str]:
        figure = float(curves[name].hi[-1]) if by_size else verdicts[name].order
        return -figure, name

    ranked = sorted(there, key=rank)
    near = set(ranked[: 2 * top])
    kept = [name for name in before if name in near][:top]
    if len(kept) == top and ranked[0] not in kept:
        kept.pop()  # whatever the others do, the first of all is shown
    others = [name for name in ranked if name not in kept][: top - len(kept)]
    return (*kept, *others)
