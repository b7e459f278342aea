"""The one thread that draws: the latest chart wins, late ones are dropped, never queued."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable

from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.compose import compose, message_rows, retitled
from pprofplus_tui.charts.spec import ChartSpec, same_chart
from pprofplus_tui.model.cell_rows import Rows

_KEPT_ERRORS = 32

OnRows = Callable[[Hashable, ChartSpec, Rows], None]


class _ChartCanvas:
    """The canvas of one chart, and what was drawn last."""

    def __init__(self) -> None:
        self._canvas = Canvas()
        self._shown: tuple[ChartSpec, Rows] | None = None

    def draw(self, spec: ChartSpec) -> Rows:
        """Return the rows; the lines are drawn only if they differ from the last ones."""
        rows = retitled(spec, *self._shown) if self._shown is not None else None
        if rows is None:
            rows = compose(spec, self._canvas)
        self._shown = spec, rows
        return rows


class Renderer:
    """Draws charts in a thread of its own, which owns every plotext figure.

    Its owner must close it.
    """

    def __init__(self, on_rows: OnRows) -> None:
        """Start the thread.

        Args:
            on_rows: called from the thread with (key, chart, rows) for every chart drawn;
                it must pass them on and return (`call_from_thread`, `post_message`). Its exceptions
                are recorded in `errors`: an app that is closing must not end with a traceback.
        """
        self._on_rows = on_rows
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, ChartSpec] = {}
        self._latest: dict[Hashable, ChartSpec] = {}
        self._forgotten: set[Hashable] = set()
        self._busy = False
        self._closing = False
        self._errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self._thread = threading.Thread(target=self._run, name="pprofplus-charts", daemon=True)
        self._thread.start()

    @property
    def errors(self) -> tuple[str, ...]:
        """The last errors, oldest first, one line each: what could not be drawn or delivered."""
        with self._changed:
            return tuple(self._errors)

    @property
    def waiting(self) -> bool:
        """Whether a chart waits to be drawn."""
        with self._changed:
            return bool(self._waiting)

    def submit(self, key: Hashable, spec: ChartSpec) -> bool:
        """Request a drawing; return whether it will be drawn.

        It will not if the latest chart for this key was equal, because its rows are valid, or if
        the renderer is closed. A chart that still waits under this key is dropped.
        """
        return bool(self.submit_all([(key, spec)]))

    def submit_all(self, specs: Iterable[tuple[Hashable, ChartSpec]]) -> int:
        """Request several charts at one time; return how many will be drawn. See `submit`."""
        with self._changed:
            count = 0
            for key, spec in specs:
                if self._closing or same_chart(self._latest.get(key), spec):
                    continue
                self._latest[key] = spec
                self._waiting[key] = spec
                count += 1
            if count:
                self._changed.notify_all()
            return count

    def forget(self, key: Hashable) -> None:
        """Drop what is kept for a key: its figure, and a chart that waits."""
        with self._changed:
            self._latest.pop(key, None)
            self._waiting.pop(key, None)
            self._forgotten.add(key)
            self._changed.notify_all()

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until all requested charts are delivered; return False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def close(self) -> None:
        """Drop what waits and join the thread; does nothing the second time.

        Called from `on_rows`, it cannot join its own thread, which then ends after it.
        """
        with self._changed:
            self._closing = True
            self._waiting.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        canvases: dict[Hashable, _ChartCanvas] = {}
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closing or self._waiting or self._forgotten)
                if self._closing:
                    return
                for key in self._forgotten:
                    canvases.pop(key, None)
                self._forgotten.clear()
                if not self._waiting:
                    continue
                # The oldest key first, so that no chart that changes often blocks the others.
                key = next(iter(self._waiting))
                spec = self._waiting.pop(key)
                self._busy = True
            self._deliver(key, spec, self._rows(canvases, key, spec))

    def _rows(self, canvases: dict[Hashable, _ChartCanvas], key: Hashable, spec: ChartSpec) -> Rows:
        try:
            if key not in canvases:
                canvases[key] = _ChartCanvas()
            return canvases[key].draw(spec)
        except Exception as error:  # noqa: BLE001 - one bad chart must not end all charts
            canvases.pop(key, None)  # its figure may be half built
            reason = f"cannot draw this chart: {type(error).__name__}: {error}"
            self._record(f"{spec.title}: {reason}")
            return message_rows(spec, reason)

    def _deliver(self, key: Hashable, spec: ChartSpec, rows: Rows) -> None:
        with self._changed:
            if self._closing:
                return
        try:
            self._on_rows(key, spec, rows)
        except Exception as error:  # noqa: BLE001 - see on_rows: the app may be going away
            self._record(f"{spec.title}: not delivered: {type(error).__name__}: {error}")

    def _record(self, message: str) -> None:
        with self._changed:
            self._errors.append(message)
