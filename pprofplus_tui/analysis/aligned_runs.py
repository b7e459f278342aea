"""Several runs on one time axis: shift to ages, values at one moment, ticks of ages."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pprofplus_tui.model.durations import DAY_MS, ROUND_STEPS_MS
from pprofplus_tui.model.lifetimes import Lifetime
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.units import format_span_ms
from pprofplus_tui.model.window import Window

_STEPS_MS = (
    *ROUND_STEPS_MS,
    *(days * DAY_MS for days in (1, 2, 7, 14, 28, 56, 182, 364, 728)),
)
_LABEL_CELLS = 12


def shifted(points: Points, by_ms: int) -> Points:
    """Return the points `by_ms` earlier."""
    return replace(points, t_ms=points.t_ms - by_ms) if by_ms else points


def value_at(points: Points, t_ms: int, width_ms: int, life: Lifetime) -> float | None:
    """Return the value at a time; None outside of the run's lifetime and in a gap.

    For a bucket it is the middle of its extremes; `width_ms` is the width of a bucket. From the
    last sample on it is that sample's value.
    """
    if not life.covers(t_ms):
        return None
    if t_ms >= life.last_ms and life.newest is not None:
        return life.newest
    at = int(np.searchsorted(points.t_ms, t_ms + width_ms // 2, "right")) - 1
    if at < 0:
        return None
    last = at == len(points) - 1
    if (last or bool(points.breaks[at + 1])) and t_ms - int(points.t_ms[at]) > max(
        life.stale_ms, width_ms
    ):
        return None
    return points.middle(at)


def last_value(points: Points, life: Lifetime) -> float | None:
    """Return the last value, None if there is none."""
    if life.newest is not None:
        return life.newest
    return points.middle(-1) if len(points) else None


def shared_moment(lives: Sequence[Lifetime], window: Window) -> int | None:
    """Return the last time in a window at which the first two runs have values; else None."""
    pair = lives[:2]
    if len(pair) < 2:  # noqa: PLR2004 - a pair
        return None
    end = min(window.end_ms - 1, *(life.last_ms for life in pair))
    begin = max(window.begin_ms, *(life.begin_ms for life in pair))
    return end if end >= begin else None


def age_ticks(begin_ms: int, end_ms: int, width_cells: int) -> tuple[tuple[int, str], ...]:
    """Return (age in ms, label) of round ages in [begin_ms, end_ms), as `time_axis.time_ticks`."""
    span_ms = end_ms - begin_ms
    if span_ms <= 0 or width_cells <= 0:
        return ()
    least_ms = -(-_LABEL_CELLS * span_ms // width_cells)
    largest_ms = _STEPS_MS[-1]
    step = next((s for s in _STEPS_MS if s >= least_ms), -(-least_ms // largest_ms) * largest_ms)
    first = -(-begin_ms // step) * step
    return tuple(
        (ms, f"+{format_span_ms(ms)}" if ms else "start") for ms in range(first, end_ms, step)
    )
