"""The line above the charts: the verdict on RSS, the layer that grows most, the limit."""

from itertools import product

from pprofplus_tui.model.cell_rows import Cellrun, Row, width_of
from pprofplus_tui.model.death import NEAR_LIMIT, UNKNOWN, Death
from pprofplus_tui.model.durations import DAY_MS, WEEK_MS
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.units import (
    change_text,
    format_bytes,
    format_roughly_ms,
    format_share,
    format_span_ms,
    rate_text,
)
from pprofplus_tui.model.verdict import GROWING, Layer, Verdicts
from pprofplus_tui.model.verdict_text import arrow, rate_is_shown, short_layer_text
from pprofplus_tui.widgets.row_text import fit, joined

_SOON_MS = WEEK_MS
_FAR_MS = 60 * DAY_MS
_ALARMING = 10  # growth by more than a tenth of the former size
_GAP = 3
# the cause gets a third of the line, but at least 24 cells; the rest is for the verdict
_CAUSE_SHARE, _CAUSE_CELLS = 3, 24


def _is_highlighted(verdicts: Verdicts, layer: Layer) -> bool:
    """Return whether growth is highlighted: it is large, or the limit is near at this rate."""
    verdict = layer.verdict
    if verdict.kind != GROWING:
        return False
    soon = verdicts.limit_in_ms is not None and verdicts.limit_in_ms < _SOON_MS
    return soon or layer.change_bytes * _ALARMING > layer.now_bytes - layer.change_bytes


def _whole(verdicts: Verdicts, layer: Layer, *, plain: bool) -> Row:
    style = "text" if rate_is_shown(layer.verdict) else "dim"
    if _is_highlighted(verdicts, layer):
        style = "grow"
    return (
        Cellrun(f"{layer.kind.label} ", "dim"),
        Cellrun(f"{format_bytes(layer.now_bytes)} ", "title"),
        Cellrun(short_layer_text(layer, plain=plain), style),
    )


def _part(layer: Layer, *, grows_most: bool, plain: bool) -> Row:
    text = ""
    if rate_is_shown(layer.verdict):
        text = f" {arrow(layer.verdict, plain=plain)} {rate_text(layer.verdict.per_hour)}"
    return (
        Cellrun(f"{layer.kind.label} ", "dim"),
        Cellrun(format_bytes(layer.now_bytes), "text"),
        Cellrun(text, "text" if grows_most else "dim"),
    )


def _growing_layer(layer: Layer, *, plain: bool) -> tuple[Row, ...]:
    """Return forms of the text on the layer that grows most, the longest first."""
    way = arrow(layer.verdict, plain=plain)
    name, rate = Cellrun(f"{layer.kind.label} ", "dim"), rate_text(layer.verdict.per_hour)
    return (
        _part(layer, grows_most=True, plain=plain),
        (name, Cellrun(f"{way} {rate}", "text")),
        (name, Cellrun(way, "text")),
    )


def _measured(layer: Layer) -> Row:
    """Return the measured change of a layer that grows or shrinks."""
    change = layer.change
    if change is None or not layer.verdict.moves:
        return ()
    return (Cellrun(f"{change_text(change.amount)} in {format_span_ms(change.span_ms)}", "dim"),)


def _limit(verdicts: Verdicts) -> tuple[Row, ...]:
    """Return forms of the text on the cgroup's limit, the longest first; nothing without a limit.

    The percentage is of the memory charged to the cgroup, which is not this run's RSS: both are
    shown, and how many runs share the cgroup.
    """
    if not verdicts.limit_bytes:
        return ()
    size, left_ms = format_bytes(verdicts.limit_bytes), verdicts.limit_in_ms
    if verdicts.used_bytes is None:
        return ((Cellrun(f"cgroup limit {size}", "dim"),),)
    share, used = verdicts.used_bytes / verdicts.limit_bytes, format_bytes(verdicts.used_bytes)
    if share <= NEAR_LIMIT and left_ms is not None and left_ms < _FAR_MS:
        left = Cellrun(format_roughly_ms(left_ms), "grow" if left_ms < _SOON_MS else "text")
        return (
            (Cellrun(f"cgroup {used}, limit {size} in ", "dim"), left),
            (Cellrun(f"limit {size} in ", "dim"), left),
        )
    name, size_used = Cellrun("cgroup ", "dim"), Cellrun(f"{used}, ", "text")
    part = Cellrun(format_share(share), "died" if share > NEAR_LIMIT else "text")
    shared = verdicts.sharers is not None and verdicts.sharers > 1
    runs = f", {verdicts.sharers} runs" if shared else ""
    return (
        (name, size_used, part, Cellrun(f" of its limit {size}{runs}", "dim")),
        (name, size_used, part, Cellrun(f" of {size}{runs}", "dim")),
        (name, size_used, part, Cellrun(f" of {size}", "dim")),
        (name, part, Cellrun(f" of {size}", "dim")),
    )


