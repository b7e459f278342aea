"""The cells of a plot: plotext draws into them instead of its own matrix."""

from collections.abc import Sequence

import numpy as np

from pprofplus_tui.charts.strokes import Bar, dots_at

FREE = 0  # the owner of a cell in which nothing is drawn
_BRAILLE_FIRST, _BRAILLE_LAST = "\u2800", "\u28ff"
_BLANK = ord(_BRAILLE_FIRST)
_BRAILLE = tuple(chr(_BLANK + bits) for bits in range(256))
# The dots of a braille cell's left and right column, the lowest first, as bits of its character.
_DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
# _COLUMN[side][lowest][highest]: the bits from one dot up to another.
_COLUMN = tuple(
    tuple(tuple(sum(dots[low : high + 1]) for high in range(4)) for low in range(4))
    for dots in _DOTS
)


class CellGrid:
    """The cells of a plot; it replaces plotext's matrix; rows are counted from below.

    Attributes:
        chars: one list of characters for each row, the bottom row first.
        owners: one bytearray for each row: FREE, or the colour index of the line + 1.
    """

    def __init__(self) -> None:
        self._cols = 0
        self._rows = 0
        self.chars: list[list[str]] = []
        self.owners: list[bytearray] = []

    def set_size(self, cols: int, rows: int) -> None:
        """Take the size of the plot; called by plotext."""
        self._cols, self._rows = cols, rows

    def set_matrices(self) -> None:
        """Begin an empty grid; called by plotext."""
        self.chars = [[" "] * self._cols for _ in range(self._rows)]
        self.owners = [bytearray(self._cols) for _ in range(self._rows)]

    def set_axes_color(self, *_: object) -> None:
        """Ignore a colour; called by plotext."""

    def set_canvas_color(self, *_: object) -> None:
        """Ignore a colour; called by plotext."""

    def set_canvas_area(self, *_: object) -> None:
        """Ignore the area, which is the whole grid because there are no axes; called by plotext."""

    def set_canvas(self) -> str:
        """Build no string; called by plotext."""
        return ""

    get_canvas = set_canvas

    def insert_element(self, col: int, row: int, marker: str, line: int, *_: object) -> None:
        """Put one character of a line into a cell; called by plotext.

        The line with the higher number owns the cell, in any order, and both keep their dots.
        """
        cells, owners = self.chars[row], self.owners[row]
        former = cells[col]
        if _BRAILLE_FIRST <= marker <= _BRAILLE_LAST and _BRAILLE_FIRST < former <= _BRAILLE_LAST:
            # The eight low bits of a braille character are its dots.
            cells[col] = chr(ord(marker) | ord(former))
        elif line + 1 >= owners[col]:
            cells[col] = marker
        owners[col] = max(owners[col], line + 1)

    def fill_bars(self, bars: Sequence[Bar], marker: str, line: int) -> None:
        """Draw upright bars of a line, given as fractions of the plot (x, low, high)."""
        if not bars:
            return
        x, low, high = np.array(bars).T
        sizes = (x, 2 * self._cols), (low, 4 * self._rows), (high, 4 * self._rows)
        dots = (dots_at(places, size).tolist() for places, size in sizes)
        for at, bottom, top in zip(*dots, strict=True):
            side, col, first, last = _COLUMN[at & 1], at >> 1, bottom >> 2, top >> 2
            for row in range(first, last + 1):
                if marker == "braille":
                    bits = side[bottom & 3 if row == first else 0][top & 3 if row == last else 3]
                    self._add_dots(col, row, bits, line)
                else:
                    self.insert_element(col, row, marker, line)

    def _add_dots(self, col: int, row: int, bits: int, line: int) -> None:
        """Do what `insert_element` does with a braille character that has these dots."""
        cells, owners = self.chars[row], self.owners[row]
        former = ord(cells[col]) - _BLANK
        if 0 < former < len(_BRAILLE):
            cells[col] = _BRAILLE[bits | former]
        elif line + 1 >= owners[col]:
            cells[col] = _BRAILLE[bits]
        if line + 1 > owners[col]:  # noqa: PLR1730 - calling max would cost as much as the rest
            owners[col] = line + 1

    def paint(self, colours: list[int]) -> None:
        """Turn owners from line numbers into the lines' colour indices, each + 1."""
        table = bytes([FREE, *(colour + 1 for colour in colours)]).ljust(256, b"\0")
        self.owners = [owners.translate(table) for owners in self.owners]
