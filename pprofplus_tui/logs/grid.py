"""A window cut into buckets of time, and the extremes in each."""

from dataclasses import dataclass

import numpy as np

from pprofplus_tui.logs.table import PageTable
from pprofplus_tui.model.series import Bools, Ints

_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class Grid:
    """A window cut into buckets of equal width; only the last may be shorter.

    Attributes:
        begin_ms: unix ms, inclusive.
        end_ms: unix ms, exclusive.
        width_ms: of a bucket.
        count: of buckets.
    """

    begin_ms: int
    end_ms: int
    width_ms: int
    count: int

    @classmethod
    def over(cls, begin_ms: int, end_ms: int, buckets: int) -> "Grid":
        """Return the grid with at most `buckets` buckets over [begin_ms, end_ms)."""
        width = -(-(end_ms - begin_ms) // buckets)
        return cls(begin_ms, end_ms, width, -(-(end_ms - begin_ms) // width))

    def bucket(self, t_ms: Ints) -> Ints:
        """Return the bucket of each instant; below 0 or from `count` on outside of the window."""
        return (t_ms - self.begin_ms) // self.width_ms

    def middle_ms(self, buckets: Ints) -> Ints:
        """Return the middle of each bucket in unix ms."""
        begin = self.begin_ms + buckets * self.width_ms
        return (begin + np.minimum(begin + self.width_ms, self.end_ms)) // 2


@dataclass(frozen=True, eq=False)
class Span:
    """Pages that reach into a grid, in order of time; all arrays have shape (pages,).

    Attributes:
        rows: of the table.
        first, last: bucket of the first and of the last sample, cut at the window's edges.
        entered: whether the first sample is in the window.
        within: whether all samples are.
    """

    rows: Ints
    first: Ints
    last: Ints
    entered: Bools
    within: Bools

    @classmethod
    def of(cls, table: PageTable, grid: Grid, rows: Ints) -> "Span":
        """Return the span of `rows`, which must reach into the grid."""
        begin, end = table.begin_ms[rows], table.end_ms[rows]
        first, last = grid.bucket(begin), grid.bucket(end)
        top = grid.count - 1
        entered = begin >= grid.begin_ms
        within = entered & (end < grid.end_ms)
        return cls(rows, np.maximum(first, 0), np.minimum(last, top), entered, within)

    def take(self, which: Ints | Bools) -> "Span":
        """Return the pages that `which` picks."""
        return Span(
            self.rows[which],
            self.first[which],
            self.last[which],
            self.entered[which],
            self.within[which],
        )

    @property
    def index(self) -> Ints | slice:
        """The rows, as a slice if there is none missing between them: no copy is made then."""
        rows = self.rows
        if len(rows) and int(rows[-1]) - int(rows[0]) == len(rows) - 1:
            return slice(int(rows[0]), int(rows[-1]) + 1)
        return rows

    @property
    def unclear(self) -> Bools:
        """Pages of which heads do not tell what buckets have samples: only their times do."""
        return (self.last - self.first > 1) | ~self.within


class Extremes:
    """Per bucket the smallest and the largest so far; `lo` > `hi` where there was nothing."""

    def __init__(self, count: int) -> None:
        self.lo: Ints = np.full(count, _INT64.max)
        self.hi: Ints = np.full(count, _INT64.min)

    def copy(self) -> "Extremes":
        """Return an independent copy."""
        twin = Extremes(0)
        twin.lo, twin.hi = self.lo.copy(), self.hi.copy()
        return twin

    def add(self, buckets: Ints, lo: Ints, hi: Ints) -> None:
        """Take in values; `buckets` must not decrease."""
        if not len(buckets):
            return
        fresh = np.empty(len(buckets), np.bool_)
        fresh[0] = True
        np.not_equal(buckets[1:], buckets[:-1], out=fresh[1:])
        starts = np.flatnonzero(fresh)
        at = buckets[starts]
        self.lo[at] = np.minimum(self.lo[at], np.minimum.reduceat(lo, starts))
        self.hi[at] = np.maximum(self.hi[at], np.maximum.reduceat(hi, starts))

    def merge(self, other: "Extremes") -> None:
        """Take in all of another's values; both must have the same buckets."""
        np.minimum(self.lo, other.lo, out=self.lo)
        np.maximum(self.hi, other.hi, out=self.hi)

    def contain(self, buckets: Ints, lo: Ints, hi: Ints) -> Bools:
        """Tell whether [lo, hi] would change nothing in these buckets."""
        return (self.lo[buckets] <= lo) & (self.hi[buckets] >= hi)
