"""What curves of memory usually mean and what to do next: tables, and sentences of a verdict."""

from dataclasses import dataclass

from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.death import KNOWN, PROBABLE, UNKNOWN, Death
from pprofplus_tui.model.units import (
    change_text,
    format_bytes,
    format_roughly_ms,
    format_span_ms,
    rate_text,
)
from pprofplus_tui.model.verdict import (
    GROWING,
    LEVEL,
    LINE,
    SAW_TOOTH,
    STEADY,
    STEP,
    TEETH,
    TOO_LITTLE,
    TURN,
    WARM_UP,
    Layer,
    Verdict,
    Verdicts,
)


@dataclass(frozen=True)
class ShapeKind:
    """A shape of curve.

    Attributes:
        id: as in `verdict.SHAPES`.
        looks: what it looks like.
        meaning: what it usually means.
        action: what to do next.
    """

    id: str
    looks: str
    meaning: str
    action: str


SHAPE_KINDS: tuple[ShapeKind, ...] = (
    ShapeKind(
        LEVEL,
        "level, with noise or waves",
        "the service holds what it needs; waves follow its load",
        "nothing; a longer window (-, or 0 for the whole run) makes sure",
    ),
    ShapeKind(
        WARM_UP,
        "rises, then stays flat",
        "caches, pools and modules have filled up",
        "nothing, if it stays flat as long as it rose",
    ),
    ShapeKind(
        STEP,
        "jumps once, level before and after",
        "something large was loaded: a model, a cache, a first big request",
        "look for a mark, a deploy or a request at that time",
    ),
    ShapeKind(
        TEETH,
        "rises slowly, falls at once, again and again",
        "garbage in cycles until a collection, or batches; the floor is what counts",
        "nothing while the floor is level; compare with the gc chart",
    ),
    ShapeKind(
        LINE,
        "rises evenly, or in many steps",
        "something is kept for each request, job or tick: a leak, or a cache without a bound",
        "see which layer grows below; compare two tracemalloc snapshots",
    ),
    ShapeKind(
        TURN,
        "was level, then began to rise",
        "something switched a leak on",
        "zoom in (+) on where it begins: deploy, mark, load, threads",
    ),
)
# Sums that Go's MemStats has a name for, beside those in the catalogue.
GO_SUMS: tuple[tuple[str, str], ...] = (
    ("heap_sys + malloc_sys", "Sys"),
    ("heap_sys - heap_idle", "HeapInuse"),
)


def chart_metrics(chart: ChartKind) -> tuple[str, ...]:
    """Return the metrics that a chart draws or notes, the most important first."""
    lines = [series.metric for series in reversed(chart.series)]
    return tuple(dict.fromkeys(lines + [name for note in chart.notes for name in note.metrics]))


def _interval(verdict: Verdict) -> str:
    """Return the interval of a rate, its unit once, or nothing if it has no width."""
    low, high = change_text(verdict.low), change_text(verdict.high)
    if low == high:
        return ""
    number, _, unit = low.partition(" ")
    return f" ({number if high.endswith(f' {unit}') else low} to {high})"


def in_words(verdict: Verdict) -> str:
    """Return a verdict with its figures: the interval of a rate, the height of a step."""
    if verdict.moves:
        return f"{verdict.kind} {rate_text(verdict.per_hour)}{_interval(verdict)}"
    if verdict.kind == SAW_TOOTH:
        return f"saw-tooth, {format_bytes(verdict.change)} high"
    if verdict.kind == STEADY and verdict.shape == STEP:
        return f"steady, stepped {change_text(verdict.change)}"
    if verdict.kind == STEADY and verdict.shape == WARM_UP:
        return f"steady after {change_text(verdict.change)}"
    return verdict.kind


def shape_of(facts: Verdicts) -> str:
    """Return the shape of RSS's curve, or "" if there is too little of it."""
    whole = facts.rss
    return "" if whole is None or whole.verdict.kind == TOO_LITTLE else whole.verdict.shape


def _of_whole(facts: Verdicts, whole: Layer) -> list[str]:
    verdict = whole.verdict
    if verdict.kind == TOO_LITTLE:
        return ["There is too little data in this window for a verdict: look at more of it."]
    lines = [f"In these {format_span_ms(facts.span_ms)}, RSS is {in_words(verdict)}."]
    blamed = facts.responsible
    if blamed is not None:
        lines.append(
            f"Behind it is {blamed.kind.title}: {blamed.kind.meaning}. Next: {blamed.kind.action}."
        )
    elif verdict.kind == GROWING and len(facts.layers) > 1:
        lines.append("No layer alone is behind it.")
    left_ms = facts.limit_in_ms
    if left_ms is not None and facts.limit_bytes:
        limit, left = format_bytes(facts.limit_bytes), format_roughly_ms(left_ms)
        # of a run that has ended it is true as well
        lines.append(f"At this rate the limit of {limit} is reached {left} after this window.")
    return lines


_CERTAIN = {KNOWN: "Known", PROBABLE: "Probable, not proven"}


def of_death(death: Death | None) -> tuple[str, ...]:
    """Return what there is to say about the end of a run, in sentences."""
    if death is None:
        return ()
    cause = death.cause
    if cause.certainty == UNKNOWN:
        lines = [f"How it ended is not known: {cause.reason}."]
    else:
        why = f": {cause.reason}" if cause.reason else ""
        lines = [f"How it ended: {cause.short}. {_CERTAIN[cause.certainty]}{why}."]
    if death.figures:
        lines.append(f"At its last sample: {death.figures}.")
    return tuple(lines)


def told(facts: Verdicts) -> tuple[str, ...]:
    """Return what there is to say of a window, in sentences."""
    whole = facts.rss
    if whole is None:
        return ("There are no figures in this window.",)
    lines = _of_whole(facts, whole)
    hidden = [
        layer.kind.title
        for layer in facts.layers[1:]
        if layer.verdict.kind == GROWING and whole.verdict.kind != GROWING
    ]
    if hidden:
        lines.append(f"Growing though RSS does not: {', '.join(hidden)}.")
    return tuple(lines)
