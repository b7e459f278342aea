"""The line above the charts: what memory does in the window, which layer, how far to the limit."""

from itertools import product

from pprofplus_tui.model.cell_rows import Cellrun, Row, width_of
from pprofplus_tui.model.death import UNKNOWN, Death
from pprofplus_tui.model.explanations import layer_in_words
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.units import (
    change_text,
    format_bytes,
    format_roughly_ms,
    format_span_ms,
    rate_text,
)
from pprofplus_tui.model.verdict import (
    GROWING,
    HOUR_MS,
    MEDIUM,
    NOT_SURE,
    SAW_TOOTH,
    Layer,
    Verdict,
    Verdicts,
)
from pprofplus_tui.model.verdict_reasons import shortly
from pprofplus_tui.widgets.row_text import fit, joined

_SOON_MS = 7 * 24 * HOUR_MS
_FAR_MS = 60 * 24 * HOUR_MS
_NEAR = 0.9  # the last tenth before the OOM killer
_ALARMING = 10  # it grew by more than a tenth of what it was
_GAP = 3
_CAUSE_SHARE, _CAUSE_CELLS = 3, 24  # of the line, so that what memory did has room, too


def arrow(verdict: Verdict, *, plain: bool) -> str:
    """Return which way it goes."""
    if verdict.kind in {GROWING, NOT_SURE}:
        return "^" if plain else "↗"
    return "v" if plain else "↘"


def verdict_text(layer: Layer, *, plain: bool) -> str:
    """Return the verdict on a layer in a few words."""
    verdict = layer.verdict
    why = shortly(verdict)
    if verdict.moves:
        likely = "likely " if verdict.confidence == MEDIUM else ""
        way = arrow(verdict, plain=plain)
        told = f"{way} {likely}{verdict.kind} {rate_text(verdict.per_hour)}"
        return f"{told} {why}" if why else told
    if verdict.kind == NOT_SURE:
        way = arrow(verdict, plain=plain)
        return f"{way} {rate_text(verdict.per_hour)}, {why or verdict.kind}"
    if verdict.kind == SAW_TOOTH:
        return verdict.kind
    told = layer_in_words(layer)
    return f"{told}, {why}" if why else told


def _rises(layer: Layer) -> bool:
    """Tell whether a layer's rate is shown."""
    return layer.verdict.moves or layer.verdict.kind == NOT_SURE


def _is_loud(facts: Verdicts, layer: Layer) -> bool:
    """Tell whether growth is worth a colour: it is large, or the limit is near at this rate."""
    verdict = layer.verdict
    if verdict.kind != GROWING:
        return False
    soon = facts.limit_in_ms is not None and facts.limit_in_ms < _SOON_MS
    return soon or layer.change_bytes * _ALARMING > layer.now_bytes - layer.change_bytes


def _whole(facts: Verdicts, layer: Layer, *, plain: bool) -> Row:
    style = "grow" if _is_loud(facts, layer) else "text" if _rises(layer) else "dim"
    return (
        Cellrun(f"{layer.kind.label} ", "dim"),
        Cellrun(f"{format_bytes(layer.now_bytes)} ", "title"),
        Cellrun(verdict_text(layer, plain=plain), style),
    )


def _part(layer: Layer, *, blamed: bool, plain: bool) -> Row:
    told = ""
    if _rises(layer):
        told = f" {arrow(layer.verdict, plain=plain)} {rate_text(layer.verdict.per_hour)}"
    return (
        Cellrun(f"{layer.kind.label} ", "dim"),
        Cellrun(format_bytes(layer.now_bytes), "text"),
        Cellrun(told, "text" if blamed else "dim"),
    )


def _blame(layer: Layer, *, plain: bool) -> tuple[Row, ...]:
    """Return what is told of the layer to blame, the longest first."""
    way = arrow(layer.verdict, plain=plain)
    name, rate = Cellrun(f"{layer.kind.label} ", "dim"), rate_text(layer.verdict.per_hour)
    return (
        _part(layer, blamed=True, plain=plain),
        (name, Cellrun(f"{way} {rate}", "text")),
        (name, Cellrun(way, "text")),
    )


