import contextlib
import time
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.time_grammar import (
    Goto,
    TimeSyntaxError,
    parse_goto,
    parse_span,
    parse_time,
)

BERLIN = ZoneInfo("Europe/Berlin")
UTC = timezone.utc
NOW = datetime(2026, 11, 20, 14, 3, 22, tzinfo=BERLIN)
NOW_MS = int(NOW.timestamp() * 1000)


def at(*parts, tz=BERLIN):
    return int(datetime(*parts, tzinfo=tz).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "instant_ms"),
    [
        ("now", NOW_MS),
        ("  NOW ", NOW_MS),
        ("13:05", at(2026, 11, 20, 13, 5)),
        ("9:05:30", at(2026, 11, 20, 9, 5, 30)),
        ("-2h", NOW_MS - 7_200_000),
        ("-90m", NOW_MS - 5_400_000),
        ("-1d12h", NOW_MS - 129_600_000),
        ("today 9:00", at(2026, 11, 20, 9)),
        ("today 23:00", at(2026, 11, 20, 23)),
        ("yesterday 9:00", at(2026, 11, 19, 9)),
        ("yesterday", at(2026, 11, 19)),
        ("2026-11-20", at(2026, 11, 20)),
        ("2026-11-20 14:05", at(2026, 11, 20, 14, 5)),
        ("2026-11-20T14:05:30", at(2026, 11, 20, 14, 5, 30)),
        ("2026-11-20T14:05:30Z", at(2026, 11, 20, 14, 5, 30, tz=UTC)),
        ("2026-11-20T14:05:30.250Z", at(2026, 11, 20, 14, 5, 30, tz=UTC) + 250),
        ("2026-11-20 14:05+05:45", at(2026, 11, 20, 8, 20, tz=UTC)),
        ("2026-11-20T14:05-0800", at(2026, 11, 20, 22, 5, tz=UTC)),
        ("@1700000000", 1_700_000_000_000),
        ("@1700000000.5", 1_700_000_000_500),
    ],
)
def test_each_form_names_its_instant(text, instant_ms):
    assert parse_time(text, NOW, BERLIN) == instant_ms


@pytest.mark.parametrize(
    ("text", "day", "hour"),
    [
        ("friday", 20, 0),  # the day itself
        ("fri 9:00", 20, 9),
        ("Friday 14:05", 13, 14),  # not yet: a week ago
        ("thu", 19, 0),
        ("Saturday 23:30", 14, 23),
        ("mon 00:00", 16, 0),
    ],
)
def test_a_day_of_the_week_is_the_latest_that_is_not_in_the_future(text, day, hour):
    found = datetime.fromtimestamp(parse_time(text, NOW, BERLIN) / 1000, BERLIN)
    assert (found.day, found.hour) == (day, hour)


def test_a_span_with_a_plus_is_counted_from_the_time_given():
    assert parse_time("+1h30m", NOW, BERLIN, 1_000_000) == 1_000_000 + 5_400_000


def test_a_time_that_no_calendar_here_shows_is_refused():
    with pytest.raises(TimeSyntaxError):
        parse_time("+100y", NOW, BERLIN, 253_000_000_000_000)


def test_without_a_base_time_the_error_for_a_plus_explains_it():
    with pytest.raises(TimeSyntaxError, match="counts from --begin") as caught:
        parse_time("+10m", NOW, BERLIN)
    assert "\n" not in str(caught.value)


def test_a_bare_span_is_a_last_span_and_anything_else_is_a_time():
    assert parse_goto(" 2H ", NOW, BERLIN) == Goto(last_ms=7_200_000)
    assert parse_goto("-2h", NOW, BERLIN) == Goto(at_ms=NOW_MS - 7_200_000)
    assert parse_goto("+2h", NOW, BERLIN, 0) == Goto(at_ms=7_200_000)


# Clocks go from 2:00 to 3:00 on 29 March 2026 in Berlin, and from 3:00 to 2:00 on 25 October.


def test_a_time_skipped_by_a_clock_change_is_moved_by_the_skipped_span():
    assert parse_time("2026-03-29 02:30", NOW, BERLIN) == at(2026, 3, 29, 1, 30, tz=UTC)
    assert parse_time("2026-03-29 03:30", NOW, BERLIN) == at(2026, 3, 29, 1, 30, tz=UTC)


def test_an_offset_chooses_between_two_repeated_hours():
    assert parse_time("2026-10-25 02:30+01:00", NOW, BERLIN) == at(2026, 10, 25, 1, 30, tz=UTC)
    assert parse_time("2026-10-25 02:30+02:00", NOW, BERLIN) == at(2026, 10, 25, 0, 30, tz=UTC)


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25)])
def test_yesterday_is_a_calendar_day_of_any_length(month, day, hours):
    now = datetime(2026, month, day + 1, 12, tzinfo=BERLIN)
    begin, end = (parse_time(text, now, BERLIN) for text in ("yesterday", "today"))
    assert end - begin == hours * 3_600_000


