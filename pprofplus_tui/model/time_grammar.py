"""Parses times and spans as users type them: `14:05`, `-2h`, `monday 9:00`, `+10m`, ISO 8601."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo

from pprofplus_tui.model.durations import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    WEEK_MS,
    YEAR_MS,
)
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.window import LATEST_MS

ACCEPTED_TIMES = (
    "now, 14:05, 14:05:30, -2h, -1d12h, +10m, today 9:00, yesterday 9:00, monday 9:00, "
    "2026-11-20, 2026-11-20 14:05, 2026-11-20T14:05:30+01:00 or @1700000000"
)
ACCEPTED_SPANS = "45s, 15m, 2h, 1h30m, 1d12h, 1w or 1y"

_UNIT_MS = {
    "s": SECOND_MS,
    "m": MINUTE_MS,
    "h": HOUR_MS,
    "d": DAY_MS,
    "w": WEEK_MS,
    "y": YEAR_MS,
}
_AFTER = "+10m counts from --begin in --end, and from the cursor or the left edge in the dialog"
_LONGEST_SPAN_MS = 100 * YEAR_MS
_QUOTED_CELLS = 30

_SPAN = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,6})?[smhdwy])+")
_SPAN_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdwy])")
_CLOCK = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]{1,9}))?)?"
)
_BARE_CLOCK = re.compile(_CLOCK)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMED_DAY = re.compile(
    rf"(?P<day>today|yesterday|{'|'.join(f'{day[:3]}(?:{day[3:]})?' for day in _WEEKDAYS)})"
    rf"(?:\s+{_CLOCK})?"
)
_ISO = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<date>[0-9]{2})"
    rf"(?:(?:t|\s+){_CLOCK}\s*(?P<offset>z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?"
)
_UNIX = re.compile(r"@(?P<seconds>[0-9]{1,12})(?:\.(?P<part>[0-9]{1,9}))?")


class TimeSyntaxError(ValueError):
    """The text is not a time or a span; the message is one line with the accepted forms."""


def parse_span(text: str) -> int:
    """Return a span such as "15m", "1h30m" or "1.5d" in milliseconds, above 0.

    A month is not accepted because it has no fixed length; a year is 365 days.
    Raises TimeSyntaxError if the text is no span, is zero or is longer than a century.
    """
    compact = text.strip().lower()
    if not _SPAN.fullmatch(compact):
        raise TimeSyntaxError(f"{_quoted(text)} is not a time span: write {ACCEPTED_SPANS}")
    total_ms = round(
        sum(float(number) * _UNIT_MS[unit] for number, unit in _SPAN_PART.findall(compact))
    )
    if not 0 < total_ms <= _LONGEST_SPAN_MS:
        raise TimeSyntaxError(
            f"{_quoted(text)} is zero or longer than a century: write {ACCEPTED_SPANS}"
        )
    return total_ms


def parse_time(text: str, now: datetime, tz: tzinfo | None, base_ms: int | None = None) -> int:
    """Return the instant that `text` names, in unix milliseconds, from 1970 to 9998.

    A bare clock time is the latest such time that is not in the future: at 14:04, "14:05" is
    yesterday's. So is a day of the week: on a Friday, "friday" is today and "saturday" six days
    ago. A span with a minus is counted back from now, with a plus on from `base_ms`. Days are
    calendar days, also where the clocks change: of a repeated local time the first is meant, and a
    skipped one is later by the length of the skip.

    Args:
        text: see ACCEPTED_TIMES; upper and lower case, and spaces around it, do not matter.
        now: the present, with its time zone.
        tz: the zone of times given without an offset; None for the machine's own.
        base_ms: unix milliseconds from which "+10m" counts; None: there is no such time.

    Raises:
        TimeSyntaxError: the text is none of these; nothing else is raised.
    """
    # lower() may lengthen some Unicode letters; none of them is part of a time.
    compact = text.strip().lower()
    try:
        instant_ms = _parse(compact, now, tz, base_ms)
    except TimeSyntaxError:
        raise
    except (ValueError, OverflowError, OSError):  # no such day, or beyond what datetime holds
        instant_ms = None
    if instant_ms is None or not 0 <= instant_ms < LATEST_MS:
        raise TimeSyntaxError(f"{_quoted(text)} is not a time: write {ACCEPTED_TIMES}")
    return instant_ms


@dataclass(frozen=True)
class Goto:
    """A time or span to go to.

    Attributes:
        at_ms: the instant to go to, unix milliseconds, or None.
        last_ms: the span to show up to the end, or None; one of the two is given.
    """

    at_ms: int | None = None
    last_ms: int | None = None


def parse_goto(text: str, now: datetime, tz: tzinfo | None, base_ms: int | None = None) -> Goto:
    """Return the target that `text` names: a time, or for a bare span such as "2h" the last 2 h.

    The arguments are those of `parse_time`. Raises TimeSyntaxError.
    """
    compact = text.strip().lower()
    if _SPAN.fullmatch(compact):
        return Goto(last_ms=parse_span(compact))
    return Goto(at_ms=parse_time(text, now, tz, base_ms))


def _quoted(text: str) -> str:
    return f"'{clean(text, _QUOTED_CELLS)}'"


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def _clock(match: re.Match[str]) -> time:
    part = (match["part"] or "").ljust(6, "0")[:6]
    return time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0), int(part))


def _at(day: date, clock: time, tz: tzinfo | None) -> int:
    naive = datetime.combine(day, clock)
    return _ms(naive.astimezone() if tz is None else naive.replace(tzinfo=tz))


def _parse(text: str, now: datetime, tz: tzinfo | None, base_ms: int | None) -> int | None:
    """Return unix milliseconds, or None if no form matches; may raise what datetime raises."""
    now_ms = _ms(now)
    today = now.astimezone(tz).date()
    if text == "now":
        return now_ms
    if text.startswith("-") and _SPAN.fullmatch(text[1:]):
        return now_ms - parse_span(text[1:])
    if text.startswith("+") and _SPAN.fullmatch(text[1:]):
        if base_ms is None:
            raise TimeSyntaxError(f"{_quoted(text)}: there is no time to count from; {_AFTER}")
        return base_ms + parse_span(text[1:])
    if match := _UNIX.fullmatch(text):
        return int(match["seconds"]) * 1000 + int((match["part"] or "").ljust(3, "0")[:3])
    if match := _BARE_CLOCK.fullmatch(text):
        at_ms = _at(today, _clock(match), tz)
        return at_ms if at_ms <= now_ms else _at(today - timedelta(days=1), _clock(match), tz)
    if match := _NAMED_DAY.fullmatch(text):
        return _named_day(match, today, now_ms, tz)
    if match := _ISO.fullmatch(text):
        day = date(int(match["year"]), int(match["month"]), int(match["date"]))
        clock = _clock(match) if match["hour"] else time()
        return _at(day, clock, _zone(match["offset"]) if match["offset"] else tz)
    return None


def _named_day(match: re.Match[str], today: date, now_ms: int, tz: tzinfo | None) -> int:
    clock = _clock(match) if match["hour"] else time()
    name = match["day"]
    if name in {"today", "yesterday"}:
        return _at(today if name == "today" else today - timedelta(days=1), clock, tz)
    weekday = next(i for i, day in enumerate(_WEEKDAYS) if day.startswith(name))
    day = today - timedelta(days=(today.weekday() - weekday) % 7)
    at_ms = _at(day, clock, tz)
    return at_ms if at_ms <= now_ms else _at(day - timedelta(days=7), clock, tz)


def _zone(offset: str) -> tzinfo:
    if offset == "z":
        return timezone.utc
    digits = offset[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-size if offset[0] == "-" else size)
