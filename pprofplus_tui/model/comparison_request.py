"""What a view of several runs asks the backend for: a plain value."""

from dataclasses import dataclass, replace

from pprofplus_tui.model.messages import Shape
from pprofplus_tui.model.runs import Run, find, indexed
from pprofplus_tui.model.window import Window

COMPARE, SERVICE = "compare", "service"
TOP = 5  # so many of a service's runs have a line of their own
SUM = "service-sum"  # the chart of a service's sum


@dataclass(frozen=True)
class ComparisonRequest:
    """A view of several runs.

    Attributes:
        kind: COMPARE or SERVICE.
        paths: the runs to compare; the others are compared with the first.
        service: whose runs to show.
        chart: id of the chart whose main series is drawn of each run.
        aligned: times are ages, in ms since each run's start, not unix ms.
        window: the stretch of time shown, of ages if aligned; None until the runs are known.
        by_size: of a service, the largest runs get a line each, not those that grow most.
        cursor_ms: the time whose values are shown; None: the last that the first two runs share.
        shapes: the charts to draw and their sizes.
    """

    kind: str
    paths: tuple[str, ...] = ()
    service: str = ""
    chart: str = ""
    aligned: bool = False
    window: Window | None = None
    by_size: bool = False
    cursor_ms: int | None = None
    shapes: tuple[Shape, ...] = ()

    def members(self, runs: tuple[Run, ...]) -> tuple[Run, ...]:
        """Return its runs, in its order."""
        if self.kind == SERVICE:
            return indexed(runs).of_service(self.service)
        found = (find(runs, path) for path in self.paths)
        return tuple(run for run in found if run is not None)

    def extent(self, members: tuple[Run, ...], now_ms: int) -> tuple[int, int, int | None]:
        """Return (begin, end, present) of all its runs, in its own time.

        The present is None if no run grows any more. `now_ms` is unix time.
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
        """Return the request with its first window: all time with samples.

        Runs of which the first two never ran at one time, such as those before and after a
        deploy, are aligned to their starts.
        """
        apart = False
        if self.kind == COMPARE and len(members) > 1:
            one, other = members[:2]
            last = [now_ms if run.running else run.end_ms for run in (one, other)]
            apart = one.begin_ms > last[1] or other.begin_ms > last[0]
        return replace(self, aligned=apart).fitted(members, now_ms)

    def fitted(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the request for all time with samples."""
        begin, end, present = self.extent(members, now_ms)
        slack = max(1000, (end - begin) // 16) if present is not None else 0
        return self.seen(Window.fit(begin, end + slack, present))

    def seen(self, window: Window | None) -> "ComparisonRequest":
        """Return the request with another window; a cursor stays within it."""
        cursor_ms = self.cursor_ms
        if window is not None and cursor_ms is not None:
            cursor_ms = min(max(cursor_ms, window.begin_ms), window.end_ms - 1)
        return replace(self, window=window, cursor_ms=cursor_ms)

    def turned(self, members: tuple[Run, ...], now_ms: int) -> "ComparisonRequest":
        """Return the request with ages instead of times, or times instead of ages."""
        return replace(self, aligned=not self.aligned, cursor_ms=None).fitted(members, now_ms)
