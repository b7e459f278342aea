"""The top line of a comparison: what is compared, by time or by age, and in which window."""

from dataclasses import dataclass
from datetime import tzinfo

from pprofplus_tui.model.cell_rows import Cellrun, Row
from pprofplus_tui.model.comparison_request import COMPARE, ComparisonRequest
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.time_axis import clock_text, zone_name
from pprofplus_tui.model.units import format_span_ms
from pprofplus_tui.widgets.bars import period_text
from pprofplus_tui.widgets.row_text import spread


@dataclass(frozen=True)
class ComparisonTitle:
    """The content of the top line.

    Attributes:
        comparison: what is compared.
        members: its runs.
        zone: time zone of all times shown; None is the machine's.
        plain: ASCII only.
    """

    comparison: ComparisonRequest
    members: tuple[Run, ...]
    zone: tzinfo | None
    plain: bool = False


def title_row(view: ComparisonTitle, width: int) -> Row:
    """Return the line in exactly `width` cells."""
    comparison, count = view.comparison, len(view.members)
    dot = " - " if view.plain else " · "
    if comparison.kind == COMPARE:
        what = f"{count} runs compared"
    else:
        what = f"{narrow(comparison.service, ascii_only=view.plain)}{dot}{count} runs"
    left = (
        Cellrun(" pprofplus ", "brand"),
        Cellrun("  ", "bar"),
        Cellrun(what, "title_bar"),
        Cellrun(f"{dot}{'by age' if comparison.aligned else 'in time'}", "bar"),
    )
    return spread(left, _window(view), width, "bar")


def _window(view: ComparisonTitle) -> Row:
    """Return whether the window follows, and its times."""
    window, zone, plain = view.comparison.window, view.zone, view.plain
    if window is None:
        return ()
    state, style = "PAST ", "accent_bar"
    if window.frozen:
        state, style = "FROZEN ", "stalled_bar"
    elif window.following:
        state, style = "LIVE ", "live_bar"
    if view.comparison.aligned:
        dash = " - " if plain else " – "  # noqa: RUF001 - a dash between times
        begin, end = (format_span_ms(ms) for ms in (window.begin_ms, window.end_ms))
        return (Cellrun(state, style), Cellrun(f"+{begin}{dash}+{end} ", "bar"))
    name = zone_name(window.end_ms, zone)
    if window.following and not window.frozen:
        last_ms = max((run.end_ms for run in view.members), default=window.end_ms)
        return (Cellrun(state, style), Cellrun(f"{clock_text(last_ms, zone)} {name} ", "bar"))
    return (
        Cellrun(state, style),
        Cellrun(f"{period_text(window, zone, plain=plain)} {name} ", "bar"),
    )
