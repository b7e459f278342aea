"""The texts of a verdict: one function for each place that shows it."""

from pprofplus_tui.model.units import (
    change_text,
    format_bytes,
    format_delta,
    format_delta_bytes,
    format_span_ms,
    rate_text,
)
from pprofplus_tui.model.verdict import (
    GROWING,
    LEVEL,
    LINE,
    MEDIUM,
    NOT_SURE,
    SAW_TOOTH,
    STEADY,
    STEP,
    TOO_LITTLE,
    WARM_UP,
    Layer,
    Verdict,
)
from pprofplus_tui.model.verdict_reasons import short_reason


def rate_is_shown(verdict: Verdict) -> bool:
    """Return whether a verdict is shown with its rate: it grows, shrinks or may grow."""
    return verdict.moves or verdict.kind == NOT_SURE


def arrow(verdict: Verdict, *, plain: bool) -> str:
    """Return the direction of a verdict whose rate is shown."""
    if verdict.kind in {GROWING, NOT_SURE}:
        return "^" if plain else "↗"
    return "v" if plain else "↘"


def interval_text(verdict: Verdict) -> str:
    """Return the interval of a rate, its unit once; "" if it has no width."""
    low, high = change_text(verdict.low), change_text(verdict.high)
    if low == high:
        return ""
    number, _, unit = low.partition(" ")
    return f" ({number if high.endswith(f' {unit}') else low} to {high})"


def verdict_text(verdict: Verdict, change_bytes: float | None = None) -> str:
    """Return a verdict with its figures: the interval of a rate, the height of a step.

    `change_bytes` is the measured change over the window, if it is known.
    """
    change = verdict.change if change_bytes is None else change_bytes
    if verdict.moves:
        return f"{verdict.kind} {rate_text(verdict.per_hour)}{interval_text(verdict)}"
    if verdict.kind == NOT_SURE:
        reason = short_reason(verdict)
        rate = f"{rate_text(verdict.per_hour)}{interval_text(verdict)}"
        return f"{verdict.kind}, {rate}{f', {reason}' if reason else ''}"
    if verdict.kind == SAW_TOOTH:
        return f"{verdict.kind}, {format_bytes(verdict.change)} high"
    if verdict.kind == STEADY and verdict.shape == STEP:
        return f"{verdict.kind}, stepped {change_text(change)}"
    if verdict.kind == STEADY and verdict.shape == WARM_UP:
        return f"{verdict.kind} after {change_text(change)}"
    return verdict.kind


def layer_text(layer: Layer) -> str:
    """Return the verdict on a layer with its figures; measured ones if they are known."""
    return verdict_text(layer.verdict, None if layer.change is None else layer.change.amount)


def short_layer_text(layer: Layer, *, plain: bool) -> str:
    """Return the verdict on a layer in a few words, for a line: no interval."""
    verdict = layer.verdict
    reason = short_reason(verdict)
    if verdict.moves:
        likely = "likely " if verdict.confidence == MEDIUM else ""
        words = f"{likely}{verdict.kind} {rate_text(verdict.per_hour)}"
        return f"{arrow(verdict, plain=plain)} {words}{f' {reason}' if reason else ''}"
    if verdict.kind == NOT_SURE:
        rate = rate_text(verdict.per_hour)
        return f"{arrow(verdict, plain=plain)} {rate}, {reason or verdict.kind}"
    if verdict.kind == SAW_TOOTH:
        return verdict.kind
    words = layer_text(layer)
    return f"{words}, {reason}" if reason else words


def change_words(layer: Layer) -> str:
    """Return the measured change of a layer: "+85.7 MiB in 4m58s (188 MiB to 274 MiB)".

    The change along its trend in the same time is added if it differs. "" without measured values.
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


def headline(verdict: Verdict) -> str:
    """Return a verdict for a table of a report: its rate to all digits, no interval."""
    rate = f"{format_delta_bytes(verdict.per_hour)}/h"
    if verdict.kind == NOT_SURE:
        return f"{verdict.kind}, {rate}, {short_reason(verdict)}"
    return f"{verdict.kind} {rate}" if verdict.moves else verdict.kind


def report_text(layer: Layer, span_ms: int) -> str:
    """Return the verdict on a layer for a report, with the measured change in the window."""
    verdict, span = layer.verdict, format_span_ms(span_ms)
    measured = change_words(layer)
    if verdict.moves:
        return ", ".join(filter(None, (headline(verdict), measured)))
    size = format_bytes(layer.now_bytes)
    if verdict.kind == NOT_SURE:
        return f"{headline(verdict)} over {span}, {size}"
    if verdict.kind == STEADY and verdict.shape not in {LEVEL, LINE}:
        return f"{verdict.kind} after a {verdict.shape}, {measured or size}"
    return f"{verdict.kind} over {span}, {measured or size}"


def growth_rate(per_hour: float, unit: str, *, plain: bool = False) -> str:
    """Return a rate of any unit, for comparisons of runs: to all digits."""
    return f"{format_delta(per_hour, unit, ascii_only=plain)}/h"


def growth_text(verdict: Verdict, unit: str, *, plain: bool = False) -> str:
    """Return the verdict on a run for a comparison: its rate if it moves, else its kind."""
    return growth_rate(verdict.per_hour, unit, plain=plain) if verdict.moves else verdict.kind


def growth_cell(verdict: Verdict | None, *, plain: bool) -> str:
    """Return the verdict on a live run in at most ten cells; dots while there is none."""
    if verdict is None:
        return "..." if plain else "…"
    if verdict.moves:
        return rate_text(verdict.per_hour)
    return "too little" if verdict.kind == TOO_LITTLE else verdict.kind
