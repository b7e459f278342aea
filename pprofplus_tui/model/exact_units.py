"""Quantities with more digits than a legend has: the values at the time cursor."""

import math

from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import (
    BYTE_UNITS,
    UNIT_CELLS,
    US_PER_PERCENT,
    format_quantity,
    micro_unit,
)

_KIB = 1024
_WHOLE = 1e15  # a larger float has no digits for fractions


def format_exact(value: float, unit: str, *, ascii_only: bool = False) -> str:
    """Return a value as `units.format_quantity` does, with two or three decimals, or all digits.

    Bytes are "107.44 MiB", times "1.234 ms", counts whole: "1234567"; a count of fractions has
    its thousandths, as logs do. A value that is not finite gives "n/a".
    """
    size = abs(value)
    if not math.isfinite(value) or size >= _WHOLE:
        return format_quantity(value, unit, ascii_only=ascii_only)
    sign = "-" if value < 0 else ""
    if unit in {"B", "B/s"}:
        per = unit[1:]
        power = 0
        while size >= _KIB and power < len(BYTE_UNITS) - 1:
            size, power = size / _KIB, power + 1
        return f"{sign}{size:.{2 if power else 0}f} {BYTE_UNITS[power]}{per}"
    if unit == "us":
        for least, name in ((1e6, "s"), (1e3, "ms")):
            if size >= least:
                return f"{sign}{size / least:.3f} {name}"
        return f"{sign}{size:.0f} {micro_unit(ascii_only=ascii_only)}"
    if unit == "us/s":
        return f"{sign}{size / US_PER_PERCENT:.2f} %"
    number = f"{sign}{size:.3f}".rstrip("0").rstrip(".")
    if unit == "count/s":
        return f"{number}/s"
    if unit in {"", "count"}:
        return number
    return f"{number} {clean(unit, UNIT_CELLS, ascii_only=ascii_only)}"
