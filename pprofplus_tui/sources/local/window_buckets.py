"""A window divided into buckets of time, and the extremes in each bucket."""

from dataclasses import dataclass

import numpy as np

from pprofplus_tui.model.points import Bools, Ints
from pprofplus_tui.model.time_buckets import TimeBuckets, first_of_each
from pprofplus_tui.sources.local.page_table import PageTable

_INT64 = np.iinfo(np.int64)
_WHOLE_SHARE = 2  # of a bucket: pages up to that length are not split at its edges


@dataclass(frozen=True)
class WindowBuckets(TimeBuckets):
    """The buckets of a window, and the length of pages that are not split.

    Attributes:
        whole_ms: pages in the window up to that length are not split at the edge of a bucket:
            they count for the bucket of their middle. 0: all such pages are decoded.
    """

    whole_ms: int = 0

    @classmethod
    def over(
        cls, begin_ms: int, end_ms: int, buckets: int, *, exact: bool = True
    ) -> "WindowBuckets":
        """Return the grid with at most `buckets` buckets over [begin_ms, end_ms).

        Unless `exact`, pages of up to half a bucket are not split.
        """
        cut = TimeBuckets.at_most(begin_ms, end_ms, buckets)
        whole_ms = 0 if exact else cut.width_ms // _WHOLE_SHARE
        return cls(begin_ms, end_ms, cut.width_ms, cut.count, whole_ms)

    @property
    def whole_until_ms(self) -> int:
        """The end of the last bucket of full width, unix ms."""
        return self.begin_ms + (self.end_ms - self.begin_ms) // self.width_ms * self.width_ms

    def shares_buckets_with(self, other: "WindowBuckets") -> bool:
        """Return whether both have buckets in common."""
        away_ms = self.begin_ms - other.begin_ms
        return (
            (self.width_ms, self.count, self.whole_ms)
            == (other.width_ms, other.count, other.whole_ms)
            and away_ms % self.width_ms == 0
            and abs(away_ms) < (self.count - 1) * self.width_ms
        )

    def reach(self, begin_ms: Ints, end_ms: Ints) -> tuple[Ints, Ints]:
        """Return the buckets of the pages' first and last samples, clamped to the window."""
        first = np.maximum(self.bucket(begin_ms), 0)
        last = np.minimum(self.bucket(end_ms), self.count - 1)
        if not self.whole_ms:
            return first, last
        whole = (begin_ms >= self.begin_ms) & (end_ms < self.end_ms)
        whole &= end_ms - begin_ms <= self.whole_ms
        middle = self.bucket((begin_ms + end_ms) // 2)
        return np.where(whole, middle, first), np.where(whole, middle, last)


@dataclass(frozen=True, eq=False)
class PageSpan:
    """Pages that overlap a grid, in order of time; all arrays have shape (pages,).

    Attributes:
        rows: of the table.
        first, last: bucket of the first and of the last sample, clamped to the window.
        entered: whether the first sample is in the window.
        within: whether all samples are.
    """

    rows: Ints
    first: Ints
    last: Ints
    entered: Bools
    within: Bools

    @classmethod
    def of(cls, table: PageTable, grid: WindowBuckets, rows: Ints) -> "PageSpan":
        """Return the span of `rows`, which must overlap the grid."""
        begin, end = table.begin_ms[rows], table.end_ms[rows]
        entered = begin >= grid.begin_ms
        within = entered & (end < grid.end_ms)
        return cls(rows, *grid.reach(begin, end), entered, within)

    def take(self, which: Ints | Bools) -> "PageSpan":
        """Return the pages that `which` selects."""
        return PageSpan(
            self.rows[which],
            self.first[which],
            self.last[which],
            self.entered[which],
            self.within[which],
        )

    @property
    def index(self) -> Ints | slice:
        """The rows, as a slice if they are consecutive, which avoids a copy."""
        rows = self.rows
        if len(rows) and int(rows[-1]) - int(rows[0]) == len(rows) - 1:
            return slice(int(rows[0]), int(rows[-1]) + 1)
        return rows

    @property
    def unclear(self) -> Bools:
        """Pages whose heads do not determine which buckets have samples: their times are needed."""
        return (self.last - self.first > 1) | ~self.within


class Extremes:
    """The smallest and largest value of each bucket so far; `lo` > `hi` in an empty bucket."""

    def __init__(self, count: int) -> None:
        self.lo: Ints = np.full(count, _INT64.max)
        self.hi: Ints = np.full(count, _INT64.min)

    def copy(self) -> "Extremes":
        """Return an independent copy."""
        result = Extremes(0)
        result.lo, result.hi = self.lo.copy(), self.hi.copy()
        return result

    def moved(self, by: int, whole: int) -> "Extremes":
        """Return these for buckets shifted by `by`; only the first `whole` buckets are used."""
        count = len(self.lo)
        result = Extremes(count)
        first, last = max(by, 0), min(whole, count + by)
        if first < last:
            there = slice(first - by, last - by)
            result.lo[there], result.hi[there] = self.lo[first:last], self.hi[first:last]
        return result

    def add(self, buckets: Ints, lo: Ints, hi: Ints) -> None:
        """Add values; `buckets` must not decrease."""
        if not len(buckets):
            return
        starts = first_of_each(buckets)
        at = buckets[starts]
        self.lo[at] = np.minimum(self.lo[at], np.minimum.reduceat(lo, starts))
        self.hi[at] = np.maximum(self.hi[at], np.maximum.reduceat(hi, starts))

    def merge(self, other: "Extremes") -> None:
        """Add the values of another object with the same buckets."""
        np.minimum(self.lo, other.lo, out=self.lo)
        np.maximum(self.hi, other.hi, out=self.hi)

    def contain(self, buckets: Ints, lo: Ints, hi: Ints) -> Bools:
        """Return whether these buckets already contain [lo, hi]."""
        return (self.lo[buckets] <= lo) & (self.hi[buckets] >= hi)
