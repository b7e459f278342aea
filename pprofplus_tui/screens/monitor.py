"""The main screen: it owns the view, hands requests to the feed and values to the widgets."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingsMap, BindingType

from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.model.cursor import Held, Reading, pointed_at, stepped
from pprofplus_tui.model.grid_layout import ChartPlace, arrange
from pprofplus_tui.model.keys import KEYS
from pprofplus_tui.model.messages import ChartRequest, Drawn, Frame, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import (
    PIN_SIGN,
    PLAIN_PIN_SIGN,
    Run,
    find,
    neighbour,
    opening,
    sibling,
)
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_axis import instant
from pprofplus_tui.model.view import View
from pprofplus_tui.screens.bindings import bindings_of
from pprofplus_tui.screens.run_picker import FeedPort, RunPicker
from pprofplus_tui.widgets.bars import Bar, StatusView, keys_row, status_row
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.chart_grid import ChartGrid
from pprofplus_tui.widgets.placeholder import Placeholder, empty_rows
from pprofplus_tui.widgets.row_text import fit, with_end
from pprofplus_tui.widgets.run_list import RunList
from pprofplus_tui.widgets.theme import TokenColours
from pprofplus_tui.widgets.verdict_line import facts_row

if TYPE_CHECKING:
    from pprofplus_tui.charts.spec import Area
    from pprofplus_tui.model.death import Death
    from pprofplus_tui.model.events import RunEvent
    from pprofplus_tui.model.time_grammar import Goto

MIN_COLUMNS, MIN_ROWS = 60, 15
_LIST_FROM_COLUMNS = 76  # narrower, and the list would leave no room for a chart


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class MonitorScreen(RunPicker):
    """Runs at the left, charts on one time axis, three lines that tell the rest."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of(KEYS)]

    def __init__(self, feed: FeedPort, options: Options) -> None:
        super().__init__(feed, options)
        if options.keys is not KEYS:
            self._bindings = BindingsMap(bindings_of(options.keys))  # Textual's, made from BINDINGS
        self.view = View().with_options(options.looks)
        self._as_opened = self.view  # before the user did anything
        self._held = Held()
        # kept, not queried: late values of the feed may find the screen taken down
        self._status, self._facts, self._keys = Bar(id="status"), Bar(id="facts"), Bar(id="keys")
        self._charts = ChartGrid(id="charts")
        self._notice, self._small = Placeholder(id="notice"), Placeholder(id="small")

    # -- what is on the screen

    def compose(self) -> ComposeResult:
        """Lay out the widgets; which of them show depends on size and on what there is."""
        # no containers: each would cost the first paint some milliseconds
        yield from (self._status, self._facts, self._list, self._charts)
        yield from (self._notice, self._keys, self._small)

    def on_mount(self) -> None:
        """TokenColours in the theme's colours, now and when it changes."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._repaint())
        self._repaint()
        # the first layout is for this size already: a second one would delay the first chart
        self._show_fitting(*self.app.size)
        # a stalled run brings no frames, yet its gap grows
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        if self.run is not None and self._study is None:
            self._set_view(self.view.tick(self.run, _now_ms()))

    def _repaint(self) -> None:
        paint = TokenColours.standard(dark=self.app.current_theme.dark, own=self._options.colours)
        for widget in self.query(CellWidget):
            widget.set_paint(paint)

    def on_resize(self) -> None:
        """Show what has room."""
        self._show_fitting(*self.size)

    def _show_fitting(self, width: int, height: int) -> None:
        small = width < MIN_COLUMNS or height < MIN_ROWS
        self.set_class(small, "small")
        self.set_class(width < _LIST_FROM_COLUMNS, "narrow")
        self.set_class(width >= 140, "wide")  # noqa: PLR2004 - room for longer sparklines
        if small:
            told = f"{MIN_COLUMNS}x{MIN_ROWS} needed, this is {width}x{height}"
            self._small.show(((Cellrun("terminal too small", "title"),), (Cellrun(told, "text"),)))

    def on_bar_resized(self) -> None:
        """Write the lines for their new width."""
        self._show_bars()

    def on_chart_grid_resized(self) -> None:
        """Ask for charts of the new size."""
        self._request()

    @property
    def run(self) -> Run | None:
        """The run shown, as the feed last saw it."""
        return find(self.frame.runs, self.view.run)

    @property
    def _death(self) -> "Death | None":
        """How the run shown ended, None while it is running."""
        return self.frame.death if self.frame.run == self.view.run else None

    def _places(self) -> dict[str, ChartPlace]:
        size = self._charts.size
        found = arrange(size.width, size.height, len(self.view.shown))
        return dict(zip(self.view.fitting(len(found)), found, strict=True))

    def _request(self) -> None:
        """Tell the feed what to show from now on."""
        places = self._places()
        self._charts.place(places, self._marked())
        log, levels = self.view.log, self.view.levels
        shapes = tuple(
            Shape(chart, at.width, at.height, chart in log, chart in levels)
            for chart, at in places.items()
        )
        self._feed.show(ChartRequest(self.view.run, self.view.window, shapes, self.view.cursor))

    def _reading(self) -> Reading | None:
        """Return what is read at the cursor; where that has yet to come, when it stands."""
        at_ms, told = self.view.cursor, self.frame.cursor
        if at_ms is None:
            return None
        return told if told is not None and told.at_ms == at_ms else Reading(at_ms, at_ms)

    def _marked(self) -> str | None:
        return self.view.chosen if len(self.view.shown) > 1 else None

    def _show_bars(self) -> None:
        frame, plain = self.frame, self._options.plain
        told = StatusView(
            frame.runs,
            self.run,
            self.view.window,
            self._options.zone,
            plain=plain,
            problem=frame.problem,
            cursor=self._reading(),
        )
        self._status.set_rows((status_row(told, self._status.size.width),))
        width = self._facts.size.width
        shown, wanted = len(self._places()), len(self.view.shown)
        # the others need a larger screen
        rest = f"{shown} of {wanted} charts" if shown < wanted else ""
        pin = PLAIN_PIN_SIGN if plain else PIN_SIGN
        pinned = f"{pin} pinned" if self.run is not None and self.run.pinned else ""
        room = width - len(f" {pinned} ") if pinned else width
        row = fit(facts_row(frame.facts, room, plain=plain, death=self._death), width)
        noted = row
        for note in ("   ".join(filter(None, (pinned, rest))), pinned, rest):
            noted = with_end(row, Cellrun(f" {note} " if note else "", "dim"))
            if noted is not row:
                break
        self._facts.set_rows((noted,))
        self._keys.set_rows(
            (keys_row(self._keys.size.width, plain=plain, keys=self._options.keys),)
        )

    # -- what the feed brings

    def show_frame(self, frame: Frame) -> None:
        """Take over what the feed found; choose a run if none is chosen yet."""
        if self._hidden_by_study(frame):
            return
        before = self.frame
        self.frame = frame
        view = self.view
        first = self._to_open(frame, before)
        if first is not None:
            view = self._as_opened = self._opened(first)
        run = find(frame.runs, view.run)
        if run is not None:
            view = view.tick(run, _now_ms())
        if frame.runs != before.runs or view.run != self.view.run:
            self._set_view(view)
            self._show_list()
        elif view != self.view:
            self._set_view(view)
        if not frame.runs:
            lines = empty_rows(
                self._options.directories,
                self._options.service,
                self._options.pid,
                others=frame.other_services,
                plain=self._options.plain,
            )
            self._notice.show(lines)
        self.set_class(not frame.runs, "empty")
        self._show_bars()

    def _to_open(self, frame: Frame, before: Frame) -> Run | None:
        """Return the run to open on, None if the one that is shown stays.

        Of a hundred thousand runs, the one that is asked for, or runs, may be looked at late: as
        long as the user has done nothing, it takes the place of another.
        """
        shown = find(frame.runs, self.view.run)
        wanted = find(frame.runs, self._options.run)
        if shown is None:
            return wanted or opening(frame.runs)
        opened = self._as_opened
        touched = (self.view.run, self.view.window) != (opened.run, opened.window)
        if touched or not before.unread or shown is wanted:
            return None
        if wanted is not None or shown.running:
            return wanted
        first = opening(frame.runs)
        return None if first is shown else first

    def _opened(self, run: Run) -> View:
        """Return the view to begin with: what the command line asked for, or what suits."""
        asked = self._options
        return self.view.opened(run, _now_ms(), asked.begin_ms, asked.end_ms, asked.last_ms)

    def show_drawn(self, drawn: Sequence[Drawn]) -> None:
        """Put drawn charts on the screen.

        One for a size that has passed is kept too: that size may come back before the feed has
        looked, and what is on the screen is then not drawn again.
        """
        self._charts.draw({one.chart: one.rows for one in self._own(drawn)})

    def _set_view(self, view: View) -> None:
        if view == self.view:
            return
        self.view = view
        self._request()
        self._show_bars()

    # -- what the keys do

    def action_run(self, step: int) -> None:
        """Show the run `step` places down the list."""
        self._select(neighbour(self.listed, self.view.run, step))

    def action_sibling(self, step: int) -> None:
        """Show the next or previous pid of this service."""
        self._select(sibling(self.frame.runs, self.view.run, step))

    def select_path(self, path: str) -> None:
        """Show the run of that path, if it is there."""
        self._select(find(self.frame.runs, path))

    def _select(self, run: Run | None) -> None:
        if run is not None and run.path != self.view.run:
            self._set_view(self.view.select(run, _now_ms()))
            self._show_list()

    def action_pan(self, fraction: float) -> None:
        """Move the window by a fraction of its span."""
        if self.run is not None:
            self._set_view(self.view.pan(fraction, self.run, _now_ms()))

    def action_zoom(self, step: int) -> None:
        """Zoom in (-1) or out (1)."""
        if self.run is not None:
            self._set_view(self.view.zoom(step, self.run, _now_ms(), self.view.cursor))

    def action_cursor(self, step: int) -> None:
        """Move the time cursor by a column, by more while the key is held."""
        self._held = self._held.press(step, time.monotonic())
        area = self._area()
        if self.run is not None and area is not None:
            cells = self._held.cells
            self._set_view(stepped(self.view, cells, area.width, self.run, _now_ms()))

    def _area(self, chart: str | None = None) -> "Area | None":
        """Return where the plot lies in a chart on the screen, by default the widest."""
        from pprofplus_tui.charts.spec import plot_area  # noqa: PLC0415 - it needs numpy

        places = self._places()
        widest = max(places.values(), key=lambda place: place.width, default=None)
        place = places.get(chart) if chart is not None else widest
        return plot_area(place.width, place.height) if place is not None else None

    def action_log(self) -> None:
        """Give the chosen chart a logarithmic scale, or a plain one."""
        self._set_look(
            self.view.toggle_log(), "This chart is a stack: it has no logarithmic scale."
        )

    def action_levels(self) -> None:
        """Show the chosen chart's counters as levels, or as rates."""
        self._set_look(self.view.toggle_levels(), "This chart has no counters.")

    def _set_look(self, view: View, otherwise: str) -> None:
        if view == self.view:
            self.notify(otherwise, markup=False)
        self._set_view(view)

    def action_goto(self) -> None:
        """Ask for a time and go there."""
        run, window = self.run, self.view.window
        if run is None or window is None:
            return
        from pprofplus_tui.screens.goto_dialog import GotoAsked, GotoDialog  # noqa: PLC0415

        base_ms = self.view.cursor or window.begin_ms
        asked = GotoAsked(run, base_ms, self._options.zone)
        self.app.push_screen(GotoDialog(asked, plain=self._options.plain), self._go)

    def action_events(self) -> None:
        """List what happened in the run."""
        run, window = self.run, self.view.window
        if run is None or window is None:
            return
        from pprofplus_tui.screens.event_list import EventsAsked, EventsScreen  # noqa: PLC0415

        at_ms = self.view.cursor or window.end_ms
        options = self._options
        asked = EventsAsked(run, self.frame.runs, options.zone, at_ms, options.colours, self._death)
        self.app.push_screen(EventsScreen(asked, plain=options.plain), self._go_to_event)

    def _go_to_event(self, event: "RunEvent | None") -> None:
        """Show the time of an event, or the run that began."""
        if event is not None and event.path:
            self.select_path(event.path)
        elif event is not None:
            from pprofplus_tui.model.time_grammar import Goto  # noqa: PLC0415 - as in _go

            self._go(Goto(at_ms=event.t_ms))

    def _go(self, goto: "Goto | None") -> None:
        """Go where the dialog was told."""
        if goto is not None and self.run is not None:
            from pprofplus_tui.model.goto_target import goto_view  # noqa: PLC0415 - what only a key needs

            self._set_view(goto_view(self.view, goto, self.run, _now_ms()))

    def action_start(self) -> None:
        """Go to the start of the run."""
        if self.run is not None:
            self._set_view(self.view.start(self.run))

    def action_live(self) -> None:
        """Go to the end of the run, and follow if it is live."""
        if self.run is not None:
            self._set_view(self.view.live(self.run, _now_ms()))

    def action_fit(self) -> None:
        """Show the whole run."""
        if self.run is not None:
            self._set_view(self.view.fit(self.run, _now_ms()))

    def action_freeze(self) -> None:
        """Freeze the picture, or let it run again."""
        self._set_view(self.view.freeze(_now_ms()))

    def action_chart(self, chart: str) -> None:
        """Show or hide a chart; one that there was no room for is chosen, and so shown."""
        view, places = self.view, self._places()
        if chart not in view.shown or chart in places:
            view = view.toggle(chart)
        size = self._charts.size
        room = len(arrange(size.width, size.height, len(view.shown)))
        if chart in view.shown and chart not in view.fitting(room):
            view = replace(view, chosen=chart)
        self._set_view(view)

    def action_pin(self) -> None:
        """Pin the run, or unpin it."""
        run = self.run
        if run is not None:
            # a disk may take its time: not in the thread that draws
            self.run_worker(lambda: self._pin(run), thread=True)

    def _pin(self, run: Run) -> None:
        """Do it; runs in the worker's thread."""
        from pprofplus_tui.sources.local.pins import PinError, toggle_pin  # noqa: PLC0415

        try:
            told = "pinned" if toggle_pin(run.path) else "unpinned"
        except PinError as error:
            text = clean(str(error), ascii_only=self._options.plain)
            self.notify(text, severity="warning", markup=False)
        else:
            self.notify(f"{run.service} {run.pid} {told}", markup=False)

    def action_select_chart(self, step: int) -> None:
        """Choose another chart."""
        self._set_view(self.view.choose(step))

    def action_maximise(self) -> None:
        """Show the chosen chart alone, or all again."""
        self._set_view(self.view.maximise())

    def action_back(self) -> None:
        """Remove the cursor; without one, show all charts again, else all runs."""
        if self.view.cursor is not None:
            self._set_view(replace(self.view, cursor_ms=None))
        elif not self.view.alone:
            self._cleared()
        else:
            self._set_view(self.view.maximise())

    def action_help(self) -> None:
        """Show the help."""
        # what only a key needs is loaded by it: the first paint comes sooner
        from pprofplus_tui.screens.help_page import HelpScreen  # noqa: PLC0415

        self.app.push_screen(HelpScreen(plain=self._options.plain, keys=self._options.keys))

    def action_suspend_process(self) -> None:
        """Stop, with the terminal as it was found; the shell's fg goes on."""
        self.app.action_suspend_process()

    def action_explain(self) -> None:
        """Explain the chosen chart and what memory does in the window."""
        run, chart = self.run, self.view.table.by_id.get(self.view.chosen)
        if run is None or chart is None:
            self.notify("There is no run to explain yet.", severity="warning", markup=False)
            return
        from pprofplus_tui.screens.explain_page import Explained, ExplainScreen  # noqa: PLC0415

        plain = self._options.plain
        name = clean(f"{run.service} {run.pid}", ascii_only=plain)
        told = Explained(chart, self.frame.facts, name, self._death)
        self.app.push_screen(ExplainScreen(told, plain=plain))

    def action_quit(self) -> None:
        """Leave at once."""
        self.app.exit()

    def action_export(self) -> None:
        """Ask where to, then write the visible window."""
        run, window = self.run, self.view.window
        if run is None or window is None:
            self.notify("There is no run to export yet.", severity="warning", markup=False)
            return
        from pprofplus_tui.screens.export_dialog import ExportDialog, ExportJob  # noqa: PLC0415

        job = ExportJob(run, window.begin_ms, window.end_ms, self._options.zone)
        self.app.push_screen(ExportDialog(job, plain=self._options.plain))

    def action_picture(self) -> None:
        """Ask where to, then save a picture of the screen."""
        from pprofplus_tui.screens.screenshot_dialog import picture_of  # noqa: PLC0415

        run, options = self.run, self._options
        who = f"-{run.service}-{run.pid}" if run is not None else ""
        self.app.push_screen(picture_of(self.app, who, options.zone, plain=options.plain))

    # -- what the mouse does

    def on_run_list_chosen(self, message: RunList.Chosen) -> None:
        """Show the run that was clicked."""
        self.select_path(message.path)

    def on_run_list_stepped(self, message: RunList.Stepped) -> None:
        """Show the next run."""
        self.action_run(message.step)

    def on_chart_grid_clicked(self, message: ChartGrid.Clicked) -> None:
        """Choose the chart, and put the cursor where its plot was clicked.

        A second click on its frame, and a double click anywhere, enlarge it.
        """
        view, area = self.view, self._area(message.chart)
        cell = (message.x - area.left, message.y - area.top) if area is not None else (-1, -1)
        plot = area is not None and 0 <= cell[0] < area.width and 0 <= cell[1] < area.height
        if message.double or (view.chosen == message.chart and not plot):
            self._set_view(view.maximise())
            return
        view = replace(view, chosen=message.chart)
        self._set_view(pointed_at(view, cell[0], area.width) if area and plot else view)

    def on_chart_grid_dragged(self, message: ChartGrid.Dragged) -> None:
        """Take the cursor along."""
        area = self._area(message.chart)
        if area is not None and self.run is not None:
            self._set_view(pointed_at(self.view, message.x - area.left, area.width))

    def on_chart_grid_zoomed(self, message: ChartGrid.Zoomed) -> None:
        """Zoom around the instant under the mouse."""
        area, window = self._area(message.chart), self.view.window
        if area is None or window is None or self.run is None:
            return
        cell = min(max(message.x - area.left, 0), max(0, area.width - 1))
        anchor_ms = instant(cell, window.begin_ms, window.end_ms, area.width)
        self._set_view(self.view.zoom(message.step, self.run, _now_ms(), anchor_ms))
