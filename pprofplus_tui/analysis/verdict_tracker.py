"""Verdicts on the memory of a run in a window, and when the main view computes them again."""

from collections.abc import Mapping, Sequence

from pprofplus_tui.analysis.layer_verdicts import judge_curve, verdicts
from pprofplus_tui.analysis.whole_run import series_of, whole_run_of
from pprofplus_tui.model.points import Points, SeriesKey
from pprofplus_tui.model.verdict import (
    LAYERS,
    NOT_SURE,
    VERDICT_BUCKETS,
    VERDICT_METRICS,
    Layer,
    LayerKind,
    Verdict,
    Verdicts,
)
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.port import RunReader

FACTS: tuple[SeriesKey, ...] = tuple((metric, False) for metric in VERDICT_METRICS)
_OLDEST_MS = 5000  # a verdict is never older than this, in long windows too

_NOTHING = Verdicts()
_WHOLE = LAYERS[0]
_RSS: SeriesKey = ("rss", False)


def judged(  # noqa: PLR0913 - a window of a run, what is known of it, and what to judge
    run: RunReader,
    begin_ms: int,
    end_ms: int,
    before: Verdicts = _NOTHING,
    known: Mapping[SeriesKey, Points] | None = None,
    *,
    kinds: Sequence[LayerKind] = LAYERS,
) -> Verdicts:
    """Return the verdicts on a run's memory in [begin_ms, end_ms), unix ms.

    The monitor, `list` and `report` all show these. `known` are the points of `FACTS` in
    `VERDICT_BUCKETS` buckets, if they are known already; `before` are the last verdicts on this
    view. Only the layers in `kinds` are judged. The trend of the whole run counts too and, if that
    does not decide, the earlier run of the service.
    """
    facts = FACTS if kinds is LAYERS else series_of(kinds)
    points = known or run.query(begin_ms, end_ms, VERDICT_BUCKETS, facts, exact=False)
    ends = run.end_samples(begin_ms, end_ms, facts)
    table = {metric: points[metric, rate] for metric, rate in facts}
    whole = whole_run_of(run)
    past, earlier = whole.trends(run, kinds), whole.known_earlier_trends
    found = verdicts(table, before, ends, kinds, past=past, earlier=earlier)
    if earlier is not None or all(layer.verdict.kind != NOT_SURE for layer in found.layers):
        return found
    return verdicts(table, before, ends, kinds, past=past, earlier=whole.earlier_trends(run))


def judged_curve(  # noqa: PLR0913, PLR0917 - a window of a run, and what to judge
    run: RunReader, begin_ms: int, end_ms: int, wanted: SeriesKey, unit: str, before: str = ""
) -> Verdict:
    """Return the verdict on one series of a run in [begin_ms, end_ms), unix ms.

    For the resident set it is the verdict of the main view, computed in the same way, so that a
    comparison shows the same. `unit` is that of the recorded figures; `before` is the kind of the
    last verdict on this view.
    """
    if wanted == _RSS:
        said = Verdicts((Layer(_WHOLE, 0, Verdict(before)),)) if before else _NOTHING
        rss = judged(run, begin_ms, end_ms, said, kinds=(_WHOLE,)).rss
        return Verdict() if rss is None else rss.verdict
    points = run.query(begin_ms, end_ms, VERDICT_BUCKETS, (wanted,), exact=False)[wanted]
    return judge_curve(points, unit, before)


class VerdictTracker:
    """Judges the window of the main view again when there is enough new, with hysteresis."""

    def __init__(self) -> None:
        # the window of the last verdicts, and where the run ended then
        self._window: Window | None = None
        self._end_ms = 0

    def forget(self) -> None:
        """Start again, with another run."""
        self._window = None

    def is_due(self, run: RunReader, window: Window) -> bool:
        """Return whether there is enough new to judge again: that costs as much as two charts."""
        if self._window is None:
            return True
        new_ms = run.end_ms - self._end_ms
        return not 0 <= new_ms < min(window.span_ms // VERDICT_BUCKETS, _OLDEST_MS)

    def judge(
        self,
        run: RunReader,
        window: Window,
        before: Verdicts,
        known: Mapping[SeriesKey, Points] | None = None,
    ) -> Verdicts:
        """Return the verdicts on a run's memory in a window.

        Args:
            run: refreshed.
            window: of the main view.
            before: the last verdicts on this run.
            known: see `judged`.
        """
        last, self._window = self._window, window
        self._end_ms = run.end_ms
        went_on = last is not None and (
            last == window
            or (last.following and window.following and last.span_ms == window.span_ms)
        )
        return judged(run, window.begin_ms, window.end_ms, before if went_on else _NOTHING, known)
