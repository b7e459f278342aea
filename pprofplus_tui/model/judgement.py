"""From the metrics of a log to the layers of memory, and what each of them does."""

from collections.abc import Mapping

import numpy as np

from pprofplus_tui.model.series import Points
from pprofplus_tui.model.trend import judge
from pprofplus_tui.model.verdict import LAYERS, LIMIT, USED, Layer, LayerKind, Verdicts

_NOTHING = Verdicts()


def _of_layer(kind: LayerKind, table: Mapping[str, Points]) -> Points | None:
    """Return a layer as a series; None if the log lacks a part of it.

    Buckets hold extremes, and those of a difference cannot be told from those of its parts:
    their middles are taken, which add up.
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
    level = np.zeros(len(shared))
    breaks = np.zeros(len(shared), np.bool_)
    for i, part in enumerate(found):
        at = np.searchsorted(part.t_ms, shared)
        middle = (part.lo[at] + part.hi[at]) / 2
        level += middle if i < len(kind.plus) else -middle
        breaks |= part.breaks[at]
    return Points(shared, level, level, breaks)


def _last(points: Points | None) -> int | None:
    return int(points.hi[-1]) if points is not None and len(points) else None


def verdicts(table: Mapping[str, Points], before: Verdicts = _NOTHING) -> Verdicts:
    """Return what the layers of memory do in a window.

    Args:
        table: metric -> its level in the window, `verdict.VERDICT_METRICS` as far as the log has
            them; bytes. Layers that it does not tell of are left out.
        before: what was told of this view a moment ago.
    """
    known = {layer.kind: layer.verdict.kind for layer in before.layers}
    layers = []
    for kind in LAYERS:
        points = _of_layer(kind, table)
        if points is not None:
            layers.append(
                Layer(kind, int(points.hi[-1]), judge(points, before=known.get(kind, "")))
            )
    rss = table.get("rss")
    span_ms = int(rss.t_ms[-1] - rss.t_ms[0]) if rss is not None and len(rss) else 0
    return Verdicts(tuple(layers), _last(table.get(LIMIT)), _last(table.get(USED)), span_ms)
