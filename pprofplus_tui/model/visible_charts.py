"""The charts of a view that fit on a screen, their places, and the request for them."""

from collections.abc import Mapping
from dataclasses import replace

from pprofplus_tui.model.grid_layout import ChartPlace, arrange
from pprofplus_tui.model.messages import ChartRequest, Shape
from pprofplus_tui.model.view import View


def chart_places(view: View, width: int, height: int) -> dict[str, ChartPlace]:
    """Return the place of each chart that fits in an area of that many cells."""
    found = arrange(width, height, len(view.shown))
    return dict(zip(view.fitting(len(found)), found, strict=True))


def chart_request(view: View, places: Mapping[str, ChartPlace]) -> ChartRequest:
    """Return the request for the charts at these places."""
    shapes = tuple(
        Shape(chart, at.width, at.height, chart in view.log, chart in view.levels)
        for chart, at in places.items()
    )
    return ChartRequest(view.run, view.window, shapes, view.cursor)


def toggle_chart(view: View, chart: str, width: int, height: int) -> View:
    """Return the view with a chart shown or hidden, in an area of that many cells.

    A chart that is switched on but does not fit is chosen instead, and so gets a place.
    """
    if chart not in view.shown or chart in chart_places(view, width, height):
        view = view.toggle(chart)
    if chart in view.shown and chart not in chart_places(view, width, height):
        view = replace(view, chosen=chart)
    return view
