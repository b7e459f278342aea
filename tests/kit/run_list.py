"""Draws all lines of the run list, also those outside the screen. It needs the monitor."""

from pprofplus_tui.model.runs import Run, indexed
from pprofplus_tui.widgets.run_list import _Lines, _row


def list_rows(view, width):
    """Return (row, id of its run or None) for each line."""
    lines = _Lines(indexed(view.runs))
    return tuple(
        (_row(view, line, width), line.id if isinstance(line, Run) else None)
        for line in map(lines.__getitem__, range(len(lines)))
    )
