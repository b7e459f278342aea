"""The buckets in which a whole run is queried."""

from hypothesis import given
from hypothesis import strategies as st

from kit.units import DAY_MS
from pprofplus_tui.analysis.run_overview import PAST_BUCKETS, WIDTHS_MS, past_grid

BEGIN_MS = 1_700_000_000_123


@given(st.integers(0, 1 << 45), st.integers(1, 1 << 40))
def test_it_covers_the_run_in_a_few_hundred_equal_buckets(begin_ms, span_ms):
    first, last, count = past_grid(begin_ms, begin_ms + span_ms)
    assert first <= begin_ms
    assert last >= begin_ms + span_ms
    assert 1 <= count <= PAST_BUCKETS + 2
    assert (last - first) % count == 0


def test_a_day_is_a_whole_number_of_buckets():
    assert all(DAY_MS % width == 0 for width in WIDTHS_MS)
    for days in (1, 3, 9, 30, 300):
        first, last, count = past_grid(BEGIN_MS, BEGIN_MS + days * DAY_MS)
        assert DAY_MS % ((last - first) // count) == 0


def test_a_growing_run_keeps_its_buckets_until_they_are_full():
    one, other = (past_grid(BEGIN_MS, BEGIN_MS + minutes * 60_000) for minutes in (210, 211))
    assert one[0] == other[0]
    assert (one[1] - one[0]) // one[2] == (other[1] - other[0]) // other[2]
