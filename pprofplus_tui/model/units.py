"""Quantities as short text: bytes, counts, microseconds, rates, spans of time."""

import math

from pprofplus_tui.model.text import clean

BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SI_SUFFIXES = ("", "k", "M", "G", "T", "P", "E")
_NO_NUMBER = "n/a"
UNIT_CELLS = 12

US_PER_PERCENT = 10_000  # one percent of a core is 10 ms of CPU time a second
_MS_PER_S = 1000
_SPAN_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_WEEK_S = 7 * 86_400
_LONG_PAUSE_US = 120_000_000  # from here on, minutes read better than seconds
_THOUSANDTHS = "1/1000 "


def true_unit(unit: str) -> tuple[str, int]:
    """Return (unit, divisor of the log's figures) of a metric of a log.

    A log holds whole numbers only; a gauge that gives fractions is written in thousandths, and
    its unit then begins with "1/1000 ".
    """
    if unit.startswith(_THOUSANDTHS):
        return unit.removeprefix(_THOUSANDTHS), 1000
    return unit, 1


def _number(value: float) -> str:
    """Return a value below ~1,000 in at most four characters; whole numbers carry no point."""
    if value == int(value):
        return str(int(value))
    if round(value, 1) < 100:  # three digits and a point fill the four characters
        return f"{value:.1f}"
    return f"{value:.0f}"


def _scaled(value: float, base: float, top: float, names: tuple[str, ...]) -> tuple[str, str]:
    """Return (number, unit name) for value >= 0; the next unit begins where `top` would show."""
    index = 0
    while index < len(names) - 1 and round(value, 1) >= top - 0.5:
        value /= base
        index += 1
    return _number(value), names[index]


def format_bytes(value: float) -> str:
    """Return a size in bytes in binary units, such as "412 MiB", "1.5 GiB" or "-12 KiB".

    The number has at most four characters besides its sign. A value that is not finite
    gives "n/a".
    """
    if not math.isfinite(value):
        return _NO_NUMBER
    number, unit = _scaled(abs(value), 1024, 1024, BYTE_UNITS)
    return f"{'-' if value < 0 else ''}{number} {unit}"


def format_delta_bytes(value: float) -> str:
    """Return a change in bytes with its sign, such as "+3.1 MiB"; no change is "0 B"."""
    return format_delta(value, "B")


def change_text(change: float) -> str:
    """Return a change in bytes to two digits, so that small variations do not change the text."""
    unit = 1.0
    while abs(change) >= 1000 * unit:
        unit *= 1024
    return format_delta_bytes(float(f"{change / unit:.2g}") * unit)


def rate_text(per_hour: float) -> str:
    """Return a rate in bytes to two digits."""
    return f"{change_text(per_hour)}/h"


def _format_count(value: float) -> str:
    sign = "-" if value < 0 else ""
    size = abs(value)
    if size < 10_000:  # four characters still hold it
        return sign + _number(size)
    number, suffix = _scaled(size, 1000, 1000, _SI_SUFFIXES)
    return f"{sign}{number}{suffix}"


def _format_fine(value: float) -> str:
    """Return a gauge's value; fractions below ten have two or three decimals."""
    if value == int(value) or abs(value) >= 10:  # one digit
        return _format_count(value)
    decimals = 2 if abs(value) >= 0.1 else 3  # logs hold thousandths
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".")


def _format_us(value: float, *, ascii_only: bool) -> str:
    if abs(value) >= _LONG_PAUSE_US:
        return ("-" if value < 0 else "") + format_span_ms(abs(value) / _MS_PER_S)
    names = (micro_unit(ascii_only=ascii_only), "ms", "s")
    number, unit = _scaled(abs(value), 1000, 1000, names)
    return f"{'-' if value < 0 else ''}{number} {unit}"


def _format_percent(value: float) -> str:
    return f"{value:.1f} %" if 0 < abs(value) < 9.95 else f"{value:.0f} %"  # 2 digits


def format_quantity(value: float, unit: str, *, ascii_only: bool = False) -> str:
    """Return a value of a metric as short text.

    Args:
        value: in `unit`; a value that is not finite gives "n/a".
        unit: "B", "count", "us", "B/s", "count/s", "us/s" (CPU time per second, shown as percent
            of one core), or the unit of a user's gauge, which is shown after the number.
        ascii_only: write "us" for "µs".
    """
    if not math.isfinite(value):
        return _NO_NUMBER
    if unit == "B":
        return format_bytes(value)
    if unit == "B/s":
        return f"{format_bytes(value)}/s"
    if unit == "us":
        return _format_us(value, ascii_only=ascii_only)
    if unit == "us/s":
        return _format_percent(value / US_PER_PERCENT)
    if unit == "count/s":
        return f"{_format_count(value)}/s"
    if unit in {"", "count"}:
        return _format_fine(value)
    return f"{_format_fine(value)} {clean(unit, UNIT_CELLS, ascii_only=ascii_only)}"


def format_delta(value: float, unit: str, *, ascii_only: bool = False) -> str:
    """Return a change with its sign; the arguments are those of `format_quantity`."""
    return f"{'+' if value > 0 else ''}{format_quantity(value, unit, ascii_only=ascii_only)}"


def format_share(share: float) -> str:
    """Return a share in whole percent, such as "93 %" for 0.93."""
    return f"{100 * share:.0f} %"


def micro_unit(*, ascii_only: bool) -> str:
    """Return the sign of microseconds."""
    return "us" if ascii_only else "µs"


def format_span_ms(span_ms: float) -> str:
    """Return a span of milliseconds in its two largest units: "2h14m", "45s", "3d4h", "1w".

    Below a second it gives milliseconds. Smaller units are cut off, not rounded, so that a
    clock built from it never runs ahead. A negative span carries a minus.
    """
    if not math.isfinite(span_ms):
        return _NO_NUMBER
    sign = "-" if span_ms < 0 else ""
    size_ms = int(abs(span_ms))
    if 0 < size_ms < _MS_PER_S:
        return f"{sign}{size_ms}ms"
    rest = size_ms // _MS_PER_S
    if rest and rest % _WEEK_S == 0:
        return f"{sign}{rest // _WEEK_S}w"
    for index, (name, size) in enumerate(_SPAN_UNITS):
        if rest >= size:
            text = f"{sign}{rest // size}{name}"
            if index + 1 < len(_SPAN_UNITS):
                lesser, lesser_size = _SPAN_UNITS[index + 1]
                remainder = rest % size // lesser_size
                text += f"{remainder}{lesser}" if remainder else ""
            return text
    return "0s"


def format_roughly_ms(span_ms: int) -> str:
    """Return a span in one unit, for extrapolated times: "8d", "5h", "40m"."""
    for size_s, least in ((86_400, 2), (3600, 2), (60, 1)):
        if span_ms >= least * size_s * _MS_PER_S:
            whole_ms = span_ms // (size_s * _MS_PER_S) * size_s * _MS_PER_S
            return format_span_ms(whole_ms)
    return "a minute"
