"""The least that a Textual application can be: what the monitor's start is measured against."""

from textual.app import App, ComposeResult
from textual.widgets import Static


class Bare(App[None]):
    """Says a word and waits."""

    def compose(self) -> ComposeResult:
        """Fill the screen."""
        yield Static("bare")


if __name__ == "__main__":
    Bare().run()
