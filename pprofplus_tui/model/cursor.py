"""The time cursor: how keys move it, and the sample at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pprofplus_tui.model.runs import Run
from pprofplus_tui.model.time_axis import column, instant
from pprofplus_tui.model.view import View

_HELD_S = 0.15  # terminals repeat a held key faster than a user types
_STEADY = 6  # presses of one cell each, before a held key moves faster
_QUICKER = 3  # presses for each additional cell
_MAX_CELLS = 8


@dataclass(frozen=True)
class Reading:
    """The sample nearest to an instant.

    Attributes:
        at_ms: the requested instant, unix milliseconds.
        t_ms: when the sample was taken, or None if no sample is near.
        values: (metric, as a rate) -> value in the metric's unit, for the metrics of the sample.
    """

    at_ms: int
    t_ms: int | None = None
    values: Mapping[tuple[str, bool], float] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldKey:
    """A key that is pressed repeatedly, or held down.

    Attributes:
        direction: -1 or 1; 0 before the first press.
        at_s: when it was pressed last, in seconds of a monotonic clock.
        count: presses without a pause.
    """

    direction: int = 0
    at_s: float = 0.0
    count: int = 0

    def press(self, direction: int, now_s: float) -> "HeldKey":
        """Return the state after one more press."""
        again = direction == self.direction and now_s - self.at_s <= _HELD_S
        return HeldKey(direction, now_s, self.count + 1 if again else 1)

    @property
    def cells(self) -> int:
        """How many cells this press moves the cursor, left if negative."""
        quicker = max(0, self.count - _STEADY) // _QUICKER
        return self.direction * min(1 + quicker, _MAX_CELLS)


def pointed_at(view: View, cell: int, width: int) -> View:
    """Return the view with the cursor in a cell of a plot of that width."""
    window = view.window
    if window is None or width < 1:
        return view
    cell = min(max(cell, 0), width - 1)
    return replace(view, cursor_ms=instant(cell, window.begin_ms, window.end_ms, width))


def stepped(view: View, cells: int, width: int, run: Run, now_ms: int) -> View:
    """Return the view with the cursor moved by cells of a plot of that width.

    If there is no cursor yet, it is put on the last sample in the window. It stays between the
    run's first and last sample; where it would leave the window, the window moves by a quarter.
    """
    window = view.window
    if window is None or width < 1 or not cells:
        return view
    cursor_ms = view.cursor
    if cursor_ms is None:
        last_ms = min(max(run.end_ms, window.begin_ms), window.end_ms - 1)
        return replace(view, cursor_ms=last_ms)
    cell = column(cursor_ms, window.begin_ms, window.end_ms, width) + cells
    wanted_ms = instant(cell, window.begin_ms, window.end_ms, width)
    if cells > 0:
        wanted_ms = min(wanted_ms, max(run.end_ms, cursor_ms))
    else:
        wanted_ms = max(wanted_ms, min(run.begin_ms, cursor_ms))
    moved = view
    if not window.begin_ms <= wanted_ms < window.end_ms:
        moved = view.pan(0.25 if cells > 0 else -0.25, run, now_ms)
    if moved.window is None:
        return view
    inside = min(max(wanted_ms, moved.window.begin_ms), moved.window.end_ms - 1)
    return replace(moved, cursor_ms=inside)
