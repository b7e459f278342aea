"""Decodes pprof's profile.proto strictly and within bounds, with the standard library only.

It reads the files of `pprof_encoder` and those of any other program. What a viewer of Python
profiles does not need is read over: addresses, mappings except the first, units of labels, and
fields of later versions. Every number that refers to something must refer to something that exists.
"""

from __future__ import annotations

import zlib

from pprofplus.errors import ProfileFormatError

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Label = tuple[str, str | int]
    Frame = tuple[str, str, int, int]  # function, file, line, first line of the function
    # the stack as indices of frames, the leaf first; values; labels
    Sample = tuple[tuple[int, ...], tuple[int, ...], tuple[Label, ...]]

MAX_FILE_BYTES = 32 << 20
MAX_RAW_BYTES = 64 << 20
MAX_DEPTH = 10_000  # frames of a stack
MAX_FRAMES = 8_000_000  # of all stacks together

# fields of Profile
_SAMPLE_TYPE, _SAMPLE, _MAPPING, _LOCATION, _FUNCTION, _STRING = 1, 2, 3, 4, 5, 6
_TIME, _DURATION, _PERIOD_TYPE, _PERIOD, _COMMENT, _DEFAULT_TYPE = 9, 10, 11, 12, 13, 14
# types of fields
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
_UINT64 = 1 << 64


class DecodedProfile:
    """The content of a profile.

    Attributes:
        sample_types: (type, unit) of each value of a sample.
        default_type: the type to show first, or "".
        frames: (function, file name, line, first line of the function); 0 is an unknown line.
        samples: (indices of the stack's frames, the leaf first; values; labels).
        comments: lines for people.
        time_ns: unix time of the begin, 0 if unknown.
        duration_ns: length of the window, 0 for a moment.
        period: (type, unit, value) of the sampling period, or None.
        program: file name of the first mapping; in our profiles, the name of the service.
    """

    __slots__ = (
        "comments",
        "default_type",
        "duration_ns",
        "frames",
        "period",
        "program",
        "sample_types",
        "samples",
        "time_ns",
    )

    def __init__(self) -> None:
        self.sample_types: tuple[tuple[str, str], ...] = ()
        self.default_type = ""
        self.frames: list[Frame] = []
        self.samples: list[Sample] = []
        self.comments: list[str] = []
        self.time_ns = 0
        self.duration_ns = 0
        self.period: tuple[str, str, int] | None = None
        self.program = ""


def decode_profile(data: bytes) -> DecodedProfile:
    """Return the content of a profile, compressed with gzip or not. Raises ProfileFormatError."""
    raw = unpack_gzip(data) if data[:2] == _GZIP else data
    if not raw or len(raw) > MAX_RAW_BYTES:
        raise ProfileFormatError("a profile that is empty or too long")
    return _Decoder(raw).decode()


def unpack_gzip(data: bytes, max_bytes: int = MAX_RAW_BYTES) -> bytes:
    """Return the content of a gzip file of one or more members. Raises ProfileFormatError."""
    if len(data) > MAX_FILE_BYTES:
        raise ProfileFormatError("a file that is too long")
    pieces: list[bytes] = []
    left = max_bytes
    while data:
        unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            pieces.append(unpacker.decompress(data, left + 1))
        except zlib.error as error:
            raise ProfileFormatError("a file that is no valid gzip") from error
        left -= len(pieces[-1])
        if left < 0 or not unpacker.eof:
            raise ProfileFormatError("a gzip file that is too long or cut off")
        data = unpacker.unused_data
    return b"".join(pieces)


