"""The time axis: round local clock times with labels that never touch each other."""

import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo

from pprofplus_tui.model.durations import DAY_MS, MINUTE_MS, ROUND_STEPS_MS

# Offsets of all time zones in use are multiples of this, so what is round in local time is found
# among the multiples of what divides both this and the step.
_QUARTER_MS = 15 * MINUTE_MS
_DAYS: tuple[int, ...] = (1, 2, 7, 14)
_MONTHS: tuple[int, ...] = (1, 2, 3, 6, 12, 24, 60, 120)
_LABEL_GAP_CELLS = 4  # room for the border's line between two labels, at least
_WIDE_GAP_SHARE = 16  # a wide chart gets gaps of 1/16 of its width
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NAMES = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_UTC = timezone.utc
_LAST_YEAR = 9999

Tick = tuple[int, str]


def local(ms: int, tz: tzinfo | None) -> datetime:
    """Return the local time of unix milliseconds; tz None is the machine's own zone."""
    return datetime.fromtimestamp(ms / 1000, _UTC).astimezone(tz)


def date_text(ms: int, tz: tzinfo | None) -> str:
    """Return date, time to the second, and zone: "2026-11-20 14:05:00 CET"."""
    return f"{local(ms, tz):%Y-%m-%d %H:%M:%S %Z}"


def clock_text(ms: int, tz: tzinfo | None) -> str:
    """Return hours, minutes and seconds."""
    return f"{local(ms, tz):%H:%M:%S}"


def zone_name(ms: int, tz: tzinfo | None) -> str:
    """Return the time zone's name or offset at that time, such as "CET" or "+0545"."""
    return local(ms, tz).strftime("%Z")


def zone_names(begin_ms: int, end_ms: int, tz: tzinfo | None) -> str:
    """Return the zone's name in a window; "CEST/CET" where the clocks change in it."""
    return "/".join(dict.fromkeys((zone_name(begin_ms, tz), zone_name(end_ms, tz))))


def _midnight_ms(day: date, tz: tzinfo | None) -> int:
    """Return the instant at which a local day begins."""
    naive = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the next line gives the zone
    aware = naive.astimezone() if tz is None else naive.replace(tzinfo=tz)
    return int(aware.timestamp() * 1000)


def column(ms: int, begin_ms: int, end_ms: int, width: int) -> int:
    """Return the cell, 0 to width - 1, of an instant; instants outside go to the nearest."""
    if width <= 1 or end_ms <= begin_ms:
        return 0
    # In half cells, like the dots of braille: a label is then below its dot.
    cell = math.floor((ms - begin_ms) / (end_ms - begin_ms) * (2 * width - 1) + 0.5) // 2
    return min(max(cell, 0), width - 1)


def instant(cell: int, begin_ms: int, end_ms: int, width: int) -> int:
    """Return the unix milliseconds in the middle of a cell, the inverse of `column`."""
    return begin_ms + round((2 * cell + 0.5) / max(2 * width - 1, 1) * (end_ms - begin_ms))


def label_start(tick: Tick, begin_ms: int, end_ms: int, width: int) -> int:
    """Return the first cell of a tick's label, which is centred on the tick; may be negative."""
    return column(tick[0], begin_ms, end_ms, width) - len(tick[1]) // 2


