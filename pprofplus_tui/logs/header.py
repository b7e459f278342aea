"""The header pages of a segment."""

import os
from dataclasses import dataclass
from functools import lru_cache

from pprofplus.errors import LogFormatError, LogVersionError
from pprofplus.format import (
    DATA,
    HEADER,
    MAGIC,
    MAX_HEADER_BYTES,
    PAGE_SIZE,
    PAGE_SIZE_LOG2,
    PREFIX,
    DataHead,
    RunHeader,
    header_part,
    parse_header,
    read_prefix,
)
from pprofplus_tui.logs.files import opened

_LEAST_PAGE_LOG2, _LARGEST_PAGE_LOG2 = 9, 20
_MAX_PARTS = MAX_HEADER_BYTES >> 9


@dataclass(frozen=True)
class HeaderPages:
    """What the beginning of a segment says.

    Attributes:
        header: None if it is not whole.
        slots: pages that it takes, or that were looked at in vain.
        page_size_log2: of all pages of the segment.
        damaged_pages: 1 if a page of it is bad.
        problem: one line if a later version wrote it, or "".
    """

    header: RunHeader | None = None
    slots: int = 0
    page_size_log2: int = PAGE_SIZE_LOG2
    damaged_pages: int = 0
    problem: str = ""


@lru_cache(64)
def _parsed(text: bytes) -> RunHeader:
    """Return what the parts spell, which is alike in a run. Raises LogFormatError."""
    return parse_header(text)


def read_header(file: int) -> HeaderPages:
    """Return the header of the segment with this file descriptor. Raises OSError."""
    text, part, parts = b"", 0, 1
    size_log2 = PAGE_SIZE_LOG2
    try:
        size_log2 = _page_size_log2(os.pread(file, PAGE_SIZE, 0))
        while part < parts:
            page = os.pread(file, 1 << size_log2, part << size_log2)
            prefix = read_prefix(page)
            if prefix.type != HEADER:
                # a segment without one: its pages may name a sibling's table
                return HeaderPages(slots=part, page_size_log2=size_log2)
            found, parts, piece = header_part(prefix, page)
            if found != part or parts > _MAX_PARTS:
                return HeaderPages(None, part + 1, size_log2, damaged_pages=1)
            text += piece
            part += 1
        return HeaderPages(_parsed(text), parts, size_log2)
    except LogVersionError as error:
        return HeaderPages(None, min(part + 1, parts), size_log2, problem=str(error))
    except LogFormatError:
        return HeaderPages(None, min(part + 1, parts), size_log2, damaged_pages=1)


def _page_size_log2(page: bytes) -> int:
    """Return what the prefix of the first page says of the size of all. Raises LogFormatError."""
    size_log2 = page[6] if len(page) >= PREFIX.size else 0
    if page[:4] != MAGIC or not _LEAST_PAGE_LOG2 <= size_log2 <= _LARGEST_PAGE_LOG2:
        raise LogFormatError("not a pprofplus log page")
    return size_log2


def first_instant_ms(path: str) -> int | None:
    """Return the unix ms of the first sample or event in a segment, None if that is not to be had.

    Reads the header's and the first page's heads only.
    """
    try:
        with opened(path) as (file, _):
            page = os.pread(file, PAGE_SIZE, 0)
            size = 1 << _page_size_log2(page)
            for slot in range(_MAX_PARTS):
                page = os.pread(file, size, slot * size)
                prefix = read_prefix(page)
                if prefix.type == DATA:
                    return int(DataHead(prefix, page).first_unix_ms)
    except (OSError, LogFormatError):
        pass
    return None
