"""A comparison of runs: which runs, which metric, which window, and how each key changes it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pprofplus_tui.model.charts import charts_for
from pprofplus_tui.model.grid_layout import ChartPlace
from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.runs import Run, RunId, find, indexed
from pprofplus_tui.model.window import Window

COMPARE, SERVICE = "compare", "service"
TOP = 5  # so many runs of a service have a line of their own
SUM = "service-sum"  # id of the chart of a service's sum
_TWO_CHARTS_ROWS = 22  # the sum has room below the lines from this height on
_SUM_SHARE = 0.35  # of the height, for the chart of the sum
_CURSOR_STEPS = 100  # steps of the time cursor in one window

# (window, present in the time of the comparison or None) -> the new window
Change = Callable[[Window, int | None], Window]


@dataclass(frozen=True)
class ComparisonRequest:
    """A comparison of marked runs, or of all runs of a service.

    Attributes:
        kind: COMPARE or SERVICE.
        runs: those to compare; the others are compared with the first.
        service: the service whose runs are shown.
        chart: id of the chart whose main series is drawn for each run.
        aligned: times are ages, in ms since each run's start, not unix ms.
        window: the time range, in ages if aligned; None until the runs are known.
        by_size: the largest runs of a service have lines of their own, not the fastest growing.
        cursor_ms: the time whose values are shown; None: the last that the first two runs share.
        shapes: the charts to draw and their sizes.
    """

    kind: str
    runs: tuple[RunId, ...] = ()
    service: str = ""
    chart: str = ""
    aligned: bool = False
    window: Window | None = None
    by_size: bool = False
    cursor_ms: int | None = None
    shapes: tuple[Shape, ...] = ()

    def members(self, runs: tuple[Run, ...]) -> tuple[Run, ...]:
        """Return the runs to compare, in the order of the comparison."""
        if self.kind == SERVICE:
            return indexed(runs).of_service(self.service)
        found = (find(runs, run) for run in self.runs)
        return tuple(run for run in found if run is not None)

    def extent(self, members: tuple[Run, ...], now_ms: int) -> tuple[int, int, int | None]:
        """Return (begin, end, present) of all runs together, in the comparison's time.

        The present is None if no run is recorded any more. `now_ms` is unix time.
        """
        if not members:
            return 0, 1, None
        ends = [now_ms if run.running else run.end_ms + 1 for run in members]
        alive = any(run.running for run in members)
        if not self.aligned:
            begin = min(run.begin_ms for run in members)
            end = max(ends)
            return begin, max(end, begin + 1), now_ms if alive else None
        ages = [end - run.begin_ms for run, end in zip(members, ends, strict=True)]
        running = [age for run, age in zip(members, ages, strict=True) if run.running]
        end = max(1, *ages) if len(ages) > 1 else max(1, ages[0])
        return 0, end, end if running and max(running) == end else None

    def opened(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison with its first window, which shows all of every run.

        If the first two runs never ran at the same time, such as those before and after a
        deploy, the runs are aligned to their starts.
        """
        no_overlap = False
        if self.kind == COMPARE and len(members) > 1:
            one, other = members[:2]
            last = [now_ms if run.running else run.end_ms for run in (one, other)]
            no_overlap = one.begin_ms > last[1] or other.begin_ms > last[0]
        return replace(self, aligned=no_overlap).fitted(members, now_ms)

    def fitted(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison with a window that shows all of every run."""
        begin, end, present = self.extent(members, now_ms)
        slack = max(1000, (end - begin) // 16) if present is not None else 0
        return self.with_window(Window.fit(begin, end + slack, present))

    def with_window(self, window: Window | None) -> "ComparisonRequest":
        """Return the comparison with another window; a cursor stays within it."""
        cursor_ms = self.cursor_ms
        if window is not None and cursor_ms is not None:
            cursor_ms = min(max(cursor_ms, window.begin_ms), window.end_ms - 1)
        return replace(self, window=window, cursor_ms=cursor_ms)

    def realigned(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison by age instead of by time, or the reverse; all is shown."""
        return replace(self, aligned=not self.aligned, cursor_ms=None).fitted(members, now_ms)

    def places(self, width: int, height: int) -> dict[str, ChartPlace]:
        """Return the place of each chart in an area of that many cells."""
        if not width or not height:
            return {}
        # ages have no sum: it would add up runs that did not run at the same time
        if self.kind == COMPARE or self.aligned or height < _TWO_CHARTS_ROWS:
            return {self.kind: ChartPlace(0, 0, width, height)}
        low = int(height * _SUM_SHARE)
        return {
            SERVICE: ChartPlace(0, 0, width, height - low),
            SUM: ChartPlace(0, height - low, width, low),
        }

    def with_places(self, places: dict[str, ChartPlace]) -> "ComparisonRequest":
        """Return the comparison that draws its charts at these places."""
        shapes = tuple(Shape(chart, at.width, at.height) for chart, at in places.items())
        return replace(self, shapes=shapes)

    # -- what the keys change

    def ticked(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison as time passes: a window that follows moves on."""
        present = self.extent(members, now_ms)[2]
        if self.window is None or present is None:
            return self
        return self.with_window(self.window.follow(present))

    def changed(self, change: Change, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison with a changed window, kept within the time of its runs."""
        window = self.window
        if window is None:
            return self
        begin, end, present = self.extent(members, now_ms)
        moved = change(window, present)
        if present is None and moved.end_ms > max(end, window.end_ms):
            last_ms = max(end, window.end_ms)
            moved = replace(Window.fit(last_ms - moved.span_ms, last_ms), frozen=moved.frozen)
        if self.aligned and moved.begin_ms < begin:
            moved = Window.fit(begin, begin + moved.span_ms)
        return self.with_window(moved)

    def panned(self, fraction: float, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison moved by a fraction of the window."""
        return self.changed(lambda window, now: window.pan(fraction, now), members, now_ms)

    def zoomed(
        self, step: int, at_ms: int | None, members: tuple[Run, ...], now_ms: int
    ) -> "ComparisonRequest":
        """Return the comparison zoomed in (-1) or out (1) around a time, or around its middle."""

        def change(window: Window, now: int | None) -> Window:
            return window.zoom_in(at_ms, now) if step < 0 else window.zoom_out(at_ms, now)

        return self.changed(change, members, now_ms)

    def at_start(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison at the start of its first run."""
        begin = self.extent(members, now_ms)[0]
        return self.changed(
            lambda window, _: Window.fit(begin, begin + window.span_ms), members, now_ms
        )

    def at_end(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison at the end of its last run; it follows a live run."""
        _, end, present = self.extent(members, now_ms)

        def change(window: Window, _: int | None) -> Window:
            if present is not None:
                return Window.live(present, window.span_ms)
            return Window.fit(end - window.span_ms, end)

        return self.changed(change, members, now_ms)

    def frozen_or_thawed(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the comparison frozen, or thawed if it is frozen."""
        window = self.window
        if window is None:
            return self
        present = self.extent(members, now_ms)[2] or window.end_ms
        return self.with_window(window.thaw(present) if window.frozen else window.freeze())

    def cursor_moved(self, step: int, start_ms: int | None) -> "ComparisonRequest":
        """Return the comparison with the time cursor moved by steps.

        Without a cursor, it starts at `start_ms`, or at the end of the window if that is None.
        """
        window = self.window
        if window is None:
            return self
        at = self.cursor_ms
        if at is None:
            at = window.end_ms - 1 if start_ms is None else start_ms
        at += step * max(1, window.span_ms // _CURSOR_STEPS)
        return replace(self, cursor_ms=at).with_window(window)

    def next_metric(self, step: int, members: tuple[Run, ...]) -> "ComparisonRequest":
        """Return the comparison of the main series of the next chart, or of the previous one."""
        charts = charts_for(()) if not members else members[0].charts
        order = tuple(chart for chart in charts.priority if not charts.by_id[chart].total)
        at = order.index(self.chart) if self.chart in order else 0
        return replace(self, chart=order[(at + step) % len(order)])
