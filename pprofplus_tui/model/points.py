"""The answer to a window query: at most a few hundred points a series, gaps kept as gaps."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
SeriesKey = tuple[str, bool]  # name of a metric, whether as a rate per second


@dataclass(frozen=True, eq=False)
class Points:
    """One series inside a window, m points, m may be 0.

    A point is one sample, or a bucket of samples of which it keeps both extremes; nothing is
    averaged. Times strictly increase.

    Attributes:
        t_ms: unix milliseconds, shape (m,): the sample's instant or the bucket's middle.
        lo: smallest value in the metric's unit (per second for a rate), shape (m,), finite.
        hi: largest value, shape (m,), finite, hi >= lo.
        breaks: shape (m,), True where a gap lies before this point, so no line may cross it.
    """

    t_ms: Ints
    lo: Floats
    hi: Floats
    breaks: Bools

    def __len__(self) -> int:
        """The number of points."""
        return len(self.t_ms)

    def middle(self, at: int) -> float:
        """Return the middle of a point's extremes; of a sample, its value."""
        return float(self.lo[at] / 2 + self.hi[at] / 2)

    @classmethod
    def empty(cls) -> "Points":
        """No points at all."""
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.bool_))
