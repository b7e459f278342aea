"""Classifies a curve: growth, noise, a saw-tooth, a step or a warm-up.

Memory use is autocorrelated, so a plain trend test finds trends everywhere. Here a window is cut
into at most 16 blocks, each represented by its median, or a saw-tooth by its troughs, so that the
floor is tested. The rate is the Theil-Sen slope of the blocks, its interval is Sen's. A curve grows
only if three tests agree: Mann-Kendall's, with the variance widened for the autocorrelation of the
blocks; the mean step from block to block against the deviation of steps, which a random walk, a
single step and a warm-up do not pass; and the growth against the residuals of the line. The limits
were chosen on the labelled curves of tests/benchmarks/curves.py; `run.py --only verdict` measures
the error rates.

Sources: Sen 1968; Hirsch, Slack & Smith 1982 (pooling over pieces); Hamed & Rao 1998.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pprofplus_tui.analysis.sawtooth import Teeth, find_teeth
from pprofplus_tui.model.durations import HOUR_MS
from pprofplus_tui.model.points import Bools, Floats, Ints, Points
from pprofplus_tui.model.verdict import (
    GROWING,
    LEVEL,
    LINE,
    SAW_TOOTH,
    SHRINKING,
    STEADY,
    STEP,
    TEETH,
    TURN,
    WARM_UP,
    Verdict,
)

MIN_POINTS = 24
MIN_SPAN_MS = 60_000
_BLOCKS = 16
_MIN_BLOCKS = 6
_MIN_TROUGHS = 5
_SURE = 1.96
_SOME = 0.3  # least Kendall's tau of a rise

# A smaller change, or a smaller share of the level, is never growth.
MIN_BYTES = 256 * 1024.0
MIN_SHARE = 0.002
# Hysteresis: a verdict is kept until it misses its limits by a fifth. Otherwise one at its limit
# would change with each sample.
HELD = 0.8


@dataclass(frozen=True, eq=False)
class TrendBlocks:
    """A series reduced to few points: times in hours, values, number of the piece; shape (k,)."""

    t: Floats
    y: Floats
    piece: Ints


@dataclass(frozen=True)
class TrendLine:
    """The line through blocks, and its statistics.

    Attributes:
        slope: per hour.
        low, high: Sen's interval.
        change: along the line, over all pieces.
        tau: Kendall's, -1 to 1.
        z: Mann-Kendall's, corrected.
        drift: mean step over its standard error.
        clear: change divided by the residual deviation.
        late, last: slope of the later half and of the last quarter, over the slope; 1 without a
            rise.
    """

    slope: float
    low: float
    high: float
    change: float
    tau: float
    z: float
    drift: float
    clear: float
    late: float
    last: float


@lru_cache(64)
def _pairs(count: int) -> tuple[Ints, Ints]:
    first, second = np.triu_indices(count, 1)
    return first.astype(np.int64), second.astype(np.int64)


def median(values: Floats) -> float:
    """Return the median; numpy.median takes five times as long for so few."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def _slopes(blocks: TrendBlocks, which: Bools | None = None) -> tuple[Floats, Floats]:
    """Return (slopes, differences) of all pairs of blocks of one piece."""
    first, second = _pairs(len(blocks.t))
    same = blocks.piece[first] == blocks.piece[second]
    if which is not None:
        same &= which[first] & which[second]
    if not same.all():
        first, second = first[same], second[same]
    rise = blocks.y[second] - blocks.y[first]
    return rise / (blocks.t[second] - blocks.t[first]), rise


def line_of(blocks: TrendBlocks, grain: float) -> TrendLine | None:
    """Return the line through blocks; None if no two are of one piece. `grain`: least noise."""
    slopes, rises = _slopes(blocks)
    if not len(slopes):
        return None
    slope = median(slopes)
    y, sizes = blocks.y, np.bincount(blocks.piece)
    steps = y[1:] - y[:-1]
    rest = y - slope * blocks.t
    if len(sizes) == 1:
        rest -= median(rest)
        covered = float(blocks.t[-1] - blocks.t[0])
    else:
        steps = steps[blocks.piece[1:] == blocks.piece[:-1]]
        covered = 0.0
        for piece in np.flatnonzero(sizes):
            mine = blocks.piece == piece
            rest[mine] -= median(rest[mine])
            covered += float(np.ptp(blocks.t[mine]))
    change = slope * covered
    residual = max(float(rest @ rest / len(rest)) ** 0.5, grain)
    variance = float((sizes * (sizes - 1) * (2 * sizes + 5)).sum() / 18)
    widened = variance * _widening(rest, residual)
    sum_of_signs = float(np.sign(rises).sum())
    mean = float(steps.sum()) / len(steps)
    spread = float("inf")
    if len(steps) > 1:
        spread = float(((steps - mean) ** 2).sum() / (len(steps) - 1)) ** 0.5
    ordered = np.sort(slopes)
    half, end = _SURE * widened**0.5, len(ordered) - 1
    tau = sum_of_signs / len(rises)
    late, last = _shares(blocks, slope) if abs(tau) > _SOME and slope else (1.0, 1.0)
    return TrendLine(
        slope=slope,
        low=float(ordered[min(max(round((end - half) / 2), 0), end)]),
        high=float(ordered[min(max(round((end + half) / 2), 0), end)]),
        change=change,
        tau=tau,
        z=sum_of_signs / widened**0.5,
        drift=mean / max(spread, grain) * len(steps) ** 0.5,
        clear=change / residual,
        late=late,
        last=last,
    )


