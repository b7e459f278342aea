"""The events in the pages of a run, on its time axis."""

from pprofplus.errors import LogFormatError
from pprofplus.log.format import (
    EVENT_KINDS,
    MAX_UNIX_MS,
    DataHead,
    Event,
    read_events,
    read_prefix,
)
from pprofplus_tui.model.events import RunEvent


def events_of(page: bytes | None) -> list[Event]:
    """Return the events of a data page, none if it is missing or damaged."""
    if page is None:
        return []
    try:
        head = DataHead(read_prefix(page), page)
        begin = head.prefix.head_length + sum(head.lengths)
        return read_events(page[begin : begin + head.events_bytes])
    except LogFormatError:
        return []


def placed(event: Event, offset_ms: int) -> RunEvent:
    """Return the event on the time axis, which is monotonic time plus `offset_ms`.

    A time that no clock can show is clamped to the nearest valid time.
    """
    kind = EVENT_KINDS.get(event.kind, str(event.kind))
    t_ms = min(max(event.mono_ms + offset_ms, 0), MAX_UNIX_MS - 1)
    return RunEvent(t_ms, kind, event.value, event.text)
