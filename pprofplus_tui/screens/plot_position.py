"""The position of a chart's plot on the screen, and the time of each column."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pprofplus_tui.model.cursor import pointed_at
from pprofplus_tui.model.grid_layout import ChartPlace
from pprofplus_tui.model.time_axis import instant
from pprofplus_tui.model.view import View
from pprofplus_tui.model.window import Window

if TYPE_CHECKING:
    from pprofplus_tui.charts.spec import Area


def plot_in(place: ChartPlace | None) -> "Area | None":
    """Return the area of the plot in a chart at that place, in cells; None without a place."""
    from pprofplus_tui.charts.spec import plot_area  # noqa: PLC0415 - it imports numpy

    return plot_area(place.width, place.height) if place is not None else None


def widest(places: Mapping[str, ChartPlace]) -> ChartPlace | None:
    """Return the widest place, None if there is none."""
    return max(places.values(), key=lambda place: place.width, default=None)


def time_at(place: ChartPlace | None, x: int, window: Window | None) -> int | None:
    """Return the time of a chart's column, unix ms or age; None where no chart is drawn.

    A column outside the plot has the time of the nearest one inside.
    """
    area = plot_in(place)
    if area is None or window is None:
        return None
    cell = min(max(x - area.left, 0), max(0, area.width - 1))
    return instant(cell, window.begin_ms, window.end_ms, area.width)


def clicked(view: View, place: ChartPlace | None, chart: str, x: int, y: int) -> View | None:
    """Return the view after a click on a cell of a chart: chosen, with the cursor in its plot.

    None if the click was on the frame of the chart that is chosen already.
    """
    area = plot_in(place)
    if area is not None:
        cell, row = x - area.left, y - area.top
        if 0 <= cell < area.width and 0 <= row < area.height:
            return pointed_at(replace(view, chosen=chart), cell, area.width)
    return None if view.chosen == chart else replace(view, chosen=chart)


def dragged(view: View, place: ChartPlace | None, x: int) -> View:
    """Return the view with the time cursor at a column of a chart."""
    area = plot_in(place)
    return view if area is None else pointed_at(view, x - area.left, area.width)
