"""Judges how live runs grow, a few at a time, for the list sorted by growth."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pprofplus_tui.analysis.verdict_tracker import series_verdict
from pprofplus_tui.model.runs import RUNNING, RunId
from pprofplus_tui.model.verdict import GROWING, Verdict
from pprofplus_tui.model.view import young_span_ms
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.port import Access, NoRunError, RunInfo, RunReader, Source

_RSS = ("rss", False)
_NEW_SHARE = 50  # a run is judged again after new samples of 1/50 of the window
_MIN_NEW_MS = 5000


@dataclass(eq=False)
class _Judged:
    """A run, the verdict on its last minutes, and the run's end at that time."""

    run: RunReader
    verdict: Verdict
    end_ms: int


class GrowthRanking:
    """Keeps the verdict on the last minutes of each live run. Only the backend's thread uses it.

    The window is the one with which the main view opens a run.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._judged: dict[RunId, _Judged] = {}
        self._has_more = False

    @property
    def has_more(self) -> bool:
        """Whether the last call of `update` left runs for the next one."""
        return self._has_more

    def forget(self) -> None:
        """Drop all readers and verdicts: the list is no longer sorted by growth."""
        self._judged.clear()
        self._has_more = False

    def verdict(self, run_id: RunId) -> Verdict | None:
        """Return the verdict on a run, None if there is none yet."""
        judged = self._judged.get(run_id)
        return None if judged is None else judged.verdict

    def update(self, infos: Iterable[RunInfo], until_s: float) -> bool:
        """Judge live runs until a monotonic time; return whether any verdict changed.

        Runs without a verdict are first, then those with the oldest verdict.
        """
        live = {info.id: info for info in infos if info.state in RUNNING}
        for run_id in self._judged.keys() - live.keys():
            del self._judged[run_id]
        due = sorted(filter(self._is_due, live.values()), key=self._judged_until)
        new = False
        for info in due:
            if time.monotonic() > until_s:
                self._has_more = True
                return new
            new |= self._update_run(info)
        self._has_more = False
        return new

    def _judged_until(self, info: RunInfo) -> int:
        judged = self._judged.get(info.id)
        return -1 if judged is None else judged.end_ms

    def _is_due(self, info: RunInfo) -> bool:
        judged = self._judged.get(info.id)
        if judged is None:
            return True
        span_ms = young_span_ms(info.end_ms - info.begin_ms)
        return not 0 <= info.end_ms - judged.end_ms < max(span_ms // _NEW_SHARE, _MIN_NEW_MS)

    def _opened(self, info: RunInfo, judged: _Judged | None) -> RunReader:
        """Return the refreshed run. Raises NoRunError."""
        if judged is None:
            return self._source.open(info.id, Access.END)
        judged.run.refresh()
        return judged.run

    def _update_run(self, info: RunInfo) -> bool:
        """Judge one run; return whether its verdict changed."""
        judged = self._judged.get(info.id)
        try:
            run = self._opened(info, judged)
        except NoRunError:  # it was removed
            return False
        window = Window.live(info.end_ms, young_span_ms(info.end_ms - info.begin_ms))
        before = "" if judged is None else judged.verdict.kind
        verdict = series_verdict(run, window.begin_ms, window.end_ms, _RSS, "B", before)
        if verdict.kind == GROWING and run.only_end:
            # only the whole run shows whether this is a wave or a saw-tooth, as in the main view
            run = self._source.open(info.id)
            verdict = series_verdict(run, window.begin_ms, window.end_ms, _RSS, "B", before)
        if judged is not None and judged.run is run and judged.verdict == verdict:
            judged.end_ms = info.end_ms
            return False
        self._judged[info.id] = _Judged(run, verdict, info.end_ms)
        return True