def _shares(blocks: TrendBlocks, slope: float) -> tuple[float, float]:
    """Return the slopes of the later half and the last quarter of each piece, over `slope`."""
    place = np.empty(len(blocks.t))
    for piece in np.flatnonzero(np.bincount(blocks.piece)):
        mine = blocks.piece == piece
        place[mine] = np.linspace(0, 1, int(mine.sum()))
    late, _ = _slopes(blocks, place >= 0.5)  # noqa: PLR2004 - a half
    last, _ = _slopes(blocks, place >= 0.74)  # noqa: PLR2004 - a quarter, and the block before it
    return (
        median(late) / slope if len(late) else 1.0,
        median(last) / slope if len(last) else 1.0,
    )


def _widening(rest: Floats, residual: float) -> float:
    """Return by how much the autocorrelation of blocks widens the variance."""
    count = len(rest)
    correlation = float(np.sum(rest[1:] * rest[:-1])) / (residual * residual * count)
    # residuals of a fitted line underestimate the autocorrelation
    correlation = min(max((correlation * count + 1) / max(count - 3, 1), 0.0), 0.95)
    return (1 + correlation) / (1 - correlation)


def _pieces(points: Points, level: Floats, noise: float) -> Ints:
    """Return the piece of each point: a piece begins where the level is lower after a gap.

    So successive runs of a service are separate pieces of one curve.
    """
    falls = np.zeros(len(level), np.bool_)
    falls[1:] = points.breaks[1:] & (level[1:] < level[:-1] - 5 * noise)
    return np.cumsum(falls)


