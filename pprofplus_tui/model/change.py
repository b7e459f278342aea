"""A change over a window: the last measured value less the first, the same wherever it is shown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pprofplus_tui.model.durations import HOUR_MS

if TYPE_CHECKING:
    from pprofplus_tui.model.points import Points

_ALIKE = 0.1  # a trend within this share of the change counts as equal


@dataclass(frozen=True)
class Change:
    """Two measured values of one figure and their times.

    Attributes:
        first, last: in the figure's unit.
        first_ms, last_ms: unix milliseconds, or ages in milliseconds.
    """

    first: float
    last: float
    first_ms: int
    last_ms: int

    @property
    def amount(self) -> float:
        """The last value less the first."""
        return self.last - self.first

    @property
    def span_ms(self) -> int:
        """The time between the two."""
        return self.last_ms - self.first_ms

    def along(self, per_hour: float) -> float:
        """Return the change that a trend of `per_hour` gives in the same time: slope times span."""
        return per_hour * self.span_ms / HOUR_MS

    def differs_from(self, per_hour: float) -> bool:
        """Return whether the trend gives another change, so that both have to be shown."""
        along = self.along(per_hour)
        return abs(along - self.amount) > _ALIKE * max(abs(along), abs(self.amount))


def change_between(
    first: float | None, first_ms: int, last: float | None, last_ms: int
) -> Change | None:
    """Return the change from the first to the last measured value.

    None if a value is missing or if there is no time between them.
    """
    if first is None or last is None or last_ms <= first_ms:
        return None
    return Change(float(first), float(last), first_ms, last_ms)


def change_over(points: "Points") -> Change | None:
    """Return the change over points, None of fewer than two.

    Exact if the points are samples. For a bucket, the middle of its extremes is used.
    With access to the log, use its first and last sample: `RunReader.end_samples`.
    """
    if not len(points):
        return None
    first, last = (points.middle(at) for at in (0, -1))
    return change_between(first, int(points.t_ms[0]), last, int(points.t_ms[-1]))
