"""Judges the growth of live runs, for the list's order by growth: a few at a time."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pprofplus_tui.analysis.verdict_tracker import judged_curve
from pprofplus_tui.model.runs import RUNNING, RunId
from pprofplus_tui.model.verdict import GROWING, Verdict
from pprofplus_tui.model.view import young_span_ms
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.port import Access, NoRunError, RunInfo, RunReader, Source

_RSS = ("rss", False)
_JUDGED_SHARE = 50  # of the window in new samples, before a run is judged again
_LEAST_NEW_MS = 5000


@dataclass(eq=False)
class _Judged:
    """A run, the verdict on its end, and how far it then reached."""

    run: RunReader
    verdict: Verdict
    end_ms: int


class GrowthRanking:
    """Knows the verdict on the last minutes of each live run. Only the backend's thread uses it.

    The window is the one in which the main view opens on such a run.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._judged: dict[RunId, _Judged] = {}
        self._lacking = False

    @property
    def lacking(self) -> bool:
        """Whether there were more runs to judge than time."""
        return self._lacking

    def forget(self) -> None:
        """Drop all readers and verdicts: the list is in another order."""
        self._judged.clear()
        self._lacking = False

    def verdict(self, run_id: RunId) -> Verdict | None:
        """Return the verdict on a run, None while there is none."""
        judged = self._judged.get(run_id)
        return None if judged is None else judged.verdict

    def judge(self, infos: Iterable[RunInfo], until_s: float) -> bool:
        """Judge live runs until that monotonic time; return whether any verdict is new.

        Those that were never judged come first, then those judged longest ago.
        """
        live = {info.id: info for info in infos if info.state in RUNNING}
        for run_id in self._judged.keys() - live.keys():
            del self._judged[run_id]
        due = sorted(filter(self._is_due, live.values()), key=self._judged_until)
        new = False
        for info in due:
            if time.monotonic() > until_s:
                self._lacking = True
                return new
            new |= self._judge_run(info)
        self._lacking = False
        return new

    def _judged_until(self, info: RunInfo) -> int:
        judged = self._judged.get(info.id)
        return -1 if judged is None else judged.end_ms

    def _is_due(self, info: RunInfo) -> bool:
        judged = self._judged.get(info.id)
        if judged is None:
            return True
        span_ms = young_span_ms(info.end_ms - info.begin_ms)
        return not 0 <= info.end_ms - judged.end_ms < max(span_ms // _JUDGED_SHARE, _LEAST_NEW_MS)

    def _opened(self, info: RunInfo, judged: _Judged | None) -> RunReader:
        """Return the run, up to date. Raises NoRunError."""
        if judged is None:
            return self._source.open(info.id, Access.END)
        judged.run.refresh()
        return judged.run

    def _judge_run(self, info: RunInfo) -> bool:
        """Judge one run; return whether the verdict is another one."""
        judged = self._judged.get(info.id)
        try:
            run = self._opened(info, judged)
        except NoRunError:  # not a run any more
            return False
        window = Window.live(info.end_ms, young_span_ms(info.end_ms - info.begin_ms))
        before = "" if judged is None else judged.verdict.kind
        verdict = judged_curve(run, window.begin_ms, window.end_ms, _RSS, "B", before)
        if verdict.kind == GROWING and run.only_end:
            # only the whole run shows whether that is a wave or a saw-tooth, as in the main view
            run = self._source.open(info.id)
            verdict = judged_curve(run, window.begin_ms, window.end_ms, _RSS, "B", before)
        if judged is not None and judged.run is run and judged.verdict == verdict:
            judged.end_ms = info.end_ms
            return False
        self._judged[info.id] = _Judged(run, verdict, info.end_ms)
        return True
