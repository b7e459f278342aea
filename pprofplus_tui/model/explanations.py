"""What curves of memory usually mean and what to do next: tables, and sentences of a verdict."""

from dataclasses import dataclass

from pprofplus_tui.model.charts import ChartKind
from pprofplus_tui.model.death import KNOWN, PROBABLE, UNKNOWN, Death
from pprofplus_tui.model.units import (
    change_text,
    format_bytes,
    format_delta_bytes,
    format_roughly_ms,
    format_span_ms,
    rate_text,
)
from pprofplus_tui.model.verdict import (
    GROWING,
    LEVEL,
    LINE,
    NOT_SURE,
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
from pprofplus_tui.model.verdict_reasons import because, shortly


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


def in_words(verdict: Verdict, change_bytes: float | None = None) -> str:
    """Return a verdict with its figures: the interval of a rate, the height of a step.

    `change_bytes` is what was measured over the window, if that is known.
    """
    change = verdict.change if change_bytes is None else change_bytes
    if verdict.moves:
        return f"{verdict.kind} {rate_text(verdict.per_hour)}{_interval(verdict)}"
    if verdict.kind == NOT_SURE:
        told = shortly(verdict)
        rise = f"{rate_text(verdict.per_hour)}{_interval(verdict)}"
        return f"not sure, {rise}{f', {told}' if told else ''}"
    if verdict.kind == SAW_TOOTH:
        return f"saw-tooth, {format_bytes(verdict.change)} high"
    if verdict.kind == STEADY and verdict.shape == STEP:
        return f"steady, stepped {change_text(change)}"
    if verdict.kind == STEADY and verdict.shape == WARM_UP:
        return f"steady after {change_text(change)}"
    return verdict.kind


def layer_in_words(layer: Layer) -> str:
    """Return the verdict on a layer, with what was measured."""
    return in_words(layer.verdict, None if layer.change is None else layer.change.amount)


def change_words(layer: Layer) -> str:
    """Return what a layer changed by, as measured: "+85.7 MiB in 4m58s (188 MiB to 274 MiB)".

    What its trend comes to in that time is added if that is something else. "" if nothing was
    measured.
    """
    change, verdict = layer.change, layer.verdict
    if change is None:
        return ""
    first, last = format_bytes(change.first), format_bytes(change.last)
    words = f"{format_delta_bytes(change.amount)} in {format_span_ms(change.span_ms)}"
    words += f" ({first} to {last})" if first != last else ""
    if verdict.moves and change.differs_from(verdict.per_hour):
        words += f", {format_delta_bytes(change.along(verdict.per_hour))} along the trend"
    return words


def shape_of(facts: Verdicts) -> str:
    """Return the shape of RSS's curve, or "" if there is too little of it."""
    whole = facts.rss
    return "" if whole is None or whole.verdict.kind == TOO_LITTLE else whole.verdict.shape


def _first(facts: Verdicts, whole: Layer) -> str:
    span, verdict, measured = format_span_ms(facts.span_ms), whole.verdict, change_words(whole)
    words = layer_in_words(whole)
    if verdict.kind == NOT_SURE:
        words = f"rising {rate_text(verdict.per_hour)}{_interval(verdict)}"
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
    share = f"{100 * facts.used_bytes / facts.limit_bytes:.0f} %"
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
