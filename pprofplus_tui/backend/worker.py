"""The thread between disk and screen. What it needs is loaded by it, after the first paint."""

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pprofplus_tui.model.comparison_request import ComparisonRequest
from pprofplus_tui.model.messages import ChartRequest, Drawn, Frame
from pprofplus_tui.model.options import Options

if TYPE_CHECKING:
    from pprofplus_tui.backend.session import Session

TICK_S = 1.0
LOW_TICK_S = 5.0  # over a line that is slow, or paid for by the byte
_YOUNG_OBJECTS = 5000  # new ones that are searched for garbage at a time; Python's own: 700


class BackendThread:
    """Answers the latest request, at once and each tick; whoever makes it starts and closes it.

    Both callbacks are called from threads of the feed and must only hand the value over.
    """

    def __init__(
        self,
        options: Options,
        on_frame: Callable[[Frame], None],
        on_drawn: Callable[[Drawn], None],
    ) -> None:
        self._options = options
        self._tick_s = LOW_TICK_S if options.low_bandwidth else TICK_S
        self._on_frame = on_frame
        self._on_drawn = on_drawn
        self._changed = threading.Condition()
        self._request = ChartRequest()
        self._study: ComparisonRequest | None = None
        self._in_sight: tuple[str, ...] = ()
        self._ranking = False
        self._scrolled = False
        self._fresh = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="pprofplus-feed", daemon=True)

    def start(self) -> None:
        """Start looking, unless it was closed before."""
        with self._changed:
            if self._closing:
                return
            self._thread.start()

    def close(self) -> None:
        """Stop, and join the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def show(self, request: ChartRequest) -> None:
        """Answer this request now, and again whenever the log has more to say."""
        with self._changed:
            self._fresh = self._fresh or request != self._request
            self._request = request
            self._changed.notify_all()

    def study(self, study: ComparisonRequest | None) -> None:
        """Answer this study instead of the request; None: the request again."""
        with self._changed:
            self._fresh = self._fresh or study != self._study
            self._study = study
            self._changed.notify_all()

    def in_sight(self, paths: tuple[str, ...], *, ranking: bool = False) -> None:
        """Read these runs before others, of which only the least is read.

        With `ranking`, judge how each live run grows.
        """
        with self._changed:
            asked = paths, ranking
            self._scrolled = self._scrolled or asked != (self._in_sight, self._ranking)
            self._in_sight, self._ranking = asked
            self._changed.notify_all()

    def _anything_new(self) -> bool:
        return self._fresh or self._scrolled or self._closing

    def _run(self) -> None:
        # numpy, plotext and the readers take longer to load than the first paint
        from pprofplus_tui.backend.session import Session  # noqa: PLC0415

        desk = Session(self._options, self._on_drawn)
        try:
            self._serve(desk)
        finally:
            desk.close()

    @staticmethod
    def _look_for_garbage() -> None:
        """Have Python look for garbage again, which the command stopped for its start.

        What is loaded stays, and needs no looking at: neither the modules nor a hundred thousand
        records of runs.
        """
        gc.freeze()
        # nearly all that a frame leaves behind goes without being looked for
        gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
        gc.enable()

    def _serve(self, desk: "Session") -> None:
        frame: Frame | None = None
        starting = not gc.isenabled()
        look_at = time.monotonic()
        owed = False
        pending = False  # there is more to read at once
        while True:
            with self._changed:
                self._changed.wait_for(
                    self._anything_new,
                    0.0 if pending else max(0.0, look_at - time.monotonic()),
                )
                if self._closing:
                    return
                request, fresh, self._fresh = self._request, self._fresh or owed, False
                study, sought, self._scrolled = self._study, self._in_sight, False
                ranking = self._ranking
            owed = fresh  # until it is answered: what failed is tried again at the next look
            pending = False
            # a key is answered before anything else is read, but not for ever
            at_once = fresh and frame is not None
            try:
                if time.monotonic() >= look_at + (self._tick_s if at_once else 0.0):
                    look_at = time.monotonic() + self._tick_s
                    desk.look(sought, ranking=ranking)
                elif not at_once:
                    desk.look_closer(sought, ranking=ranking)
                if study is not None:
                    told, pending = desk.inquire(study, fresh=fresh, before=frame)
                else:
                    told = desk.answer(request, fresh=fresh, before=frame)
                owed = False
                pending = pending or at_once or desk.behind
            except Exception as error:  # noqa: BLE001 - what cannot be read must not end the monitor
                told = replace(
                    frame or Frame(), problem=f"reading failed: {type(error).__name__}: {error}"
                )
            if starting and not desk.loading:
                starting = False
                self._look_for_garbage()
            if told != frame:
                first = frame is None
                frame = told
                self._on_frame(told)
                if first:
                    desk.foresee(request)
