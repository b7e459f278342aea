from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.time_axis import column, instant, label_start, time_ticks, zone_names

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
HOUR = 3_600_000
DAY = 24 * HOUR


def ms(*parts, tz=UTC):
    return int(datetime(*parts, tzinfo=tz).timestamp() * 1000)


def labels(begin, span, width, tz=UTC):
    return [label for _, label in time_ticks(begin, begin + span, width, tz)]


@given(
    st.integers(0, 4_000_000_000_000),
    st.integers(1, 10 * 365 * DAY),
    st.integers(0, 250),
    st.sampled_from([UTC, BERLIN, KATHMANDU, None]),
)
def test_labels_rise_stay_inside_and_never_touch(begin, span, width, tz):
    free = 0
    former = begin - 1
    for tick in time_ticks(begin, begin + span, width, tz):
        assert former < tick[0] < begin + span
        start = label_start(tick, begin, begin + span, width)
        assert free <= start
        assert start + len(tick[1]) <= width
        free = start + len(tick[1]) + 2
        former = tick[0]


@given(
    st.integers(0, 4_000_000_000_000),
    st.sampled_from([60_000, 15 * 60_000, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 365 * DAY]),
    st.integers(60, 250),
    st.sampled_from([UTC, BERLIN, KATHMANDU]),
)
def test_a_chart_of_common_size_has_at_least_two_labels(begin, span, width, tz):
    assert len(time_ticks(begin, begin + span, width, tz)) >= 2


def test_a_quarter_of_an_hour_is_labelled_by_round_minutes():
    assert labels(ms(2026, 11, 20, 14, 3), 900_000, 66) == ["14:05", "14:10", "14:15"]


def test_even_minutes_are_all_found():
    assert labels(ms(2026, 11, 20, 14, 0, 30), 900_000, 110) == [
        *("14:02", "14:04", "14:06", "14:08", "14:10", "14:12", "14:14")
    ]


def test_a_short_window_shows_seconds():
    assert labels(ms(2026, 11, 20, 14, 3, 1), 10_000, 80)[0] == "14:03:02"


def test_midnight_is_labelled_by_its_day():
    assert "Fri 20" in labels(ms(2026, 11, 19, 12), DAY, 66)


def test_a_long_window_is_labelled_by_dates():
    assert "9 Nov" in labels(ms(2026, 10, 25), 30 * DAY, 66)


def test_a_year_is_labelled_by_months_and_the_new_year_by_its_number():
    shown = labels(ms(2025, 11, 20), 365 * DAY, 186)
    assert "2026" in shown
    assert "Mar" in shown


def test_clock_times_are_local():
    assert labels(ms(2026, 11, 20, 13, 3, tz=BERLIN), 900_000, 66, BERLIN)[0] == "13:05"
    assert labels(ms(2026, 11, 20, 13, 3, tz=KATHMANDU), 5 * HOUR, 66, KATHMANDU)[0] == "14:00"


def test_ticks_stay_at_round_local_hours_when_the_clocks_go_forward():
    begin = ms(2026, 3, 28, 20, tz=BERLIN)
    ticks = time_ticks(begin, begin + 12 * HOUR, 66, BERLIN)
    clocks = [datetime.fromtimestamp(at / 1000, BERLIN) for at, _ in ticks]
    assert {clock.minute for clock in clocks} == {0}
    assert [label for _, label in ticks] == ["22:00", "Sun 29", "04:00", "06:00", "08:00"]


def test_a_repeated_hour_is_labelled_twice():
    begin = ms(2026, 10, 25, 0, 30, tz=BERLIN)
    assert labels(begin, 4 * HOUR, 100, BERLIN).count("02:00") == 2


def test_days_begin_at_local_midnight_on_both_sides_of_a_change_of_the_clocks():
    begin = ms(2026, 3, 26, 12, tz=BERLIN)
    ticks = time_ticks(begin, begin + 6 * DAY, 66, BERLIN)
    hours = {datetime.fromtimestamp(at / 1000, BERLIN).hour for at, _ in ticks}
    assert hours == {0}


@pytest.mark.parametrize(("begin", "end", "width"), [(5, 5, 80), (6, 5, 80), (0, 1000, 0)])
def test_without_room_there_are_no_labels(begin, end, width):
    assert time_ticks(begin, end, width, UTC) == ()


@given(st.integers(1, 300), st.integers(10_000, 10**12), st.data())
def test_the_instant_of_a_cell_lies_in_that_cell(width, span, data):
    cell = data.draw(st.integers(0, width - 1))
    assert column(instant(cell, 0, span, width), 0, span, width) == cell


def test_times_outside_the_window_map_to_the_nearest_cell():
    assert (column(-5, 0, 100, 10), column(500, 0, 100, 10)) == (0, 9)


def test_the_zone_has_both_its_names_where_the_clocks_change():
    berlin = ZoneInfo("Europe/Berlin")
    change_ms = int(datetime(2026, 10, 25, 1, tzinfo=timezone.utc).timestamp() * 1000)
    assert zone_names(change_ms - 7_200_000, change_ms - 1, berlin) == "CEST"
    assert zone_names(change_ms - 1, change_ms + 1, berlin) == "CEST/CET"
    assert zone_names(0, 1, ZoneInfo("Asia/Kathmandu")) == "+0530"
