"""What is known beyond the window shown: the whole run, and the run of the service before it.

It is kept as long as the reader of the run, and read again only when the run has grown.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from pprofplus_tui.analysis.layer_verdicts import LongTermTrends, long_term_trends
from pprofplus_tui.analysis.run_overview import RunOverview, past_grid
from pprofplus_tui.model.points import SeriesKey
from pprofplus_tui.model.verdict import LAYERS, LayerKind
from pprofplus_tui.sources.port import RunReader

# What the whole run says is kept until the run has grown by this share, within these limits.
_SHARE = 64
_LEAST_MS, _MOST_MS = 5000, 600_000
# A run that begins later than its process by more was cut off, or only its end is read.
_START_MS = 60_000

Kinds = Sequence[LayerKind]


def series_of(kinds: Kinds) -> tuple[SeriesKey, ...]:
    """Return the series that these layers are made of."""
    names = (name for kind in kinds for name in (*kind.plus, *kind.minus))
    return tuple(dict.fromkeys((name, False) for name in names))


def past_of(run: RunReader, kinds: Kinds = LAYERS) -> LongTermTrends:
    """Return what the whole run says of its layers: one query that is not exact."""
    series = series_of(kinds)
    begin_ms, end_ms, buckets = past_grid(run.begin_ms, run.end_ms + 1)
    points = run.query(begin_ms, end_ms, buckets, series, exact=False)
    table = {metric: points[metric, rate] for metric, rate in series}
    return long_term_trends(RunOverview(table, run.start_ms), kinds)


class WholeRun:
    """What is known of one run beyond a window."""

    def __init__(self) -> None:
        self._past: LongTermTrends | None = None
        self._kinds: Kinds = ()
        self._ms = (0, 0)  # where the run began and ended then
        self._earlier: LongTermTrends | None = None

    def past(self, run: RunReader, kinds: Kinds) -> LongTermTrends:
        """Return what the whole run says, as it was a while ago if the run hardly grew since.

        Nothing if only the end of the run was read.
        """
        if run.only_end and run.begin_ms - run.start_ms > _START_MS:
            return {}
        begin_ms, end_ms = self._ms
        new_ms = run.end_ms - end_ms
        kept_ms = min(max((run.end_ms - run.begin_ms) // _SHARE, _LEAST_MS), _MOST_MS)
        grown = run.begin_ms != begin_ms or not 0 <= new_ms < kept_ms
        if self._past is None or grown or not set(kinds) <= set(self._kinds):
            self._past, self._kinds = past_of(run, kinds), tuple(kinds)
            self._ms = run.begin_ms, run.end_ms
        return self._past

    @property
    def known_earlier(self) -> LongTermTrends | None:
        """What the run before says, None unless it was asked for."""
        return self._earlier

    def earlier(self, run: RunReader) -> LongTermTrends:
        """Return what the run of the service before says, empty if there is none; read once."""
        if self._earlier is None:
            before = run.earlier()
            self._earlier = past_of(before) if before is not None else {}
        return self._earlier


_KNOWN: WeakKeyDictionary[RunReader, WholeRun] = WeakKeyDictionary()


def beyond(run: RunReader) -> WholeRun:
    """Return what is known of a run beyond the window; it is dropped with its reader."""
    known = _KNOWN.get(run)
    if known is None:
        known = _KNOWN[run] = WholeRun()
    return known
