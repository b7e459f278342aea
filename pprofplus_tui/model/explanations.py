"""What curves of memory usually mean and what to do next: tables, and sentences on verdicts."""

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
from pprofplus_tui.model.verdict_reasons import reason_sentence
from pprofplus_tui.model.verdict_text import change_words, interval_text, layer_text


@dataclass(frozen=True)
class ShapeKind:
    """A shape of curve.

    Attributes:
        id: as in `verdict.SHAPES`.
        appearance: what it looks like.
        meaning: what it usually means.
        action: what to do next.
    """

    id: str
    appearance: str
    meaning: str
    action: str


SHAPE_KINDS: tuple[ShapeKind, ...] = (
    ShapeKind(
        LEVEL,
        "level, with noise or waves",
        "memory use is stable; waves follow the load",
        "nothing; to be sure, look at a longer window (-, or 0 for the whole run)",
    ),
    ShapeKind(
        WARM_UP,
        "rises, then stays flat",
        "caches and pools have filled, modules are loaded",
        "nothing, if it stays flat for as long as it rose",
    ),
    ShapeKind(
        STEP,
        "jumps once, level before and after",
        "something large was loaded: a model, a cache, a first big request",
        "look for a mark, a deploy or a request at that time",
    ),
    ShapeKind(
        TEETH,
        "rises slowly, drops suddenly, repeatedly",
        "reference cycles until a collection frees them, or batches; only the low points matter",
        "nothing while the low points stay level; compare with the gc chart",
    ),
    ShapeKind(
        LINE,
        "rises steadily, or in many steps",
        "each request, job or tick keeps some memory: a leak, or an unbounded cache",
        "see which layer grows below; compare two tracemalloc snapshots",
    ),
    ShapeKind(
        TURN,
        "was level, then began to rise",
        "a leak began at that moment",
        "zoom in (+) where the rise begins: look for a deploy, a mark, load, threads",
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
# Sums of metrics that Go's MemStats has a name for; the catalogue has the single metrics.
GO_SUMS: tuple[tuple[str, str], ...] = (
    ("heap_sys + malloc_sys", "Sys"),
    ("heap_sys - heap_idle", "HeapInuse"),
)


def chart_metrics(chart: ChartKind) -> tuple[str, ...]:
    """Return the metrics that a chart draws or notes, the most important first."""
    lines = [series.metric for series in reversed(chart.series)]
    return tuple(dict.fromkeys(lines + [name for note in chart.notes for name in note.metrics]))


def shape_of(verdicts: Verdicts) -> str:
    """Return the shape of RSS's curve, or "" if there is too little of it."""
    whole = verdicts.rss
    return "" if whole is None or whole.verdict.kind == TOO_LITTLE else whole.verdict.shape


def _first(verdicts: Verdicts, whole: Layer) -> str:
    span, verdict, measured = format_span_ms(verdicts.span_ms), whole.verdict, change_words(whole)
    words = layer_text(whole)
    if verdict.kind == NOT_SURE:
        words = f"rising {rate_text(verdict.per_hour)}{interval_text(verdict)}"
        words += "; whether this is lasting growth is not sure"
    return f"In this window of {span}, RSS is {words}{': ' if measured else ''}{measured}."


def layer_sentences(verdicts: Verdicts) -> tuple[str, ...]:
    """Return which layer a rise of RSS is in, what that means and what to do; none if none is."""
    layer = verdicts.responsible
    if layer is not None:
        kind = layer.kind
        return (f"The layer that grows most is {kind.title}: {kind.meaning}. Next: {kind.action}.",)
    whole = verdicts.rss
    if whole is not None and whole.verdict.kind == GROWING and len(verdicts.layers) > 1:
        return ("No single layer explains the growth.",)
    if verdicts.rising is not None:
        return (f"The layer that rises most is {verdicts.rising.kind.title}.",)
    return ()


def _rss_sentences(verdicts: Verdicts, whole: Layer) -> list[str]:
    verdict = whole.verdict
    if verdict.kind == TOO_LITTLE:
        return ["This window has too little data for a verdict: zoom out (-)."]
    reason = reason_sentence(verdict)
    return [_first(verdicts, whole), *([reason] if reason else []), *layer_sentences(verdicts)]


def absent_sentence(verdicts: Verdicts) -> str:
    """Return a sentence on memory that is allocated but not resident, "" if there is none."""
    absent = verdicts.layer("absent")
    if absent is None or not absent.now_bytes:
        return ""
    size = format_bytes(absent.now_bytes)
    return (
        f"{size} of the allocated memory is not resident, so the layers add up to more than RSS: "
        f"{absent.kind.meaning}."
    )


def sharing_clause(verdicts: Verdicts) -> str:
    """Return a clause on what else the cgroup's figure includes."""
    if verdicts.sharers is None or verdicts.sharers < 2:  # noqa: PLR2004 - this run alone
        return "this includes other processes and the page cache"
    return f"{verdicts.sharers} live runs share it, with other processes and the page cache"


def limit_sentences(verdicts: Verdicts, *, ended: bool = False) -> tuple[str, ...]:
    """Return sentences on the cgroup's limit: how much of it is used, when it is reached.

    The figure is what the kernel charges to the cgroup, which is not this run's RSS.
    """
    if not verdicts.limit_bytes:
        return ()
    limit = format_bytes(verdicts.limit_bytes)
    if verdicts.used_bytes is None:
        return (f"The limit of the container (cgroup) is {limit}.",)
    share = format_share(verdicts.used_bytes / verdicts.limit_bytes)
    used = format_bytes(verdicts.used_bytes)
    uses = f"The container (cgroup) uses {used}, {share} of its limit of {limit}"
    lines = [f"{uses}; {sharing_clause(verdicts)}."]
    left_ms = verdicts.limit_in_ms
    if left_ms is not None:
        when = "would have been" if ended else "is"
        left = format_roughly_ms(left_ms)
        lines.append(f"At this rate the limit {when} reached {left} after this window.")
    return tuple(lines)


_CERTAIN = {KNOWN: "Known", PROBABLE: "Probable, not proven"}


def death_sentences(death: Death | None) -> tuple[str, ...]:
    """Return sentences on how a run ended."""
    if death is None:
        return ()
    cause = death.cause
    if cause.certainty == UNKNOWN:
        lines = [f"The cause of its end is not known: {cause.reason}."]
    else:
        why = f": {cause.reason}" if cause.reason else ""
        lines = [f"How it ended: {cause.short}. {_CERTAIN[cause.certainty]}{why}."]
    if death.figures:
        lines.append(f"At its last sample: {death.figures}.")
    return tuple(lines)


def window_sentences(verdicts: Verdicts) -> tuple[str, ...]:
    """Return sentences on what memory does in a window."""
    whole = verdicts.rss
    if whole is None:
        return ("This window has no samples of RSS.",)
    lines = _rss_sentences(verdicts, whole)
    lines += limit_sentences(verdicts)
    absent = absent_sentence(verdicts)
    lines += [absent] if absent else []
    hidden = [
        layer.kind.title
        for layer in verdicts.layers[1:]
        if layer.verdict.kind == GROWING and whole.verdict.kind != GROWING
    ]
    if hidden:
        lines.append(f"Growing although RSS is not: {', '.join(hidden)}.")
    return tuple(lines)
