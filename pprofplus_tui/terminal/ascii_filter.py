"""For terminals that are not UTF-8: what Textual draws itself, frames and bars, in ASCII too."""

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from pprofplus_tui.model.text import cell_width

_SAME = {
    **dict.fromkeys("─━╸╺▁▂▃▔‾⎯╌", "-"),
    **dict.fromkeys("│┃▌▐▏▕▎▊", "|"),
    **dict.fromkeys("╭╮╯╰┌┐┘└├┤", "+"),
    **dict.fromkeys("▄▅▆▇█▀", "#"),
    **dict(zip("↑↓←→…·●\N{MINUS SIGN}", "^v<>~-*-", strict=True)),
}


def in_ascii(text: str) -> str:
    """Return text of the same width in cells that is ASCII."""
    if text.isascii():
        return text
    return "".join(
        char if char.isascii() else _SAME.get(char) or "?" * cell_width(char) for char in text
    )


class AsciiFilter(LineFilter):
    """Lets nothing but ASCII through to the screen."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's signature
        """Return the segments in ASCII."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
