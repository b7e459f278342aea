"""The hours of the samples: a fixed monotonic grid that no stall shifts."""

from __future__ import annotations

_NS_PER_MS = 1_000_000
# the grid's points lie early in their millisecond, so that a punctual sample's time, cut to whole
# milliseconds, keeps the same distance from the one before: that takes no byte in the log
_INTO_MS_NS = 200_000


def on_grid_ns(now_ns: int) -> int:
    """Return the point that a grid begun now has now."""
    return now_ns // _NS_PER_MS * _NS_PER_MS + _INTO_MS_NS


def next_due_ns(due_ns: int, interval_ns: int, now_ns: int) -> int:
    """Return the point of the grid to come: after the one just served, and after now.

    Points that a stall or a suspend has passed over are left out.
    """
    return due_ns + interval_ns * max(1, (now_ns - due_ns) // interval_ns + 1)
