"""The thread that answers requests of the screens. It loads its modules after the first paint."""

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pprofplus_tui.backend import run_jobs
from pprofplus_tui.model.comparison_request import ComparisonRequest
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.export_job import Exported, ExportJob
from pprofplus_tui.model.messages import ChartRequest, Drawn, Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run, RunId

if TYPE_CHECKING:
    from pprofplus_tui.backend.session import Session
    from pprofplus_tui.sources.port import Source

TICK_S = 1.0
LOW_TICK_S = 5.0  # over a slow or metered connection
_GC_THRESHOLD = 5000  # allocations before a collection of the young generation; Python: 700


class BackendThread:
    """Answers the latest request immediately and at each tick; its owner starts and closes it.

    `open_source` is called once, on the first use of the source, because its modules load slowly.
    Both callbacks are called from threads of the backend; they must only pass the value on.
    """

    def __init__(
        self,
        options: Options,
        on_frame: Callable[[Frame], None],
        on_drawn: Callable[[Drawn], None],
        *,
        open_source: "Callable[[], Source]",
    ) -> None:
        self._options = options
        self._open_source = open_source
        self._source: Source | None = None
        self._source_lock = threading.Lock()
        self._tick_s = LOW_TICK_S if options.low_bandwidth else TICK_S
        self._on_frame = on_frame
        self._on_drawn = on_drawn
        self._changed = threading.Condition()
        self._request = ChartRequest()
        self._comparison: ComparisonRequest | None = None
        self._first: tuple[RunId, ...] = ()
        self._with_growth = False
        self._scrolled = False
        self._fresh = True
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="pprofplus-backend", daemon=True)

    def start(self) -> None:
        """Start the thread, unless the backend is already closed."""
        with self._changed:
            if self._closing:
                return
            self._thread.start()

    def close(self) -> None:
        """Stop and join the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def source(self) -> "Source":
        """The source of the runs; any thread may use it."""
        with self._source_lock:
            if self._source is None:
                self._source = self._open_source()
            return self._source

    def show(self, request: ChartRequest) -> None:
        """Answer this request now, and again when the run has new samples."""
        with self._changed:
            self._fresh = self._fresh or request != self._request
            self._request = request
            self._changed.notify_all()

    def compare(self, comparison: ComparisonRequest | None) -> None:
        """Answer this comparison instead of the last request; None: return to the request."""
        with self._changed:
            self._fresh = self._fresh or comparison != self._comparison
            self._comparison = comparison
            self._changed.notify_all()

    def read_first(self, runs: tuple[RunId, ...], *, with_growth: bool = False) -> None:
        """Read all figures of these runs before those of other runs.

        With `with_growth`, also judge how each live run grows.
        """
        with self._changed:
            wanted = runs, with_growth
            self._scrolled = self._scrolled or wanted != (self._first, self._with_growth)
            self._first, self._with_growth = wanted
            self._changed.notify_all()

    def events(self, run: Run, limit: int) -> tuple[RunEvent, ...]:
        """Return the events of a run in order of time, at most `limit` of them."""
        return run_jobs.events(self.source, run, limit)

    def toggle_pin(self, run: Run) -> bool:
        """Pin a run if it is not pinned, else unpin it; return whether it is pinned now."""
        return self.source.toggle_pinned(run.id)

    @staticmethod
    def suggest_export_path(job: ExportJob, directory: Path) -> Path:
        """Return the path of a file in `directory` that does not exist, named after the job."""
        return run_jobs.suggest_export_path(job, directory)

    def export(
        self,
        job: ExportJob,
        path: Path,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Exported:
        """Write the samples of a job to a new CSV file, complete or not at all."""
        return run_jobs.export(self.source, job, path, progress, cancelled)

    def _anything_new(self) -> bool:
        return self._fresh or self._scrolled or self._closing

    def _run(self) -> None:
        # numpy, plotext and the readers take longer to load than the first paint
        from pprofplus_tui.backend.session import Session  # noqa: PLC0415

        session = Session(self._options, self.source, self._on_drawn)
        try:
            self._serve(session)
        finally:
            session.close()

    @staticmethod
    def _enable_garbage_collection() -> None:
        """Enable the garbage collection that the command disabled for its start.

        All objects loaded so far are excluded, because they stay: modules and up to 100,000 runs.
        """
        gc.freeze()
        # reference counts free nearly all garbage of a frame
        gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])
        gc.enable()

    def _serve(self, session: "Session") -> None:
        frame: Frame | None = None
        starting = not gc.isenabled()
        refresh_at_s = time.monotonic()
        unanswered = False
        pending = False  # there is more to read: do not wait
        while True:
            with self._changed:
                self._changed.wait_for(
                    self._anything_new,
                    0.0 if pending else max(0.0, refresh_at_s - time.monotonic()),
                )
                if self._closing:
                    return
                request, fresh, self._fresh = self._request, self._fresh or unanswered, False
                comparison, in_view, self._scrolled = self._comparison, self._first, False
                ranking = self._with_growth
            unanswered = fresh  # a request that failed is answered again at the next tick
            pending = False
            # answer a key before reading anything else, but delay a refresh by one tick at most
            at_once = fresh and frame is not None
            try:
                if time.monotonic() >= refresh_at_s + (self._tick_s if at_once else 0.0):
                    refresh_at_s = time.monotonic() + self._tick_s
                    session.refresh(in_view, ranking=ranking)
                elif not at_once:
                    session.read_more(in_view, ranking=ranking)
                if comparison is not None:
                    answer, pending = session.answer_comparison(
                        comparison, fresh=fresh, before=frame
                    )
                else:
                    answer = session.answer(request, fresh=fresh, before=frame)
                unanswered = False
                pending = pending or at_once or session.has_more
            except Exception as error:  # noqa: BLE001 - what cannot be read must not end the monitor
                # the last frame stays on the screen
                answer = replace(frame or Frame(), problem=_problem_of(error))
            if starting and not session.loading:
                starting = False
                self._enable_garbage_collection()
            if answer != frame:
                first = frame is None
                frame = answer
                self._on_frame(answer)
                if first:
                    session.prefetch(request)


def _problem_of(error: Exception) -> str:
    """Return one line about an error that a source raised."""
    from pprofplus_tui.sources.port import SourceError  # noqa: PLC0415 - as above

    if isinstance(error, SourceError):
        return str(error)
    return f"reading failed: {type(error).__name__}: {error}"