def _clock_ticks(begin_ms: int, end_ms: int, step_ms: int, tz: tzinfo | None) -> Iterator[Tick]:
    scan_ms = math.gcd(step_ms, _QUARTER_MS)
    for ms in range(-(-begin_ms // scan_ms) * scan_ms, end_ms, scan_ms):
        clock = local(ms, tz)
        since_midnight_ms = (clock.hour * 3600 + clock.minute * 60 + clock.second) * 1000
        if since_midnight_ms % step_ms:
            continue
        if since_midnight_ms == 0:
            # At midnight the label is the day: the clock alone would be ambiguous.
            yield ms, f"{_WEEKDAYS[clock.weekday()]} {clock.day}"
        elif step_ms < MINUTE_MS:
            yield ms, f"{clock:%H:%M:%S}"
        else:
            yield ms, f"{clock:%H:%M}"


def _day_ticks(begin_ms: int, end_ms: int, days: int, tz: tzinfo | None) -> Iterator[Tick]:
    day = local(begin_ms, tz).date()
    last = local(end_ms, tz).date()
    # Multi-day steps are counted from a Monday long ago, so that panning keeps the same days.
    past = (day.toordinal() - 1) % days
    day += timedelta(days=days - past if past else 0)
    while day <= last:
        ms = _midnight_ms(day, tz)
        if begin_ms <= ms < end_ms:
            if end_ms - begin_ms > 21 * DAY_MS or days >= 7:  # noqa: PLR2004 - weekdays repeat
                yield ms, f"{day.day} {_MONTH_NAMES[day.month - 1]}"
            else:
                yield ms, f"{_WEEKDAYS[day.weekday()]} {day.day}"
        day += timedelta(days=days)


def _month_ticks(begin_ms: int, end_ms: int, months: int, tz: tzinfo | None) -> Iterator[Tick]:
    start = local(begin_ms, tz).date()
    index = (start.year * 12 + start.month - 1) // months * months
    while index // 12 <= _LAST_YEAR:
        year, month = index // 12, index % 12
        index += months
        if year < 1:
            continue
        ms = _midnight_ms(date(year, month + 1, 1), tz)
        if ms >= end_ms:
            return
        if ms >= begin_ms:
            yield ms, f"{year}" if month == 0 else _MONTH_NAMES[month]


def _spread(ticks: Iterator[Tick], begin_ms: int, end_ms: int, width: int) -> tuple[Tick, ...]:
    """Return the ticks whose labels are inside the width and do not touch the one before."""
    kept: list[Tick] = []
    free = 0
    for tick in ticks:
        start = label_start(tick, begin_ms, end_ms, width)
        if start >= free and start + len(tick[1]) <= width:
            kept.append(tick)
            free = start + len(tick[1]) + 2
    return tuple(kept)


def time_ticks(begin_ms: int, end_ms: int, width_cells: int, tz: tzinfo | None) -> tuple[Tick, ...]:
    """Return (unix ms, label) of round local times in [begin_ms, end_ms), rising.

    The step is the smallest whose labels have room; a label centred on its tick (see
    `label_start`) stays inside the width and never touches the next label. Around a change of
    the clocks the ticks stay at round local times; an hour that occurs twice is labelled twice.

    Args:
        begin_ms: unix milliseconds.
        end_ms: unix milliseconds; nothing is returned unless it is after begin_ms.
        width_cells: width of the plot in cells.
        tz: the time zone, None for the machine's own.
    """
    span_ms = end_ms - begin_ms
    if span_ms <= 0 or width_cells <= 0:
        return ()

    gap_cells = max(_LABEL_GAP_CELLS, width_cells // _WIDE_GAP_SHARE)

    def roomy(step_ms: int, label_cells: int) -> bool:
        return step_ms * width_cells >= (label_cells + gap_cells) * span_ms

    for step_ms in ROUND_STEPS_MS:
        if roomy(step_ms, 8 if step_ms < MINUTE_MS else 5):
            return _spread(
                _clock_ticks(begin_ms, end_ms, step_ms, tz), begin_ms, end_ms, width_cells
            )
    for days in _DAYS:
        if roomy(days * DAY_MS, 6):
            return _spread(_day_ticks(begin_ms, end_ms, days, tz), begin_ms, end_ms, width_cells)
    months = next((m for m in _MONTHS if roomy(m * 28 * DAY_MS, 4)), _MONTHS[-1])
    return _spread(_month_ticks(begin_ms, end_ms, months, tz), begin_ms, end_ms, width_cells)
