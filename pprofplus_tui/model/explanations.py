"""What curves of memory usually mean and what to do next: tables, and sentences of a verdict."""

from dataclasses import dataclass

from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.death import KNOWN, PROBABLE, UNKNOWN, Death
from pprofplus_tui.model.units import (
    format_bytes,
    format_roughly_ms,
    format_share,
    format_span_ms,
    rate_text,
)
from pprofplus_tui.model.verdict import (
    GROWING,
    LEVEL,
    LINE,
    NOT_SURE,
    STEP,
    TEETH,
    TOO_LITTLE,
    TURN,
    WARM_UP,
    Layer,
    Verdicts,
)
from pprofplus_tui.model.verdict_reasons import because
from pprofplus_tui.model.verdict_text import change_words, interval_text, layer_text


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
LAYERS_HEADING = "\nWhere the memory is: rss is about heap_sys + malloc_sys + other"
# What the metrics of the layers say together: (figures, id of the layer that grows).
SIGNPOSTS: tuple[tuple[str, str], ...] = (
    ("heap_used grows", "objects"),
    ("heap_sys stays up while heap_used falls", "fragmentation"),
    ("malloc_used grows, heap_used flat", "c_heap"),
    ("malloc_free is large", "c_free"),
    ("rss grows and none of those", "other"),
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


def shape_of(facts: Verdicts) -> str:
    """Return the shape of RSS's curve, or "" if there is too little of it."""
    whole = facts.rss
    return "" if whole is None or whole.verdict.kind == TOO_LITTLE else whole.verdict.shape


def _first(facts: Verdicts, whole: Layer) -> str:
    span, verdict, measured = format_span_ms(facts.span_ms), whole.verdict, change_words(whole)
    words = layer_text(whole)
    if verdict.kind == NOT_SURE:
        words = f"rising {rate_text(verdict.per_hour)}{interval_text(verdict)}"
        words += "; whether it grows for good is not sure"
    return f"In these {span}, RSS is {words}{': ' if measured else ''}{measured}."


def _of_whole(facts: Verdicts, whole: Layer) -> list[str]:
    verdict = whole.verdict
    if verdict.kind == TOO_LITTLE:
        return ["There is too little data in this window for a verdict: look at more of it."]
    lines = [_first(facts, whole)]
    why = because(verdict)
    if why:
        lines.append(why)
    blamed = facts.responsible
    if blamed is not None:
        lines.append(
            f"Behind it is {blamed.kind.title}: {blamed.kind.meaning}. Next: {blamed.kind.action}."
        )
    elif verdict.kind == GROWING and len(facts.layers) > 1:
        lines.append("No layer alone is behind it.")
    elif facts.rising is not None:
        lines.append(f"Most of the rise is in {facts.rising.kind.title}.")
    return lines


def absent_words(facts: Verdicts) -> str:
    """Return a sentence on memory that is allocated but not resident, "" if there is none."""
    absent = facts.layer("absent")
    if absent is None or not absent.now_bytes:
        return ""
    size = format_bytes(absent.now_bytes)
    return (
        f"{size} of what is allocated is not resident, so that the layers add up to more than RSS: "
        f"{absent.kind.meaning}."
    )


def sharing_words(facts: Verdicts) -> str:
    """Return whose memory the cgroup's figure is besides that of this run."""
    if facts.sharers is None or facts.sharers < 2:  # noqa: PLR2004 - this run alone
        return "that includes its other processes and page cache"
    return f"{facts.sharers} live runs share it, with its other processes and page cache"


def limit_words(facts: Verdicts, *, ended: bool = False) -> tuple[str, ...]:
    """Return sentences on the limit: whose it is, how much of it is used, when it is reached.

    The figure is what the kernel charges to the cgroup, which is not this run's RSS.
    """
    if not facts.limit_bytes:
        return ()
    limit = format_bytes(facts.limit_bytes)
    if facts.used_bytes is None:
        return (f"The limit of the container (cgroup) is {limit}.",)
    share = format_share(facts.used_bytes / facts.limit_bytes)
    used = format_bytes(facts.used_bytes)
    uses = f"The container (cgroup) uses {used}, {share} of its limit of {limit}"
    lines = [f"{uses}; {sharing_words(facts)}."]
    left_ms = facts.limit_in_ms
    if left_ms is not None:
        when = "would have been" if ended else "is"
        left = format_roughly_ms(left_ms)
        lines.append(f"At this rate the limit {when} reached {left} after this window.")
    return tuple(lines)


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
    lines += limit_words(facts)
    absent = absent_words(facts)
    lines += [absent] if absent else []
    hidden = [
        layer.kind.title
        for layer in facts.layers[1:]
        if layer.verdict.kind == GROWING and whole.verdict.kind != GROWING
    ]
    if hidden:
        lines.append(f"Growing though RSS does not: {', '.join(hidden)}.")
    return tuple(lines)
