"""Classifies a rise by the best fit: a line, a rise that slows down, or a few steps.

Each family of curves has one non-linear parameter (where a turn is, how fast a warm-up is). A
small table of its values is fitted by least squares, all members of a family together.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pprofplus_tui.model.points import Floats

# Time constants of short and of all warm-ups, as shares of the span.
_FAST = (0.005, 0.01, 0.02, 0.04, 0.07)
_SLOW = (*_FAST, 0.12, 0.2, 0.35, 0.6, 1.0)
_LOGARITHMS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_POWERS = (0.1, 0.2, 0.35)
_STOPS = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75)  # where a rise may end, as shares of the span
_BEGINS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88)  # where it may begin
_MAX_STEPS = 3
_MIN_OF_A_STEP = 3  # points on each side

# Time constants of a warm-up that a line follows; of a warm-up in two stages, those of the second
# and of the first stage. The second may also be a logarithm or a root.
_SETTLED = np.geomspace(0.005, 0.2, 24)
_SECOND = (0.14, 0.2, 0.27, 0.35)
_LONG_LOGARITHMS = (0.001, 0.01, 0.03)
_LONG_POWERS = (0.1, 0.2, 0.3)
_FIRST = np.geomspace(0.005, 0.12, 8)
_MIN_LEFT = 0.2  # at least this share of the rise is along the line

LINE, SLOWING, STEPS = "line", "slowing", "steps"
_MIN_POINTS = 8
_SMOOTHED = 12  # curves of fewer points are not smoothed
# Steps have more parameters than a line, so they must fit a staircase much better.
_OF_STEPS = 0.25
# How much better a slowing rise must fit, by the number of independent values.
_BY_CHANCE = 7.0
_MAX_BY_CHANCE = 0.8


@dataclass(frozen=True)
class Rise:
    """The kind of a rise.

    Attributes:
        kind: LINE, SLOWING or STEPS.
        per_unit: slope at the end of the line that fits best, in units of y over units of t.
        begin: where that line begins to rise, as a share of the span: 0 unless there is a turn.
        late: the share of a slowing rise in the last third; a third for a line.
    """

    kind: str = LINE
    per_unit: float = 0.0
    begin: float = 0.0
    late: float = 1 / 3


def _fitted(shapes: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return (sums of squares, factors) of a + b g, for each column g of `shapes`."""
    columns = shapes - shapes.mean(axis=0)
    values = y - y.mean()
    sizes = np.maximum(np.sum(columns * columns, axis=0), 1e-30)
    factors = values @ columns / sizes
    return np.maximum(values @ values - factors * factors * sizes, 0.0), factors


