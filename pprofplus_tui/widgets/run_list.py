"""The list of runs at the left: services, their runs, state, resident set, sparkline."""

from bisect import bisect_right
from dataclasses import dataclass

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from pprofplus_tui.model.cell_rows import Cellrun, Row
from pprofplus_tui.model.run_filter import AGE, GROWTH, RunFilter
from pprofplus_tui.model.runs import (
    PIN_SIGN,
    PLAIN_PIN_SIGN,
    PLAIN_SIGNS,
    SIGNS,
    Group,
    Run,
    RunId,
    Runs,
    indexed,
)
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.units import format_bytes, format_span_ms
from pprofplus_tui.model.verdict_text import growth_cell
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.row_text import fit, spread

# cells of the pid and the value before the sparkline
_PID_CELLS = 7
_VALUE_CELLS = 9
_FOOT_FROM_ROWS = 4


@dataclass(frozen=True)
class RunListView:
    """What the list shows.

    Attributes:
        runs: in the order of the list.
        selected: the selected run.
        plain: ASCII only.
        run_filter: filter and order, shown in the last line; None: no such line.
        total: the number of all runs, shown or not.
        unread: the number of runs that were found but not read yet.
    """

    runs: tuple[Run, ...] = ()
    selected: RunId | None = None
    plain: bool = False
    run_filter: RunFilter | None = None
    total: int = 0
    unread: int = 0


Line = Group | Run


