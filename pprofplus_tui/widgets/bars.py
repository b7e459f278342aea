"""The single lines: who is shown and when (top), keys (bottom); `facts` has the one between."""

from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache

from textual.events import Click
from textual.message import Message

from pprofplus_tui.model.cell_rows import Cellrun, Row, width_of
from pprofplus_tui.model.cursor import Reading
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
from pprofplus_tui.model.time_axis import local, zone_name
from pprofplus_tui.model.units import format_span_ms
from pprofplus_tui.model.window import Window
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.row_text import fit, spread

_DAY_MS = 86_400_000
_PROBLEM_CELLS = 32  # less shows no more than a path's beginning
_INCOMPLETE = "! incomplete"


@dataclass(frozen=True)
class StatusView:
    """What the top line tells.

    Attributes:
        runs: all runs found.
        run: the one shown, or None.
        window: the stretch of time shown, or None while nothing is.
        zone: the time zone of all times shown; None is the machine's.
        plain: ASCII only.
        problem: one line about what could not be read, or "".
        cursor: what is read at the time cursor, or None while there is none.
    """

    runs: tuple[Run, ...] = ()
    run: Run | None = None
    window: Window | None = None
    zone: tzinfo | None = None
    plain: bool = False
    problem: str = ""
    cursor: Reading | None = None


def clock(unix_ms: int, zone: tzinfo | None = None) -> str:
    """Return hours, minutes and seconds."""
    return local(unix_ms, zone).strftime("%H:%M:%S")


def stretch(window: Window, zone: tzinfo | None, *, plain: bool = False) -> str:
    """Return when a window begins and ends, as short as its length allows."""
    begin, end = local(window.begin_ms, zone), local(window.end_ms, zone)
    dash = " - " if plain else " – "  # noqa: RUF001 - a dash between times
    if window.span_ms > 2 * _DAY_MS:
        return f"{begin:%d %b %H:%M}{dash}{end:%d %b %H:%M}"
    seconds = ":%S" if window.span_ms < 10 * 60_000 else ""
    first = begin.strftime(f"%d %b %H:%M{seconds}")
    return first + dash + end.strftime(f"%H:%M{seconds}")


def _mode(view: StatusView) -> Row:
    window, run = view.window, view.run
    if window is None or run is None:
        return ()
    if view.cursor is not None:
        return _cursor(view.cursor, view.zone)
    zone = zone_name(window.end_ms, view.zone)
    if window.frozen:
        return (
            Cellrun("FROZEN ", "stalled_bar"),
            Cellrun(f"{stretch(window, view.zone, plain=view.plain)} {zone} ", "bar"),
        )
    if window.following and run.running:
        # the clock is the last sample's: it stands still when nothing arrives
        style = f"{run.state}_bar"
        return (
            Cellrun(f"{run.state.upper()} ", style),
            Cellrun(f"{clock(run.end_ms, view.zone)} {zone} ", "bar"),
        )
    return (
        Cellrun("PAST ", "accent_bar"),
        Cellrun(f"{stretch(window, view.zone, plain=view.plain)} {zone} ", "bar"),
    )


def _cursor(reading: Reading, zone: tzinfo | None) -> Row:
    """Return the exact time of the sample at the cursor; of the cursor, where there is none."""
    at_ms = reading.at_ms if reading.t_ms is None else reading.t_ms
    exact = f"{local(at_ms, zone):%d %b %H:%M:%S}.{at_ms % 1000:03d} {zone_name(at_ms, zone)} "
    none = () if reading.t_ms is not None else (Cellrun("no sample ", "stalled_bar"),)
    return (Cellrun("CURSOR ", "accent_bar"), *none, Cellrun(exact, "bar"))


def _who(view: StatusView) -> Row:
    run = view.run
    if run is None:
        return ()
    lasted = format_span_ms(run.end_ms - run.begin_ms)
    dot = " - " if view.plain else " · "
    if run.state in {DIED, EXITED}:
        told = f"{run.state} {clock(run.end_ms, view.zone)} after {lasted}"
    elif run.state in {PAUSED, STALLED}:
        told = f"{run.state} since {clock(run.end_ms, view.zone)}"
    elif run.running:
        told = f"up {lasted}"
    else:
        told = f"{state_label(run.state)}, {clock(run.end_ms, view.zone)} after {lasted}"
    state_style = f"{run.state}_bar" if run.state in {DIED, PAUSED, STALLED} else "bar"
    return (Cellrun(f"{run.service} {run.pid}", "title_bar"), Cellrun(f"{dot}{told}", state_style))


def _state(view: StatusView) -> Row:
    run = view.run
    if run is None or run.state == LIVE:
        return ()
    style = f"{run.state}_bar" if run.state in {DIED, PAUSED, STALLED} else "bar"
    return (Cellrun(f" {state_label(run.state)}", style),)


def status_row(view: StatusView, width: int) -> Row:
    """Return the top line: counts, the run shown, live or past."""
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
    right = _mode(view)
    who = _who(view)
    edge, gap = Cellrun(" ", "bar"), Cellrun("  ", "bar")  # the edge as in the lines below
    candidates: tuple[Row, ...] = (
        (name, gap, Cellrun(counts, "bar"), gap, *who, gap),
        (name, gap, *who, gap),
        (edge, *who, gap),
        (edge, *who[:1], *_state(view), gap),
        (edge, *who[:1], gap),
    )
    fitting = [row for row in candidates if width_of(row) + width_of(right) <= width]
    left = fitting[0] if fitting else candidates[-1]
    room = width - width_of(left) - width_of(right) - 2
    if view.problem and room <= _PROBLEM_CELLS:
        # what it is, `list` says; that something is missing must be seen on any terminal
        left = next(
            (
                (*row, Cellrun(_INCOMPLETE, "stalled_bar"))
                for row in fitting
                if width_of(row) + len(_INCOMPLETE) + 2 + width_of(right) <= width
            ),
            left,
        )
    elif view.problem:
        # the text names paths, which are somebody else's
        problem = narrow(view.problem, limit=room, ascii_only=view.plain)
        left = (*left, Cellrun(problem, "stalled_bar"))
    return spread(left, right, width, "bar")


@lru_cache(8)  # asked for at each frame, and always the same
def keys_row(width: int, *, plain: bool = False, keys: tuple[Key, ...] = KEYS) -> Row:
    """Return the bottom line: the keys worth knowing, as many as fit, help and quit always."""
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
        """Tell the screen."""
        event.stop()
        self.post_message(self.Clicked())

    def on_resize(self) -> None:
        """Ask for a row of the new width."""
        self.post_message(self.Resized())