class _Decoder:
    """Decodes one profile; the tables may follow the samples that refer to them."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._strings: list[str] = []

    def decode(self) -> DecodedProfile:
        """Return the content. Raises ProfileFormatError."""
        fields: dict[int, list[bytes | int]] = {}
        for field, value in _fields(self._raw):
            fields.setdefault(field, []).append(value)
        self._strings = [
            _bytes(value).decode("utf-8", "backslashreplace") for value in fields.get(_STRING, ())
        ]
        if not self._strings or self._strings[0]:
            raise ProfileFormatError("a profile without strings")
        last = {field: values[-1] for field, values in fields.items()}
        found = DecodedProfile()
        found.sample_types = tuple(map(self._value_type, fields.get(_SAMPLE_TYPE, ())))
        if not found.sample_types:
            raise ProfileFormatError("a profile without sample types")
        found.default_type = self._text(last.get(_DEFAULT_TYPE, 0))
        found.time_ns = _signed(last.get(_TIME, 0))
        found.duration_ns = _signed(last.get(_DURATION, 0))
        if _PERIOD_TYPE in last:
            period = _signed(last.get(_PERIOD, 0))
            found.period = (*self._value_type(last[_PERIOD_TYPE]), period)
        for value in fields.get(_COMMENT, ()):
            found.comments += map(self._text, _numbers(value))
        if _MAPPING in fields:
            first = dict(_fields(_bytes(fields[_MAPPING][0])))
            found.program = self._text(first.get(5, 0))
        functions = self._functions(fields.get(_FUNCTION, ()))
        frames_of = self._locations(fields.get(_LOCATION, ()), functions, found)
        self._samples(fields.get(_SAMPLE, ()), frames_of, found)
        return found

    def _text(self, number: object) -> str:
        index = _integer(number)
        if index >= len(self._strings):
            raise ProfileFormatError("a profile that refers to a string that it does not have")
        return self._strings[index]

    def _value_type(self, message: bytes | int) -> tuple[str, str]:
        fields = dict(_fields(_bytes(message)))
        return self._text(fields.get(1, 0)), self._text(fields.get(2, 0))

    def _functions(self, messages: Sequence[bytes | int]) -> dict[int, tuple[str, str, int]]:
        """Return (name, file name, first line) by id."""
        found: dict[int, tuple[str, str, int]] = {}
        for message in messages:
            fields = dict(_fields(_bytes(message)))
            name = self._text(fields.get(2, 0)) or self._text(fields.get(3, 0))
            entry = name, self._text(fields.get(4, 0)), _signed(fields.get(5, 0))
            found[_new_id(found, fields.get(1, 0))] = entry
        return found

    def _locations(
        self,
        messages: Sequence[bytes | int],
        functions: dict[int, tuple[str, str, int]],
        profile: DecodedProfile,
    ) -> dict[int, tuple[int, ...]]:
        """Add the frames to `profile`; return by id of a location the indices of its frames."""
        found: dict[int, tuple[int, ...]] = {}
        indices: dict[Frame, int] = {}
        for message in messages:
            number, address, frames = 0, 0, []
            for field, value in _fields(_bytes(message)):
                if field == 1:
                    number = _integer(value)
                elif field == 3:
                    address = _integer(value)
                elif field == 4:
                    line = dict(_fields(_bytes(value)))
                    function = functions.get(_integer(line.get(1, 0)))
                    if function is None:
                        raise ProfileFormatError("a location without its function")
                    name, filename, first_line = function
                    frames.append((name, filename, _signed(line.get(2, 0)), first_line))
            if not frames:
                frames.append((f"0x{address:x}", "", 0, 0))
            entry = tuple(indices.setdefault(frame, len(indices)) for frame in frames)
            found[_new_id(found, number)] = entry
        profile.frames = list(indices)
        return found

    def _samples(
        self,
        messages: Sequence[bytes | int],
        frames_of: dict[int, tuple[int, ...]],
        profile: DecodedProfile,
    ) -> None:
        """Add the samples to `profile`."""
        total = 0
        for message in messages:
            stack: list[int] = []
            values: list[int] = []
            labels = []
            for field, value in _fields(_bytes(message)):
                if field == 1:
                    for location in _numbers(value):
                        frames = frames_of.get(location)
                        if frames is None:
                            raise ProfileFormatError("a sample without its location")
                        stack += frames
                        if len(stack) > MAX_DEPTH:
                            raise ProfileFormatError("a stack that is too deep")
                elif field == 2:
                    values += map(_to_signed, _numbers(value))
                elif field == 3:
                    labels.append(self._label(_bytes(value)))
            total += len(stack)
            if len(values) != len(profile.sample_types) or total > MAX_FRAMES:
                raise ProfileFormatError("a sample that is malformed, or too many of them")
            profile.samples.append((tuple(stack), tuple(values), tuple(labels)))

    def _label(self, raw: bytes) -> Label:
        fields = dict(_fields(raw))
        key, text = self._text(fields.get(1, 0)), self._text(fields.get(2, 0))
        if not key:
            raise ProfileFormatError("a label without a key")
        return (key, text) if text else (key, _signed(fields.get(3, 0)))


def _new_id(table: Mapping[int, object], number: object) -> int:
    """Return the id of a new entry. Raises ProfileFormatError unless it is positive and unique."""
    new = _integer(number)
    if not new or new in table:
        raise ProfileFormatError("a profile with an id that is 0 or not unique")
    return new


def _fields(raw: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Iterate over (field, value) of a message. Raises ProfileFormatError."""
    at, end = 0, len(raw)
    while at < end:
        key, at = _varint(raw, at)
        field, kind = key >> 3, key & 7
        if not field:
            raise ProfileFormatError("a field that has no number")
        if kind == _VARINT:
            value, at = _varint(raw, at)
            yield field, value
            continue
        if kind == _BYTES:
            size, at = _varint(raw, at)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ProfileFormatError("a field of an unknown type")
        if size > end - at:
            raise ProfileFormatError("a message that is cut off")
        piece = raw[at : at + size]
        at += size
        yield field, piece if kind == _BYTES else int.from_bytes(piece, "little")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return the number at an offset, and the offset after it. Raises ProfileFormatError."""
    value = shift = 0
    try:
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise ProfileFormatError("a number that is too long")
    except IndexError:
        raise ProfileFormatError("a message that is cut off") from None
    if value >= _UINT64:
        raise ProfileFormatError("a number that is too large")
    return value, at


def _numbers(value: bytes | int) -> list[int]:
    """Return the numbers of a repeated field: one, or many that are packed."""
    if isinstance(value, int):
        return [value]
    found = []
    at = 0
    while at < len(value):
        if value[at] < 0x80:  # most are small
            found.append(value[at])
            at += 1
        else:
            number, at = _varint(value, at)
            found.append(number)
    return found


def _bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise ProfileFormatError("a field of the wrong type")
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise ProfileFormatError("a field of the wrong type")
    return value


def _signed(value: object) -> int:
    return _to_signed(_integer(value))


def _to_signed(value: int) -> int:
    return value if value < _UINT64 >> 1 else value - _UINT64
