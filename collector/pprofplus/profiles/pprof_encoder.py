"""Encodes pprof's profile.proto, with the standard library only.

The messages and their field numbers are those of
https://github.com/google/pprof/blob/main/proto/profile.proto. All strings are in one table; other
messages refer to them, and to each other, by number.
"""

from __future__ import annotations

import re
import zlib
from time import time_ns

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Label = tuple[str, str | int]

# more stacks than this are summed as one, so that no program can make a profile of any size
MAX_STACKS = 20_000
OTHER = "[other]"

_LABEL_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_MAX_STRING = 4096  # of characters

# fields of Profile
_SAMPLE_TYPE, _SAMPLE, _MAPPING, _LOCATION, _FUNCTION, _STRING = 1, 2, 3, 4, 5, 6
_TIME, _DURATION, _PERIOD_TYPE, _PERIOD, _COMMENT, _DEFAULT_TYPE = 9, 10, 11, 12, 13, 14
# Locations lie in a mapping without a file name: filters of pprof also match those names, and
# the name of the service must not make `focus=api` match everything.
_SERVICE_MAPPING, _CODE_MAPPING = 1, 2


class ProfileBuilder:
    """A profile to which samples are added, and its encoding.

    Attributes:
        sample_types: (type, unit) of each value of a sample.
        comments: lines for people: host, service, rate, what was lost.
        time_ns: unix time of the begin of the capture.
        duration_ns: length of the window, 0 for a moment.
        period: (type, unit, value) of the sampling period, or None.
        service: name of the program.
        other: samples that were summed as `[other]`.
    """

    __slots__ = (
        "_functions",
        "_locations",
        "_samples",
        "_stacks",
        "comments",
        "duration_ns",
        "other",
        "period",
        "sample_types",
        "service",
        "time_ns",
    )

    def __init__(
        self,
        sample_types: Sequence[tuple[str, str]],
        *,
        period: tuple[str, str, int] | None = None,
    ) -> None:
        self.sample_types = tuple(sample_types)
        self.period = period
        self.comments: list[str] = []
        self.time_ns = time_ns()
        self.duration_ns = 0
        self.service = ""
        self.other = 0
        self._functions: dict[tuple[str, str, int], int] = {}
        self._locations: dict[tuple[int, int], int] = {}
        self._samples: dict[tuple[tuple[int, ...], tuple[Label, ...]], list[int]] = {}
        self._stacks: set[tuple[int, ...]] = set()

    def location(self, name: str, filename: str = "", line: int = 0, first_line: int = 0) -> int:
        """Return the id of a line of a function, for stacks.

        Args:
            name: of the function, such as "module.qualname", or "[native]".
            filename: of its source, or "".
            line: that runs, 0 for none.
            first_line: of the function, 0 for none.
        """
        function = self._functions.setdefault(
            (name, filename, first_line), len(self._functions) + 1
        )
        return self._locations.setdefault((function, line), len(self._locations) + 1)

    def add(
        self, stack: Sequence[int], values: Sequence[int], labels: Iterable[Label] = ()
    ) -> None:
        """Add a sample; equal stacks with equal labels are summed.

        Args:
            stack: ids of locations, the leaf first.
            values: one for each sample type.
            labels: (key, text or number); keys as in `[A-Za-z_][A-Za-z0-9_.]*`.

        Raises ValueError for a malformed label or a wrong number of values.
        """
        if len(values) != len(self.sample_types):
            raise ValueError("a sample needs one value for each sample type")
        ids, marks = tuple(stack), tuple(sorted(labels))
        for key, _ in marks:
            if not _LABEL_KEY.fullmatch(key):
                raise ValueError(f"no key of a label: {key!r}")
        if ids not in self._stacks:
            if len(self._stacks) >= MAX_STACKS:
                self.other += 1
                ids = (self.location(OTHER),)
            self._stacks.add(ids)
        known = self._samples.get((ids, marks))
        if known is None:
            self._samples[ids, marks] = list(values)
        else:
            for index, value in enumerate(values):
                known[index] += value

    def __len__(self) -> int:
        """Return the number of different samples."""
        return len(self._samples)

    def totals(self) -> tuple[int, ...]:
        """Return the sum of each value over all samples."""
        return tuple(sum(column) for column in zip(*self._samples.values(), strict=True)) or (
            0,
        ) * len(self.sample_types)

    def lines(self) -> dict[str, dict[int, set[int]]]:
        """Return the lines that run, by file name and by the first line of their function."""
        functions = {number: key for key, number in self._functions.items()}
        found: dict[str, dict[int, set[int]]] = {}
        for function, line in self._locations:
            _, filename, first_line = functions[function]
            if filename:
                found.setdefault(filename, {}).setdefault(first_line, set()).add(line)
        return found

    def encode(self) -> bytes:
        """Return the profile, compressed with gzip."""
        return pack_gzip(self.encode_raw())

    def encode_raw(self) -> bytes:
        """Return the profile without compression."""
        strings = _Strings()
        body = bytearray()
        for sample_type in self.sample_types:
            _message(body, _SAMPLE_TYPE, _value_type(strings, *sample_type))
        for (stack, labels), values in self._samples.items():
            _message(body, _SAMPLE, _sample(strings, stack, values, labels))
        _message(body, _MAPPING, _mapping(_SERVICE_MAPPING, strings[self.service]))
        _message(body, _MAPPING, _mapping(_CODE_MAPPING, 0))
        for (function, line), number in self._locations.items():
            _message(body, _LOCATION, _location(number, function, line))
        for (name, filename, first_line), number in self._functions.items():
            names = strings[name], strings[filename]
            _message(body, _FUNCTION, _function(number, *names, first_line))
        _number(body, _TIME, self.time_ns)
        _number(body, _DURATION, self.duration_ns)
        if self.period is not None:
            _message(body, _PERIOD_TYPE, _value_type(strings, *self.period[:2]))
            _number(body, _PERIOD, self.period[2])
        if self.sample_types:
            _number(body, _DEFAULT_TYPE, strings[self.sample_types[-1][0]])
        comments = bytearray()
        for comment in self.comments:
            _varint(comments, strings[comment])
        _message(body, _COMMENT, comments)
        for text in strings.texts:
            _message(body, _STRING, text.encode("utf-8", "backslashreplace"), empty=True)
        return bytes(body)


