"""The places of charts on a screen of a given size."""

from dataclasses import dataclass

MIN_WIDTH = 40  # a chart narrower than this has little room besides its labels
MIN_HEIGHT = 8
SMALL_HEIGHT = 6  # one low chart is better than none
THREE_COLUMNS = 3 * 50
LEAD_SHARE = 0.4  # of the height, for the first chart above the grid


@dataclass(frozen=True)
class ChartPlace:
    """A rectangle in cells."""

    x: int
    y: int
    width: int
    height: int

    def contains(self, x: int, y: int) -> bool:
        """Return whether the cell lies inside."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


def arrange(width: int, height: int, count: int) -> tuple[ChartPlace, ...]:
    """Return places for at most `count` charts, most important first, filling the area.

    The first chart gets the full width above the others, which share rows of one to three
    columns, all of one width, so that equal times are in equal columns.
    There are fewer places than `count` if there is no room for more.
    """
    if width < 1 or height < 1 or count < 1:
        return ()
    rest_columns = 1
    if width >= THREE_COLUMNS and count >= 6:  # five others: two rows of three
        rest_columns = 3
    elif width >= 2 * MIN_WIDTH:
        rest_columns = 2
    least = MIN_HEIGHT if height >= MIN_HEIGHT * 2 else SMALL_HEIGHT
    rows = max(0, height - least) // least
    count = min(count, 1 + rows * rest_columns)
    others = count - 1
    if others == 0:
        return (ChartPlace(0, 0, width, height),)
    rest_columns = min(rest_columns, others)
    rows = -(-others // rest_columns)
    lead = max(least, min(int(height * LEAD_SHARE), height - rows * least))
    lead = lead if rows > 1 or rest_columns > 1 else (height + 1) // 2
    places = [ChartPlace(0, 0, width, lead)]
    tops = [lead + (height - lead) * row // rows for row in range(rows + 1)]
    for row in range(rows):
        here = min(rest_columns, others - row * rest_columns)
        edges = [width * column // here for column in range(here + 1)]
        places.extend(
            ChartPlace(edges[c], tops[row], edges[c + 1] - edges[c], tops[row + 1] - tops[row])
            for c in range(here)
        )
    return tuple(places)
