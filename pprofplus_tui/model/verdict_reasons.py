"""Says why a verdict is what it is, and how far to rely on it: in a sentence, or shortly."""

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

# {known} is how much of the run the verdict rests on.
SENTENCES: dict[str, str] = {
    FLOOR_RISES: "the floor rises over the whole {known} that the log has",
    FAST: "it rises faster than a daily wave usually does; the log has {known} of this run",
    ALL_DAY: "it rises in every part of {known}, which is longer than a daily wave rises",
    NEW: "the level is above all that the {known} of this run had before",
    EVERY_DAY: "it changes as much at these hours of other days; the floor of {known} is level",
    AS_HIGH_BEFORE: "the level was as high before in this run, and came down again",
    SLOWS: "over the {known} of this run the rise became slower: a warm-up, or it has ended",
    STEPPED: "over the {known} of this run it rose in one to three steps, not steadily",
    FLOOR_LEVEL: "the floor is level over the whole {known} that the log has",
    MAYBE_WAVE: "a run of {known}: this may be a daily wave, which a day and a half would show",
    MAYBE_WARM_UP: "a run of {known} whose rise becomes slower: this may be a warm-up",
    EARLIER_RUN: "the run before rose as much at the same age or at the same hours",
    NOT_AS_EARLIER: "at the same hours the run before rose by less than half as much",
    YOUNG: "a run of {known}: its days are not known yet",
    MAY_RISE: "the floor of {known} may rise, but by no more than it could by chance",
}
# What a line of a few words has room for, where the window itself looks otherwise.
_SHORT: dict[str, str] = {
    FLOOR_RISES: "over {known}",
    EVERY_DAY: "a daily wave",
    AS_HIGH_BEFORE: "was as high before",
    MAY_RISE: "the floor may rise",
    MAYBE_WAVE: "may be a daily wave",
    MAYBE_WARM_UP: "may be a warm-up",
    EARLIER_RUN: "as the run before",
}


def because(verdict: Verdict) -> str:
    """Return the confidence and the reason as a sentence, "" if the window alone was judged."""
    if not verdict.confidence:
        return ""
    told = SENTENCES.get(verdict.reason, "")
    told = told.format(known=format_span_ms(verdict.known_ms))
    return f"Confidence: {verdict.confidence}{f'; {told}' if told else ''}."


def shortly(verdict: Verdict) -> str:
    """Return the reason in a few words; "" if there is none that the curve does not show."""
    told = _SHORT.get(verdict.reason, "")
    return told.format(known=format_span_ms(verdict.known_ms))
