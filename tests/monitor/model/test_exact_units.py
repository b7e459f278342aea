import pytest

from kit.units import MIB
from pprofplus_tui.model.exact_units import format_exact


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (112_660_890, "B", "107.44 MiB"),
        (512, "B", "512 B"),
        (-3 * MIB, "B", "-3.00 MiB"),
        (1536, "B/s", "1.50 KiB/s"),
        (180, "us", "180 µs"),
        (1234, "us", "1.234 ms"),
        (2_500_000, "us", "2.500 s"),
        (123_456, "us/s", "12.35 %"),
        (1_234_567, "count", "1234567"),
        (0.125, "", "0.125"),
        (2.5, "count/s", "2.5/s"),
        (17, "jobs", "17 jobs"),
        (float("nan"), "B", "n/a"),
    ],
)
def test_each_unit_has_its_significant_digits(value, unit, text):
    assert format_exact(value, unit) == text


def test_in_ascii_there_is_no_greek_letter_and_no_control_code():
    assert format_exact(7, "us", ascii_only=True) == "7 us"
    assert format_exact(7, "\x1b[2J", ascii_only=True).isprintable()