def blocks_of(t: Floats, y: Floats, piece: Ints) -> TrendBlocks:
    """Cut a series into blocks of about as many points, none across pieces."""
    count = len(y)
    most = min(max(count // 6, _MIN_BLOCKS), _BLOCKS)
    times, values, pieces = [], [], []
    bounds = np.flatnonzero(np.diff(piece, prepend=-1, append=-1))
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        blocks = round(most * (end - begin) / count)
        if not blocks:
            continue
        size = (end - begin) // blocks
        # points that do not fill a block are left out at the piece's start, where warm-ups are
        begin = end - size * blocks  # noqa: PLW2901
        times.append(t[begin:end].reshape(blocks, size).mean(axis=1))
        values.append(np.sort(y[begin:end].reshape(blocks, size), axis=1)[:, size // 2])
        pieces.append(np.full(blocks, piece[begin]))
    return TrendBlocks(np.concatenate(times), np.concatenate(values), np.concatenate(pieces))


def noise_of(level: Floats) -> float:
    """Return a robust estimate of the noise between neighbouring points, in the series' unit.

    It uses second differences, so that a steady rise is not noise.
    """
    return 1.4826 * median(np.abs(np.diff(level, 2))) / 3**0.5


def trough_blocks(t: Floats, floor: Floats, piece: Ints, teeth: Teeth) -> TrendBlocks:
    """Return the troughs of a saw-tooth; many are reduced to the lowest of each few."""
    at = teeth.troughs
    if len(at) > _BLOCKS:
        # a bucket may hide a trough
        groups = np.array_split(at, _BLOCKS)
        at = np.array([group[np.argmin(floor[group])] for group in groups])
    return TrendBlocks(t[at], floor[at], piece[at])


def sure(line: TrendLine, count: int, ease: float) -> bool:
    """Return whether a rising line is significant, by limits for this number of blocks."""
    few = count < 10  # noqa: PLR2004 - of few blocks nearly all have to agree
    tau, drift, clear, z = (x / ease for x in (line.tau, line.drift, line.clear, line.z))
    if tau < (0.8 if few else 0.6):
        return False
    walked = drift > (2.5 if few else 1.7) and clear > 7.5 and z > 1.5  # noqa: PLR2004
    return walked or (not few and z > 3.4 and clear > 5)  # noqa: PLR2004


def levels_off(line: TrendLine, ease: float = 1.0) -> bool:
    """Return whether a rise levels off: its later half and last quarter are both slower."""
    return max(line.late, line.last) < 0.55 * ease


def mirrored(line: TrendLine) -> TrendLine:
    """Return the line of the same curve upside down."""
    return replace(
        line,
        slope=-line.slope,
        low=-line.high,
        high=-line.low,
        change=-line.change,
        tau=-line.tau,
        z=-line.z,
        drift=-line.drift,
        clear=-line.clear,
    )


def _no_growth(blocks: TrendBlocks, line: TrendLine | None, least: float) -> Verdict:
    """Return the verdict on a curve that does not grow, with its shape."""
    y = blocks.y
    if line is not None and len(y) >= _MIN_BLOCKS:
        ends = max(len(y) // 4, 2)
        rise = median(y[-ends:]) - float(y[0])
        # find where the means before and after differ most; the step is the difference of medians
        sums, sizes = np.cumsum(y)[1:-2], np.arange(2, len(y) - 1)
        gaps = (y.sum() - sums) / (len(y) - sizes) - sums / sizes
        cut = int(np.argmax(np.abs(gaps))) + 2
        before, after = median(y[:cut]), median(y[cut:])
        residual = np.concatenate((y[:cut] - before, y[cut:] - after))
        wide = max(float(residual @ residual / len(residual)) ** 0.5, least / 8)
        if abs(after - before) > max(5 * wide, least):
            early = after > before and 4 * cut <= len(y)
            return Verdict(STEADY, change=rise, shape=WARM_UP if early else STEP)
        if line.tau > _SOME and levels_off(line) and rise > least:
            return Verdict(STEADY, change=rise, shape=WARM_UP)
    return Verdict(STEADY, shape=LEVEL)


def _trend_of(
    blocks: TrendBlocks, least: float, shape: str, before: str
) -> tuple[Verdict | None, TrendLine | None]:
    """Return (the verdict if the blocks grow or shrink, else None; the line through them)."""
    line = line_of(blocks, least / 40)
    if line is None:
        return None, line
    kind = GROWING if line.slope > 0 else SHRINKING
    ease = HELD if kind == before else 1.0
    if abs(line.change) < least * ease:
        return None, line
    upright = line if line.slope > 0 else mirrored(line)
    if not sure(upright, len(blocks.y), ease) or levels_off(upright, ease):
        return None, line
    return Verdict(kind, line.slope, line.low, line.high, line.change, shape), line


def _turned(t: Floats, y: Floats, piece: Ints, least: float, before: str) -> Verdict | None:
    """Return the verdict on a curve that was level and began to grow half way or before."""
    half = len(y) // 2
    # it counts only if it leaves the range of the first half
    tenth = max(half // 10, 2)
    known = np.sort(y[:half])[tenth:-tenth]
    ease = HELD if before == GROWING else 1.0
    if median(y[-tenth:]) - known[-1] < max(known[-1] - known[0], least) * ease:
        return None
    found, line = _trend_of(blocks_of(t[half:], y[half:], piece[half:]), least, TURN, before)
    if found is None or line is None or line.tau < 0.7 * ease:  # a second test must be clearer
        return None
    return found if found.kind == GROWING else None


def classify(points: Points, least: float = MIN_BYTES, before: str = "") -> Verdict:
    """Return the verdict on a series in its window.

    Args:
        points: samples or buckets; the smallest values of buckets count, because a leak raises
            the floor. A gap before a lower level begins a new run of a service.
        least: a smaller change, in the series' unit, is ignored.
        before: the previous kind of this series in this window, which is kept while it nearly
            holds; "" if there is none.
    """
    count = len(points)
    if count < MIN_POINTS or int(points.t_ms[-1] - points.t_ms[0]) < MIN_SPAN_MS:
        return Verdict()
    floor = points.lo
    least = max(least, MIN_SHARE * abs(median(floor)))
    if float(floor.max() - floor.min()) < least:
        return Verdict(STEADY)
    t = (points.t_ms - points.t_ms[0]) / HOUR_MS
    level = (points.lo + points.hi) / 2
    noise = noise_of(level)
    piece = _pieces(points, level, max(noise, least / 5))
    teeth = find_teeth(level, piece, noise, least)
    blocks = blocks_of(t, floor, piece)
    if teeth is not None:
        troughs = trough_blocks(t, floor, piece, teeth)
        enough = len(troughs.y) >= _MIN_TROUGHS
        found = _trend_of(troughs, least, TEETH, before)[0] if enough else None
        found = found or _trend_of(blocks, least, TEETH, before)[0]
        return found or Verdict(SAW_TOOTH, change=teeth.height, shape=TEETH)
    found, line = _trend_of(blocks, least, LINE, before)
    return found or _turned(t, floor, piece, least, before) or _no_growth(blocks, line, least)