class _Lines:
    """The lines of the whole list: for each service its name, then its runs.

    Lines are computed on request: there may be a hundred thousand.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        # where the lines with the services' names are
        self._headings = [group.begin + i for i, group in enumerate(runs.groups)]

    def __len__(self) -> int:
        return len(self.runs) + len(self._headings)

    def __getitem__(self, at: int) -> Line:
        index = bisect_right(self._headings, at) - 1
        group = self.runs.groups[index]
        place = at - self._headings[index] - 1
        return group if place < 0 else self.runs[group.begin + place]

    def place(self, run_id: RunId | None) -> int | None:
        """Return the line of a run, None if it is not in the list."""
        at = self.runs.places.get(run_id) if run_id is not None else None
        return None if at is None else at + self.runs.group_at(at) + 1


def _row(view: RunListView, line: Line, width: int) -> Row:
    if isinstance(line, Run):
        return _run_row(view, line, width)
    total = line.end - line.begin
    count = f" {line.running} " if line.running == total else f" {line.running}/{total} "
    return spread(
        (Cellrun(f" {line.service}", "service"),), (Cellrun(count, "dim"),), width, "service"
    )


def _run_row(view: RunListView, run: Run, width: int) -> Row:
    selected = run.id == view.selected

    def style(name: str) -> str:
        return f"{name}_selected" if selected else name

    value = _value(view, run)
    text = style("text" if run.running else "dim")
    letter = view.run_filter.letter(run.id) if view.run_filter is not None else ""
    pin = PLAIN_PIN_SIGN if view.plain else PIN_SIGN
    first = Cellrun(pin if run.pinned else " ", text)
    if letter:
        first = Cellrun(letter, style("title"))
    # a rate may be one cell longer; the sparkline then begins one cell later
    pad = " " if _by_growth(view) else ""
    row = (
        first,
        Cellrun((PLAIN_SIGNS if view.plain else SIGNS)[run.state], style(run.state)),
        Cellrun(f" {run.pid:<{_PID_CELLS - 1}} ", text),
        Cellrun(f"{value:>{_VALUE_CELLS}}".ljust(_VALUE_CELLS + 1) + pad, text),
        Cellrun(run.spark, style("spark" if run.running else "dim")),
    )
    return fit(row, width, text)


def _by_growth(view: RunListView) -> bool:
    return view.run_filter is not None and view.run_filter.order == GROWTH


def _value(view: RunListView, run: Run) -> str:
    """Return the figure of a run: the one that the list is sorted by, or the resident set."""
    if _by_growth(view):
        # an ended run does not grow
        return growth_cell(run.growth, plain=view.plain) if run.running else ""
    if view.run_filter is not None and view.run_filter.order == AGE:
        return format_span_ms(run.end_ms - run.begin_ms)
    return "" if run.rss_bytes is None else format_bytes(run.rss_bytes)


def foot_row(view: RunListView, run_filter: RunFilter, width: int) -> Row:
    """Return the last line of the list: the words typed, how many match, the order."""
    shown = len(view.runs)
    text = f"{shown}/{view.total}" if shown != view.total else f"{shown}"
    # show how many runs are not read yet: an incomplete list must not look complete
    count = Cellrun(f" {text}+{view.unread} " if view.unread else f" {text} ", "bar")
    if run_filter.typing or run_filter.text:
        words = narrow(run_filter.text, ascii_only=view.plain)
        room = max(width - len(count.text) - 3, 0)
        left: Row = (
            Cellrun(" /", "key"),
            Cellrun(words[-room:] if room else "", "accent_bar"),
            Cellrun("_" if run_filter.typing else "", "key"),
        )
    else:
        marked = f" - {len(run_filter.marked)} marked" if run_filter.marked else ""
        left = (Cellrun(f" by {run_filter.order}{marked}", "bar"),)
    return spread(left, (count,), width, "bar")


def _text(view: RunListView) -> str:
    return view.run_filter.text if view.run_filter is not None else ""


class RunList(CellWidget):
    """The list; it keeps the selected run visible, and a click on a run selects it."""

    class Chosen(Message):
        """A run was clicked."""

        def __init__(self, run_id: RunId) -> None:
            super().__init__()
            self.run = run_id

    class ServiceClicked(Message):
        """The line of a service was clicked."""

        def __init__(self, service: str) -> None:
            super().__init__()
            self.service = service

    class Stepped(Message):
        """The wheel was turned: select the run `step` places further down."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._view = RunListView()
        self._offset = 0
        self._runs: tuple[RunId | None, ...] = ()
        self._lines = _Lines(Runs())

    def show(self, view: RunListView) -> None:
        """Show the runs; the list scrolls only to keep the selected one visible."""
        if _text(view) != _text(self._view):
            self._offset = 0  # show matches from the top, unless the selected run is among them
        self._view = view
        self._update()

    def on_resize(self) -> None:
        """Lay out the list for the new size."""
        self._update()

    def _update(self) -> None:
        width, height = self.size
        if not width or not height:
            return
        view = self._view
        if view.runs is not self._lines.runs:
            self._lines = _Lines(indexed(view.runs))
        lines = self._lines
        run_filter = view.run_filter if height >= _FOOT_FROM_ROWS else None
        room = height - (run_filter is not None)
        at = lines.place(view.selected)
        if at is not None:
            # keep the service's name visible above its first run
            top = at - 1 if isinstance(lines[at - 1], Group) and room > 1 else at
            self._offset = min(max(self._offset, at - room + 1), top)
        self._offset = max(0, min(self._offset, len(lines) - room))
        # only visible lines become rows: a list may have thousands of lines
        end = min(self._offset + room, len(lines))
        shown = [lines[at] for at in range(self._offset, end)]
        self._runs = tuple(line.id if isinstance(line, Run) else None for line in shown)
        rows = tuple(_row(view, line, width) for line in shown)
        if not rows and run_filter is not None and run_filter.text:
            rows = (fit((Cellrun(" nothing matches", "dim"),), width),)
        rows += (fit((), width),) * (room - len(rows))
        self.set_rows(rows if run_filter is None else (*rows, foot_row(view, run_filter, width)))

    @property
    def visible_runs(self) -> tuple[RunId, ...]:
        """The visible runs."""
        return tuple(run_id for run_id in self._runs if run_id is not None)

    def on_click(self, event: Click) -> None:
        """Post which run or service was clicked."""
        if 0 <= event.y < len(self._runs):
            run_id, line = self._runs[event.y], self._lines[self._offset + event.y]
            if run_id is not None:
                self.post_message(self.Chosen(run_id))
            elif isinstance(line, Group):
                self.post_message(self.ServiceClicked(line.service))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Select the run below."""
        event.stop()
        self.post_message(self.Stepped(1))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Select the run above."""
        event.stop()
        self.post_message(self.Stepped(-1))
