"""The header pages of a segment."""

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from pprofplus.errors import LogFormatError, LogVersionError
from pprofplus.log.format import (
    DATA,
    HEADER,
    MAX_HEAD_BYTES,
    MAX_HEADER_BYTES,
    PAGE_SIZE,
    PAGE_SIZE_LOG2,
    DataHead,
    RunHeader,
    header_part,
    parse_header,
    read_prefix,
)
from pprofplus_tui.sources.local.safe_files import opened

_MIN_PAGE_LOG2, _MAX_PAGE_LOG2 = 9, 20
_MAX_PARTS = MAX_HEADER_BYTES >> 9
_MAX_PAGES_TRIED = 4  # to find the page size, before the usual size is assumed


@dataclass(frozen=True)
class HeaderPages:
    """The content of the header pages.

    Attributes:
        header: None if it is incomplete.
        slots: number of its pages, or of the pages that were tried.
        page_size_log2: of all pages of the segment.
        damaged_pages: 1 if one of its pages is damaged.
        problem: one line if it has a later format version, else "".
    """

    header: RunHeader | None = None
    slots: int = 0
    page_size_log2: int = PAGE_SIZE_LOG2
    damaged_pages: int = 0
    problem: str = ""


@lru_cache(64)
def _parsed(text: bytes) -> RunHeader:
    """Return the header of this text, cached: segments share it. Raises LogFormatError."""
    return parse_header(text)


def read_header(file: int) -> HeaderPages:
    """Return the header of the segment with this file descriptor. Raises OSError."""
    text, part, parts = b"", 0, 1
    size_log2 = _page_size_log2(file)
    try:
        while part < parts:
            page = _read_page(file, part << size_log2)
            prefix = read_prefix(page)
            if prefix.type != HEADER:
                # no header: the pages may use the schema of another segment
                return HeaderPages(slots=part, page_size_log2=size_log2)
            found, parts, piece = header_part(prefix, page)
            text += piece
            part += 1
            # the total is checked at each part: a sparse file may have many large pages
            if found != part - 1 or parts > _MAX_PARTS or len(text) > MAX_HEADER_BYTES:
                return HeaderPages(None, part, size_log2, damaged_pages=1)
        return HeaderPages(_parsed(text), parts, size_log2)
    except LogVersionError as error:
        return HeaderPages(None, min(part + 1, parts), size_log2, problem=f"not read: {error}")
    except LogFormatError:
        return HeaderPages(None, min(part + 1, parts), size_log2, damaged_pages=1)


def _read_page(file: int, at: int) -> bytes:
    """Return the used part of a page, as far as it is in the file. Raises LogFormatError."""
    page = os.pread(file, PAGE_SIZE, at)
    if len(page) == PAGE_SIZE:
        head_length, length = int.from_bytes(page[12:16], "little"), _length(page)
        if PAGE_SIZE < length <= MAX_HEADER_BYTES + head_length <= 1 << _MAX_PAGE_LOG2:
            page = os.pread(file, length, at)
    return page


def _length(page: bytes) -> int:
    return int.from_bytes(page[8:12], "little")


def _page_size_log2(file: int) -> int:
    """Return the page size that the first undamaged page has, also of a later version.

    If the first page is damaged, the next pages are tried at the positions of each possible size.
    """
    first = _size_log2_at(file, 0)
    if first is not None:
        return first
    others = [n for n in range(_MIN_PAGE_LOG2, _MAX_PAGE_LOG2 + 1) if n != PAGE_SIZE_LOG2]
    for slot in range(1, _MAX_PAGES_TRIED):
        for size_log2 in (PAGE_SIZE_LOG2, *others):
            if _size_log2_at(file, slot << size_log2) == size_log2:
                return size_log2
    return PAGE_SIZE_LOG2


def _size_log2_at(file: int, at: int) -> int | None:
    """Return the size in the page at this position, None if it is damaged."""
    page = os.pread(file, PAGE_SIZE, at)
    if PAGE_SIZE < int.from_bytes(page[12:16], "little") <= MAX_HEAD_BYTES:
        page = os.pread(file, MAX_HEAD_BYTES, at)
    try:
        read_prefix(page)
    except LogVersionError:
        pass
    except LogFormatError:
        return None
    return page[6]


def first_instant(path: str) -> tuple[int, int] | None:
    """Return (monotonic ms, unix ms) of the first sample or event in a segment, None if unknown.

    Unix time is that of the wall clock then, not a time on the axis of the run: see
    `begin_on_axis`. Reads only the heads of the header pages and of the first undamaged data page.
    """
    try:
        with opened(path) as (file, status):
            size_log2 = _page_size_log2(file)
            for slot in range(min(_MAX_PARTS, -(-status.st_size >> size_log2))):
                page = os.pread(file, MAX_HEAD_BYTES, slot << size_log2)
                with suppress(LogFormatError):
                    prefix = read_prefix(page)
                    if prefix.type == DATA:
                        head = DataHead(prefix, page)
                        if head.samples or head.events_bytes:
                            return head.first_mono_ms, head.first_unix_ms
    except (OSError, LogFormatError):
        pass
    return None


def begin_on_axis(first: tuple[int, int], offset_ms: int) -> int:
    """Return the beginning of a run on its time axis, unix ms, from its first and last page.

    `first` is (monotonic ms, unix ms) of its first sample, `offset_ms` unix less monotonic time of
    its last page. If the wall clock was set back since, the beginning has moved back too (see
    `page_table.PageTable`); a step back and forward again in between cannot be detected here.
    """
    mono_ms, unix_ms = first
    return min(unix_ms, mono_ms + offset_ms)