def test_a_span_back_is_elapsed_time_also_where_the_clocks_change():
    now = datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)
    found = datetime.fromtimestamp(parse_time("-1h", now, BERLIN) / 1000, BERLIN)
    assert (found.hour, found.minute) == (1, 30)


def test_when_the_machine_s_zone_changes_times_are_read_in_the_new_one(monkeypatch):
    found = []
    for name in ("Europe/Berlin", "Asia/Kathmandu"):
        monkeypatch.setenv("TZ", name)
        time.tzset()
        found.append(parse_time("2026-11-20 14:05", NOW, None))
    monkeypatch.undo()
    time.tzset()
    assert found == [at(2026, 11, 20, 13, 5, tz=UTC), at(2026, 11, 20, 8, 20, tz=UTC)]


def test_a_clock_time_in_the_future_is_yesterday_s():
    assert parse_time("14:05", NOW, BERLIN) == at(2026, 11, 19, 14, 5)


def test_times_are_read_in_the_given_zone():
    assert parse_time("2026-11-20 14:05", NOW, UTC) == at(2026, 11, 20, 14, 5, tz=UTC)


def test_without_a_zone_times_are_the_machine_s():
    naive = datetime(2026, 11, 20, 14, 5)  # noqa: DTZ001 - the machine's own zone is the point
    assert parse_time("2026-11-20 14:05", NOW, None) == int(naive.timestamp() * 1000)


def test_a_repeated_hour_without_an_offset_is_the_first():
    assert parse_time("2026-10-25 02:30", NOW, BERLIN) == at(2026, 10, 25, 0, 30, tz=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "25:00", "14:60", "2026-02-30", "2026-13-01 10:00", "14", "-", "-2", "-2x"),
        *(
            "1969-12-31T00:00Z",
            "-99y",
            "@",
            "@99999999999999",
            "tomorrow",
            "2026-11-20T14:05+99:00",
        ),
        *("\u0661\u0662:\u0663\u0664", "0001-01-01", "9999-12-31T23:59-23:59x"),
    ],
)
def test_any_other_text_is_a_one_line_error_that_lists_accepted_forms(text):
    with pytest.raises(TimeSyntaxError, match=r"write now, 14:05") as caught:
        parse_time(text, NOW, BERLIN)
    assert "\n" not in str(caught.value)


def test_an_error_cannot_carry_control_codes_to_the_terminal():
    with pytest.raises(TimeSyntaxError) as caught:
        parse_time("\x1b[2J\n", NOW, BERLIN)
    assert str(caught.value).isprintable()


time_like = st.one_of(
    st.text(),
    st.text("0123456789:-+.,@ TZtzsmhdwynow", max_size=30),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}([+-][0-9]{2}:[0-9]{2}|Z)?"),
    st.from_regex(r"-?([0-9]{1,12}[smhdwy]){1,3}"),
    st.from_regex(r"(today|yesterday|fri|sunday)? ?[0-9]{1,2}:[0-9]{2}"),
)


@given(time_like, st.sampled_from([UTC, BERLIN, None]))
def test_nothing_but_a_time_syntax_error_is_raised(text, tz):
    with contextlib.suppress(TimeSyntaxError):
        assert parse_time(text, NOW, tz) >= 0


@given(time_like)
def test_nothing_but_a_time_syntax_error_is_raised_for_where_to_go(text):
    with contextlib.suppress(TimeSyntaxError):
        found = parse_goto(text, NOW, BERLIN, NOW_MS)
        assert (found.at_ms is None) != (found.last_ms is None)


@given(time_like)
def test_nothing_but_a_time_syntax_error_is_raised_for_a_span(text):
    with contextlib.suppress(TimeSyntaxError):
        assert parse_span(text) > 0


@given(st.integers(0, 4_000_000_000))
def test_an_iso_time_read_back_is_the_same_instant(seconds):
    text = datetime.fromtimestamp(seconds, UTC).isoformat()
    assert parse_time(text, NOW, BERLIN) == seconds * 1000


@pytest.mark.parametrize(
    ("text", "span_ms"),
    [
        ("45s", 45_000),
        ("15m", 900_000),
        ("1h30m", 5_400_000),
        ("1.5h", 5_400_000),
        (" 1D ", 86_400_000),
        ("1w", 604_800_000),
        ("1y", 365 * 86_400_000),
    ],
)
def test_a_span_is_read_in_milliseconds(text, span_ms):
    assert parse_span(text) == span_ms


@pytest.mark.parametrize("text", ["", "0s", "15", "m", "-5m", "5x", "101y", "999999999y"])
def test_a_span_that_is_none_is_refused(text):
    with pytest.raises(TimeSyntaxError, match="write 45s"):
        parse_span(text)
