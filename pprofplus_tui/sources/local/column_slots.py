"""Which metrics may share memory: those that no metric table has together."""

import numpy as np

from pprofplus_tui.model.points import Ints


def assigned(lanes: Ints, columns: Ints, new: int, width: int) -> tuple[Ints, int]:
    """Return (the lane of each column, how many lanes there are) with one more metric table.

    `lanes` has those of the columns known so far, in `width` lanes; `new` columns follow on these.
    `columns` are those of the table, each of which gets a lane that no other of them has. A column
    keeps its lane unless another one in the table has it: then it moves to a lane that was not
    there before, and its cells have to be copied.
    """
    known = len(lanes)
    found = np.append(lanes, np.full(new, -1))
    mine = columns[columns < known].tolist()
    held: set[int] = set()
    for column in mine:
        if int(found[column]) in held:  # they were in no table together until now
            found[column] = width
            width += 1
        held.add(int(found[column]))
    free = iter([lane for lane in range(width) if lane not in held])
    for column in columns[columns >= known].tolist():
        found[column] = next(free, width)
        width = max(width, int(found[column]) + 1)
    return found, width
