"""The state of the main screen, and how keys change it: one frozen value."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pprofplus_tui.model.chart_options import ChartOptions, counts
from pprofplus_tui.model.charts import STANDARD, ChartTable
from pprofplus_tui.model.durations import MINUTE_MS
from pprofplus_tui.model.runs import Run, RunId
from pprofplus_tui.model.window import Window

# A young service is shown in a window that it soon fills, an old one in its last 15 minutes. A
# window jumps every eighth of its span: a shorter one would send too much over a slow line.
YOUNG_SPANS_MS = (2 * MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS)
_FRESH_SHARE = 0.9
# a run that stalled or paused so long ago would leave a following window nearly empty
_SILENT_SHARE = 0.75


def young_span_ms(age_ms: int) -> int:
    """Return the span that suits a live run of this age."""
    fitting = (span for span in YOUNG_SPANS_MS if age_ms < span * _FRESH_SHARE)
    return next(fitting, YOUNG_SPANS_MS[-1])


def _past(run: Run) -> int:
    """Return the end of a window that has a run's last sample at its right edge."""
    return run.end_ms + 1


def whole(run: Run) -> Window:
    """Return the window that shows all of a run."""
    return Window.fit(run.begin_ms, _past(run))


def ending(run: Run, span_ms: int) -> Window:
    """Return the window of that span that ends with an ended run."""
    return Window.fit(_past(run) - span_ms, _past(run))


