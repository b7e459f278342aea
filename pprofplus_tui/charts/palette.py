"""Colours of lines that colour-blind readers can tell apart (Okabe and Ito), by background."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """Colours for one kind of background.

    Attributes:
        lines: "#rrggbb" by palette index, for terminals with 256 colours or more.
        ansi: names of the sixteen colours, as Textual spells them, by palette index.
    """

    lines: tuple[str, ...]
    ansi: tuple[str, ...]

    def colour(self, token: str, *, ansi: bool = False) -> str | None:
        """Return the colour of a "line0" or "legend0" style; None for any other style."""
        digits = token.removeprefix("line").removeprefix("legend")
        if digits == token or not digits.isdecimal():
            return None
        table = self.ansi if ansi else self.lines
        return table[int(digits) % len(table)]


# Sky blue, orange, bluish green, reddish purple, yellow, vermilion, as published; the palette's
# blue is left out here because it is too dark on black.
DARK = Palette(
    lines=("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00"),
    ansi=(
        "ansi_bright_cyan",
        "ansi_yellow",
        "ansi_bright_green",
        "ansi_bright_magenta",
        "ansi_bright_yellow",
        "ansi_bright_red",
    ),
)
# The same hues in the same order, darkened until thin dots are legible on white; sky blue is
# replaced by the published blue.
LIGHT = Palette(
    lines=("#0072b2", "#a86f00", "#007f5c", "#a8487f", "#7a7000", "#b84a00"),
    ansi=("ansi_blue", "ansi_red", "ansi_green", "ansi_magenta", "ansi_black", "ansi_cyan"),
)

COLOURS = len(DARK.lines)
FAINT = COLOURS  # of bands below the lines: the frame's colour, in every theme


def slot(colour: int) -> int:
    """Return the number of the style of a line with this palette index."""
    return FAINT if colour == FAINT else colour % COLOURS
