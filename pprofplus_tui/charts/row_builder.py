"""A row of a chart while it is written: characters, styles, and the characters of frames."""

import re
from functools import lru_cache

from pprofplus_tui.charts.cell_grid import FREE
from pprofplus_tui.charts.palette import COLOURS
from pprofplus_tui.model.cell_rows import Cellrun, Row

# Styles by the byte that represents them in a row; the grid has lines as index + 1.
_STYLES = (
    "",
    *(f"line{index}" for index in range(COLOURS + 1)),
    *(f"legend{index}" for index in range(COLOURS + 1)),
    *("frame", "tick", "title", "note", "mark", "cursor", "empty", "error"),
    *("event", "lost", "accent"),
)
STYLE_CODE = {name: code for code, name in enumerate(_STYLES)}
_RUN = re.compile(rb"(.)\1*", re.DOTALL)


class FrameChars:
    """The characters that a chart is framed with."""

    def __init__(self, *, ascii_only: bool) -> None:
        self.corners = "++++" if ascii_only else "┌┐└┘"
        self.across = "-" if ascii_only else "─"
        self.side = "|" if ascii_only else "│"
        self.tick = "+" if ascii_only else "┤"
        self.mark = ":" if ascii_only else "┊"
        self.event = "'" if ascii_only else "╎"
        self.foot = "^" if ascii_only else "┴"
        self.between = "-" if ascii_only else "·"


ASCII_FRAME, UNICODE_FRAME = FrameChars(ascii_only=True), FrameChars(ascii_only=False)


class RowBuilder:
    """A row while it is written: characters and, for each, the byte of its style."""

    def __init__(self, chars: list[str], styles: bytearray) -> None:
        self.chars = chars
        self.styles = styles

    @classmethod
    def of(cls, width: int, char: str, style: str) -> "RowBuilder":
        """Return a row filled with one character."""
        return cls([char] * width, bytearray([STYLE_CODE[style]]) * width)

    def put(self, at: int, text: str, style: str) -> None:
        """Write text at a column; what lies outside is cut off."""
        begin, end = max(at, 0), min(at + len(text), len(self.chars))
        if begin < end:
            self.chars[begin:end] = text[begin - at : end - at]
            self.styles[begin:end] = bytes([STYLE_CODE[style]]) * (end - begin)

    def is_free(self, begin: int, end: int) -> bool:
        """Return whether nothing is drawn in [begin, end), which is inside the row."""
        return (
            begin >= 0
            and end <= len(self.styles)
            and self.styles.count(FREE, begin, end) == end - begin
        )

    def built(self) -> Row:
        """Return the row."""
        return _row("".join(self.chars), bytes(self.styles))


@lru_cache(256)
def _row(text: str, styles: bytes) -> Row:
    """Return a row from its characters and styles; most rows of a chart do not change."""
    return tuple(
        Cellrun(text[match.start() : match.end()], _STYLES[match[1][0]])
        for match in _RUN.finditer(styles)
    )


class BorderBuilder(RowBuilder):
    """The bottom border while it is written; its labels never touch each other."""

    def __init__(self, chars: list[str], styles: bytearray) -> None:
        super().__init__(chars, styles)
        self.taken = bytearray(len(chars))

    def label(self, at: int, text: str, style: str) -> bool:
        """Write a label where there is room; return whether there was."""
        # One cell of the border stays visible on either side.
        begin, end = at - 1, at + len(text) + 1
        if at < 1 or end > len(self.chars) or any(self.taken[max(begin, 0) : end]):
            return False
        self.taken[at : at + len(text)] = b"\1" * len(text)
        self.put(at, text, style)
        return True