@dataclass(frozen=True)
class View:
    """The state of the main screen.

    Attributes:
        run: the run shown, or None while there is none.
        window: the stretch of time shown; None until a run is chosen.
        own_span: the user chose the span; otherwise it grows with a young run.
        table: the charts that the run can be seen in.
        hidden: ids of those not to show.
        chosen: id of the chart that Enter enlarges.
        alone: that chart is shown alone.
        log: ids of the charts with a logarithmic axis.
        levels: ids of those that show counters as they are.
        cursor_ms: the time cursor, unix milliseconds, or None; outside of the window it is kept
            but not shown.
    """

    run: RunId | None = None
    window: Window | None = None
    own_span: bool = False
    table: ChartTable = STANDARD
    hidden: frozenset[str] = frozenset()
    chosen: str = STANDARD.priority[0]
    alone: bool = False
    log: frozenset[str] = frozenset()
    levels: frozenset[str] = frozenset()
    cursor_ms: int | None = None

    @property
    def chart_options(self) -> ChartOptions:
        """The options of the charts."""
        return ChartOptions(self.hidden, self.log, self.levels)

    def with_options(self, options: ChartOptions) -> "View":
        """Return the view with these options of the charts."""
        return replace(self, hidden=options.hidden, log=options.log, levels=options.levels)

    @property
    def cursor(self) -> int | None:
        """Where the time cursor is seen, unix milliseconds; None while it is not."""
        at_ms, window = self.cursor_ms, self.window
        seen = at_ms is not None and window is not None and window.begin_ms <= at_ms < window.end_ms
        return at_ms if seen else None

    @property
    def shown(self) -> tuple[str, ...]:
        """The charts to draw, most important first."""
        if self.alone:
            return (self.chosen,)
        return self._not_hidden

    @property
    def _not_hidden(self) -> tuple[str, ...]:
        priority = self.table.priority
        return tuple(chart for chart in priority if chart not in self.hidden) or priority[:1]

    def fitting(self, room: int) -> tuple[str, ...]:
        """Return those of the charts shown that `room` places are for; the chosen one is in."""
        first = self.shown[:room]
        if first and self.chosen in self.shown and self.chosen not in first:
            return (*first[:-1], self.chosen)
        return first

    def with_charts(self, table: ChartTable) -> "View":
        """Return the view of a run that can be seen in these charts."""
        if table == self.table:
            return self
        chosen = self.chosen if self.chosen in table.by_id else table.priority[0]
        return replace(self, table=table, chosen=chosen, alone=self.alone and chosen == self.chosen)

    def select(self, run: Run, now_ms: int) -> "View":
        """Return the view of another run.

        A window in the past that the user chose is kept if the run has samples in it, so that
        workers can be compared at one time. Otherwise the window follows a live run, ends at the
        last sample of a run without recent samples, and shows an ended run whole.
        """
        window = self.window
        kept = (
            window is not None
            and not window.following
            and window.begin_ms < run.end_ms
            and window.end_ms > run.begin_ms
            and self.own_span
        )
        view = self
        if run.charts != self.table:
            # the first own chart of another run has other metrics
            known = STANDARD.by_id.keys()
            chart_options = ChartOptions(self.hidden & known, self.log & known, self.levels & known)
            view = self.with_options(chart_options).with_charts(run.charts)
        return replace(
            view, run=run.id, window=window if kept else self._opening_window(run, now_ms)
        )

    def opened(
        self, run: Run, now_ms: int, begin_ms: int | None, end_ms: int | None, span_ms: int | None
    ) -> "View":
        """Return the first view of a run; the window of the command line is optional."""
        view = self.select(run, now_ms)
        if begin_ms is None and end_ms is None:
            if span_ms is None:
                return view
            if run.running:
                return replace(view, window=Window.live(now_ms, span_ms), own_span=True)
            return replace(view, window=ending(run, span_ms), own_span=True)
        present_ms = now_ms if run.running else None
        last_ms = end_ms if end_ms is not None else max(now_ms if run.running else run.end_ms, 0)
        if begin_ms is None:
            begin_ms = last_ms - span_ms if span_ms is not None else run.begin_ms
        elif end_ms is None and span_ms is not None:
            last_ms = begin_ms + span_ms
        window = Window.fit(min(begin_ms, last_ms), last_ms, present_ms)
        return replace(view, window=window, own_span=True)

    def _opening_window(self, run: Run, now_ms: int) -> Window:
        own = self.window.span_ms if self.own_span and self.window is not None else None
        if not run.running:
            return ending(run, own) if own else whole(run)
        span_ms = own or young_span_ms(now_ms - run.begin_ms)
        if now_ms - run.end_ms > _SILENT_SHARE * span_ms:
            # show what it did before its samples stopped
            return ending(run, own or young_span_ms(run.end_ms - run.begin_ms))
        return Window.live(now_ms, span_ms)

    def tick(self, run: Run, now_ms: int) -> "View":
        """Return the view as time passes: a following window jumps, a young one grows."""
        view = self.with_charts(run.charts)
        window = self.window
        if window is None or not window.following or window.frozen or not run.running:
            return view
        span_ms = window.span_ms
        if not self.own_span:
            span_ms = max(span_ms, young_span_ms(now_ms - run.begin_ms))
        moved = window.follow(now_ms) if span_ms == window.span_ms else Window.live(now_ms, span_ms)
        return view if moved == window else replace(view, window=moved)

    def _moved(self, change: Callable[[Window], Window], run: Run) -> "View":
        window = self.window
        if window is None:
            return self
        moved = change(window)
        last_ms = max(_past(run), window.end_ms)
        if not run.running and moved.end_ms > last_ms:
            # a run has nothing after its end, and that time may be in the future
            moved = replace(Window.fit(last_ms - moved.span_ms, last_ms), frozen=moved.frozen)
        return replace(self, window=moved, own_span=True)

    def pan(self, fraction: float, run: Run, now_ms: int) -> "View":
        """Return the view moved by a fraction of the window."""
        now = now_ms if run.running else None
        return self._moved(lambda window: window.pan(fraction, now), run)

    def zoom(self, step: int, run: Run, now_ms: int, anchor_ms: int | None = None) -> "View":
        """Return the view zoomed in (step -1) or out (step 1)."""
        now = now_ms if run.running else None
        if step < 0:
            return self._moved(lambda window: window.zoom_in(anchor_ms, now), run)
        return self._moved(lambda window: window.zoom_out(anchor_ms, now), run)

    def start(self, run: Run) -> "View":
        """Return the view of the run's first window."""
        begin_ms = run.begin_ms
        return self._moved(lambda window: Window.fit(begin_ms, begin_ms + window.span_ms), run)

    def fit(self, run: Run, now_ms: int) -> "View":
        """Return the view of the whole run, which follows if the run still grows.

        That chooses no span: the next run is not as old as this one.
        """
        if run.running:
            end_ms = now_ms + max(1000, (now_ms - run.begin_ms) // 16)
            fitted = self._moved(lambda _: Window.fit(run.begin_ms, end_ms, now_ms), run)
        else:
            fitted = self._moved(lambda _: whole(run), run)
        return replace(fitted, own_span=False)

    def live(self, run: Run, now_ms: int) -> "View":
        """Return the view at the run's end, following if it still grows."""
        if run.running:
            return self._moved(lambda window: Window.live(now_ms, window.span_ms), run)
        return self._moved(lambda window: ending(run, window.span_ms), run)

    def freeze(self, now_ms: int) -> "View":
        """Return the view frozen, or running again if it was."""
        if self.window is None:
            return self
        thawed = self.window.thaw(now_ms) if self.window.frozen else self.window.freeze()
        return replace(self, window=thawed)

    def toggle(self, chart: str) -> "View":
        """Return the view with a chart shown or hidden; the last one stays."""
        if chart not in self.table.by_id:
            return self
        if self.alone:
            return replace(self, chosen=chart, hidden=self.hidden - {chart})
        hidden = self.hidden ^ {chart}
        if hidden >= self.table.by_id.keys():
            return self
        shown = replace(self, hidden=hidden)
        return shown if shown.chosen in shown.shown else replace(shown, chosen=shown.shown[0])

    def toggle_log(self) -> "View":
        """Return the view with the chosen chart's axis logarithmic or not; a stack's never is."""
        kind = self.table.by_id[self.chosen]
        return self if kind.total else replace(self, log=self.log ^ {self.chosen})

    def toggle_levels(self) -> "View":
        """Return the view with the chosen chart's counters as levels or rates, if it has some."""
        kind = self.table.by_id[self.chosen]
        return replace(self, levels=self.levels ^ {self.chosen}) if counts(kind) else self

    def choose(self, step: int) -> "View":
        """Return the view with the next or previous chart chosen, cyclically."""
        charts = self._not_hidden
        at = charts.index(self.chosen) if self.chosen in charts else 0
        return replace(self, chosen=charts[(at + step) % len(charts)])

    def maximise(self) -> "View":
        """Return the view with the chosen chart alone, or with all again."""
        return replace(self, alone=not self.alone)
