"""Judges what a run's memory does in the window shown, at the pace of what there is to see."""

from collections.abc import Mapping, Sequence

from pprofplus_tui.analysis.layer_verdicts import judge_curve, verdicts
from pprofplus_tui.analysis.whole_run import beyond, series_of
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

VERDICT_SERIES: tuple[SeriesKey, ...] = tuple((metric, False) for metric in VERDICT_METRICS)
_OLDEST_MS = 5000  # in a long window too, a verdict is no older than this

_NOTHING = Verdicts()
_WHOLE = LAYERS[0]
_RSS: SeriesKey = ("rss", False)


def judged(  # noqa: PLR0913 - a window of a run, what is known of it, and what is asked
    run: RunReader,
    begin_ms: int,
    end_ms: int,
    before: Verdicts = _NOTHING,
    known: Mapping[SeriesKey, Points] | None = None,
    *,
    kinds: Sequence[LayerKind] = LAYERS,
) -> Verdicts:
    """Return what the run's memory does in [begin_ms, end_ms), unix ms, wherever it is told.

    `known` are the points of `VERDICT_SERIES` in `VERDICT_BUCKETS` buckets, if they are known already;
    `before` is what was said of this view a moment ago. Of the layers only `kinds` are judged.
    The whole run is read as well, and where that does not decide, the run of the service that
    came before.
    """
    series = VERDICT_SERIES if kinds is LAYERS else series_of(kinds)
    points = known or run.query(begin_ms, end_ms, VERDICT_BUCKETS, series, exact=False)
    ends = run.end_samples(begin_ms, end_ms, series)
    table = {metric: points[metric, rate] for metric, rate in series}
    outside = beyond(run)
    past, earlier = outside.past(run, kinds), outside.known_earlier
    found = verdicts(table, before, ends, kinds, past=past, earlier=earlier)
    if earlier is not None or all(layer.verdict.kind != NOT_SURE for layer in found.layers):
        return found
    return verdicts(table, before, ends, kinds, past=past, earlier=outside.earlier(run))


def judged_curve(  # noqa: PLR0913, PLR0917 - what is asked of a run, and in what view
    run: RunReader, begin_ms: int, end_ms: int, wanted: SeriesKey, unit: str, before: str = ""
) -> Verdict:
    """Return what one figure of a run does in [begin_ms, end_ms), unix ms.

    Of the resident set it is the verdict of the main view, by the same steps, wherever runs
    stand side by side. `unit` is that of the recorded figures; `before` is the kind that this view
    had a moment ago.
    """
    if wanted == _RSS:
        said = Verdicts((Layer(_WHOLE, 0, Verdict(before)),)) if before else _NOTHING
        rss = judged(run, begin_ms, end_ms, said, kinds=(_WHOLE,)).rss
        return Verdict() if rss is None else rss.verdict
    points = run.query(begin_ms, end_ms, VERDICT_BUCKETS, (wanted,), exact=False)[wanted]
    return judge_curve(points, unit, before)


class VerdictTracker:
    """Keeps to what it said of a view that is not a new one, but for the time that went by."""

    def __init__(self) -> None:
        # the window that was judged last, and where its run then ended
        self._window: Window | None = None
        self._end_ms = 0

    def forget(self) -> None:
        """Begin anew, with another run."""
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
        """Return what the run's memory does in a window.

        Args:
            run: refreshed.
            window: what is shown.
            before: what was told of this run last.
            known: see `judged`.
        """
        last, self._window = self._window, window
        self._end_ms = run.end_ms
        went_on = last is not None and (
            last == window
            or (last.following and window.following and last.span_ms == window.span_ms)
        )
        return judged(run, window.begin_ms, window.end_ms, before if went_on else _NOTHING, known)
