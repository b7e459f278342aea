"""Saw-tooth detection: a curve that rises slowly and drops suddenly, repeatedly."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pprofplus_tui.model.points import Floats, Ints


@dataclass(frozen=True, eq=False)
class Teeth:
    """The teeth of a saw-tooth.

    Attributes:
        troughs: numbers of the points where a fall ended.
        height: median height of the falls.
    """

    troughs: Ints
    height: float


def _swings(values: list[float], height: float) -> Iterator[tuple[int, int, int]]:
    """Yield (where a rise began, its top, where the fall after it ended); all at least `height`.

    The last fall may not be finished.
    """
    begin = top = bottom = 0
    rising = True
    for i, value in enumerate(values):
        if rising:
            if value >= values[top]:
                top = i
            elif value < values[top] - height:
                rising, bottom = False, i
        elif value <= values[bottom]:
            bottom = i
        elif value > values[bottom] + height:
            yield begin, top, bottom
            rising, begin, top = True, bottom, i
    if not rising:
        yield begin, top, bottom


def find_teeth(level: Floats, piece: Ints, noise: float, least: float) -> Teeth | None:
    """Return the teeth of a curve, or None if it has none.

    Args:
        level: shape (n,).
        piece: the piece that each point belongs to; a fall between two pieces is ignored.
        noise: how much neighbouring points differ by chance.
        least: a smaller fall is ignored.
    """
    height = max(5 * noise, 0.35 * float(np.ptp(level)), least)
    bounds = np.flatnonzero(np.diff(piece, prepend=-1, append=-1)).tolist()
    found = [
        (first + begin, first + top, first + bottom)
        for first, last in pairwise(bounds)
        for begin, top, bottom in _swings(level[first:last].tolist(), height)
    ]
    if len(found) < 2:  # noqa: PLR2004 - one fall is not a pattern
        return None
    begins, tops, troughs = np.array(found).T
    fall, rise = np.median(troughs - tops), np.median(tops - begins)
    if fall > max(2, rise / 4):  # a wave falls as slowly as it rises
        return None
    return Teeth(troughs, float(np.median(level[tops] - level[troughs])))
