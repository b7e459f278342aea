"""The comparison screen: one metric of marked runs, or of all runs of a service."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.binding import BindingsMap
from textual.screen import Screen

from pprofplus_tui.backend.interface import BackendPort
from pprofplus_tui.model.comparison_keys import comparison_keys
from pprofplus_tui.model.comparison_request import COMPARE, SERVICE, TOP, ComparisonRequest
from pprofplus_tui.model.findings import Findings
from pprofplus_tui.model.messages import Drawn, Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run
from pprofplus_tui.screens.bindings import bindings_of
from pprofplus_tui.screens.dialogs import Dialogs
from pprofplus_tui.screens.plot_position import time_at
from pprofplus_tui.screens.theme_colours import follow_theme
from pprofplus_tui.widgets.bars import Bar, keys_row
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.chart_grid import ChartGrid
from pprofplus_tui.widgets.comparison_table import difference_row, figure_rows, totals_row
from pprofplus_tui.widgets.comparison_title import ComparisonTitle, title_row
from pprofplus_tui.widgets.row_text import fit

_TABLE_SHARE = 3  # the table takes at most a third of the screen

# (the current comparison, its runs, unix ms now) -> the new comparison
Change = Callable[[ComparisonRequest, tuple[Run, ...], int], ComparisonRequest]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ComparisonTable(CellWidget):
    """The table of values below the charts."""


class ComparisonScreen(Screen[None]):
    """Draws one metric of several runs, by time or by age.

    Attributes:
        offered: the keys of the screen.
        comparison: the request that it shows.
    """

    def __init__(
        self,
        backend: BackendPort,
        options: Options,
        comparison: ComparisonRequest,
        frame: Frame,
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__()
        self.offered = comparison_keys(options.keys)
        self._bindings = BindingsMap(bindings_of(self.offered))  # Textual's, made from BINDINGS
        self._backend = backend
        self._options = options
        self._on_closed = on_closed
        self._dialogs = Dialogs(self, backend, options)
        self._runs = frame.runs
        self._findings = Findings(comparison.kind)
        self.comparison = comparison.opened(comparison.members(frame.runs), _now_ms())
        self._title, self._summary, self._keys = Bar(id="title"), Bar(id="summary"), Bar(id="hints")
        self._charts = ChartGrid(id="several")
        self._figures = ComparisonTable(id="figures")
        self._figures_rows = 0

    @property
    def findings(self) -> Findings:
        """The last results of the backend."""
        return self._findings

    @property
    def members(self) -> tuple[Run, ...]:
        """The runs that are compared."""
        return self.comparison.members(self._runs)

    # -- layout

    def compose(self) -> ComposeResult:
        """Lay out a title, a summary, the charts, their values, and the keys."""
        yield from (self._title, self._summary, self._charts, self._figures, self._keys)

    def on_mount(self) -> None:
        """Apply the colours of the theme; update the window each second."""
        follow_theme(self, self._options.colours)
        self.set_interval(1.0, self._tick)

    def on_unmount(self) -> None:
        """Report that the comparison is closed."""
        self._on_closed()

    def _tick(self) -> None:
        self._change(ComparisonRequest.ticked)

    def on_bar_resized(self) -> None:
        """Fill the lines for their new width."""
        self._show_figures()

    def on_chart_grid_resized(self) -> None:
        """Request charts of the new size."""
        self._request()

    def _request(self) -> None:
        """Place the charts, and request their content."""
        places = self.comparison.places(*self._charts.size)
        self._charts.place(places, None)
        self.comparison = self.comparison.with_places(places)
        self._backend.compare(self.comparison)

    def _set(self, comparison: ComparisonRequest) -> None:
        if comparison != self.comparison:
            self.comparison = comparison
            self._request()
            self._show_figures()

    def _change(self, change: Change) -> None:
        self._set(change(self.comparison, self.members, _now_ms()))

    def _show_figures(self) -> None:
        """Fill the title, the summary, the table and the keys."""
        options, found = self._options, self._findings
        plain, width = options.plain, self._title.size.width
        if not width:
            return
        title = ComparisonTitle(self.comparison, self.members, options.zone, plain=plain)
        self._title.set_rows((title_row(title, width),))
        summary = difference_row if self.comparison.kind == COMPARE else totals_row
        self._summary.set_rows((summary(found, width, plain=plain),))
        self._keys.set_rows((keys_row(width, plain=plain, keys=self.offered),))
        rows = figure_rows(found, width, options.zone, plain=plain)
        # constant height: a change would redraw the charts above
        service = self.comparison.kind == SERVICE
        most = 2 + TOP if service else 1 + len(self.comparison.runs)
        height = min(most, max(2, self.size.height // _TABLE_SHARE))
        rows = rows[:height]
        rows += (fit((), width),) * (height - len(rows))
        if self._figures_rows != height:
            self._figures_rows = height
            self._figures.styles.height = height
        self._figures.set_rows(rows)

    # -- values from the backend

    def show_frame(self, frame: Frame) -> None:
        """Show the results of a frame."""
        self._runs = frame.runs
        if frame.findings is not None and frame.findings.kind == self.comparison.kind:
            self._findings = frame.findings
        self._show_figures()

    def show_drawn(self, drawn: Sequence[Drawn]) -> None:
        """Show drawn charts."""
        self._charts.draw({one.chart: one.rows for one in drawn})

    # -- actions of keys

    def action_pan(self, fraction: float) -> None:
        """Move the window by a fraction of its span."""
        self._change(lambda now, *runs: now.panned(fraction, *runs))

    def action_zoom(self, step: int) -> None:
        """Zoom in (-1) or out (1), around the time cursor if there is one."""
        self._change(lambda now, *runs: now.zoomed(step, now.cursor_ms, *runs))

    def action_start(self) -> None:
        """Go to the first start."""
        self._change(ComparisonRequest.at_start)

    def action_live(self) -> None:
        """Go to the end, and follow if a run is live."""
        self._change(ComparisonRequest.at_end)

    def action_fit(self) -> None:
        """Show all runs from begin to end."""
        self._change(ComparisonRequest.fitted)

    def action_freeze(self) -> None:
        """Freeze the display, or resume it."""
        self._change(ComparisonRequest.frozen_or_thawed)

    def action_align(self) -> None:
        """Switch between time since each start and clock time."""
        self._change(ComparisonRequest.realigned)

    def action_rank(self) -> None:
        """Highlight the fastest-growing runs, or the largest."""
        if self.comparison.kind == SERVICE:
            self._set(replace(self.comparison, by_size=not self.comparison.by_size))

    def action_cursor(self, step: int) -> None:
        """Move the time cursor; it starts at the time of the values in the table."""
        self._set(self.comparison.cursor_moved(step, self._findings.moment_ms))

    def action_metric(self, step: int) -> None:
        """Show the main series of the next chart."""
        self._set(self.comparison.next_metric(step, self.members))

    def action_leave(self) -> None:
        """Remove the time cursor; without one, close the comparison."""
        if self.comparison.cursor_ms is not None:
            self._set(replace(self.comparison, cursor_ms=None))
        else:
            self.dismiss()

    def action_help(self) -> None:
        """Show the help."""
        self._dialogs.show_help(self.offered)

    def action_picture(self) -> None:
        """Ask for a path, then save a screenshot."""
        service = self.comparison.kind == SERVICE
        name = f"-{self.comparison.service}-all" if service else "-compared"
        self._dialogs.save_screenshot(name)

    def action_quit(self) -> None:
        """Exit immediately."""
        self.app.exit()

    # -- the mouse

    def on_chart_grid_zoomed(self, message: ChartGrid.Zoomed) -> None:
        """Zoom around the time at the mouse."""
        places = self.comparison.places(*self._charts.size)
        at_ms = time_at(places.get(message.chart), message.x, self.comparison.window)
        if at_ms is not None:
            self._change(lambda now, *runs: now.zoomed(message.step, at_ms, *runs))
