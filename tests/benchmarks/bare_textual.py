"""A minimal Textual application, for comparison with the start of the monitor."""

from textual.app import App, ComposeResult
from textual.widgets import Static


class Bare(App[None]):
    """Shows one word."""

    def compose(self) -> ComposeResult:
        """Fill the screen."""
        yield Static("bare")


if __name__ == "__main__":
    Bare().run()
