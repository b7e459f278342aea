"""The top line (the selected run and the time) and the bottom line (keys)."""

from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

from textual.events import Click
from textual.message import Message

from pprofplus_tui.model.cell_rows import Cellrun, Row, width_of
from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.durations import DAY_MS, MINUTE_MS
from pprofplus_tui.model.keys import KEYS, Key
from pprofplus_tui.model.runs import (
    DIED,
    EXITED,
    LIVE,
    PAUSED,
    STALLED,
    Run,
    counted,
    state_label,
)
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.time_axis import clock_text, local, zone_name
from pprofplus_tui.model.units import format_span_ms
from pprofplus_tui.model.window import Window
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.row_text import fit, spread

_PROBLEM_CELLS = 32  # fewer show only the beginning of a path
_INCOMPLETE = "! incomplete"


@dataclass(frozen=True)
class StatusView:
    """What the top line shows.

    Attributes:
        runs: all runs found.
        run: the selected run, or None.
        window: the visible time window, or None while no run is shown.
        zone: the time zone of all times shown; None is the machine's.
        plain: ASCII only.
        problem: one line about what could not be read, or "".
        cursor: the sample at the time cursor, or None without one.
    """

    runs: tuple[Run, ...] = ()
    run: Run | None = None
    window: Window | None = None
    zone: tzinfo | None = None
    plain: bool = False
    problem: str = ""
    cursor: Reading | None = None


def period_text(window: Window, zone: tzinfo | None, *, plain: bool = False) -> str:
    """Return the begin and end of a window, as short as its length permits."""
    begin, end = local(window.begin_ms, zone), local(window.end_ms, zone)
    dash = " - " if plain else " – "  # noqa: RUF001 - a dash between times
    if window.span_ms > 2 * DAY_MS:
        return f"{begin:%d %b %H:%M}{dash}{end:%d %b %H:%M}"
    seconds = ":%S" if window.span_ms < 10 * MINUTE_MS else ""
    first = begin.strftime(f"%d %b %H:%M{seconds}")
    return first + dash + end.strftime(f"%H:%M{seconds}")


def _time_text(view: StatusView) -> Row:
    window, run = view.window, view.run
    if window is None or run is None:
        return ()
    if view.cursor is not None:
        return _cursor(view.cursor, view.zone)
    zone = zone_name(window.end_ms, view.zone)
    period = Cellrun(f"{period_text(window, view.zone, plain=view.plain)} {zone} ", "bar")
    if window.frozen:
        return Cellrun("FROZEN ", "stalled_bar"), period
    if window.following and run.running:
        # the time is that of the last sample: it stops when no samples arrive
        style = f"{run.state}_bar"
        return (
            Cellrun(f"{run.state.upper()} ", style),
            Cellrun(f"{clock_text(run.end_ms, view.zone)} {zone} ", "bar"),
        )
    return Cellrun("PAST ", "accent_bar"), period


def _cursor(reading: Reading, zone: tzinfo | None) -> Row:
    """Return the exact time of the sample at the cursor, or of the cursor without a sample."""
    at_ms = reading.at_ms if reading.t_ms is None else reading.t_ms
    exact = f"{local(at_ms, zone):%d %b %H:%M:%S}.{at_ms % 1000:03d} {zone_name(at_ms, zone)} "
    none = () if reading.t_ms is not None else (Cellrun("no sample ", "stalled_bar"),)
    return (Cellrun("CURSOR ", "accent_bar"), *none, Cellrun(exact, "bar"))


def _run_text(view: StatusView) -> Row:
    run = view.run
    if run is None:
        return ()
    lasted = format_span_ms(run.end_ms - run.begin_ms)
    dot = " - " if view.plain else " · "
    if run.state in {DIED, EXITED}:
        text = f"{run.state} {clock_text(run.end_ms, view.zone)} after {lasted}"
    elif run.state in {PAUSED, STALLED}:
        text = f"{run.state} since {clock_text(run.end_ms, view.zone)}"
    elif run.running:
        text = f"up {lasted}"
    else:
        text = f"{state_label(run.state)}, {clock_text(run.end_ms, view.zone)} after {lasted}"
    name = Cellrun(f"{run.service} {run.pid}", "title_bar")
    return (name, Cellrun(f"{dot}{text}", _state_style(run)))


def _state_style(run: Run) -> str:
    return f"{run.state}_bar" if run.state in {DIED, PAUSED, STALLED} else "bar"


def _state(view: StatusView) -> Row:
    run = view.run
    if run is None or run.state == LIVE:
        return ()
    return (Cellrun(f" {state_label(run.state)}", _state_style(run)),)


def status_row(view: StatusView, width: int) -> Row:
    """Return the top line: counts, the selected run, live or past."""
    services, running, ended = counted(view.runs)
    dot = " - " if view.plain else " · "
    counts = dot.join(
        (
            f"{services} service" + "s" * (services != 1),
            f"{running} live",
            f"{ended} ended",
        )
    )
    name = Cellrun(" pprofplus ", "brand")
    right = _time_text(view)
    run_text = _run_text(view)
    edge, gap = Cellrun(" ", "bar"), Cellrun("  ", "bar")  # aligned with the lines below
    candidates: tuple[Row, ...] = (
        (name, gap, Cellrun(counts, "bar"), gap, *run_text, gap),
        (name, gap, *run_text, gap),
        (edge, *run_text, gap),
        (edge, *run_text[:1], *_state(view), gap),
        (edge, *run_text[:1], gap),
    )
    fitting = [row for row in candidates if width_of(row) + width_of(right) <= width]
    left = fitting[0] if fitting else candidates[-1]
    room = width - width_of(left) - width_of(right) - 2
    if view.problem and room <= _PROBLEM_CELLS:
        # `list` has the details; that something is missing must be visible on any terminal
        left = next(
            (
                (*row, Cellrun(_INCOMPLETE, "stalled_bar"))
                for row in fitting
                if width_of(row) + len(_INCOMPLETE) + 2 + width_of(right) <= width
            ),
            left,
        )
    elif view.problem:
        # the text has paths, which are untrusted
        problem = narrow(view.problem, limit=room, ascii_only=view.plain)
        left = (*left, Cellrun(problem, "stalled_bar"))
    return spread(left, right, width, "bar")


@lru_cache(8)  # computed for each frame, and always the same
def keys_row(width: int, *, plain: bool = False, keys: tuple[Key, ...] = KEYS) -> Row:
    """Return the bottom line: as many of the main keys as fit, and always help and quit."""
    shown = [key for key in keys if key.footer]
    plain_arrows = str.maketrans({"↑": "^", "↓": "v", "←": "<", "→": ">"})
    items = []
    for key in shown:
        names, _, label = key.footer.partition(" ")
        names = names.translate(plain_arrows) if plain else names
        items.append((Cellrun(f" {names}", "key"), Cellrun(f" {label} ", "bar")))
    last = tuple(run for item in items[-2:] for run in item)
    row: Row = ()
    for item in items[:-2]:
        if width_of((*row, *item, *last)) > width:
            break
        row = (*row, *item)
    return fit((*row, *last), width, "bar")


class Bar(CellWidget):
    """One line; its owner computes the row for `size.width`."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; }"

    class Clicked(Message):
        """The line was clicked."""

    class Resized(Message):
        """The line has another width."""

    def on_click(self, event: Click) -> None:
        """Post a message to the screen."""
        event.stop()
        self.post_message(self.Clicked())

    def on_resize(self) -> None:
        """Request a row of the new width."""
        self.post_message(self.Resized())
