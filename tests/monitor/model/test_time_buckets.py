"""Windows cut into buckets of equal width."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.time_buckets import TimeBuckets, first_of_each

begins = st.integers(0, 1 << 41)
spans = st.integers(1, 1 << 40)


@given(begins, spans, st.integers(1, 500))
def test_at_most_so_many_buckets_cover_the_window_and_only_the_last_is_shorter(begin, span, most):
    cut = TimeBuckets.at_most(begin, begin + span, most)
    assert 1 <= cut.count <= most
    assert cut.begin_of(cut.count - 1) < cut.end_ms == begin + span
    assert cut.begin_of(cut.count) >= cut.end_ms


@given(begins, spans, st.integers(1, 1 << 30))
def test_buckets_of_a_width_are_whole_and_cover_the_window(begin, span, width):
    for cut in (
        TimeBuckets.of_width(begin, begin + span, width),
        TimeBuckets.aligned(begin, begin + span, width),
    ):
        assert cut.begin_ms <= begin
        assert begin + span <= cut.end_ms == cut.begin_ms + cut.count * width
        assert cut.end_ms - (begin + span) < width
    assert cut.begin_ms % width == 0


@given(begins, spans, st.integers(1, 500))
def test_the_middle_of_a_bucket_is_in_that_bucket(begin, span, most):
    cut = TimeBuckets.at_most(begin, begin + span, most)
    numbers = np.arange(cut.count)
    assert cut.bucket(cut.middle_ms(numbers)).tolist() == numbers.tolist()


@given(st.lists(st.integers(-5, 50)).map(sorted))
def test_the_first_of_each_bucket_is_where_the_number_changes(buckets):
    starts = first_of_each(np.array(buckets, np.int64)).tolist()
    assert [buckets[i] for i in starts] == sorted(set(buckets))
    assert all(i == 0 or buckets[i - 1] < buckets[i] for i in starts)
