"""What the user is looking at, and how each key changes it: one frozen value."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pprofplus_tui.model.charts import CHARTS, PRIORITY
from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.window import Window

_MINUTE_MS = 60_000
# A young service is shown in a window that it soon fills; an old one in its last quarter hour. A
# window jumps every eighth of its span, so a shorter one would cost the line too much.
YOUNG_SPANS_MS = (2 * _MINUTE_MS, 5 * _MINUTE_MS, 15 * _MINUTE_MS)
_TAIL_SHARE = 0.02  # room after the end of an ended run, so that its end is seen as one
_FRESH_SHARE = 0.9


def young_span_ms(age_ms: int) -> int:
    """Return the span that suits a live run of this age."""
    fitting = (span for span in YOUNG_SPANS_MS if age_ms < span * _FRESH_SHARE)
    return next(fitting, YOUNG_SPANS_MS[-1])


def whole(run: Run) -> Window:
    """Return the window that shows all of a run."""
    lasted_ms = run.end_ms - run.begin_ms
    return Window.fit(run.begin_ms, run.end_ms + max(1000, int(lasted_ms * _TAIL_SHARE)))


def ending(run: Run, span_ms: int) -> Window:
    """Return the window of that span that ends with an ended run."""
    end_ms = run.end_ms + max(1000, int(span_ms * _TAIL_SHARE))
    return Window.fit(end_ms - span_ms, end_ms)


@dataclass(frozen=True)
class View:
    """The state of the main screen.

    Attributes:
        run: path of the run shown, or None while there is none.
        window: the stretch of time shown; None until a run is chosen.
        own_span: the user chose the span; otherwise it grows with a young run.
        charts: ids of the charts to show.
        chosen: id of the chart that Enter enlarges.
        alone: that chart is shown alone.
    """

    run: str | None = None
    window: Window | None = None
    own_span: bool = False
    charts: frozenset[str] = frozenset(PRIORITY)
    chosen: str = PRIORITY[0]
    alone: bool = False

    @property
    def shown(self) -> tuple[str, ...]:
        """The charts to draw, most important first."""
        if self.alone:
            return (self.chosen,)
        return tuple(chart for chart in PRIORITY if chart in self.charts)

    def select(self, run: Run, now_ms: int) -> "View":
        """Return the view of another run.

        A window that the user went back to is kept where the run has something to show in it,
        so that workers can be compared at one time; otherwise a live run is followed, and an
        ended one is shown whole.
        """
        window = self.window
        kept = (
            window is not None
            and not window.following
            and window.begin_ms < run.end_ms
            and window.end_ms > run.begin_ms
            and self.own_span
        )
        return replace(
            self, run=run.path, window=window if kept else self._opening_window(run, now_ms)
        )

    def opened(
        self, run: Run, now_ms: int, begin_ms: int | None, end_ms: int | None, span_ms: int | None
    ) -> "View":
        """Return the first view of a run, with what the command line asked for, all optional."""
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
        if run.running:
            return Window.live(now_ms, own or young_span_ms(now_ms - run.begin_ms))
        return ending(run, own) if own else whole(run)

    def tick(self, run: Run, now_ms: int) -> "View":
        """Return the view as time passes: a following window jumps, a young one grows."""
        window = self.window
        if window is None or not window.following or window.frozen or not run.running:
            return self
        span_ms = window.span_ms
        if not self.own_span:
            span_ms = max(span_ms, young_span_ms(now_ms - run.begin_ms))
        moved = window.follow(now_ms) if span_ms == window.span_ms else Window.live(now_ms, span_ms)
        return self if moved == window else replace(self, window=moved)

    def _moved(self, change: Callable[[Window], Window]) -> "View":
        if self.window is None:
            return self
        return replace(self, window=change(self.window), own_span=True)

    def pan(self, fraction: float, run: Run, now_ms: int) -> "View":
        """Return the view moved by a fraction of the window."""
        return self._moved(lambda window: window.pan(fraction, now_ms if run.running else None))

    def zoom(self, step: int, run: Run, now_ms: int, anchor_ms: int | None = None) -> "View":
        """Return the view zoomed in (step -1) or out (step 1)."""
        now = now_ms if run.running else None
        if step < 0:
            return self._moved(lambda window: window.zoom_in(anchor_ms, now))
        return self._moved(lambda window: window.zoom_out(anchor_ms, now))

    def start(self, run: Run) -> "View":
        """Return the view of the run's first window."""
        return self._moved(lambda window: Window.fit(run.begin_ms, run.begin_ms + window.span_ms))

    def fit(self, run: Run, now_ms: int) -> "View":
        """Return the view of the whole run, which follows if the run still grows."""
        if run.running:
            end_ms = now_ms + max(1000, (now_ms - run.begin_ms) // 16)
            return self._moved(lambda _: Window.fit(run.begin_ms, end_ms, now_ms))
        return self._moved(lambda _: whole(run))

    def live(self, run: Run, now_ms: int) -> "View":
        """Return the view at the run's end, following if it still grows."""
        if run.running:
            return self._moved(lambda window: Window.live(now_ms, window.span_ms))
        return self._moved(lambda window: ending(run, window.span_ms))

    def freeze(self, now_ms: int) -> "View":
        """Return the view frozen, or running again if it was."""
        if self.window is None:
            return self
        thawed = self.window.thaw(now_ms) if self.window.frozen else self.window.freeze()
        return replace(self, window=thawed)

    def toggle(self, chart: str) -> "View":
        """Return the view with a chart shown or hidden; the last one stays."""
        if self.alone:
            return replace(self, chosen=chart, charts=self.charts | {chart})
        charts = self.charts ^ {chart}
        shown = replace(self, charts=charts or self.charts)
        return shown if shown.chosen in shown.charts else replace(shown, chosen=shown.shown[0])

    def choose(self, step: int) -> "View":
        """Return the view with the next or previous chart chosen, round and round."""
        charts = tuple(chart for chart in PRIORITY if chart in self.charts)
        at = charts.index(self.chosen) if self.chosen in charts else 0
        return replace(self, chosen=charts[(at + step) % len(charts)])

    def maximise(self) -> "View":
        """Return the view with the chosen chart alone, or with all again."""
        return replace(self, alone=not self.alone)


assert {chart.id for chart in CHARTS} == set(PRIORITY)  # noqa: S101 - one table, two orders
