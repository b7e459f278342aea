"""A screen with one widget on it."""

import pytest
from textual.app import App

from pprofplus_tui.widgets.theme import THEMES


class Stage(App):
    """An application with one widget that records the messages that it posts."""

    CSS = "Screen { overflow: hidden; }"

    def __init__(self, widget):
        super().__init__()
        self.widget = widget
        self.posted = []
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name

    def compose(self):
        yield self.widget

    def on_run_list_chosen(self, message):
        self.posted.append(("chosen", message.run))

    def on_run_list_stepped(self, message):
        self.posted.append(("stepped", message.step))

    def on_chart_grid_clicked(self, message):
        self.posted.append(("clicked", message.chart))

    def on_chart_grid_zoomed(self, message):
        self.posted.append(("zoomed", message.step, message.chart, message.x))

    def on_chart_grid_resized(self):
        self.posted.append(("resized",))

    @property
    def lines(self):
        """The lines of the screen as text."""
        return [strip.text for strip in self.screen._compositor.render_strips()]


@pytest.fixture(scope="session")
def stage():
    """Return a function that puts a widget on a screen."""
    return Stage
