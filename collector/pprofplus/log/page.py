"""Builder of the page being filled: takes samples and events, returns the page's bytes. No I/O."""

from __future__ import annotations

from struct import Struct

from pprofplus.log.format import (
    DATA,
    DATA_HEAD,
    INT64_MAX,
    INT64_MIN,
    MAX_SAMPLES,
    PAGE_SIZE,
    Event,
    head_size,
    pack_event,
    pack_page,
    rate_milli,
    wrap,
)

# the most bytes that one sample can add to a stream: a zero run (1 + 2 bytes) and a 64-bit varint
_WORST_TOKEN = 13


def append_varint(stream: bytearray, token: int) -> None:
    """Append `token`, 0 or more, as a LEB128 varint."""
    while token > 0x7F:  # seven bits a byte
        stream.append(token & 0x7F | 0x80)
        token >>= 7
    stream.append(token)


class PageBuilder:
    """A data page under construction; `bytes()` of it is a valid page at any moment.

    `add` and `add_event` return False, and change nothing, when the page has no room left. The
    caller then finishes it and begins the next page with `follow()`.

    Attributes:
        number: the page's number in the run.
        samples: samples in it.
        events: events in it.
        size: bytes of the page so far.
        interval_ms: the sampling interval when the page was begun.
        last_mono_ms: monotonic milliseconds of the last sample.
        anchor_ms: unix minus monotonic milliseconds.
    """

    __slots__ = (
        "_cells",
        "_changed",
        "_counters",
        "_events",
        "_first",
        "_first_mono_ms",
        "_hi",
        "_last",
        "_lo",
        "_previous",
        "_schema",
        "_streams",
        "_worst",
        "anchor_ms",
        "events",
        "interval_ms",
        "last_mono_ms",
        "number",
        "samples",
        "size",
    )

    def __init__(
        self,
        schema: int,
        counters: tuple[bool, ...],
        number: int,
        interval_ms: int,
        previous: tuple[int, list[int]] | None = None,
    ) -> None:
        """Begin page `number`; `previous` is the run's last (monotonic ms, values), for rates."""
        columns = len(counters)
        self.number = number
        self.samples = 0
        self.events = 0
        self.size = head_size(columns)
        self.interval_ms = interval_ms
        self.last_mono_ms = 0
        self.anchor_ms = 0
        self._schema = schema
        self._counters = counters
        self._previous = previous
        self._first_mono_ms = 0
        self._first: list[int] = [0] * columns
        self._last: list[int] = self._first
        self._lo: list[int] = [0] * columns
        self._hi: list[int] = [0] * columns
        self._changed = [0] * (columns + 1)  # the sample of a stream's last difference
        self._streams = [bytearray() for _ in range(columns + 1)]
        self._worst = _WORST_TOKEN * (columns + 1)
        self._events = b""
        self._cells = Struct(f"<{3 * columns}q{columns + 1}H")

    def follow(self, number: int, interval_ms: int) -> PageBuilder:
        """Return the next page."""
        return PageBuilder(self._schema, self._counters, number, interval_ms, self.last_sample)

    @property
    def last_sample(self) -> tuple[int, list[int]] | None:
        """The run's last (monotonic ms, values) so far, or None if there is none."""
        return (self.last_mono_ms, self._last) if self.samples else self._previous

    @property
    def first_mono_ms(self) -> int:
        """Monotonic milliseconds of the first sample, of the first event if there is no sample."""
        return self._first_mono_ms

    @property
    def events_bytes(self) -> int:
        """Bytes of its events."""
        return len(self._events)

    @property
    def measures(self) -> tuple[list[int], list[int], list[int]]:
        """Per column the first value, the smallest and the largest measure, as in the head."""
        return self._first, self._lo, self._hi

    def add(self, mono_ms: int, unix_ms: int, values: list[int]) -> bool:
        """Append a sample, one value a column; False if there is no room.

        `mono_ms` must not be less than that of the previous sample. Values are clipped to 64 bits.
        The list is kept: the caller must not change it afterwards.
        """
        n = self.samples
        if n == 0:
            self._add_first(mono_ms, unix_ms, values)
            return True
        room = PAGE_SIZE - self.size
        if n >= MAX_SAMPLES or (room < self._worst and room < self._cost(mono_ms, values)):
            return False
        elapsed = mono_ms - self.last_mono_ms
        delta = elapsed - self.interval_ms
        if delta:
            self._extend(0, delta)
        last, lo, hi = self._last, self._lo, self._hi
        for column, is_counter in enumerate(self._counters):
            value = values[column]
            before = last[column]
            if value != before:
                measure = value = self._change(column, value, before, values)
                if is_counter:
                    measure = rate_milli(value - before, elapsed)
            elif is_counter:
                measure = 0
            else:
                continue
            if measure < lo[column]:
                lo[column] = measure
            elif measure > hi[column]:
                hi[column] = measure
        self._last = values
        self.last_mono_ms = mono_ms
        self.samples = n + 1
        return True

    def _change(self, column: int, value: int, before: int, values: list[int]) -> int:
        """Append the difference of a value that changed; return the value, clipped."""
        if not INT64_MIN <= value <= INT64_MAX:
            value = values[column] = min(max(value, INT64_MIN), INT64_MAX)
        if value != before:
            self._extend(column + 1, value - before)
        return value

    def _extend(self, index: int, delta: int) -> None:
        """Append a difference other than 0 to a stream, after the zero run before it."""
        changed, n = self._changed, self.samples
        stream = self._streams[index]
        self.size -= len(stream)
        zeros = n - changed[index] - 1
        changed[index] = n
        if zeros:
            stream.append(0)
            append_varint(stream, zeros)
        if not -(1 << 62) <= delta < 1 << 62:
            delta = wrap(delta)
        token = delta << 1 if delta >= 0 else ~(delta << 1)
        while token > 0x7F:  # as append_varint, without the call
            stream.append(token & 0x7F | 0x80)
            token >>= 7
        stream.append(token)
        self.size += len(stream)

    def _add_first(self, mono_ms: int, unix_ms: int, values: list[int]) -> None:
        values = [min(max(value, INT64_MIN), INT64_MAX) for value in values]
        self._first_mono_ms = self.last_mono_ms = mono_ms
        self.anchor_ms = unix_ms - mono_ms
        self._first = self._last = values
        if self._previous is None:
            rates = [0] * len(values)
        else:
            then_ms, then = self._previous
            rates = [
                rate_milli(value - before, mono_ms - then_ms)
                for value, before in zip(values, then, strict=True)
            ]
        measures = [
            rate if is_counter else value
            for value, rate, is_counter in zip(values, rates, self._counters, strict=True)
        ]
        self._lo, self._hi = measures, list(measures)
        self.samples = 1

    def _cost(self, mono_ms: int, values: list[int]) -> int:
        """Return the exact number of bytes that a sample would add."""
        n, cost, scratch = self.samples, 0, bytearray()
        deltas = [mono_ms - self.last_mono_ms - self.interval_ms]
        for value, before in zip(values, self._last, strict=True):
            deltas.append(min(max(value, INT64_MIN), INT64_MAX) - before)
        for delta, changed in zip(deltas, self._changed, strict=True):
            if delta:
                scratch.clear()
                _append(scratch, n - changed - 1, delta)
                cost += len(scratch)
        return cost

    def add_event(self, event: Event) -> bool:
        """Append an event; False if there is no room."""
        packed = pack_event(event)
        if self.size + len(packed) > PAGE_SIZE:
            return False
        if not self.samples and not self.events:
            self._first_mono_ms = self.last_mono_ms = event.mono_ms
            self.anchor_ms = event.unix_ms - event.mono_ms
        # Update the size first: if a signal handler raises between the two lines, the size is too
        # large at most, so the page never exceeds PAGE_SIZE.
        self.size += len(packed)
        self._events += packed
        self.events += 1
        return True

    def __bytes__(self) -> bytes:
        """Return the page so far, without padding."""
        streams = self._streams
        head = DATA_HEAD.pack(
            self._schema,
            self.samples,
            len(self._counters),
            len(self._events),
            self._first_mono_ms,
            self._first_mono_ms + self.anchor_ms,
            self.last_mono_ms,
            self.interval_ms,
            0,
        ) + self._cells.pack(*self._first, *self._lo, *self._hi, *map(len, streams))
        return pack_page(DATA, self.number, head, b"".join((*streams, self._events)))


def _append(stream: bytearray, zeros: int, delta: int) -> None:
    """Append a difference other than 0, after a zero run of length `zeros`."""
    if zeros:
        stream.append(0)
        append_varint(stream, zeros)
    delta = wrap(delta)
    append_varint(stream, delta << 1 if delta >= 0 else ~(delta << 1))
