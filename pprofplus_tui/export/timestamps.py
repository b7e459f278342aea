"""Times as text in an export, in a time zone."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo

_MINUTE_MS = 60_000


def iso_times(times_ms: Sequence[int], zone: tzinfo | None = None) -> list[str]:
    """Return each time in ISO 8601 with milliseconds and offset; `zone` None is the local one.

    A time outside the calendar is "".
    """
    texts = []
    minute, begin, end = None, "", ""
    for t_ms in times_ms:
        if t_ms // _MINUTE_MS != minute:
            minute = t_ms // _MINUTE_MS
            begin, end = _minute_texts(minute, zone)
        rest = t_ms - minute * _MINUTE_MS
        if begin:
            texts.append(f"{begin}:{rest // 1000:02d}.{rest % 1000:03d}{end}")
        else:
            texts.append(_iso(t_ms, zone))
    return texts


def _minute_texts(minute: int, zone: tzinfo | None) -> tuple[str, str]:
    """Return the text before and after the seconds; "" if the offset itself has seconds."""
    try:
        instant = moment(minute * _MINUTE_MS, zone)
        offset = instant.utcoffset() or timedelta(0)
    except (ValueError, OverflowError, OSError):
        return "", ""
    if offset % timedelta(minutes=1):
        return "", ""
    text = instant.isoformat(timespec="minutes")
    length = len("2026-11-20T14:05")
    return text[:length], text[length:]


def _iso(t_ms: int, zone: tzinfo | None) -> str:
    try:
        return moment(t_ms, zone).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ""


def moment(unix_ms: int, zone: tzinfo | None) -> datetime:
    """Return the time in a time zone. Raises ValueError, OverflowError outside the calendar."""
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (epoch + timedelta(milliseconds=unix_ms)).astimezone(zone)
