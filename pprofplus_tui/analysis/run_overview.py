"""What a run was before and beside the window shown: its whole log in few, even buckets."""

from collections.abc import Mapping
from dataclasses import dataclass

from pprofplus_tui.model.points import Points

# Widths of which a day is a whole multiple, so that the same hours of two days are whole buckets.
_MINUTE_MS = 60_000
WIDTHS_MS: tuple[int, ...] = (
    1000,
    2000,
    5000,
    10_000,
    30_000,
    *(minutes * _MINUTE_MS for minutes in (1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 1440)),
)
PAST_BUCKETS = 400
_WEEK_MS = 7 * 1440 * _MINUTE_MS


@dataclass(frozen=True, eq=False)
class RunOverview:
    """The whole of a run's log.

    Attributes:
        table: metric -> its level, in buckets of `past_grid`; bytes.
        start_ms: when the process began, unix ms; before the log where retention took the rest.
    """

    table: Mapping[str, Points]
    start_ms: int


def past_grid(begin_ms: int, end_ms: int) -> tuple[int, int, int]:
    """Return (begin, end, number of buckets) to ask for to know all of [begin_ms, end_ms).

    At most `PAST_BUCKETS` and one buckets, each of one of `WIDTHS_MS`, or of whole weeks.
    """
    span_ms = max(end_ms - begin_ms, 1)
    width_ms = next((width for width in WIDTHS_MS if span_ms <= PAST_BUCKETS * width), 0)
    if not width_ms:
        weeks = -(-span_ms // (PAST_BUCKETS * _WEEK_MS))
        width_ms = weeks * _WEEK_MS
    first = begin_ms // width_ms
    last = -(-end_ms // width_ms)
    return first * width_ms, last * width_ms, max(last - first, 1)
