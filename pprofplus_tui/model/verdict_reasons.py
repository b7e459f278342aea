"""The reason and the confidence of a verdict: as a sentence, or in a few words."""

from pprofplus_tui.model.units import format_span_ms
from pprofplus_tui.model.verdict import (
    ALL_DAY,
    AS_HIGH_BEFORE,
    EARLIER_RUN,
    EVERY_DAY,
    FAST,
    FLOOR_LEVEL,
    FLOOR_RISES,
    MAY_RISE,
    MAYBE_WARM_UP,
    MAYBE_WAVE,
    NEW,
    NOT_AS_EARLIER,
    SLOWS,
    STEPPED,
    YOUNG,
    Verdict,
)

# {known} is how much of the run the verdict is based on.
SENTENCES: dict[str, str] = {
    FLOOR_RISES: "the floor rises over all {known} that the log covers",
    FAST: "it rises faster than a daily wave usually does; the log covers {known} of this run",
    ALL_DAY: "it rises in every part of {known}, longer than a daily wave rises",
    NEW: "the level is higher than ever before in the {known} of this run",
    EVERY_DAY: "it changes as much at these hours of other days; the floor over {known} is level",
    AS_HIGH_BEFORE: "the level was as high earlier in this run, and fell again",
    SLOWS: "over the {known} of this run the rise slowed down: a warm-up, or it has ended",
    STEPPED: "over the {known} of this run it rose in one to three steps, not steadily",
    FLOOR_LEVEL: "the floor is level over all {known} that the log covers",
    MAYBE_WAVE: "only {known} is logged: this may be a daily wave; 36 hours of log would show it",
    MAYBE_WARM_UP: "only {known} is logged, and the rise slows down: this may be a warm-up",
    EARLIER_RUN: "the previous run rose by as much at the same age or at the same hours",
    NOT_AS_EARLIER: "at the same hours the previous run rose by less than half as much",
    YOUNG: "only {known} is logged: too short to compare days",
    MAY_RISE: "the floor over {known} may rise, but by no more than chance would explain",
}
# Short forms for one line, of the reasons that the curve in the window does not show.
_SHORT: dict[str, str] = {
    FLOOR_RISES: "over {known}",
    EVERY_DAY: "a daily wave",
    AS_HIGH_BEFORE: "was as high before",
    MAY_RISE: "the floor may rise",
    MAYBE_WAVE: "may be a daily wave",
    MAYBE_WARM_UP: "may be a warm-up",
    EARLIER_RUN: "as the previous run",
}


def reason_sentence(verdict: Verdict) -> str:
    """Return the confidence and the reason as a sentence, "" if only the window was judged."""
    if not verdict.confidence:
        return ""
    reason = SENTENCES.get(verdict.reason, "")
    reason = reason.format(known=format_span_ms(verdict.known_ms))
    return f"Confidence: {verdict.confidence}{f'; {reason}' if reason else ''}."


def short_reason(verdict: Verdict) -> str:
    """Return the reason in a few words; "" if there is none that the curve does not show."""
    reason = _SHORT.get(verdict.reason, "")
    return reason.format(known=format_span_ms(verdict.known_ms))
