"""The y axis: round ticks in one unit, and limits that are kept while they fit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pprofplus_tui.model.points import Floats
from pprofplus_tui.model.text import cell_width, clean

LABEL_CELLS = 9  # no tick label is wider, so that all charts can share one label column
_ROWS_PER_TICK = 4
_KEEP_SHARE = 0.4  # an axis stays while the data use this much of its height
_LOWEST_SHARE = 0.3  # data that reach this far down get an axis from 0: it costs little height
_LEVEL_SHARE = 0.005  # a level axis is at least this part of the level high: 2 MiB for 400 MiB
_LOG_REACH = 1e-4  # a logarithmic axis goes no deeper: a single 0 must not flatten the rest
_LOG_LEAST = 1e-3  # of the smallest unit: where there are only zeros
_HUGE = 1e300  # beyond, sums and ratios of floats overflow

# Units and what they are divided by, smallest first.
_SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "B": ((1, " B"), (2**10, " KiB"), (2**20, " MiB"), (2**30, " GiB"), (2**40, " TiB")),
    "B/s": ((1, " B/s"), (2**10, " KiB/s"), (2**20, " MiB/s"), (2**30, " GiB/s")),
    "us": ((1, " µs"), (1e3, " ms"), (1e6, " s")),
    "us/s": ((1e4, " %"),),
    "count/s": ((1, "/s"), (1e3, "k/s"), (1e6, "M/s"), (1e9, "G/s")),
}
_PLAIN: tuple[tuple[float, str], ...] = ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))
_SHORT_UNIT = 4  # cells; with a number before it, a longer one would not fit a label
# The least height of an axis, in the metric's unit: below it everything is noise.
_MIN_HEIGHT: dict[str, float] = {"B": 2**16, "B/s": 2**10, "us": 100, "us/s": 1e4, "count/s": 1}


@dataclass(frozen=True)
class YAxis:
    """The y axis of a chart.

    Attributes:
        lo: value at the bottom, in the metric's unit.
        hi: value at the top, hi > lo.
        ticks: (value, label), values rising within [lo, hi]; labels at most LABEL_CELLS wide.
        unit: the metric's unit.
        rows: the height of the plot in cells that the ticks were chosen for.
        log: the scale is logarithmic; lo is then above 0.
        ascii_only: the labels hold ASCII only.
    """

    lo: float
    hi: float
    ticks: tuple[tuple[float, str], ...]
    unit: str = ""
    rows: int = 0
    log: bool = False
    ascii_only: bool = False

    def fractions(self, values: Floats) -> Floats:
        """Return where values lie on the axis, 0 at lo and 1 at hi, clipped; same shape.

        A value that is not finite lies at 0.
        """
        if not self.hi > self.lo:
            return np.zeros_like(values)
        clipped = np.clip(np.nan_to_num(values, nan=self.lo), self.lo, self.hi)
        if self.log and self.lo > 0:
            share: Floats = np.log(clipped / self.lo) / math.log(self.hi / self.lo)
            return share
        return (clipped - self.lo) / (self.hi - self.lo)

    def places(self) -> tuple[float, ...]:
        """Return where the ticks lie on the axis, 0 at lo and 1 at hi, in their order."""
        return tuple(self.fractions(np.array([value for value, _ in self.ticks])).tolist())


def _step_above(size: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is >= size > 0."""
    power = 10.0 ** math.floor(math.log10(size))
    for digit in (1, 2, 5):
        if digit * power >= size * (1 - 1e-9):
            return digit * power
    return 10 * power


def _ticks(
    lo: float, hi: float, step: float, scale: tuple[float, str]
) -> tuple[tuple[float, str], ...]:
    """Return every multiple of step (in the scaled unit) in [lo, hi], labelled alike."""
    size, suffix = scale
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(lo / size / step - 1e-9)
    last = math.floor(hi / size / step + 1e-9)
    if last - first > 1000:  # noqa: PLR2004 - far more than any terminal has rows
        return ()
    return tuple(
        (index * step * size, f"{index * step:.{decimals}f}{suffix}")
        for index in range(first, last + 1)
    )


