"""Assigns lanes to columns: metrics that are never in one schema share memory."""

import numpy as np

from pprofplus_tui.model.points import Ints


def assign_lanes(lanes: Ints, columns: Ints, new: int, width: int) -> tuple[Ints, int]:
    """Return (the lane of each column, the number of lanes) after one more schema.

    `lanes` are those of the known columns, out of `width` lanes; `new` columns are added to them.
    `columns` are those of the schema, each of which gets a different lane. A column keeps its lane
    unless another column of the schema has it: then it moves to an additional lane, and its values
    must be copied.
    """
    known = len(lanes)
    found = np.append(lanes, np.full(new, -1))
    mine = columns[columns < known].tolist()
    held: set[int] = set()
    for column in mine:
        if int(found[column]) in held:  # no schema had both of them until now
            found[column] = width
            width += 1
        held.add(int(found[column]))
    free = iter([lane for lane in range(width) if lane not in held])
    for column in columns[columns >= known].tolist():
        found[column] = next(free, width)
        width = max(width, int(found[column]) + 1)
    return found, width
