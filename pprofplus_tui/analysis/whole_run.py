"""The trends of a whole run, and of the earlier run of its service, for verdicts on a window.

They are kept as long as the reader of the run, and computed again only when the run has grown.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from pprofplus_tui.analysis.layer_verdicts import LongTermTrends, long_term_trends
from pprofplus_tui.analysis.run_overview import RunOverview, past_grid
from pprofplus_tui.model.points import SeriesKey
from pprofplus_tui.model.verdict import LAYERS, LayerKind
from pprofplus_tui.sources.port import RunReader

# The trends are kept until the run has grown by this share, within these limits.
_SHARE = 64
_LEAST_MS, _MOST_MS = 5000, 600_000
# A run that begins later than its process by more was cut off, or only its end is read.
_START_MS = 60_000

Kinds = Sequence[LayerKind]


def series_of(kinds: Kinds) -> tuple[SeriesKey, ...]:
    """Return the series that these layers are made of."""
    names = (name for kind in kinds for name in (*kind.plus, *kind.minus))
    return tuple(dict.fromkeys((name, False) for name in names))


def trends_of(run: RunReader, kinds: Kinds = LAYERS) -> LongTermTrends:
    """Return the trends of the layers over the whole run: one query that is not exact."""
    keys = series_of(kinds)
    begin_ms, end_ms, buckets = past_grid(run.begin_ms, run.end_ms + 1)
    points = run.query(begin_ms, end_ms, buckets, keys, exact=False)
    table = {metric: points[metric, rate] for metric, rate in keys}
    return long_term_trends(RunOverview(table, run.start_ms), kinds)


class WholeRun:
    """The trends of one run and of the earlier run of its service."""

    def __init__(self) -> None:
        self._trends: LongTermTrends | None = None
        self._kinds: Kinds = ()
        self._ms = (0, 0)  # where the run began and ended then
        self._earlier_trends: LongTermTrends | None = None

    def trends(self, run: RunReader, kinds: Kinds) -> LongTermTrends:
        """Return the trends of the whole run; they may be a little old if the run hardly grew.

        None of any layer if only the end of the run was read.
        """
        if run.only_end and run.begin_ms - run.start_ms > _START_MS:
            return {}
        begin_ms, end_ms = self._ms
        new_ms = run.end_ms - end_ms
        kept_ms = min(max((run.end_ms - run.begin_ms) // _SHARE, _LEAST_MS), _MOST_MS)
        grown = run.begin_ms != begin_ms or not 0 <= new_ms < kept_ms
        if self._trends is None or grown or not set(kinds) <= set(self._kinds):
            self._trends, self._kinds = trends_of(run, kinds), tuple(kinds)
            self._ms = run.begin_ms, run.end_ms
        return self._trends

    @property
    def known_earlier_trends(self) -> LongTermTrends | None:
        """The trends of the earlier run, None if they were not requested yet."""
        return self._earlier_trends

    def earlier_trends(self, run: RunReader) -> LongTermTrends:
        """Return the trends of the earlier run, empty if there is none; it is read once."""
        if self._earlier_trends is None:
            before = run.earlier()
            self._earlier_trends = trends_of(before) if before is not None else {}
        return self._earlier_trends


_KNOWN: WeakKeyDictionary[RunReader, WholeRun] = WeakKeyDictionary()


def whole_run_of(run: RunReader) -> WholeRun:
    """Return the trends of a run; they are dropped with its reader."""
    known = _KNOWN.get(run)
    if known is None:
        known = _KNOWN[run] = WholeRun()
    return known
