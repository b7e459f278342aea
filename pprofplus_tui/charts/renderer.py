"""The one thread that draws: the latest picture wins, late ones are dropped, never queued."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable

from pprofplus_tui.charts.canvas import Canvas
from pprofplus_tui.charts.compose import compose, message_rows, retitled
from pprofplus_tui.charts.spec import ChartSpec, same_picture
from pprofplus_tui.model.cell_rows import Rows

_KEPT_ERRORS = 32

OnRows = Callable[[Hashable, ChartSpec, Rows], None]


class _Easel:
    """The canvas of one chart, and the picture that is on it."""

    def __init__(self) -> None:
        self._canvas = Canvas()
        self._shown: tuple[ChartSpec, Rows] | None = None

    def draw(self, picture: ChartSpec) -> Rows:
        """Return a picture's rows; its lines are drawn only if they are others than before."""
        rows = retitled(picture, *self._shown) if self._shown is not None else None
        if rows is None:
            rows = compose(picture, self._canvas)
        self._shown = picture, rows
        return rows


class Renderer:
    """Draws pictures in a thread of its own, which owns every plotext figure.

    Whoever makes it closes it.
    """

    def __init__(self, on_rows: OnRows) -> None:
        """Start the thread.

        Args:
            on_rows: called from the thread with (key, picture, rows) for every picture drawn;
                it must hand them over and return (`call_from_thread`, `post_message`). What it
                raises is recorded in `errors`: an app that is going away must not end in a
                traceback from here.
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
        """Whether a picture waits to be drawn."""
        with self._changed:
            return bool(self._waiting)

    def submit(self, key: Hashable, picture: ChartSpec) -> bool:
        """Ask for a picture; return whether it will be drawn.

        It will not if the latest one for this key was the same, in which case the rows
        delivered or about to be delivered are right, or if the renderer is closed. A picture
        still waiting under this key is dropped.
        """
        return bool(self.submit_all([(key, picture)]))

    def submit_all(self, pictures: Iterable[tuple[Hashable, ChartSpec]]) -> int:
        """Ask for several pictures at one time; return how many will be drawn. See `submit`."""
        with self._changed:
            count = 0
            for key, picture in pictures:
                if self._closing or same_picture(self._latest.get(key), picture):
                    continue
                self._latest[key] = picture
                self._waiting[key] = picture
                count += 1
            if count:
                self._changed.notify_all()
            return count

    def forget(self, key: Hashable) -> None:
        """Drop what is kept for a key: its figure, and a picture that waits."""
        with self._changed:
            self._latest.pop(key, None)
            self._waiting.pop(key, None)
            self._forgotten.add(key)
            self._changed.notify_all()

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until everything asked for is delivered; return whether that came in time."""
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
        easels: dict[Hashable, _Easel] = {}
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closing or self._waiting or self._forgotten)
                if self._closing:
                    return
                for key in self._forgotten:
                    easels.pop(key, None)
                self._forgotten.clear()
                if not self._waiting:
                    continue
                # The oldest key first, so that one busy chart cannot starve the others.
                key = next(iter(self._waiting))
                picture = self._waiting.pop(key)
                self._busy = True
            self._deliver(key, picture, self._rows(easels, key, picture))

    def _rows(self, easels: dict[Hashable, _Easel], key: Hashable, picture: ChartSpec) -> Rows:
        try:
            if key not in easels:
                easels[key] = _Easel()
            return easels[key].draw(picture)
        except Exception as error:  # noqa: BLE001 - one bad picture must not end all charts
            easels.pop(key, None)  # its figure may be half built
            reason = f"cannot draw this chart: {type(error).__name__}: {error}"
            self._record(f"{picture.title}: {reason}")
            return message_rows(picture, reason)

    def _deliver(self, key: Hashable, picture: ChartSpec, rows: Rows) -> None:
        with self._changed:
            if self._closing:
                return
        try:
            self._on_rows(key, picture, rows)
        except Exception as error:  # noqa: BLE001 - see on_rows: the app may be going away
            self._record(f"{picture.title}: not delivered: {type(error).__name__}: {error}")

    def _record(self, message: str) -> None:
        with self._changed:
            self._errors.append(message)
