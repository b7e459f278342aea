import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.units import MIB
from pprofplus_tui.model.units import (
    format_bytes,
    format_delta_bytes,
    format_quantity,
    format_span_ms,
    true_unit,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (412 * MIB, "412 MiB"),
        (88.42 * MIB, "88.4 MiB"),
        (99.96 * MIB, "100 MiB"),
        (1.5 * 2**30, "1.5 GiB"),
        (2**30 - 1, "1.0 GiB"),
        (2**63, "8 EiB"),
        (-12 * 1024, "-12 KiB"),
        (math.nan, "n/a"),
        (math.inf, "n/a"),
    ],
)
def test_bytes_are_shown_in_the_nearest_binary_unit(value, text):
    assert format_bytes(value) == text


@given(st.integers(-(2**63), 2**63))
def test_a_size_has_at_most_four_characters_without_its_sign_and_unit(value):
    number, _unit = format_bytes(value).split(" ")
    assert len(number.lstrip("-")) <= 4


@given(st.integers(1, 2**62))
def test_a_size_read_back_is_within_the_precision_shown(value):
    number, unit = format_bytes(value).split(" ")
    power = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].index(unit)
    assert float(number) * 1024**power == pytest.approx(value, rel=0.051)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (5 * MIB, "B", "5 MiB"),
        (5 * MIB, "B/s", "5 MiB/s"),
        (7, "count", "7"),
        (9999, "count", "9999"),
        (12_345, "count", "12.3k"),
        (1_200_000, "count", "1.2M"),
        (340, "us", "340 µs"),
        (1_200, "us", "1.2 ms"),
        (2_500_000, "us", "2.5 s"),
        (7_200_000_000, "us", "2h"),
        (120_000, "us/s", "12 %"),
        (3_000, "us/s", "0.3 %"),
        (0, "us/s", "0 %"),
        (3.24, "count/s", "3.2/s"),
        (12, "jobs", "12 jobs"),
        (1.25, "s", "1.25 s"),
        (1.5, "s", "1.5 s"),
        (0.012, "s", "0.012 s"),
        (-0.25, "count", "-0.25"),
        (12.345, "s", "12.3 s"),
        (math.nan, "us", "n/a"),
    ],
)
def test_a_quantity_is_shown_in_its_own_way(value, unit, text):
    assert format_quantity(value, unit) == text


def test_microseconds_have_an_ascii_form():
    assert format_quantity(340, "us", ascii_only=True) == "340 us"


def test_a_gauge_s_unit_cannot_reach_the_terminal_as_control_codes():
    assert "\x1b" not in format_quantity(1, "\x1b[2J")


@pytest.mark.parametrize(
    ("span_ms", "text"),
    [
        (0, "0s"),
        (250, "250ms"),
        (45_000, "45s"),
        (59_999, "59s"),
        (15 * 60_000, "15m"),
        (8_040_000, "2h14m"),
        (276_000_000, "3d4h"),
        (7 * 86_400_000, "1w"),
        (8 * 86_400_000, "8d"),
        (-90_000, "-1m30s"),
        (math.nan, "n/a"),
    ],
)
def test_a_span_is_shown_in_its_two_largest_units(span_ms, text):
    assert format_span_ms(span_ms) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3.1 * MIB, "+3.1 MiB"), (-3.1 * MIB, "-3.1 MiB"), (0, "0 B")]
)
def test_a_change_shows_its_sign(value, text):
    assert format_delta_bytes(value) == text


@pytest.mark.parametrize(
    ("unit", "shown", "scale"),
    [
        ("jobs", "jobs", 1),
        ("1/1000 jobs", "jobs", 1000),
        ("1/1000 ", "", 1000),
        ("1/1000", "1/1000", 1),
        ("", "", 1),
        ("1/1000 1/1000 s", "1/1000 s", 1000),
    ],
)
def test_a_unit_can_mark_its_values_as_thousandths(unit, shown, scale):
    assert true_unit(unit) == (shown, scale)
