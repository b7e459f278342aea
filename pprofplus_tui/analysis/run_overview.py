"""The whole log of a run in few, even buckets, for the context of a window."""

from collections.abc import Mapping
from dataclasses import dataclass

from pprofplus_tui.model.durations import MINUTE_MS, SECOND_MS, WEEK_MS
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.time_buckets import TimeBuckets

# Widths of which a day is a whole multiple, so that the same hours of two days are whole buckets.
WIDTHS_MS: tuple[int, ...] = (
    *(seconds * SECOND_MS for seconds in (1, 2, 5, 10, 30)),
    *(minutes * MINUTE_MS for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 1440)),
)
PAST_BUCKETS = 400


@dataclass(frozen=True, eq=False)
class RunOverview:
    """The whole log of a run.

    Attributes:
        table: metric -> its level, in buckets of `past_grid`; bytes.
        start_ms: when the process began, unix ms; before the log if retention removed its begin.
    """

    table: Mapping[str, Points]
    start_ms: int


def past_grid(begin_ms: int, end_ms: int) -> tuple[int, int, int]:
    """Return (begin, end, number of buckets) of a query for all of [begin_ms, end_ms).

    At most `PAST_BUCKETS` + 1 buckets, each of one of `WIDTHS_MS`, or of whole weeks.
    """
    span_ms = max(end_ms - begin_ms, 1)
    width_ms = next((width for width in WIDTHS_MS if span_ms <= PAST_BUCKETS * width), 0)
    if not width_ms:
        weeks = -(-span_ms // (PAST_BUCKETS * WEEK_MS))
        width_ms = weeks * WEEK_MS
    found = TimeBuckets.aligned(begin_ms, end_ms, width_ms)
    return found.begin_ms, found.end_ms, max(found.count, 1)
