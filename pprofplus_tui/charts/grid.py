"""The cells of a plot: what plotext draws into, in place of its own matrix."""

from pprofplus_tui.charts.strokes import Bar, cell_at

FREE = 0  # the owner of a cell in which nothing is drawn
_BRAILLE_FIRST, _BRAILLE_LAST = "\u2800", "\u28ff"
# The dots of a braille cell's left and right column, the lowest first, as bits of its character.
_DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
# _COLUMN[side][lowest][highest]: the bits from one dot up to another.
_COLUMN = tuple(
    tuple(tuple(sum(dots[low : high + 1]) for high in range(4)) for low in range(4))
    for dots in _DOTS
)


class Grid:
    """The cells of a plot; it stands in for plotext's matrix, with its rows counted from below.

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
        """Ignore the area, which is the whole grid for want of axes; called by plotext."""

    def set_canvas(self) -> str:
        """Build no string; called by plotext."""
        return ""

    get_canvas = set_canvas

    def insert_element(self, col: int, row: int, marker: str, line: int, *_: object) -> None:
        """Put one character of a line into a cell; called by plotext.

        The later line owns the cell, in whatever order they come, and both keep their dots.
        """
        cells, owners = self.chars[row], self.owners[row]
        former = cells[col]
        if _BRAILLE_FIRST <= marker <= _BRAILLE_LAST and _BRAILLE_FIRST < former <= _BRAILLE_LAST:
            # The eight low bits of a braille character are its dots.
            cells[col] = chr(ord(marker) | ord(former))
        elif line + 1 >= owners[col]:
            cells[col] = marker
        owners[col] = max(owners[col], line + 1)

    def fill_bar(self, bar: Bar, marker: str, line: int) -> None:
        """Draw an upright bar, given as fractions of the plot (x, low, high)."""
        x, low, high = bar
        if marker != "braille":
            col = cell_at(x, 2, self._cols)
            for row in range(cell_at(low, 4, self._rows), cell_at(high, 4, self._rows) + 1):
                self.insert_element(col, row, marker, line)
            return
        col, side = divmod(cell_at(x, 1, 2 * self._cols), 2)
        first, lowest = divmod(cell_at(low, 1, 4 * self._rows), 4)
        last, highest = divmod(cell_at(high, 1, 4 * self._rows), 4)
        for row in range(first, last + 1):
            bits = _COLUMN[side][lowest if row == first else 0][highest if row == last else 3]
            self.insert_element(col, row, chr(0x2800 + bits), line)

    def paint(self, colours: list[int]) -> None:
        """Turn owners from line numbers into the lines' colour indices, each + 1."""
        table = bytes([FREE, *(colour + 1 for colour in colours)]).ljust(256, b"\0")
        self.owners = [owners.translate(table) for owners in self.owners]
