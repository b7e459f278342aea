"""The verdict on a curve in a window, in the context of the whole run.

A rise in a window is growth only if the run does not explain it otherwise: by a daily pattern, a
saw-tooth, a warm-up or steps. If the window is too short or too noisy to show a leak, the floor of
the whole run decides. If the run is too short to know its daily pattern, the verdict is "not sure",
unless the rise is faster or longer than that of a daily wave.
"""

from dataclasses import dataclass, replace

import numpy as np

from pprofplus_tui.analysis.curve_fits import SLOWING, STEPS
from pprofplus_tui.analysis.long_term import LongTermTrend
from pprofplus_tui.analysis.steady_growth import DAY_H
from pprofplus_tui.analysis.trend import HELD, MIN_SHARE, median
from pprofplus_tui.model.durations import HOUR_MS
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.verdict import (
    ALL_DAY,
    AS_HIGH_BEFORE,
    EARLIER_RUN,
    EVERY_DAY,
    FAST,
    FLOOR_LEVEL,
    FLOOR_RISES,
    GROWING,
    HIGH,
    LEVEL,
    LINE,
    LOW,
    MAY_RISE,
    MAYBE_WARM_UP,
    MAYBE_WAVE,
    MEDIUM,
    NEW,
    NOT_AS_EARLIER,
    NOT_SURE,
    SHRINKING,
    SLOWS,
    STEADY,
    STEP,
    STEPPED,
    TEETH,
    TOO_LITTLE,
    TURN,
    WARM_UP,
    YOUNG,
    Verdict,
)

# A daily wave is possible up to this rate, as a share of the level in an hour, and up to this
# height, as a share of the level.
WAVE_PER_HOUR = 0.15
_WAVE_HEIGHT = 0.7
_DAYS_KNOWN_H = 36.0  # days are compared from a day and a half on
_ALL_DAY_H = 20.0  # longer than the rise of a daily wave
_ALL_DAY_SHARE = 0.35  # at least this share of the mean rise in each part
_PARTS = 6
_NEW_SHARE = 0.5  # of the range before: a level that is farther above is new
_BEFORE_SHARE = 0.2  # of the range before: a level within it is not new
_RECURS = 0.5
_SLOPING = 0.5  # Kendall's tau from which a floor is not called level
_STILL = 0.05  # of a slowing rise in the last third, from which it has not levelled off
_MIN_DAYS = 2  # of an earlier run, for a comparison
# A rise up to this factor of the largest one of the previous run is like it.
_LIKE_EARLIER = 1.3
_UNLIKE_EARLIER = 2.0


