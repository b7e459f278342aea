"""The page being filled: samples and events in, the bytes of a data page out. No I/O."""

from __future__ import annotations

from struct import Struct

from pprofplus.format import (
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

# the longest that one sample can add to a stream: a run of zeros (1 + 2 bytes), a 64-bit varint
_WORST_TOKEN = 13


def append_varint(stream: bytearray, token: int) -> None:
    """Append `token`, 0 or more, as a LEB128 varint."""
    while token > 0x7F:  # noqa: PLR2004 - seven bits a byte
        stream.append(token & 0x7F | 0x80)
        token >>= 7
    stream.append(token)


class PageBuilder:
    """One data page in the making; `bytes()` of it is valid at any moment.

    `add` and `add_event` return False, and change nothing, when the page has no room left: then
    the caller closes it and begins the next one with `follow()`.
    """

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
        self.last_mono_ms = 0
        self.anchor_ms = 0  # unix minus monotonic
        self._schema = schema
        self._counters = counters
        self._interval_ms = interval_ms
        self._previous = previous
        self._first_mono_ms = 0
        self._first: list[int] = [0] * columns
        self._last: list[int] = self._first
        self._lo: list[int] = [0] * columns
        self._hi: list[int] = [0] * columns
        self._changed = [0] * (columns + 1)  # the sample of a stream's last difference
        self._streams = [bytearray() for _ in range(columns + 1)]
        self._events = b""
        self._cells = Struct(f"<{3 * columns}q{columns + 1}H")
        self._head_size = head_size(columns)

    def follow(self, number: int, interval_ms: int) -> PageBuilder:
        """Return the page that comes after this one."""
        previous = (self.last_mono_ms, self._last) if self.samples else self._previous
        return PageBuilder(self._schema, self._counters, number, interval_ms, previous)

    @property
    def size(self) -> int:
        """Bytes of the page as it stands."""
        return self._head_size + sum(map(len, self._streams)) + len(self._events)

    def add(self, mono_ms: int, unix_ms: int, values: list[int]) -> bool:
        """Append a sample, one value a column; False if there is no room.

        `mono_ms` may not be less than that of the sample before. Values are clipped to 64 bits.
        """
        if self.samples == 0:
            return self._add_first(mono_ms, unix_ms, values)
        if self.samples >= MAX_SAMPLES or (
            PAGE_SIZE - self.size < _WORST_TOKEN * len(self._streams)
            and PAGE_SIZE - self.size < self._cost(mono_ms, values)
        ):
            return False
        n = self.samples
        last, lo, hi, changed, streams = (
            self._last,
            self._lo,
            self._hi,
            self._changed,
            self._streams,
        )
        elapsed = mono_ms - self.last_mono_ms
        delta = elapsed - self._interval_ms
        if delta:
            _append(streams[0], n - changed[0] - 1, delta)
            changed[0] = n
        column = 0
        for value, before, is_counter in zip(values, last, self._counters, strict=True):
            if value == before:
                if is_counter and lo[column] > 0:
                    lo[column] = 0
            else:
                if not INT64_MIN <= value <= INT64_MAX:
                    value = values[column] = min(max(value, INT64_MIN), INT64_MAX)  # noqa: PLW2901
                delta = value - before
                if delta:
                    _append(streams[column + 1], n - changed[column + 1] - 1, delta)
                    changed[column + 1] = n
                measure = rate_milli(delta, elapsed) if is_counter else value
                if measure < lo[column]:
                    lo[column] = measure
                elif measure > hi[column]:
                    hi[column] = measure
            column += 1
        self._last = values
        self.last_mono_ms = mono_ms
        self.samples = n + 1
        return True

    def _add_first(self, mono_ms: int, unix_ms: int, values: list[int]) -> bool:
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
        return True

    def _cost(self, mono_ms: int, values: list[int]) -> int:
        """Return the exact number of bytes that a sample would add."""
        n, cost, scratch = self.samples, 0, bytearray()
        deltas = [mono_ms - self.last_mono_ms - self._interval_ms]
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
        self._events += packed
        self.events += 1
        return True

    def __bytes__(self) -> bytes:
        """Return the page as it stands, without padding."""
        streams = self._streams
        head = DATA_HEAD.pack(
            self._schema,
            self.samples,
            len(self._counters),
            len(self._events),
            self._first_mono_ms,
            self._first_mono_ms + self.anchor_ms,
            self.last_mono_ms,
            self._interval_ms,
            0,
        ) + self._cells.pack(*self._first, *self._lo, *self._hi, *map(len, streams))
        return pack_page(DATA, self.number, head, b"".join((*streams, self._events)))


def _append(stream: bytearray, zeros: int, delta: int) -> None:
    """Append a difference other than 0, after a run of `zeros`."""
    if zeros:
        stream.append(0)
        append_varint(stream, zeros)
    delta = wrap(delta)
    append_varint(stream, delta << 1 if delta >= 0 else ~(delta << 1))
