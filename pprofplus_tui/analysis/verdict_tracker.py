"""Judges how a run's memory changes in the visible window, again only after enough new samples."""

from collections.abc import Mapping, Sequence

from pprofplus_tui.analysis.layer_verdicts import classify_curve, verdicts
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

VERDICT_SERIES: tuple[SeriesKey, ...] = tuple((metric, False) for metric in VERDICT_METRICS)
_MAX_AGE_MS = 5000  # of a verdict, also in a long window

_NONE = Verdicts()
_WHOLE = LAYERS[0]
_RSS: SeriesKey = ("rss", False)


def window_verdicts(  # noqa: PLR0913 - a window of a run, known points, and options
    run: RunReader,
    begin_ms: int,
    end_ms: int,
    before: Verdicts = _NONE,
    known: Mapping[SeriesKey, Points] | None = None,
    *,
    kinds: Sequence[LayerKind] = LAYERS,
) -> Verdicts:
    """Return the verdicts on the run's memory in [begin_ms, end_ms), unix ms, for all outputs.

    `known` are the points of `VERDICT_SERIES` in `VERDICT_BUCKETS` buckets, if they were queried
    already; `before` are the last verdicts of the same view, for hysteresis. Only `kinds` of the
    layers are judged. The whole run is read too, and if it does not decide, the earlier run of
    the service.
    """
    series = VERDICT_SERIES if kinds is LAYERS else series_of(kinds)
    points = known or run.query(begin_ms, end_ms, VERDICT_BUCKETS, series, exact=False)
    ends = run.end_samples(begin_ms, end_ms, series)
    table = {metric: points[metric, rate] for metric, rate in series}
    whole_run = whole_run_of(run)
    past, earlier = whole_run.trends(run, kinds), whole_run.known_earlier_trends
    found = verdicts(table, before, ends, kinds, past=past, earlier=earlier)
    if earlier is not None or all(layer.verdict.kind != NOT_SURE for layer in found.layers):
        return found
    return verdicts(table, before, ends, kinds, past=past, earlier=whole_run.earlier_trends(run))


def series_verdict(  # noqa: PLR0913, PLR0917 - a series in a window, and options
    run: RunReader, begin_ms: int, end_ms: int, wanted: SeriesKey, unit: str, before: str = ""
) -> Verdict:
    """Return the verdict on one series of a run in [begin_ms, end_ms), unix ms.

    For the resident set it is the same verdict as in the main view, so that lists and comparisons
    agree with it. `unit` is that of the recorded values; `before` is the last kind of verdict of
    the same view, for hysteresis.
    """
    if wanted == _RSS:
        shown = Verdicts((Layer(_WHOLE, 0, Verdict(before)),)) if before else _NONE
        rss = window_verdicts(run, begin_ms, end_ms, shown, kinds=(_WHOLE,)).rss
        return Verdict() if rss is None else rss.verdict
    points = run.query(begin_ms, end_ms, VERDICT_BUCKETS, (wanted,), exact=False)[wanted]
    return classify_curve(points, unit, before)


class VerdictTracker:
    """Judges one view repeatedly, with hysteresis while only time moves the window."""

    def __init__(self) -> None:
        # the window that was judged last, and the end of its run at that time
        self._window: Window | None = None
        self._end_ms = 0

    def forget(self) -> None:
        """Drop the last window: another run is judged next."""
        self._window = None

    def is_due(self, run: RunReader, window: Window) -> bool:
        """Return whether there are enough new samples: judging costs as much as two charts."""
        if self._window is None:
            return True
        new_ms = run.end_ms - self._end_ms
        return not 0 <= new_ms < min(window.span_ms // VERDICT_BUCKETS, _MAX_AGE_MS)

    def verdicts(
        self,
        run: RunReader,
        window: Window,
        before: Verdicts,
        known: Mapping[SeriesKey, Points] | None = None,
    ) -> Verdicts:
        """Return the verdicts on the run's memory in a window.

        Args:
            run: the refreshed reader.
            window: the visible window.
            before: the last verdicts on this run.
            known: see `window_verdicts`.
        """
        last, self._window = self._window, window
        self._end_ms = run.end_ms
        same_view = last is not None and (
            last == window
            or (last.following and window.following and last.span_ms == window.span_ms)
        )
        return window_verdicts(
            run, window.begin_ms, window.end_ms, before if same_view else _NONE, known
        )
