"""Many runs in the same buckets of time: the most important ones, the band of the rest, the sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pprofplus_tui.model.comparison_request import TOP
from pprofplus_tui.model.lifetimes import Lifetime
from pprofplus_tui.model.points import Bools, Floats, Ints, Points
from pprofplus_tui.model.runs import RunId
from pprofplus_tui.model.time_buckets import TimeBuckets, first_of_each
from pprofplus_tui.model.verdict import Verdict


@dataclass(frozen=True, eq=False)
class BucketLevels:
    """A curve in n buckets: the extremes of each, NaN where there is no value.

    Attributes:
        lo, hi: shape (n,).
    """

    lo: Floats
    hi: Floats


def in_buckets(points: Points, buckets: TimeBuckets) -> BucketLevels:
    """Return the points in buckets.

    Between two points without a gap, the former value is held.
    """
    lo, hi = np.full(buckets.count, np.nan), np.full(buckets.count, np.nan)
    places = buckets.bucket(points.t_ms)
    inside = (places >= 0) & (places < buckets.count)
    places = places[inside]
    if not len(places):
        return BucketLevels(lo, hi)
    starts = first_of_each(places)
    at = places[starts]
    lo[at] = np.minimum.reduceat(points.lo[inside], starts)
    hi[at] = np.maximum.reduceat(points.hi[inside], starts)
    held = np.where(points.breaks[inside][starts[1:]], 0, np.diff(at) - 1)
    if held.any():
        source = np.repeat(at[:-1], held)
        ends = np.cumsum(held)
        steps = np.arange(int(ends[-1])) - np.repeat(ends - held, held)
        lo[source + 1 + steps], hi[source + 1 + steps] = lo[source], hi[source]
    return BucketLevels(lo, hi)


def up_to_present(
    levels: BucketLevels, buckets: TimeBuckets, life: Lifetime, present_ms: int
) -> BucketLevels:
    """Return the levels of a live run, held until the present and cut off there.

    The newest bucket is unfinished: not every run has a sample in it yet, but each still uses its
    memory. A run that was read later than others may have a newer bucket. `present_ms` is the time
    of the newest known sample of all runs.
    """
    at = buckets.bucket(life.last_ms)
    end = buckets.bucket(min(present_ms, life.until_ms - 1))
    if life.ended or not 0 <= at <= min(end, buckets.count - 1):
        return levels
    lo, hi = levels.lo.copy(), levels.hi.copy()
    lo[end + 1 :] = hi[end + 1 :] = np.nan
    if life.newest is not None:
        known = np.flatnonzero(~np.isnan(lo[:at]))
        if len(known):  # a curve is not read again for each sample
            last = int(known[-1])
            lo[last + 1 : at], hi[last + 1 : at] = lo[last], hi[last]
        lo[at], hi[at] = np.fmin(lo[at], life.newest), np.fmax(hi[at], life.newest)
    known = np.flatnonzero(~np.isnan(lo[: end + 1]))
    if len(known):
        last = int(known[-1])
        held = life.newest if life.newest is not None and last == at else None
        lo[last + 1 : end + 1] = lo[last] if held is None else held
        hi[last + 1 : end + 1] = hi[last] if held is None else held
    return BucketLevels(lo, hi)


def _as_points(lo: Floats, hi: Floats, there: Bools, buckets: TimeBuckets) -> Points:
    at = np.flatnonzero(there)
    breaks = np.zeros(len(at), np.bool_)
    breaks[1:] = np.diff(at) > 1
    return Points(buckets.middle_ms(at), lo[at], hi[at], breaks)


def band(levels: Sequence[BucketLevels], buckets: TimeBuckets) -> Points:
    """Return the smallest and largest value of all curves in each bucket."""
    if not levels:
        return Points.empty()
    low = np.array([level.lo for level in levels])
    high = np.array([level.hi for level in levels])
    there = ~np.isnan(low).all(axis=0)
    low, high = np.where(np.isnan(low), np.inf, low), np.where(np.isnan(high), -np.inf, high)
    return _as_points(low.min(axis=0), high.max(axis=0), there, buckets)


def total(
    levels: Sequence[BucketLevels], lives: Sequence[Lifetime], buckets: TimeBuckets
) -> Points:
    """Return the extremes of the sum of all curves in each bucket.

    A run counts during its lifetime only: runs that follow each other within a bucket are not
    added up.
    """
    if not levels:
        return Points.empty()
    low, high = np.array([level.lo for level in levels]), np.array([level.hi for level in levels])
    there = ~np.isnan(low)
    cut = _partial_buckets(there, lives, buckets)
    steady = there
    if len(cut):
        steady = there.copy()
        steady[cut[:, 0], cut[:, 1]] = False
    lo = np.where(steady, low, 0.0).sum(axis=0)
    hi = np.where(steady, high, 0.0).sum(axis=0)
    if len(cut):
        _add_partial(lo, hi, steady.any(axis=0), low, high, cut, buckets)
    return _as_points(lo, hi, there.any(axis=0), buckets)


def _partial_buckets(there: Bools, lives: Sequence[Lifetime], buckets: TimeBuckets) -> Ints:
    """Return (run, bucket, first ms, end ms) where a run began or ended within a bucket."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for run, life in enumerate(lives):
        ends = (life.begin_ms, life.last_ms) if life.ended else (life.begin_ms,)
        for at in {buckets.bucket(ms) for ms in ends}:
            if 0 <= at < buckets.count and there[run, at]:
                first = max(buckets.begin_of(at), life.begin_ms)
                end = buckets.begin_of(at + 1)
                found[run, at] = first, min(end, life.last_ms + 1) if life.ended else end
    rows = [(run, at, first, end) for (run, at), (first, end) in found.items()]
    return np.array(rows, np.int64).reshape(len(rows), 4)