def _measured(layer: Layer) -> Row:
    """Return what a layer that moves changed by in the window, as measured."""
    change = layer.change
    if change is None or not layer.verdict.moves:
        return ()
    return (Cellrun(f"{change_text(change.amount)} in {format_span_ms(change.span_ms)}", "dim"),)


def _limit(facts: Verdicts) -> tuple[Row, ...]:
    """Return forms of the text on the cgroup's limit, the longest first; nothing without a limit.

    The percentage is of what is charged to the cgroup, which is not this run's RSS: both stand
    there, and how many runs share it.
    """
    if not facts.limit_bytes:
        return ()
    size, left_ms = format_bytes(facts.limit_bytes), facts.limit_in_ms
    if facts.used_bytes is None:
        return ((Cellrun(f"cgroup limit {size}", "dim"),),)
    share, used = facts.used_bytes / facts.limit_bytes, format_bytes(facts.used_bytes)
    if share <= _NEAR and left_ms is not None and left_ms < _FAR_MS:
        left = Cellrun(format_roughly_ms(left_ms), "grow" if left_ms < _SOON_MS else "text")
        return (
            (Cellrun(f"cgroup {used}, limit {size} in ", "dim"), left),
            (Cellrun(f"limit {size} in ", "dim"), left),
        )
    name, told = Cellrun("cgroup ", "dim"), Cellrun(f"{used}, ", "text")
    part = Cellrun(f"{100 * share:.0f} %", "died" if share > _NEAR else "text")
    shared = facts.sharers is not None and facts.sharers > 1
    runs = f", {facts.sharers} runs" if shared else ""
    return (
        (name, told, part, Cellrun(f" of its limit {size}{runs}", "dim")),
        (name, told, part, Cellrun(f" of {size}{runs}", "dim")),
        (name, told, part, Cellrun(f" of {size}", "dim")),
        (name, part, Cellrun(f" of {size}", "dim")),
    )


def _taken(rows: tuple[Row, ...]) -> int:
    """Return the cells that parts take, each with the gap before it."""
    return sum(_GAP + width_of(row) for row in rows if row)


def death_row(death: Death | None, width: int, *, plain: bool = False) -> Row:
    """Return why a run ended in at most so many cells, the longest form that has room."""
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
    told = next((form for form in shown if len(form) <= width), "")
    return (Cellrun(told, style),) if told else ()


def facts_row(
    facts: Verdicts, width: int, *, plain: bool = False, death: Death | None = None
) -> Row:
    """Return the second line: what RSS does, the layer behind it, the limit, the other layers.

    Of a run that has ended it begins with the cause. Where room is short whole figures go: first
    those of layers that stand still and are small, then what RSS changed by, the limit, last the
    layer to blame.
    """
    if death is not None:
        cause = death_row(death, max(width // _CAUSE_SHARE, _CAUSE_CELLS), plain=plain)
        if cause:
            room = max(width - width_of(cause) - _GAP, 0)
            rest = facts_row(facts, room, plain=plain)
            return fit((Cellrun(" ", "text"), *cause, Cellrun("  ", "text"), *rest), width)
    if not facts.layers:
        return fit((), width)
    first, *others = facts.layers
    blamed = facts.responsible
    order = sorted(others, key=lambda x: (x is not blamed, not _rises(x), -abs(x.now_bytes)))
    head, limits = _whole(facts, first, plain=plain), _limit(facts)
    room = width - 1 - width_of(head)
    # the layer to blame and the limit, together if that is shorter
    blames: tuple[Row, ...] = _blame(blamed, plain=plain) if blamed is not None else ()
    ranked = sorted(product(range(len(blames)), range(len(limits))), key=lambda at: (sum(at), at))
    choices: list[tuple[Row, Row]] = [(blames[i], limits[j]) for i, j in ranked]
    choices += [(row, ()) for row in blames] + [((), limit) for limit in limits]
    blame, limit = next((pair for pair in choices if _taken(pair) <= room), ((), ()))
    room -= _taken((blame, limit))
    measured = _measured(first)
    if measured and _taken((measured,)) <= room:
        room -= _taken((measured,))
    else:
        measured = ()
    picked = {blamed.kind.id: blame} if blamed is not None and blame else {}
    for layer in order:
        if layer is blamed:
            continue
        row = _part(layer, blamed=False, plain=plain)
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
