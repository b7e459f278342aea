"""The view for a time that the user typed."""

from dataclasses import replace
from datetime import tzinfo

from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.time_axis import local, zone_name
from pprofplus_tui.model.time_grammar import Goto
from pprofplus_tui.model.units import format_span_ms
from pprofplus_tui.model.view import View, ending
from pprofplus_tui.model.window import Window


def goto_view(view: View, goto: Goto, run: Run, now_ms: int) -> View:
    """Return the view with the window around the time and the cursor on it, or the last span."""
    window = view.window
    if goto.last_ms is not None:
        last = Window.live(now_ms, goto.last_ms) if run.running else ending(run, goto.last_ms)
        return replace(view, window=last, own_span=True)
    if goto.at_ms is None or window is None:
        return view
    present_ms = now_ms if run.running else None
    there = Window.around(goto.at_ms, window.span_ms, present_ms)
    return replace(view, window=there, own_span=True, cursor_ms=goto.at_ms)


def goto_text(goto: Goto, run: Run, zone: tzinfo | None) -> str:
    """Return the time in words, and whether it is outside of the run."""
    if goto.last_ms is not None:
        return f"the last {format_span_ms(goto.last_ms)} of the run"
    at_ms = goto.at_ms or 0
    text = f"{local(at_ms, zone):%a %d %b %Y %H:%M:%S} {zone_name(at_ms, zone)}"
    if at_ms < run.begin_ms:
        return f"{text}: {format_span_ms(run.begin_ms - at_ms)} before the run's first sample"
    if at_ms > run.end_ms:
        return f"{text}: {format_span_ms(at_ms - run.end_ms)} after the run's last sample"
    return text