class _Strings:
    """The table of strings; number 0 is the empty one."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = {"": 0}

    def __getitem__(self, text: str) -> int:
        text = text[:_MAX_STRING]
        return self._numbers.setdefault(text, len(self._numbers))

    @property
    def texts(self) -> Iterable[str]:
        return self._numbers


def _value_type(strings: _Strings, kind: str, unit: str) -> bytearray:
    body = bytearray()
    _number(body, 1, strings[kind])
    _number(body, 2, strings[unit])
    return body


def _sample(
    strings: _Strings, stack: Sequence[int], values: Sequence[int], labels: Sequence[Label]
) -> bytearray:
    body, packed = bytearray(), bytearray()
    for location in stack:
        _varint(packed, location)
    _message(body, 1, packed)
    packed = bytearray()
    for value in values:
        _varint(packed, value)
    _message(body, 2, packed)
    for key, content in labels:
        label = bytearray()
        _number(label, 1, strings[key])
        if isinstance(content, str):
            _number(label, 2, strings[content])
        else:
            _number(label, 3, content)
        _message(body, 3, label)
    return body


def _mapping(number: int, filename: int) -> bytearray:
    body = bytearray()
    _number(body, 1, number)
    _number(body, 5, filename)
    for has in (7, 8, 9, 10):  # functions, filenames, line numbers, inline frames
        _number(body, has, 1)
    return body


def _location(number: int, function: int, line: int) -> bytearray:
    body, place = bytearray(), bytearray()
    _number(place, 1, function)
    _number(place, 2, line)
    _number(body, 1, number)
    _number(body, 2, _CODE_MAPPING)
    _message(body, 4, place)
    return body


def _function(number: int, name: int, filename: int, first_line: int) -> bytearray:
    body = bytearray()
    _number(body, 1, number)
    _number(body, 2, name)
    _number(body, 4, filename)
    _number(body, 5, first_line)
    return body


def _number(body: bytearray, field: int, value: int) -> None:
    if value:  # a field that is 0 is left out
        body.append(field << 3)
        _varint(body, value)


def _message(
    body: bytearray, field: int, content: bytes | bytearray, *, empty: bool = False
) -> None:
    if content or empty:
        body.append(field << 3 | 2)
        _varint(body, len(content))
        body += content


def _varint(body: bytearray, value: int) -> None:
    """Append a number; a negative one as its two's complement of 64 bits, as int64 is."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    while value > 0x7F:
        body.append(value & 0x7F | 0x80)
        value >>= 7
    body.append(value)


def pack_gzip(data: bytes) -> bytes:
    """Compress without a time or name, so that equal profiles are equal bytes."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()
