"""Page heads in numpy: many heads are checked and parsed at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

from pprofplus.log.format import (
    COLUMNS_OFFSET,
    CRC_OFFSET,
    DATA,
    MAGIC,
    MAJOR,
    MAX_COLUMNS,
    MAX_MONO_MS,
    MAX_SAMPLES,
    MAX_UNIX_MS,
    PREFIX,
)
from pprofplus_tui.model.points import Bools, Ints

HEAD_DTYPE = np.dtype(
    [
        ("magic", "<u4"),
        ("major", "u1"),
        ("type", "u1"),
        ("page_size_log2", "u1"),
        ("zero", "u1"),
        ("length", "<u4"),
        ("head_length", "<u4"),
        ("number", "<u4"),
        ("body_crc", "<u4"),
        ("head_crc", "<u4"),
        ("schema", "<u4"),
        ("samples", "<u4"),
        ("columns", "<u2"),
        ("events_bytes", "<u2"),
        ("first_mono_ms", "<i8"),
        ("first_unix_ms", "<i8"),
        ("last_mono_ms", "<i8"),
        ("interval_ms", "<u4"),
        ("zero_too", "<u4"),
    ]
)
assert HEAD_DTYPE.itemsize == COLUMNS_OFFSET

_MAGIC = int.from_bytes(MAGIC, "little")


@lru_cache(8)
def _empty_arrays(columns: int) -> tuple[Ints, npt.NDArray[np.void], Ints]:
    """Return the arrays of no pages, cached: a run of a year uses them some thousand times."""
    return np.zeros(0, np.int64), np.zeros(0, HEAD_DTYPE), np.zeros((0, 3 * columns), np.int64)


@dataclass(frozen=True, eq=False)
class PageHeads:
    """The heads of n data pages that have the same number of columns.

    Attributes:
        slot: the position of the page in its file, counted in pages, shape (n,).
        fixed: HEAD_DTYPE, shape (n,).
        values: first, smallest and largest value of each column, shape (n, 3 x columns).
    """

    slot: Ints
    fixed: npt.NDArray[np.void]
    values: Ints

    def __len__(self) -> int:
        """The number of pages."""
        return len(self.slot)

    @classmethod
    def empty(cls, columns: int = 0) -> "PageHeads":
        """No pages."""
        return cls(*_empty_arrays(columns))

    def take(self, which: Ints | Bools | slice) -> "PageHeads":
        """Return the pages that `which` selects."""
        return PageHeads(self.slot[which], self.fixed[which], self.values[which])

    @classmethod
    def of(cls, parts: Sequence["PageHeads"], columns: int) -> "PageHeads":
        """Return the pages of all parts; they must have that number of columns."""
        if not parts:
            return cls.empty(columns)
        return cls(
            np.concatenate([part.slot for part in parts]),
            # as bytes, because numpy otherwise compares the fields of all dtypes
            np.concatenate(
                [np.ascontiguousarray(part.fixed).view(np.uint8) for part in parts]
            ).view(HEAD_DTYPE),
            np.concatenate([part.values for part in parts]),
        )

    def copy(self) -> "PageHeads":
        """Return a copy that shares no memory."""
        return PageHeads(self.slot.copy(), self.fixed.copy(), self.values.copy())

    def joined(self, other: "PageHeads") -> "PageHeads":
        """Return the pages of both; they must have the same number of columns."""
        return PageHeads.of((self, other), self.values.shape[1] // 3)


@dataclass(frozen=True, eq=False)
class CheckedHeads:
    """The result of checking n heads of one length; each mask has shape (n,).

    Attributes:
        fixed: HEAD_DTYPE; the fields of a head that is not whole are undefined.
        whole: magic, lengths and CRC are correct, so it is a page of some version and type.
        data: of these, the data pages of this version with consistent counts.
        newer: of these, the pages of a later major version.
    """

    fixed: npt.NDArray[np.void]
    whole: Bools
    data: Bools
    newer: Bools


def fixed_parts(heads: Sequence[bytes]) -> npt.NDArray[np.void]:
    """Return the first COLUMNS_OFFSET bytes of each head as HEAD_DTYPE; shorter ones as zeros."""
    parts = [head[:COLUMNS_OFFSET] for head in heads]
    if len(min(parts, key=len, default=b"")) < COLUMNS_OFFSET:
        parts = [part.ljust(COLUMNS_OFFSET, b"\0") for part in parts]
    return np.frombuffer(b"".join(parts), HEAD_DTYPE)


def check_heads(heads: Sequence[bytes], size: int, page_size_log2: int) -> CheckedHeads:
    """Check heads whose field `head_length` is `size`, given with that many bytes."""
    fixed = fixed_parts(heads)
    rest = PREFIX.size
    crc = np.array(
        [crc32(head[rest:], crc32(head[:CRC_OFFSET])) for head in heads], dtype=np.uint32
    )
    whole = (
        (fixed["magic"] == _MAGIC)
        & (fixed["page_size_log2"] == page_size_log2)
        & (fixed["head_length"] == size)
        & (fixed["length"] >= size)
        & (fixed["length"] <= 1 << page_size_log2)
        & (fixed["head_crc"] == crc)
        & np.array([len(head) == size for head in heads])
    )
    newer = whole & (fixed["major"] > MAJOR)
    data = whole & ~newer & (fixed["type"] == DATA)
    if size < COLUMNS_OFFSET:
        # too short for the fields of a data page
        whole, data = whole & ~data, np.zeros_like(data)
    return CheckedHeads(fixed, whole, data, newer)


def data_heads(
    heads: Sequence[bytes], fixed: npt.NDArray[np.void], slots: Ints, columns: int
) -> tuple[PageHeads, Bools]:
    """Return (the non-empty data pages among checked heads, which heads are plausible).

    All heads must have the same length and `columns` columns.
    """
    size = len(heads[0]) if heads else 0
    values_end = COLUMNS_OFFSET + 24 * columns
    lengths_end = values_end + 2 * (columns + 1)
    if size < lengths_end or columns > MAX_COLUMNS:
        return PageHeads.empty(columns), np.zeros(len(heads), np.bool_)
    table = np.frombuffer(b"".join(heads), np.uint8).reshape(len(heads), size)
    values = np.ascontiguousarray(table[:, COLUMNS_OFFSET:values_end]).view("<i8")
    lengths = np.ascontiguousarray(table[:, values_end:lengths_end]).view("<u2")
    used = lengths.sum(axis=1, dtype=np.int64) + fixed["events_bytes"]
    first, last = fixed["first_mono_ms"], fixed["last_mono_ms"]
    unix = fixed["first_unix_ms"]
    good = (
        (fixed["samples"] <= MAX_SAMPLES)
        & (used <= fixed["length"].astype(np.int64) - size)
        & (first >= 0)
        & (last >= first)
        & (last < MAX_MONO_MS)
        & (unix >= 0)
        # the difference overflows only for times that a condition above has rejected
        & (unix < MAX_UNIX_MS - (last - first))
    )
    found = PageHeads(slots, fixed, values)
    # A page without samples and events contains nothing, not even a time.
    filled = good & ((fixed["samples"] > 0) | (fixed["events_bytes"] > 0))
    return (found if filled.all() else found.take(filled)), good
