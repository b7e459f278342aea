"""Several runs in one picture: marked ones compared, or all of a service."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.binding import BindingsMap
from textual.screen import Screen

from pprofplus_tui.model.cell_rows import Cellrun, Row
from pprofplus_tui.model.charts import charts_for
from pprofplus_tui.model.comparison_keys import study_keys
from pprofplus_tui.model.comparison_request import COMPARE, SERVICE, SUM, TOP, ComparisonRequest
from pprofplus_tui.model.findings import Findings
from pprofplus_tui.model.grid_layout import ChartPlace
from pprofplus_tui.model.messages import Drawn, Frame, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.text import narrow
from pprofplus_tui.model.time_axis import clock_text, instant, zone_name
from pprofplus_tui.model.units import format_span_ms
from pprofplus_tui.model.window import Window
from pprofplus_tui.screens.bindings import bindings_of
from pprofplus_tui.screens.run_picker import FeedPort
from pprofplus_tui.widgets.bars import Bar, keys_row, period_text
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.chart_grid import ChartGrid
from pprofplus_tui.widgets.comparison_table import difference_row, figure_rows, totals_row
from pprofplus_tui.widgets.row_text import fit, spread
from pprofplus_tui.widgets.theme import TokenColours

_TWO_CHARTS_ROWS = 22  # from here on there is room for a sum below the lines
_SUM_SHARE = 0.35
_TABLE_SHARE = 3  # the table takes a third of the screen at most
_CURSOR_STEPS = 100  # of a window's width


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Figures(CellWidget):
    """The numbers below the charts."""


class ComparisonScreen(Screen[None]):
    """Draws one metric of several runs, in time or by age; asks the feed, as the main screen.

    Attributes:
        offered: its keys.
        study: what it shows.
    """

    def __init__(
        self,
        feed: FeedPort,
        options: Options,
        study: ComparisonRequest,
        frame: Frame,
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__()
        self.offered = study_keys(options.keys)
        self._bindings = BindingsMap(bindings_of(self.offered))  # Textual's, made from BINDINGS
        self._feed = feed
        self._options = options
        self._on_closed = on_closed
        self._runs = frame.runs
        self._findings = Findings(study.kind)
        self.study = study.opened(study.members(frame.runs), _now_ms())
        self._title, self._told, self._keys = Bar(id="title"), Bar(id="told"), Bar(id="hints")
        self._charts = ChartGrid(id="several")
        self._figures = Figures(id="figures")
        self._figures_rows = 0

    @property
    def findings(self) -> Findings:
        """What was found last."""
        return self._findings

    @property
    def members(self) -> tuple[Run, ...]:
        """The runs that it is about."""
        return self.study.members(self._runs)

    # -- what is on the screen

    def compose(self) -> ComposeResult:
        """Lay out a title, a sentence, the charts, their figures, and the keys."""
        yield from (self._title, self._told, self._charts, self._figures, self._keys)

    def on_mount(self) -> None:
        """TokenColours in the theme's colours."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._repaint())
        self._repaint()
        self.set_interval(1.0, self._tick)

    def on_unmount(self) -> None:
        """Let the feed go back to the main screen."""
        self._on_closed()

    def _repaint(self) -> None:
        paint = TokenColours.standard(dark=self.app.current_theme.dark, own=self._options.colours)
        for widget in self.query(CellWidget):
            widget.set_paint(paint)

    def _tick(self) -> None:
        window = self.study.window
        present = self._extent()[2]
        if window is not None and present is not None:
            self._set(self.study.seen(window.follow(present)))

    def _extent(self) -> tuple[int, int, int | None]:
        return self.study.extent(self.members, _now_ms())

    def on_bar_resized(self) -> None:
        """Write the lines for their new width."""
        self._show_figures()

    def on_chart_grid_resized(self) -> None:
        """Ask for charts of the new size."""
        self._request()

    def _places(self) -> dict[str, ChartPlace]:
        width, height = self._charts.size
        if not width or not height:
            return {}
        # by age there is no sum: it would add up runs that did not run at one time
        if self.study.kind == COMPARE or self.study.aligned or height < _TWO_CHARTS_ROWS:
            return {self.study.kind: ChartPlace(0, 0, width, height)}
        low = int(height * _SUM_SHARE)
        return {
            SERVICE: ChartPlace(0, 0, width, height - low),
            SUM: ChartPlace(0, height - low, width, low),
        }

    def _request(self) -> None:
        places = self._places()
        self._charts.place(places, None)
        shapes = tuple(Shape(chart, at.width, at.height) for chart, at in places.items())
        self.study = replace(self.study, shapes=shapes)
        self._feed.study(self.study)

    def _set(self, study: ComparisonRequest) -> None:
        if study != self.study:
            self.study = study
            self._request()
            self._show_figures()

    def _show_figures(self) -> None:
        options, found = self._options, self._findings
        plain, width = options.plain, self._title.size.width
        if not width:
            return
        self._title.set_rows((self._title_row(width),))
        row = difference_row if self.study.kind == COMPARE else totals_row
        self._told.set_rows((row(found, width, plain=plain),))
        self._keys.set_rows((keys_row(width, plain=plain, keys=self.offered),))
        rows = figure_rows(found, width, options.zone, plain=plain)
        # of one height, whatever is found: the charts above must not be drawn anew for it
        most = 2 + TOP if self.study.kind == SERVICE else 1 + len(self.study.paths)
        height = min(most, max(2, self.size.height // _TABLE_SHARE))
        rows = rows[:height]
        rows += (fit((), width),) * (height - len(rows))
        if self._figures_rows != height:
            self._figures_rows = height
            self._figures.styles.height = height
        self._figures.set_rows(rows)

    def _title_row(self, width: int) -> Row:
        study, plain = self.study, self._options.plain
        dot = " - " if plain else " · "
        if study.kind == COMPARE:
            what = f"{len(self.members)} runs compared"
        else:
            what = f"{narrow(study.service, ascii_only=plain)}{dot}{len(self.members)} runs"
        how = "by age" if study.aligned else "in time"
        left = (
            Cellrun(" pprofplus ", "brand"),
            Cellrun("  ", "bar"),
            Cellrun(what, "title_bar"),
            Cellrun(f"{dot}{how}", "bar"),
        )
        return spread(left, self._mode(plain=plain), width, "bar")

    def _mode(self, *, plain: bool) -> Row:
        window, zone = self.study.window, self._options.zone
        if window is None:
            return ()
        state, style = "PAST ", "accent_bar"
        if window.frozen:
            state, style = "FROZEN ", "stalled_bar"
        elif window.following:
            state, style = "LIVE ", "live_bar"
        if self.study.aligned:
            dash = " - " if plain else " – "  # noqa: RUF001 - a dash between times
            begin, end = (format_span_ms(ms) for ms in (window.begin_ms, window.end_ms))
            return (Cellrun(state, style), Cellrun(f"+{begin}{dash}+{end} ", "bar"))
        name = zone_name(window.end_ms, zone)
        if window.following and not window.frozen:
            last_ms = max((run.end_ms for run in self.members), default=window.end_ms)
            return (Cellrun(state, style), Cellrun(f"{clock_text(last_ms, zone)} {name} ", "bar"))
        return (
            Cellrun(state, style),
            Cellrun(f"{period_text(window, zone, plain=plain)} {name} ", "bar"),
        )

    # -- what the feed brings

    def show_frame(self, frame: Frame) -> None:
        """Take over what the feed found."""
        self._runs = frame.runs
        if frame.findings is not None and frame.findings.kind == self.study.kind:
            self._findings = frame.findings
        self._show_figures()

    def show_drawn(self, drawn: Sequence[Drawn]) -> None:
        """Put drawn charts on the screen."""
        self._charts.draw({one.chart: one.rows for one in drawn})

    # -- what the keys do

    def _moved(self, change: Callable[[Window, int | None], Window]) -> None:
        window = self.study.window
        if window is None:
            return
        begin, end, present = self._extent()
        moved = change(window, present)
        if present is None and moved.end_ms > max(end, window.end_ms):
            last_ms = max(end, window.end_ms)
            moved = replace(Window.fit(last_ms - moved.span_ms, last_ms), frozen=moved.frozen)
        if self.study.aligned and moved.begin_ms < begin:
            moved = Window.fit(begin, begin + moved.span_ms)
        self._set(self.study.seen(moved))

    def action_pan(self, fraction: float) -> None:
        """Move the window by a fraction of its span."""
        self._moved(lambda window, now: window.pan(fraction, now))

    def action_zoom(self, step: int) -> None:
        """Zoom in (-1) or out (1), around the time cursor if there is one."""
        at = self.study.cursor_ms
        if step < 0:
            self._moved(lambda window, now: window.zoom_in(at, now))
        else:
            self._moved(lambda window, now: window.zoom_out(at, now))

    def action_start(self) -> None:
        """Go to the first start."""
        begin = self._extent()[0]
        self._moved(lambda window, _: Window.fit(begin, begin + window.span_ms))

    def action_live(self) -> None:
        """Go to the end, and follow if a run is live."""
        _, end, present = self._extent()
        self._moved(
            lambda window, _: (
                Window.live(present, window.span_ms)
                if present is not None
                else Window.fit(end - window.span_ms, end)
            )
        )

    def action_fit(self) -> None:
        """Show all there is."""
        self._set(self.study.fitted(self.members, _now_ms()))

    def action_freeze(self) -> None:
        """Freeze the picture, or let it run again."""
        window = self.study.window
        if window is not None:
            present = self._extent()[2] or window.end_ms
            self._set(self.study.seen(window.thaw(present) if window.frozen else window.freeze()))

    def action_align(self) -> None:
        """Put all starts at one place, or show real time."""
        self._set(self.study.turned(self.members, _now_ms()))

    def action_rank(self) -> None:
        """Tell apart what grows most, or what is largest."""
        if self.study.kind == SERVICE:
            self._set(replace(self.study, by_size=not self.study.by_size))

    def action_cursor(self, step: int) -> None:
        """Move the time cursor; the first time it comes to where the values are of."""
        study, window = self.study, self.study.window
        if window is None:
            return
        at = study.cursor_ms
        if at is None:
            at = self._findings.moment_ms
            at = window.end_ms - 1 if at is None else at
        at += step * max(1, window.span_ms // _CURSOR_STEPS)
        self._set(replace(study, cursor_ms=at).seen(window))

    def action_metric(self, step: int) -> None:
        """Draw the main series of the next chart."""
        members = self.members
        charts = charts_for(()) if not members else members[0].charts
        order = tuple(chart for chart in charts.priority if not charts.by_id[chart].total)
        at = order.index(self.study.chart) if self.study.chart in order else 0
        self._set(replace(self.study, chart=order[(at + step) % len(order)]))

    def action_leave(self) -> None:
        """Drop the time cursor; without one, go back to the main screen."""
        if self.study.cursor_ms is not None:
            self._set(replace(self.study, cursor_ms=None))
        else:
            self.dismiss()

    def action_help(self) -> None:
        """Show the keys and what the metrics mean."""
        from pprofplus_tui.screens.help_page import HelpScreen  # noqa: PLC0415

        self.app.push_screen(HelpScreen(plain=self._options.plain, keys=self.offered))

    def action_picture(self) -> None:
        """Ask where to, then save a picture of the screen."""
        from pprofplus_tui.screens.screenshot_dialog import picture_of  # noqa: PLC0415

        study, options = self.study, self._options
        who = f"-{study.service}-all" if study.kind == SERVICE else "-compared"
        self.app.push_screen(picture_of(self.app, who, options.zone, plain=options.plain))

    def action_quit(self) -> None:
        """Leave at once."""
        self.app.exit()

    # -- what the mouse does

    def on_chart_grid_zoomed(self, message: ChartGrid.Zoomed) -> None:
        """Zoom around the instant under the mouse."""
        at = self._under(message.chart, message.x)
        if at is not None:
            self._moved(
                lambda window, now: (
                    window.zoom_in(at, now) if message.step < 0 else window.zoom_out(at, now)
                )
            )

    def _under(self, chart: str, x: int) -> int | None:
        """Return the time in a chart's column."""
        from pprofplus_tui.charts.spec import plot_area  # noqa: PLC0415 - it needs numpy

        place, window = self._places().get(chart), self.study.window
        if place is None or window is None:
            return None
        area = plot_area(place.width, place.height)
        cell = min(max(x - area.left, 0), max(0, area.width - 1))
        return instant(cell, window.begin_ms, window.end_ms, area.width)
