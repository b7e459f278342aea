"""A window of time cut into buckets of equal width: the arithmetic that all curves share."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pprofplus_tui.model.points import Ints

Times = TypeVar("Times", int, Ints)


@dataclass(frozen=True)
class TimeBuckets:
    """Buckets of equal width over [begin_ms, end_ms); only the last may be shorter.

    Attributes:
        begin_ms: unix ms or ages in ms, inclusive.
        end_ms: exclusive.
        width_ms: of a bucket.
        count: of buckets.
    """

    begin_ms: int
    end_ms: int
    width_ms: int
    count: int

    @classmethod
    def at_most(cls, begin_ms: int, end_ms: int, buckets: int) -> "TimeBuckets":
        """Return at most `buckets` buckets, as narrow as that allows; the last may be shorter."""
        width_ms = -(-(end_ms - begin_ms) // buckets)
        return cls(begin_ms, end_ms, width_ms, -(-(end_ms - begin_ms) // width_ms))

    @classmethod
    def of_width(cls, begin_ms: int, end_ms: int, width_ms: int) -> "TimeBuckets":
        """Return whole buckets of this width from `begin_ms` on that cover [begin_ms, end_ms)."""
        count = -(-(end_ms - begin_ms) // width_ms)
        return cls(begin_ms, begin_ms + count * width_ms, width_ms, count)

    @classmethod
    def aligned(cls, begin_ms: int, end_ms: int, width_ms: int) -> "TimeBuckets":
        """Return whole buckets that cover [begin_ms, end_ms) and begin at multiples of a width."""
        return cls.of_width(begin_ms // width_ms * width_ms, end_ms, width_ms)

    def bucket(self, t_ms: Times) -> Times:
        """Return the bucket of each time; below 0 or from `count` on outside of the window."""
        return (t_ms - self.begin_ms) // self.width_ms

    def begin_of(self, bucket: Times) -> Times:
        """Return the time at which each bucket begins."""
        return self.begin_ms + bucket * self.width_ms

    def middle_ms(self, buckets: Ints) -> Ints:
        """Return the middle of each bucket."""
        begin = self.begin_ms + buckets * self.width_ms
        return (begin + np.minimum(begin + self.width_ms, self.end_ms)) // 2


def first_of_each(buckets: Ints) -> Ints:
    """Return the index at which each bucket's values begin; `buckets` must not decrease."""
    if not len(buckets):
        return np.zeros(0, np.int64)
    fresh = np.empty(len(buckets), np.bool_)
    fresh[0] = True
    np.not_equal(buckets[1:], buckets[:-1], out=fresh[1:])
    return np.flatnonzero(fresh)
