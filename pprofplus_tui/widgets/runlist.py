"""The list of runs at the left: services, their runs, state, resident set, sparkline."""

from dataclasses import dataclass

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from pprofplus_tui.model.rows import Cellrun, Row
from pprofplus_tui.model.runs import PIN_SIGN, PLAIN_PIN_SIGN, PLAIN_SIGNS, SIGNS, Run, by_service
from pprofplus_tui.model.units import format_bytes
from pprofplus_tui.widgets.rows import RowsWidget
from pprofplus_tui.widgets.text import fit, spread

# what `pid` and `value` may take before the sparkline begins
_PID_CELLS = 7
_VALUE_CELLS = 9


@dataclass(frozen=True)
class RunListView:
    """What the list shows."""

    runs: tuple[Run, ...] = ()
    selected: str | None = None
    plain: bool = False


def list_rows(view: RunListView, width: int) -> tuple[tuple[Row, str | None], ...]:
    """Return (row, path of its run or None) for every line of the whole list."""
    signs = PLAIN_SIGNS if view.plain else SIGNS
    pin = PLAIN_PIN_SIGN if view.plain else PIN_SIGN
    lines: list[tuple[Row, str | None]] = []
    for service, runs in by_service(view.runs):
        running = sum(run.running for run in runs)
        count = f" {running}/{len(runs)} " if running != len(runs) else f" {running} "
        heading = spread(
            (Cellrun(f" {service}", "service"),), (Cellrun(count, "dim"),), width, "service"
        )
        lines.append((heading, None))
        lines.extend(
            (_run_row(run, signs[run.state], pin, width, run.path == view.selected), run.path)
            for run in runs
        )
    return tuple(lines)


def _run_row(run: Run, sign: str, pin: str, width: int, selected: bool) -> Row:  # noqa: FBT001 - a cell's state
    def style(name: str) -> str:
        return f"{name}_selected" if selected else name

    value = "" if run.rss_bytes is None else format_bytes(run.rss_bytes)
    text = style("text" if run.running else "dim")
    row = (
        Cellrun(pin if run.pinned else " ", text),
        Cellrun(sign, style(run.state)),
        Cellrun(f" {run.pid:<{_PID_CELLS - 1}} ", text),
        Cellrun(f"{value:>{_VALUE_CELLS}} ", text),
        Cellrun(run.spark, style("spark" if run.running else "dim")),
    )
    return fit(row, width, text)


class RunList(RowsWidget):
    """Keeps the selected run in sight; a click on a run asks to show it."""

    class Chosen(Message):
        """The user wants to see this run."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    class Stepped(Message):
        """The user wants the run `step` further down."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._view = RunListView()
        self._offset = 0
        self._paths: tuple[str | None, ...] = ()

    def show(self, view: RunListView) -> None:
        """Show the runs; the list scrolls only to keep the selected one in sight."""
        self._view = view
        self._update()

    def on_resize(self) -> None:
        """Lay the list out for the new size."""
        self._update()

    def _update(self) -> None:
        width, height = self.size
        if not width or not height:
            return
        lines = list_rows(self._view, width)
        at = next((i for i, (_, path) in enumerate(lines) if path == self._view.selected), 0)
        # the service's name is worth a line: keep it in sight above its first run
        top = at - 1 if at and lines[at - 1][1] is None else at
        self._offset = min(max(self._offset, at - height + 1), top)
        self._offset = max(0, min(self._offset, len(lines) - height))
        shown = lines[self._offset : self._offset + height]
        self._paths = tuple(path for _, path in shown)
        rows = tuple(row for row, _ in shown)
        self.set_rows(rows + (fit((), width),) * (height - len(rows)))

    def on_click(self, event: Click) -> None:
        """Ask for the run under the mouse."""
        if 0 <= event.y < len(self._paths):
            path = self._paths[event.y]
            if path is not None:
                self.post_message(self.Chosen(path))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Ask for the run below."""
        event.stop()
        self.post_message(self.Stepped(1))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Ask for the run above."""
        event.stop()
        self.post_message(self.Stepped(-1))