def _taken(rows: tuple[Row, ...]) -> int:
    """Return the cells of the parts, each with the gap before it."""
    return sum(_GAP + width_of(row) for row in rows if row)


def death_row(death: Death | None, width: int, *, plain: bool = False) -> Row:
    """Return why a run ended in at most `width` cells, the longest form that has room."""
    if death is None or death.cause.is_expected:
        return ()
    cause = death.cause
    style = "died" if cause.is_death else "dim"
    peak = f", peak {format_bytes(death.peak_bytes)}" if death.peak_bytes is not None else ""
    unknown = cause.certainty == UNKNOWN
    forms = (
        f"{cause.reason if unknown else cause.sentence}{peak}",
        cause.reason if unknown else cause.sentence,
        f"{cause.text}{peak}",
        cause.text,
    )
    shown = (narrow(form, ascii_only=plain) for form in forms)
    text = next((form for form in shown if len(form) <= width), "")
    return (Cellrun(text, style),) if text else ()


def verdict_row(
    verdicts: Verdicts, width: int, *, plain: bool = False, death: Death | None = None
) -> Row:
    """Return the second line: the verdict on RSS, the layer that grows most, the limit, the rest.

    For an ended run it begins with the cause. If room is short, whole figures are left out: first
    those of small layers that do not change, then the change of RSS, the limit, and last the layer
    that grows most.
    """
    if death is not None:
        cause = death_row(death, max(width // _CAUSE_SHARE, _CAUSE_CELLS), plain=plain)
        if cause:
            room = max(width - width_of(cause) - _GAP, 0)
            rest = verdict_row(verdicts, room, plain=plain)
            return fit((Cellrun(" ", "text"), *cause, Cellrun("  ", "text"), *rest), width)
    if not verdicts.layers:
        return fit((), width)
    first, *others = verdicts.layers
    grows_most = verdicts.responsible
    order = sorted(
        others, key=lambda x: (x is not grows_most, not rate_is_shown(x.verdict), -abs(x.now_bytes))
    )
    head, limits = _whole(verdicts, first, plain=plain), _limit(verdicts)
    room = width - 1 - width_of(head)
    # the layer that grows most and the limit, in the longest forms that fit together
    forms: tuple[Row, ...] = (
        _growing_layer(grows_most, plain=plain) if grows_most is not None else ()
    )
    ranked = sorted(product(range(len(forms)), range(len(limits))), key=lambda at: (sum(at), at))
    choices: list[tuple[Row, Row]] = [(forms[i], limits[j]) for i, j in ranked]
    choices += [(row, ()) for row in forms] + [((), limit) for limit in limits]
    growing, limit = next((pair for pair in choices if _taken(pair) <= room), ((), ()))
    room -= _taken((growing, limit))
    measured = _measured(first)
    if measured and _taken((measured,)) <= room:
        room -= _taken((measured,))
    else:
        measured = ()
    picked = {grows_most.kind.id: growing} if grows_most is not None and growing else {}
    for layer in order:
        if layer is grows_most:
            continue
        row = _part(layer, grows_most=False, plain=plain)
        if _GAP + width_of(row) > room:
            break
        picked[layer.kind.id] = row
        room -= _GAP + width_of(row)
    parts = [
        head,
        *((measured,) if measured else ()),
        *(picked[x.kind.id] for x in others if x.kind.id in picked),
    ]
    if limit:
        parts.append(limit)
    between = Cellrun(" " * _GAP, "text")
    return fit((Cellrun(" ", "text"), *joined(parts, between, width - 1)), width)
