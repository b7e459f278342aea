"""Rows of styled text that charts are drawn into and widgets show. No colours, no terminal."""

from typing import NamedTuple


class Cellrun(NamedTuple):
    """Characters of one style, one cell each.

    Attributes:
        text: one or more characters, every one a cell wide.
        style: the name of a style, which `widgets.theme` turns into colours: "line0".. and
            "legend0".. with a palette index, "frame", "tick", "title", "note", "mark", "cursor",
            "empty", "error", "" for blank plot, and those of the widgets.
    """

    text: str
    style: str


Row = tuple[Cellrun, ...]
Rows = tuple[Row, ...]


def width_of(row: Row) -> int:
    """Return the cells that a row takes."""
    return sum([len(text) for text, _ in row])
