"""Long-term trends outside the visible window: of the whole run and of the service's earlier run.

They are kept as long as the reader of the run, and computed again only when the run has grown.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from pprofplus_tui.analysis.layer_verdicts import LongTermTrends, long_term_trends
from pprofplus_tui.analysis.run_overview import RunOverview, past_grid
from pprofplus_tui.model.points import SeriesKey
from pprofplus_tui.model.verdict import LAYERS, LayerKind
from pprofplus_tui.sources.port import RunReader

# Trends are computed again when the run has grown by 1/64, within these limits.
_NEW_SHARE = 64
_MIN_NEW_MS, _MAX_NEW_MS = 5000, 600_000
# A run that begins this long after its process lacks its begin, or only its end is read.
_MAX_LATE_MS = 60_000

Kinds = Sequence[LayerKind]


def series_of(kinds: Kinds) -> tuple[SeriesKey, ...]:
    """Return the series from which these layers are computed."""
    names = (name for kind in kinds for name in (*kind.plus, *kind.minus))
    return tuple(dict.fromkeys((name, False) for name in names))


def trends_of(run: RunReader, kinds: Kinds = LAYERS) -> LongTermTrends:
    """Return the long-term trends of the layers of a run, with one inexact query."""
    series = series_of(kinds)
    begin_ms, end_ms, buckets = past_grid(run.begin_ms, run.end_ms + 1)
    points = run.query(begin_ms, end_ms, buckets, series, exact=False)
    table = {metric: points[metric, rate] for metric, rate in series}
    return long_term_trends(RunOverview(table, run.start_ms), kinds)


class WholeRun:
    """Keeps the long-term trends of one run and of the earlier run."""

    def __init__(self) -> None:
        self._past: LongTermTrends | None = None
        self._kinds: Kinds = ()
        self._ms = (0, 0)  # begin and end of the run at that time
        self._earlier: LongTermTrends | None = None

    def past(self, run: RunReader, kinds: Kinds) -> LongTermTrends:
        """Return the trends of the whole run, computed again only if it has grown enough.

        Empty if only the end of the run was read.
        """
        if run.only_end and run.begin_ms - run.start_ms > _MAX_LATE_MS:
            return {}
        begin_ms, end_ms = self._ms
        new_ms = run.end_ms - end_ms
        kept_ms = min(max((run.end_ms - run.begin_ms) // _NEW_SHARE, _MIN_NEW_MS), _MAX_NEW_MS)
        grown = run.begin_ms != begin_ms or not 0 <= new_ms < kept_ms
        if self._past is None or grown or not set(kinds) <= set(self._kinds):
            self._past, self._kinds = trends_of(run, kinds), tuple(kinds)
            self._ms = run.begin_ms, run.end_ms
        return self._past

    @property
    def known_earlier(self) -> LongTermTrends | None:
        """The trends of the earlier run, None before the first call of `earlier`."""
        return self._earlier

    def earlier(self, run: RunReader) -> LongTermTrends:
        """Return the trends of the earlier run, empty if there is none; computed once."""
        if self._earlier is None:
            before = run.earlier()
            self._earlier = trends_of(before) if before is not None else {}
        return self._earlier


_WHOLE_RUNS: WeakKeyDictionary[RunReader, WholeRun] = WeakKeyDictionary()


def whole_run_of(run: RunReader) -> WholeRun:
    """Return the `WholeRun` of a reader; it is dropped with the reader."""
    known = _WHOLE_RUNS.get(run)
    if known is None:
        known = _WHOLE_RUNS[run] = WholeRun()
    return known
