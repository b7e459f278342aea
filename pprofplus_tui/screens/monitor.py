"""The main screen: it owns the view, sends requests to the backend and fills the widgets."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingsMap, BindingType
from textual.events import Key
from textual.screen import Screen

from pprofplus_tui.backend.interface import BackendPort
from pprofplus_tui.model.comparison_request import ComparisonRequest
from pprofplus_tui.model.cursor import HeldKey, stepped
from pprofplus_tui.model.first_run import FirstRun
from pprofplus_tui.model.grid_layout import ChartPlace
from pprofplus_tui.model.keys import KEYS
from pprofplus_tui.model.messages import Drawn, Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run, RunId, find
from pprofplus_tui.model.view import View
from pprofplus_tui.model.visible_charts import chart_places, chart_request, toggle_chart
from pprofplus_tui.screens.bindings import bindings_of
from pprofplus_tui.screens.dialogs import Change, Dialogs
from pprofplus_tui.screens.monitor_bars import MonitorBars
from pprofplus_tui.screens.monitor_layout import MonitorLayout
from pprofplus_tui.screens.open_comparison import OpenComparison
from pprofplus_tui.screens.plot_position import clicked, dragged, plot_in, time_at, widest
from pprofplus_tui.screens.run_picker import RunPicker
from pprofplus_tui.screens.theme_colours import follow_theme
from pprofplus_tui.widgets.chart_grid import ChartGrid
from pprofplus_tui.widgets.run_list import RunList


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class MonitorScreen(Screen[None]):
    """The list of runs at the left, charts on one time axis, three lines of text around them."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(KEYS)]

    def __init__(self, backend: BackendPort, options: Options) -> None:
        super().__init__()
        if options.keys is not KEYS:
            self._bindings = BindingsMap(bindings_of(options.keys))  # Textual's, made from BINDINGS
        self._backend = backend
        self._options = options
        self.view = View().with_options(options.chart_options)
        self.frame = Frame()
        self._first_run = FirstRun(options, self.view)
        self._held_key = HeldKey()
        self.picker = RunPicker(backend, options, self)
        self._dialogs = Dialogs(self, backend, options)
        self._comparison = OpenComparison(backend, options, self._after_comparison)
        # references, not queries: a late frame may arrive after the screen is unmounted
        self._visible = MonitorLayout(self, options)
        self._bars = MonitorBars(options)
        self._charts = ChartGrid(id="charts")

    # -- layout

    def compose(self) -> ComposeResult:
        """Lay out the widgets; the size and the state decide which of them are visible."""
        # no containers: each would delay the first paint by some milliseconds
        yield from (self._bars.status, self._bars.verdicts, self.picker.list, self._charts)
        yield from (self._visible.empty, self._bars.keys, self._visible.small)

    def on_mount(self) -> None:
        """Paint and lay out for the size that the terminal has now."""
        follow_theme(self, self._options.colours)
        # the first layout has this size already: a second one would delay the first chart
        self._visible.fit(*self.app.size)
        # a stalled run sends no frames, but its gap grows
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        if not self._comparison.is_open:
            self._change_view(lambda view, run, now_ms: view.tick(run, now_ms))

    def on_resize(self) -> None:
        """Show the widgets that fit."""
        self._visible.fit(*self.size)

    def on_bar_resized(self) -> None:
        """Fill the lines for their new width."""
        self._show_bars()

    def on_chart_grid_resized(self) -> None:
        """Request charts of the new size."""
        self._request()

    @property
    def run(self) -> Run | None:
        """The selected run, as in the last frame."""
        return find(self.frame.runs, self.view.run)

    def _places(self) -> dict[str, ChartPlace]:
        return chart_places(self.view, *self._charts.size)

    def _request(self) -> None:
        """Place the charts, and request their content."""
        places = self._places()
        self._charts.place(places, self.view.chosen if len(self.view.shown) > 1 else None)
        self._backend.show(chart_request(self.view, places))

    def _show_bars(self) -> None:
        self._bars.show(self.view, self.frame, self.run, len(self._places()))

    # -- values from the backend

    def show_frame(self, frame: Frame) -> None:
        """Show a frame; open a run if none is shown yet."""
        if self._comparison.take_frame(frame):
            return
        before, self.frame = self.frame, frame
        view = self.view
        first = self._first_run.choose(frame, before, view)
        if first is not None:
            view = self._first_run.open(view, first, _now_ms())
        run = find(frame.runs, view.run)
        if run is not None:
            view = view.tick(run, _now_ms())
        redraw = frame.runs != before.runs or view.run != self.view.run
        self._set_view(view)
        self.picker.show(frame, view.run, redraw=redraw)
        self._visible.show(frame)
        self._show_bars()

    def show_drawn(self, drawn: Sequence[Drawn]) -> None:
        """Show drawn charts.

        A chart of an outdated size is kept too: if that size returns before the backend sees the
        change, the backend does not draw the chart again.
        """
        self._charts.draw({one.chart: one.rows for one in self._comparison.take_drawn(drawn)})

    # -- what is shown

    def _set_view(self, view: View) -> None:
        if view == self.view:
            return
        self.view = view
        self._request()
        self._show_bars()

    def _change_view(self, change: Change) -> None:
        """Set the view that `change` returns, if a run is shown."""
        if self.run is not None:
            self._set_view(change(self.view, self.run, _now_ms()))

    def select_run(self, run: RunId) -> None:
        """Show that run, if it is in the last frame."""
        self.pick_run(find(self.frame.runs, run))

    def pick_run(self, run: Run | None) -> None:
        """Show a run; None: keep the one that is shown."""
        if run is not None and run.id != self.view.run:
            self._set_view(self.view.select(run, _now_ms()))
            self.picker.show(self.frame, self.view.run)

    def open_comparison(self, comparison: ComparisonRequest) -> None:
        """Show a comparison above this screen."""
        self._comparison.open(self.app, comparison, self.frame)

    def _after_comparison(self, missed: Frame | None) -> None:
        if missed is not None:
            self.show_frame(missed)

    # -- keys while the filter is typed

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable all key bindings while the filter is typed."""
        return not self.picker.typing and super().check_action(action, parameters) is not False

    def on_key(self, event: Key) -> None:
        """Send the keys to the filter while it is typed, and open it."""
        if self.picker.take_key(event, self._bindings):
            event.stop()
            event.prevent_default()

    # -- actions of keys: runs

    def action_run(self, step: int) -> None:
        """Show the run `step` places down the list."""
        self.picker.step(step)

    def action_sibling(self, step: int) -> None:
        """Show the next or previous pid of this service."""
        self.picker.step_sibling(step)

    def action_filter(self) -> None:
        """Start to type the filter of the list."""
        self.picker.open_filter()

    def action_order(self) -> None:
        """Sort the list in the next order."""
        self.picker.next_order()

    def action_mark(self) -> None:
        """Mark the run shown, or unmark it."""
        self.picker.toggle_mark()

    def action_compare(self) -> None:
        """Compare the marked runs."""
        self.picker.compare_marked(self.view.chosen)

    def action_service(self) -> None:
        """Compare all runs of the service of the run shown."""
        self.picker.compare_service(self.view.chosen)

    def action_pin(self) -> None:
        """Pin the run, or unpin it."""
        self.picker.toggle_pin()

    # -- actions of keys: time

    def action_pan(self, fraction: float) -> None:
        """Move the window by a fraction of its span."""
        self._change_view(lambda view, run, now_ms: view.pan(fraction, run, now_ms))

    def action_zoom(self, step: int) -> None:
        """Zoom in (-1) or out (1), around the time cursor if there is one."""
        self._change_view(lambda view, run, now_ms: view.zoom(step, run, now_ms, view.cursor))

    def action_cursor(self, step: int) -> None:
        """Move the time cursor by a column, by more while the key is held."""
        self._held_key = self._held_key.press(step, time.monotonic())
        cells, area = self._held_key.cells, plot_in(widest(self._places()))
        if area is not None:
            width = area.width
            self._change_view(lambda view, run, now_ms: stepped(view, cells, width, run, now_ms))

    def action_start(self) -> None:
        """Go to the start of the run."""
        self._change_view(lambda view, run, _: view.start(run))

    def action_live(self) -> None:
        """Go to the end of the run, and follow it if it is live."""
        self._change_view(lambda view, run, now_ms: view.live(run, now_ms))

    def action_fit(self) -> None:
        """Show the whole run."""
        self._change_view(lambda view, run, now_ms: view.fit(run, now_ms))

    def action_freeze(self) -> None:
        """Freeze the display, or resume it."""
        self._set_view(self.view.freeze(_now_ms()))

    def action_goto(self) -> None:
        """Ask for a time and go there."""
        self._dialogs.ask_time(self.view, self.frame, self._change_view)

    def action_events(self) -> None:
        """List the events of the run, and go to one."""
        self._dialogs.list_events(self.view, self.frame, self._change_view, self.select_run)

    # -- actions of keys: charts

    def action_log(self) -> None:
        """Switch the chosen chart between a logarithmic and a linear scale."""
        self._set_chart_option(
            self.view.toggle_log(), "This chart is a stack: it has no logarithmic scale."
        )

    def action_levels(self) -> None:
        """Switch the chosen chart's counters between totals and rates."""
        self._set_chart_option(self.view.toggle_levels(), "This chart has no counters.")

    def _set_chart_option(self, view: View, unavailable: str) -> None:
        if view == self.view:
            self.notify(unavailable, markup=False)
        self._set_view(view)

    def action_chart(self, chart: str) -> None:
        """Show or hide a chart; one without room is chosen instead, which gives it a place."""
        self._set_view(toggle_chart(self.view, chart, *self._charts.size))

    def action_select_chart(self, step: int) -> None:
        """Choose another chart."""
        self._set_view(self.view.choose(step))

    def action_maximise(self) -> None:
        """Show the chosen chart alone, or all again."""
        self._set_view(self.view.maximise())

    def action_back(self) -> None:
        """Remove the time cursor; without one, show all charts again, else all runs."""
        if self.view.cursor is not None:
            self._set_view(replace(self.view, cursor_ms=None))
        elif self.view.alone:
            self._set_view(self.view.maximise())
        else:
            self.picker.clear_filter()

    # -- actions of keys: pages, dialogs, the program

    def action_help(self) -> None:
        """Show the help."""
        self._dialogs.show_help(self._options.keys)

    def action_explain(self) -> None:
        """Explain the chosen chart, and how memory changes in the window."""
        self._dialogs.explain(self.view, self.frame)

    def action_export(self) -> None:
        """Ask for a path, then export the visible window."""
        self._dialogs.export(self.view, self.frame)

    def action_picture(self) -> None:
        """Ask for a path, then save a screenshot."""
        run = self.run
        self._dialogs.save_screenshot(f"-{run.service}-{run.pid}" if run is not None else "")

    def action_suspend_process(self) -> None:
        """Suspend the program with the terminal restored; the shell's fg resumes it."""
        self.app.action_suspend_process()

    def action_quit(self) -> None:
        """Exit immediately."""
        self.app.exit()

    # -- the mouse

    def on_run_list_chosen(self, message: RunList.Chosen) -> None:
        """Show the run that was clicked."""
        self.select_run(message.run)

    def on_run_list_stepped(self, message: RunList.Stepped) -> None:
        """Show the next run, or the previous one."""
        self.picker.step(message.step)

    def on_run_list_service_clicked(self, message: RunList.ServiceClicked) -> None:
        """Compare all runs of the service whose line was clicked."""
        self.picker.compare_service(self.view.chosen, message.service)

    def on_chart_grid_clicked(self, message: ChartGrid.Clicked) -> None:
        """Choose the chart, and put the time cursor where its plot was clicked.

        A second click on its frame, and a double click anywhere, enlarge it.
        """
        place = self._places().get(message.chart)
        view = clicked(self.view, place, message.chart, message.x, message.y)
        if view is None or message.double:
            view = self.view.maximise()
        self._set_view(view)

    def on_chart_grid_dragged(self, message: ChartGrid.Dragged) -> None:
        """Move the time cursor with the mouse."""
        place = self._places().get(message.chart)
        self._change_view(lambda view, *_: dragged(view, place, message.x))

    def on_chart_grid_zoomed(self, message: ChartGrid.Zoomed) -> None:
        """Zoom around the time at the mouse."""
        at_ms = time_at(self._places().get(message.chart), message.x, self.view.window)
        if at_ms is not None:
            self._change_view(lambda view, run, now_ms: view.zoom(message.step, run, now_ms, at_ms))