@dataclass(frozen=True, eq=False)
class Case:
    """The input of a verdict.

    Attributes:
        seen: the verdict on the window alone.
        points: the window.
        past: the whole run.
        least: a smaller change is ignored.
        level: of the resident set, to which the rate of a wave is compared.
        before: the previous kind of verdict on this view.
        earlier: the trend of the service's previous run, if that is known.
    """

    seen: Verdict
    points: Points
    past: LongTermTrend
    least: float
    level: float
    before: str = ""
    earlier: LongTermTrend | None = None

    @property
    def span_ms(self) -> int:
        """Length of the window."""
        return int(self.points.t_ms[-1] - self.points.t_ms[0])

    @property
    def end(self) -> float:
        """The level at the window's end."""
        return median(self.points.lo[-max(len(self.points) // 10, 2) :])

    @property
    def risen(self) -> float:
        """How far the window's end is above its beginning."""
        return self.end - median(self.points.lo[: max(len(self.points) // 10, 2)])

    @property
    def known_ms(self) -> int:
        """How much of the run is known."""
        return max(int(self.past.span_h * HOUR_MS), self.span_ms)


def weigh(  # noqa: PLR0913 - a verdict, and its context
    seen: Verdict,
    points: Points,
    past: LongTermTrend | None,
    least: float,
    *,
    level: float = 0.0,
    before: str = "",
    earlier: LongTermTrend | None = None,
) -> Verdict:
    """Return the verdict on a layer, with its confidence and its reason.

    Args:
        seen: the verdict on the window alone.
        points: the window.
        past: the long-term trend of the layer, or None.
        least: a smaller change, in the series' unit, is ignored.
        level: of the resident set; 0: the layer's own.
        before: the previous kind of verdict on this view.
        earlier: the long-term trend of the layer in the service's previous run, or None.
    """
    if past is None or not len(points):
        return seen
    least = max(least, MIN_SHARE * past.level)
    case = Case(seen, points, past, least, level or past.level, before, earlier)
    found = _weighed(case)
    if found.kind == TOO_LITTLE:
        return found
    if found.kind == NOT_SURE and earlier is not None:
        found = _as_earlier(case, found, earlier)
    return replace(found, known_ms=case.known_ms)


def _weighed(case: Case) -> Verdict:
    seen, past = case.seen, case.past
    grows = seen.kind == GROWING
    young = past.span_h < _DAYS_KNOWN_H
    if seen.kind == TOO_LITTLE and young:
        return seen
    if past.line is None or not (grows or past.rises):
        return _at_rest(case)
    if past.rise.kind == STEPS:
        return _calm(seen, STEPPED, STEP, MEDIUM)
    if past.rise.kind == SLOWING:
        return _slowing(case, still=young or past.rise.late > _STILL)
    weighed = _young if young else _risen if past.rises else _new
    return weighed(case)


def _calm(seen: Verdict, reason: str, shape: str = LEVEL, confidence: str = HIGH) -> Verdict:
    """Return the verdict on a rise that is not growth."""
    if seen.kind != GROWING:
        return replace(seen, confidence=confidence, reason=reason)
    return Verdict(STEADY, change=seen.change, shape=shape, confidence=confidence, reason=reason)


def _slowing(case: Case, *, still: bool) -> Verdict:
    """Return the verdict on a rise that slows down; `still`: it may continue."""
    if not still:
        return _calm(case.seen, SLOWS, WARM_UP, MEDIUM)
    if case.seen.kind != GROWING:
        return replace(case.seen, confidence=MEDIUM, reason=SLOWS)
    return replace(case.seen, kind=NOT_SURE, confidence=LOW, reason=MAYBE_WARM_UP)


def _at_rest(case: Case) -> Verdict:
    """Return the verdict on a curve that rises neither in the window nor in the run."""
    seen, past = case.seen, case.past
    if seen.kind == TOO_LITTLE:
        return seen
    known = past.span_h >= _DAYS_KNOWN_H
    if seen.kind != SHRINKING:
        confidence, reason = _why_level(past) if known else (MEDIUM, YOUNG)
        return replace(seen, confidence=confidence, reason=reason)
    if known and not past.falls and past.daily >= _RECURS:
        return Verdict(STEADY, confidence=HIGH, reason=EVERY_DAY)
    return replace(seen, confidence=HIGH if past.falls else MEDIUM)


def _why_level(past: LongTermTrend) -> tuple[str, str]:
    """Return (confidence, reason) of a curve that does not grow in a run of days."""
    if past.line is None or past.line.tau <= _SLOPING:
        return HIGH, FLOOR_LEVEL
    reason = {STEPS: STEPPED, SLOWING: SLOWS}.get(past.rise.kind)
    return (MEDIUM, reason) if reason is not None else (LOW, MAY_RISE)


def _from_past(case: Case, reason: str, confidence: str) -> Verdict:
    """Return growth at the rate of the whole run, or since the turn in it."""
    past, line = case.past, case.past.line
    if line is None:
        return case.seen
    rate, low, high = line.slope, line.low, line.high
    if past.rise.begin and past.rise.per_unit > rate > 0:
        by = past.rise.per_unit / rate
        rate, low, high = rate * by, low * by, high * by
    shape = TEETH if past.teeth else TURN if past.rise.begin else LINE
    change = rate * case.span_ms / HOUR_MS
    return Verdict(GROWING, rate, low, high, change, shape, confidence, reason)


def _risen(case: Case) -> Verdict:
    """Return the verdict on a run of days whose floor rises."""
    seen = case.seen
    if seen.kind != GROWING:
        return _from_past(case, FLOOR_RISES, MEDIUM if seen.kind == SHRINKING else HIGH)
    # a rate over less than a day may be part of the daily pattern
    if case.span_ms < DAY_H * HOUR_MS:
        return _from_past(case, FLOOR_RISES, HIGH)
    return replace(seen, confidence=HIGH, reason=FLOOR_RISES)


def _young(case: Case) -> Verdict:
    """Return the verdict on a rise in a run of less than two days."""
    seen, past = case.seen, case.past
    prior = past.range_before(int(case.points.t_ms[0]))
    if seen.kind == GROWING and not past.rises and prior is not None:
        low, high = prior
        if case.end < high - _BEFORE_SHARE * (high - low):
            return _calm(seen, AS_HIGH_BEFORE, confidence=MEDIUM)
    found = seen if seen.kind == GROWING else _from_past(case, "", "")
    ease = HELD if case.before == GROWING else 1.0
    fast = found.per_hour > ease * WAVE_PER_HOUR * case.level
    tall = found.change > ease * _WAVE_HEIGHT * case.level
    if (fast or tall) and seen.kind != GROWING and 2 * case.span_ms > case.known_ms:
        return _at_rest(case)  # the window shows most of the run, and no growth
    if fast or tall:
        return replace(found, confidence=HIGH, reason=FAST)
    if past.span_h >= _ALL_DAY_H and past.rises and _all_along(past):
        return replace(found, confidence=MEDIUM, reason=ALL_DAY)
    return replace(found, kind=NOT_SURE, confidence=LOW, reason=MAYBE_WAVE)


def _all_along(past: LongTermTrend) -> bool:
    """Return whether the floor rises in each part of the run."""
    rises = np.diff([median(part) for part in np.array_split(past.floor, _PARTS)])
    return bool(rises.min() > _ALL_DAY_SHARE * rises.mean())


def _new(case: Case) -> Verdict:
    """Return the verdict on a rise in the window if the floor of a run of days does not rise."""
    seen, past = case.seen, case.past
    begin_ms = int(case.points.t_ms[0])
    prior = past.range_before(begin_ms)
    if prior is None or begin_ms - past.begin_ms < DAY_H * HOUR_MS:
        return replace(seen, confidence=MEDIUM)
    low, high = prior
    ease = HELD if case.before == GROWING else 1.0
    if case.end - high > ease * max(_NEW_SHARE * (high - low), case.least):
        return replace(seen, confidence=HIGH, reason=NEW)
    if past.daily >= _RECURS:
        return _calm(seen, EVERY_DAY)
    return _calm(seen, AS_HIGH_BEFORE, confidence=MEDIUM)


def _as_earlier(case: Case, found: Verdict, earlier: LongTermTrend) -> Verdict:
    """Return the verdict on a possible wave or warm-up, by comparison with the previous run.

    The previous run's rise at the same age counts if its floor was level, and its rises at the
    same hours of its days if it had two; its general growth is subtracted.
    """
    begin_ms, end_ms = (int(case.points.t_ms[at]) for at in (0, -1))
    usual: list[float] = []
    aged = earlier.rise_at_age(begin_ms - case.past.begin_ms, end_ms - case.past.begin_ms)
    if aged is not None and case.past.from_start and not earlier.leaks:
        usual.append(aged)
    days = earlier.rises_at(begin_ms, end_ms)
    if len(days) >= _MIN_DAYS:
        usual += days.tolist()
    if not usual:
        return found
    most = max(usual)
    if case.risen <= _LIKE_EARLIER * most + case.least:
        return _calm(replace(found, kind=GROWING), EARLIER_RUN, confidence=MEDIUM)
    if len(days) >= _MIN_DAYS and case.risen > _UNLIKE_EARLIER * most + case.least:
        return replace(found, kind=GROWING, confidence=MEDIUM, reason=NOT_AS_EARLIER)
    return found
