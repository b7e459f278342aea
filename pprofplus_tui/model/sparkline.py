"""A series in one row of characters, for lists of runs."""

import numpy as np

from pprofplus_tui.model.points import Points

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*#@"


def sparkline(points: Points, width: int, *, ascii_only: bool = False) -> str:
    """Return exactly `width` characters, the highest value of each column as a bar.

    Bars go from the smallest column to the largest; a flat series is drawn low. Columns run from
    the first point to the last; inside a gap they are blank, between two samples without a gap
    the former value is held.
    """
    if width <= 0:
        return ""
    if not len(points):
        return " " * width
    bars = _ASCII_BARS if ascii_only else _BARS
    first_ms, last_ms = int(points.t_ms[0]), int(points.t_ms[-1])
    if first_ms == last_ms:
        return " " * (width - 1) + bars[0]
    columns = (points.t_ms - first_ms) * (width - 1) // (last_ms - first_ms)
    heights = np.full(width, -np.inf)
    np.maximum.at(heights, columns, points.hi)
    for before, after, broken in zip(
        columns[:-1].tolist(), columns[1:].tolist(), points.breaks[1:].tolist(), strict=True
    ):
        if not broken and after - before > 1:
            heights[before + 1 : after] = heights[before]
    drawn = np.isfinite(heights)
    low, high = float(heights[drawn].min()), float(heights[drawn].max())
    # Halved before subtracting, so that two huge values of opposite sign do not overflow.
    height = high / 2 - low / 2
    top = len(bars) - 1
    return "".join(
        " "
        if not shown
        else bars[0]
        if height <= 0
        else bars[round((h / 2 - low / 2) / height * top)]
        for h, shown in zip(heights.tolist(), drawn.tolist(), strict=True)
    )
