"""Computes the layers of memory from the metrics of a log, and a verdict on each."""

from collections.abc import Mapping, Sequence

import numpy as np

from pprofplus_tui.analysis.long_term import LongTermTrend, look_back
from pprofplus_tui.analysis.run_overview import RunOverview
from pprofplus_tui.analysis.trend import MIN_BYTES, classify
from pprofplus_tui.analysis.window_verdict import weigh
from pprofplus_tui.model.change import change_over
from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.layers import MIN_ABSENT_BYTES, residue
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.verdict import (
    GROWING,
    LAYERS,
    LIMIT,
    NOT_SURE,
    USED,
    Layer,
    LayerKind,
    Verdict,
    Verdicts,
)

_NOTHING = Verdicts()

LongTermTrends = Mapping[str, LongTermTrend]


def _of_layer(kind: LayerKind, table: Mapping[str, Points]) -> Points | None:
    """Return a layer as a series; None if the log lacks a part of it.

    Buckets hold extremes, and the extremes of a difference cannot be derived from those of its
    parts: their middles are used, which add up.
    """
    parts = [table.get(metric) for metric in (*kind.plus, *kind.minus)]
    found = [part for part in parts if part is not None and len(part)]
    if len(found) < len(parts):
        return None
    if len(found) == 1:
        return found[0]
    shared = found[0].t_ms
    for part in found[1:]:
        if len(part) != len(shared) or not np.array_equal(part.t_ms, shared):
            shared = np.intersect1d(shared, part.t_ms, assume_unique=True)
    if not len(shared):
        return None
    plus, minus = np.zeros(len(shared)), np.zeros(len(shared))
    breaks = np.zeros(len(shared), np.bool_)
    for i, part in enumerate(found):
        at = np.searchsorted(part.t_ms, shared)
        side = plus if i < len(kind.plus) else minus
        side += (part.lo[at] + part.hi[at]) / 2
        breaks |= part.breaks[at]
    level, _ = residue(plus, minus)
    return Points(shared, level, level, breaks)


def _at_ends(ends: tuple[Reading, Reading] | None) -> dict[str, Points]:
    """Return the levels of the window's first and last sample."""
    if ends is None or ends[0].t_ms is None or ends[1].t_ms is None:
        return {}
    first, last = ends
    t_ms = np.array([first.t_ms, last.t_ms], np.int64)
    return {
        metric: Points(t_ms, values, values, np.zeros(2, np.bool_))
        for (metric, rate), value in first.values.items()
        if not rate and (metric, False) in last.values
        for values in (np.array([value, last.values[metric, False]]),)
    }


# The least change that counts, by unit, for series that are not bytes.
_MIN_CHANGE = {"count": 2.0, "us": 1000.0, "us/s": 10_000.0, "count/s": 1.0}


def classify_curve(points: Points, unit: str = "B", before: str = "") -> Verdict:
    """Return the verdict on one curve, for views of several runs.

    It uses the tests of the main view. `unit` is as in `units.format_quantity`; `before` is
    the kind of verdict that this curve had a moment ago.
    """
    least = MIN_BYTES if unit in {"B", "B/s"} else _MIN_CHANGE.get(unit, 1.0)
    return classify(points, least, before)


def _last(metric: str, table: Mapping[str, Points], measured: Mapping[str, Points]) -> int | None:
    points = measured.get(metric, table.get(metric))
    return int(points.hi[-1]) if points is not None and len(points) else None


def long_term_trends(past: RunOverview, kinds: Sequence[LayerKind] = LAYERS) -> LongTermTrends:
    """Return the long-term trend of each layer, by its id; it changes slowly and can be kept."""
    found = {}
    for kind in kinds:
        points = _of_layer(kind, past.table)
        trend = look_back(points, past.start_ms, MIN_BYTES) if points is not None else None
        if trend is not None:
            found[kind.id] = trend
    return found


def verdicts(  # noqa: PLR0913 - a window, and its context
    table: Mapping[str, Points],
    before: Verdicts = _NOTHING,
    ends: tuple[Reading, Reading] | None = None,
    kinds: Sequence[LayerKind] = LAYERS,
    *,
    past: LongTermTrends | None = None,
    earlier: LongTermTrends | None = None,
) -> Verdicts:
    """Return the verdicts on the layers of memory in a window.

    Args:
        table: metric -> its level in the window, those of `verdict.VERDICT_METRICS` that the log
            has; bytes. Layers without all their metrics are left out.
        before: the previous verdicts on this view.
        ends: the first and the last sample in the window, for the measured change.
        kinds: the layers to judge.
        past: the long-term trends of the layers; without them, the window alone is judged.
        earlier: the long-term trends of the service's previous run, if they are known.
    """
    known = {layer.kind: layer.verdict.kind for layer in before.layers}
    whole = past.get(LAYERS[0].id) if past is not None else None
    measured = _at_ends(ends)
    layers = []
    for kind in kinds:
        points = _of_layer(kind, table)
        if points is None:
            continue
        at_ends = _of_layer(kind, measured)
        change = change_over(points if at_ends is None else at_ends)
        now_bytes = int((points if at_ends is None else at_ends).hi[-1])
        if kind.resident or float(points.hi.max()) >= MIN_ABSENT_BYTES:
            former = known.get(kind, "")
            # "not sure" means that it grew in the window
            verdict = classify(points, before=GROWING if former == NOT_SURE else former)
            if past is not None:
                verdict = weigh(
                    verdict,
                    points,
                    past.get(kind.id),
                    MIN_BYTES,
                    level=whole.level if whole is not None else 0.0,
                    before=former,
                    earlier=earlier.get(kind.id) if earlier is not None else None,
                )
            layers.append(Layer(kind, now_bytes, verdict, change))
    rss = measured.get("rss", table.get("rss"))
    span_ms = int(rss.t_ms[-1] - rss.t_ms[0]) if rss is not None and len(rss) else 0
    limit_bytes, used_bytes = (_last(metric, table, measured) for metric in (LIMIT, USED))
    return Verdicts(tuple(layers), limit_bytes, used_bytes, span_ms)
