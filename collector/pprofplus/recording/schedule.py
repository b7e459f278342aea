"""Sampling schedule on a fixed monotonic grid, which no stall shifts."""

from __future__ import annotations

_NS_PER_MS = 1_000_000
# The grid's points are early in their millisecond. So the time of a punctual sample, truncated to
# whole milliseconds, has the same distance from the previous one, which takes no byte in the log.
_INTO_MS_NS = 200_000


def on_grid_ns(now_ns: int) -> int:
    """Return the first point of a grid that begins now."""
    return now_ns // _NS_PER_MS * _NS_PER_MS + _INTO_MS_NS


def next_due_ns(due_ns: int, interval_ns: int, now_ns: int) -> int:
    """Return the next point of the grid: after `due_ns`, and after now.

    Points that a stall or a suspend has missed are skipped.
    """
    return due_ns + interval_ns * max(1, (now_ns - due_ns) // interval_ns + 1)
