"""What a log knows beyond the window shown: its whole run, and the run of the service before it.

It is kept with the log, as long as that is, and asked for again only when the run has grown.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from pprofplus_tui.analysis.layer_verdicts import LongTermTrends, long_term_trends
from pprofplus_tui.analysis.run_overview import RunOverview, past_grid
from pprofplus_tui.model.verdict import LAYERS, LayerKind
from pprofplus_tui.sources.local.earlier_run import earlier_run
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.window_query import query

# What the whole run says is kept until the run has grown by this share, within these limits.
_SHARE = 64
_LEAST_MS, _MOST_MS = 5000, 600_000
# A log whose begin is later than the process's by more was cut off, or only its end is read.
_START_MS = 60_000

Kinds = Sequence[LayerKind]


def facts_of(kinds: Kinds) -> tuple[tuple[str, bool], ...]:
    """Return what to ask a log for, to know these layers."""
    names = (name for kind in kinds for name in (*kind.plus, *kind.minus))
    return tuple(dict.fromkeys((name, False) for name in names))


def past_of(log: RunLog, kinds: Kinds = LAYERS) -> LongTermTrends:
    """Return what the whole run says of its layers: a query of page heads, and some arithmetic."""
    facts = facts_of(kinds)
    begin_ms, end_ms, buckets = past_grid(log.begin_ms, log.end_ms + 1)
    points = query(log, begin_ms, end_ms, buckets, facts, exact=False)
    table = {metric: points[metric, rate] for metric, rate in facts}
    return long_term_trends(RunOverview(table, log.start_ms), kinds)


class WholeRun:
    """What one log knows beyond a window."""

    def __init__(self) -> None:
        self._past: LongTermTrends | None = None
        self._kinds: Kinds = ()
        self._ms = (0, 0)  # where the log began and ended then
        self._earlier: LongTermTrends | None = None

    def past(self, log: RunLog, kinds: Kinds) -> LongTermTrends:
        """Return what the whole run says, as it was a while ago if the run hardly grew since.

        Nothing if only the end of the log was read.
        """
        if log.only_end and log.begin_ms - log.start_ms > _START_MS:
            return {}
        begin_ms, end_ms = self._ms
        new_ms = log.end_ms - end_ms
        kept_ms = min(max((log.end_ms - log.begin_ms) // _SHARE, _LEAST_MS), _MOST_MS)
        grown = log.begin_ms != begin_ms or not 0 <= new_ms < kept_ms
        if self._past is None or grown or not set(kinds) <= set(self._kinds):
            self._past, self._kinds = past_of(log, kinds), tuple(kinds)
            self._ms = log.begin_ms, log.end_ms
        return self._past

    @property
    def known_earlier(self) -> LongTermTrends | None:
        """What the run before says, None unless it was asked for."""
        return self._earlier

    def earlier(self, log: RunLog) -> LongTermTrends:
        """Return what the run of the service before says, empty if there is none; read once."""
        if self._earlier is None:
            before = earlier_run(log)
            self._earlier = past_of(before) if before is not None else {}
        return self._earlier


_KNOWN: WeakKeyDictionary[RunLog, WholeRun] = WeakKeyDictionary()


def beyond(log: RunLog) -> WholeRun:
    """Return what is known beyond the window of this log; it goes with the log."""
    known = _KNOWN.get(log)
    if known is None:
        known = _KNOWN[log] = WholeRun()
    return known