def _scales_of(unit: str) -> tuple[tuple[float, str], ...]:
    """Return the scales of a user's own unit; a long one is shown in the legend only."""
    shown = clean(unit)
    if unit in {"", "count"} or not 0 < cell_width(shown) <= _SHORT_UNIT:
        return _PLAIN
    return tuple((size, f"{prefix} {shown}") for size, prefix in _PLAIN)


def _scale_for(unit: str, largest: float, *, ascii_only: bool) -> list[tuple[float, str]]:
    """Return the scales to try, the most natural for `largest` first, then smaller ones."""
    table = _SCALES.get(unit) or _scales_of(unit)
    fitting = [scale for scale in table if scale[0] <= largest * (1 + 1e-9)] or [table[0]]
    if ascii_only:
        fitting = [(size, clean(suffix.replace("µ", "u"))) for size, suffix in fitting]
    return fitting[::-1]


def _fresh(  # noqa: PLR0913 - private, and all of them are the question
    lo: float,
    hi: float,
    unit: str,
    rows: int,
    *,
    zero_based: bool,
    ascii_only: bool,
    noise: float,
) -> YAxis:
    wanted = max(2, rows // _ROWS_PER_TICK)
    if zero_based:
        lo = min(lo, 0.0)
        hi = max(hi, 0.0, lo + noise)
    else:
        least = _least_height(lo, hi, noise)
        if hi - lo < least:
            middle = lo / 2 + hi / 2
            floor = 0.0 if lo >= 0 else -math.inf
            lo, hi = max(middle - least / 2, floor), middle + least / 2
        if 0 <= lo <= _LOWEST_SHARE * hi:
            lo = 0.0
    scales = _scale_for(unit, max(abs(lo), abs(hi)), ascii_only=ascii_only)
    raw = (hi - lo) / wanted
    for _ in range(12):  # each turn's step is coarser; two or three are enough
        for scale in scales[:2]:
            size = scale[0]
            step = _step_above(raw / size)
            bottom = math.floor(lo / size / step + 1e-9) * step * size
            top = math.ceil(hi / size / step - 1e-9) * step * size
            ticks = _ticks(bottom, top, step, scale)
            if ticks and top > bottom and max(len(label) for _, label in ticks) <= LABEL_CELLS:
                # The unit above may need three decimals where this one needs none.
                if scale is scales[0] and step < 0.01 and len(scales) > 1:  # noqa: PLR2004
                    continue
                return YAxis(bottom, top, ticks, unit, rows, ascii_only=ascii_only)
        raw *= 2
    return YAxis(lo, hi, (), unit, rows, ascii_only=ascii_only)


def _least_height(lo: float, hi: float, noise: float) -> float:
    return max(_LEVEL_SHARE * max(abs(lo), abs(hi)), noise)


def _round_values(
    lo: float, hi: float, scales: Sequence[tuple[float, str]]
) -> list[tuple[float, str, int]]:
    """Return (value, label, digit) of each 1, 2, 5 times a power of ten of a unit, rising.

    They reach from the last that is not above `lo`, which is above 0, to the first not below `hi`.
    """
    found: list[tuple[float, str, int]] = []
    for at, (size, suffix) in enumerate(scales):
        below = scales[at + 1][0] if at + 1 < len(scales) else math.inf
        power = 0 if at else min(0, math.floor(math.log10(lo / size)))
        while 10.0**power * size < min(below, 10 * hi):
            found += [
                (digit * 10.0**power * size, f"{digit * 10.0**power:g}{suffix}", digit)
                for digit in (1, 2, 5)
                if digit * 10.0**power * size < 0.97 * below  # not both 1000 MiB and 1 GiB
            ]
            power += 1
    first = max((i for i, (value, _, _) in enumerate(found) if value <= lo * (1 + 1e-9)), default=0)
    last = next((i for i, (value, _, _) in enumerate(found) if value >= hi * (1 - 1e-9)), None)
    return found[first : None if last is None else last + 1]


def _fresh_log(lo: float, hi: float, unit: str, rows: int, *, ascii_only: bool) -> YAxis:
    scales = _scale_for(unit, math.inf, ascii_only=ascii_only)[::-1]
    hi = max(hi, scales[0][0] * _LOG_LEAST)
    lo = min(max(lo, hi * _LOG_REACH), hi)
    values = _round_values(lo, hi, scales)
    if len(values) == 1:  # a level: leave one step above it
        values = _round_values(lo, values[0][0] * 1.5, scales)
    wanted = max(2, rows // 2)
    ones = [(value, label) for value, label, digit in values if digit == 1]
    shown = [(value, label) for value, label, _ in values]
    if len(shown) > wanted and len(ones) > 1:
        # Anchored at powers, so that scrolling does not change which of them show.
        stride = -(-len(ones) // wanted)
        shown = ones[::-1][::stride][::-1]
    elif len(shown) > wanted:
        shown = shown[:: -(-len(shown) // wanted)]
    ticks = tuple((value, label[:LABEL_CELLS]) for value, label in shown)
    return YAxis(values[0][0], values[-1][0], ticks, unit, rows, log=True, ascii_only=ascii_only)


def fit_axis(  # noqa: PLR0913 - the flags are named at every call
    previous: YAxis | None,
    data_lo: float,
    data_hi: float,
    unit: str,
    rows: int,
    *,
    zero_based: bool | None = None,
    log: bool = False,
    ascii_only: bool = False,
    noise: float | None = None,
) -> YAxis:
    """Return an axis for data in [data_lo, data_hi], the previous one while it still fits.

    The previous axis is kept while the data fit in it and use at least 40 % of its height, so
    that the chart does not jump with every sample. Limits that are not finite or in the
    wrong order are repaired, not rejected.

    Args:
        previous: the axis of the last drawing, or None. It is not kept if its unit, height or
            scale differs.
        data_lo: smallest value to be shown.
        data_hi: largest value to be shown.
        unit: the metric's unit, which chooses the labels.
        rows: height of the plot in cells; there is about one tick for four rows.
        zero_based: start at 0; by default everything but bytes does.
        log: logarithmic scale.
        ascii_only: labels in ASCII.
        noise: least height of the axis; None: a default for the unit.
    """
    noise = _MIN_HEIGHT.get(unit, 1.0) if noise is None else noise
    lo = min(max(data_lo, -_HUGE), _HUGE) if math.isfinite(data_lo) else 0.0
    hi = min(max(data_hi, -_HUGE), _HUGE) if math.isfinite(data_hi) else lo
    lo, hi = min(lo, hi), max(lo, hi)
    from_zero = unit != "B" if zero_based is None else zero_based
    if log:
        fresh = _fresh_log(lo, hi, unit, rows, ascii_only=ascii_only)
    else:
        fresh = _fresh(lo, hi, unit, rows, zero_based=from_zero, ascii_only=ascii_only, noise=noise)
    if previous is None or (previous.unit, previous.rows, previous.log, previous.ascii_only) != (
        unit,
        rows,
        log,
        ascii_only,
    ):
        return fresh
    # A logarithmic axis cannot hold 0: what lies below it is drawn at the bottom.
    if hi > previous.hi or (fresh.lo if log else lo) < previous.lo:
        return fresh
    if from_zero and not log and previous.lo > 0:
        return fresh
    # data that no longer need an axis from 0 count with their own range only
    grounded = from_zero or (previous.lo == 0 and fresh.lo == 0)
    used = _used(previous, lo, hi, grounded=grounded, noise=noise)
    return previous if used >= _KEEP_SHARE else fresh


def _used(axis: YAxis, lo: float, hi: float, *, grounded: bool, noise: float) -> float:
    """Return which share of the axis's height the data, or the least height, take."""
    if axis.log:
        low, high = axis.fractions(np.array([lo, hi])).tolist()
        return float(high - low) or 1.0
    if grounded:
        needed = max(hi, noise) - min(lo, 0.0)
    else:
        needed = max(hi - lo, _least_height(lo, hi, noise))
    return needed / (axis.hi - axis.lo)
