"""ASCII output for terminals without UTF-8, including the frames and bars that Textual draws."""

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from pprofplus_tui.model.text import cell_width

_REPLACEMENTS = {
    **dict.fromkeys("─━╸╺▁▂▃▔‾⎯╌", "-"),
    **dict.fromkeys("│┃▌▐▏▕▎▊", "|"),
    **dict.fromkeys("╭╮╯╰┌┐┘└├┤", "+"),
    **dict.fromkeys("▄▅▆▇█▀", "#"),
    **dict(zip("↑↓←→…·●\N{MINUS SIGN}", "^v<>~-*-", strict=True)),
}


def in_ascii(text: str) -> str:
    """Return the text in ASCII, with the same width in cells."""
    if text.isascii():
        return text
    return "".join(
        char if char.isascii() else _REPLACEMENTS.get(char) or "?" * cell_width(char)
        for char in text
    )


class AsciiFilter(LineFilter):
    """Replaces all characters outside ASCII before Textual writes them to the screen."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's signature
        """Return the segments in ASCII."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