def _add_partial(  # noqa: PLR0913, PLR0917 - private: the sums so far, the curves, the cut buckets
    lo: Floats,
    hi: Floats,
    others: Bools,
    low: Floats,
    high: Floats,
    cut: Ints,
    buckets: TimeBuckets,
) -> None:
    """Add the runs that begin or end within a bucket to the sums: extremes over the bucket's time.

    `others` is True for buckets with a run that is present throughout; times without any run are
    ignored.
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
    # a state of zero duration is ignored: the next change is at the same instant
    next_ms = np.append(when[1:], buckets.begin_ms)
    final = np.append(bucket[1:] != bucket[:-1], True)
    next_ms[final] = buckets.begin_of(bucket[final] + 1)
    counts = (next_ms > when) & ((steps[2] > 0) | others[bucket])
    opening = np.append(True, bucket[1:] != bucket[:-1])
    alone = others[bucket] & opening & (when > buckets.begin_of(bucket))
    added_lo, added_hi = np.full(len(lo), np.inf), np.full(len(hi), -np.inf)
    np.minimum.at(added_lo, bucket[counts], steps[0][counts])
    np.maximum.at(added_hi, bucket[counts], steps[1][counts])
    np.minimum.at(added_lo, bucket[alone], 0.0)
    np.maximum.at(added_hi, bucket[alone], 0.0)
    some = np.isfinite(added_lo)
    lo[some] += added_lo[some]
    hi[some] += added_hi[some]


def most_important_runs(
    curves: Mapping[RunId, Points],
    verdicts: Mapping[RunId, Verdict],
    *,
    by_size: bool,
    top: int = TOP,
    before: Sequence[RunId] = (),
) -> tuple[RunId, ...]:
    """Return the ids of the runs that grow most or are largest.

    Runs returned `before` keep their places while they are nearly among these (hysteresis): many
    workers are similar, and their lines must not change colours with every sample.
    """
    there = [name for name, points in curves.items() if len(points)]

    def rank(name: RunId) -> tuple[float, RunId]:
        figure = float(curves[name].hi[-1]) if by_size else verdicts[name].order
        return -figure, name

    ranked = sorted(there, key=rank)
    near = set(ranked[: 2 * top])
    kept = [name for name in before if name in near][:top]
    if len(kept) == top and ranked[0] not in kept:
        kept.pop()  # the first in the ranking is always shown
    others = [name for name in ranked if name not in kept][: top - len(kept)]
    return (*kept, *others)