def _fitted_to_line(x: Floats, shapes: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (sums of squares, b, c) of a + b x + c g, for each column g of `shapes`."""
    line = x - x.mean()
    size = float(line @ line)
    columns = shapes - shapes.mean(axis=0)
    values = y - y.mean()
    residuals = columns - np.outer(line, line @ columns / size)
    rest = values - line * float(line @ values) / size
    sizes = np.maximum(np.sum(residuals * residuals, axis=0), 1e-30)
    factors = rest @ residuals / sizes
    slopes = (line @ values - factors * (line @ columns)) / size
    return np.maximum(rest @ rest - factors * factors * sizes, 0.0), slopes, factors


def _least_of_two(firsts: Floats, seconds: Floats, y: Floats) -> float:
    """Return the least sum of squares around a + b f + c g; b, c > 0; of all pairs f, g."""
    f, g, values = firsts - firsts.mean(axis=0), seconds - seconds.mean(axis=0), y - y.mean()
    ff, gg = np.sum(f * f, axis=0)[:, None], np.sum(g * g, axis=0)[None, :]
    fy, gy = (values @ f)[:, None], (values @ g)[None, :]
    fg = f.T @ g
    sizes = np.maximum(ff * gg - fg * fg, 1e-30)
    b, c = (fy * gg - gy * fg) / sizes, (gy * ff - fy * fg) / sizes
    sums = np.where((b > 0) & (c > 0), values @ values - b * fy - c * gy, np.inf)
    return max(float(sums.min()), 0.0)


def stepped(y: Floats) -> float:
    """Return the sum of squares around one to three steps, found one after the other."""
    bounds = [0, len(y)]
    for _ in range(_MAX_STEPS):
        best, at = 0.0, 0
        for begin, end in pairwise(bounds):
            part = y[begin:end]
            count = len(part)
            if count < 2 * _MIN_OF_A_STEP:
                continue
            left = np.arange(_MIN_OF_A_STEP, count - _MIN_OF_A_STEP + 1)
            sums = np.cumsum(part)[left - 1]
            gain = (sums - part.sum() * left / count) ** 2 * count / (left * (count - left))
            place = int(np.argmax(gain))
            if gain[place] > best:
                best, at = float(gain[place]), begin + int(left[place])
        if not at:
            break
        bounds = sorted((*bounds, at))
    parts = [y[begin:end] for begin, end in pairwise(bounds)]
    return float(sum(np.sum((part - part.mean()) ** 2) for part in parts))


def effective_count(rest: Floats) -> float:
    """Return the effective number of independent values, given their autocorrelation."""
    total, count = float(rest @ rest), len(rest)
    if total <= 0:
        return float(count)
    correlation = float(rest[1:] @ rest[:-1]) / total
    # residuals of a fitted curve underestimate the autocorrelation
    correlation = min(max(correlation + (1 + 4 * correlation) / count, 0.0), 0.95)
    return count * (1 - correlation) / (1 + correlation)


def _smooth(y: Floats) -> Floats:
    """Return the running median of three: a single outlier is not a step."""
    if len(y) < _SMOOTHED:
        return y
    inner = np.sort(np.stack((y[:-2], y[1:-1], y[2:])), axis=0)[1]
    return np.concatenate((y[:1], inner, y[-1:]))


def what_rise(t: Floats, y: Floats, *, from_start: bool) -> Rise:
    """Return the kind of a curve's rise; LINE if it has too few points to decide.

    With `from_start`, the curve begins where the process did: a line may follow a short
    warm-up, and a warm-up may be a logarithm or a root of the time.
    """
    if len(y) < _MIN_POINTS:
        return Rise()
    y = _smooth(y)
    span = float(t[-1] - t[0])
    x = (t - t[0]) / span
    column = x[:, None]
    # a line, from a turn on
    sums, factors = _fitted(np.maximum(column - np.array(_BEGINS), 0.0), y)
    rising = np.where(factors > 0, sums, np.inf)
    best = int(np.argmin(rising)) if np.isfinite(rising).any() else 0
    line = float(sums[best])
    straight, slope, begin = line, float(factors[best]), _BEGINS[best]
    if from_start:
        early = -np.exp(-column / np.array(_FAST))
        sums, slopes, heights = _fitted_to_line(x, early, y)
        warm = np.where((slopes > 0) & (heights > 0), sums, np.inf)
        place = int(np.argmin(warm))
        if warm[place] < straight:
            straight, slope, begin = float(warm[place]), float(slopes[place]), 0.0
    slowing = [np.minimum(column, np.array(_STOPS)), -np.exp(-column / np.array(_SLOW))]
    if from_start:
        slowing += [np.log1p(column / np.array(_LOGARITHMS)), column ** np.array(_POWERS)]
    shapes = np.concatenate(slowing, axis=1)
    sums, factors = _fitted(shapes, y)
    place = int(np.argmin(sums))
    slowest = float(sums[place])
    steps = stepped(y)
    if steps < min(_OF_STEPS * straight, slowest):
        return Rise(STEPS, slope / span, begin)
    rest = y - y.mean() - factors[place] * (shapes[:, place] - shapes[:, place].mean())
    limit = min(float(np.exp(-_BY_CHANCE / max(effective_count(rest), 3.0))), _MAX_BY_CHANCE)
    slows = slowest < limit * straight or (slowest < limit * line and slowest < straight)
    if not slows:
        return Rise(LINE, slope / span, begin)
    shape = shapes[:, place]
    third = int(np.searchsorted(x, 2 / 3))
    late = float((shape[-1] - shape[third]) / (shape[-1] - shape[0]))
    return Rise(SLOWING, slope / span, begin, late)


@dataclass(frozen=True)
class Steady:
    """A line that continues after a warm-up.

    Attributes:
        slope: in units of y over units of t.
        gain: how much better the line fits than a curve that levels off: twice a log ratio.
        clear: rise over the span, divided by the residual deviation.
        late: slope of the last half, over `slope`.
    """

    slope: float
    gain: float
    clear: float
    late: float


def steady(t: Floats, y: Floats, span: float, grain: float) -> Steady | None:
    """Return the line that floors follow after a warm-up; None if there is none.

    It is compared with curves that slow down throughout: a warm-up of one or two stages, a
    logarithm, a root, a rise that stopped.

    Args:
        t: times since the start of the run.
        y: floors, one a day.
        span: length of the run.
        grain: least noise that is assumed.
    """
    x = t / span
    column, count = x[:, None], len(y)
    sums, slopes = _fitted(column, y)
    best, slope, figures = float(sums[0]), float(slopes[0]), 2
    early = -np.exp(-column / _SETTLED)
    sums, slopes, heights = _fitted_to_line(x, early, y)
    sums = np.where((slopes > 0) & (heights > 0), sums, np.inf)
    place = int(np.argmin(sums))
    if sums[place] < best:
        best, slope, figures = float(sums[place]), float(slopes[place]), 4
    if slope * (x[-1] - x[0]) < _MIN_LEFT * max(float(y[-1] - y[0]), 0.0) or slope <= 0:
        return None
    shapes = np.concatenate(
        (
            np.minimum(column, np.array(_STOPS)),
            -np.exp(-column / np.array(_SLOW[:-2])),
            np.log1p(column / np.array(_LOGARITHMS)),
            column ** np.array(_POWERS),
        ),
        axis=1,
    )
    sums, _ = _fitted(shapes, y)
    other = float(sums.min())
    second = np.concatenate(
        (
            -np.exp(-column / np.array(_SECOND)),
            np.log1p(column / np.array(_LONG_LOGARITHMS)),
            column ** np.array(_LONG_POWERS),
        ),
        axis=1,
    )
    other = min(other, _least_of_two(-np.exp(-column / _FIRST), second, y))
    noise = grain * grain * count
    half = count // 2
    late = float(_fitted(column[half:], y[half:])[1][0])
    return Steady(
        slope / span,
        count * float(np.log((other + noise) / (best + noise))),
        slope * float(x[-1] - x[0]) / max((best / max(count - figures, 1)) ** 0.5, grain),
        late / slope,
    )
