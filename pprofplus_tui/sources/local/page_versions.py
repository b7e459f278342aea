"""Which version of a page is the page: the fullest one whose body is whole.

A page that could not be written whole, because the disk was full or the writer was killed, has a
head that promises samples which are not there. Its other version, written before, has nearly all of
them. So wherever several versions are known, their bodies are checked; a page that exists once is
believed by its head, which is what keeps the heads of a year quick to read.
"""

from collections.abc import Callable, Iterable

import numpy as np

from pprofplus.errors import LogFormatError, LogVersionError
from pprofplus.log.format import DATA, DataHead, check_body, read_prefix
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.page_index import PageHeads

_NO_SLOTS: Ints = np.zeros(0, np.int64)


def resolved(heads: PageHeads, is_whole: Callable[[int], bool]) -> tuple[PageHeads, Ints]:
    """Return (each page once, in order of number; the slots of versions that are damaged).

    `is_whole` tells whether the body in a slot is whole; it is asked only for pages that exist in
    several versions, the fullest first. A page of which no version is whole is left out.
    """
    number = heads.fixed["number"].astype(np.int64)
    if (number[1:] > number[:-1]).all():
        return heads, _NO_SLOTS
    filled = heads.fixed["samples"].astype(np.int64) * 65536 + heads.fixed["events_bytes"]
    # of equals, as when a page was copied to its final place, the later one comes last
    order = np.lexsort((filled, number))
    ordered = number[order]
    same = ordered[1:] == ordered[:-1]
    several = np.append(False, same) | np.append(same, False)
    last = np.append(~same, True)
    taken = order[last & ~several].tolist()
    damaged: list[int] = []
    settled = -1  # the number of the page whose version was found last
    for at in order[several][::-1].tolist():
        if number[at] == settled:
            continue
        if is_whole(int(heads.slot[at])):
            settled = int(number[at])
            taken.append(at)
        else:
            damaged.append(int(heads.slot[at]))
    rows = np.array(taken, np.int64)
    return heads.take(rows[np.argsort(number[rows])]), np.array(damaged, np.int64)


def body_is_whole(page: bytes) -> bool:
    """Tell whether a page is healthy to its end; one of a later version is believed."""
    try:
        check_body(read_prefix(page), page)
    except LogVersionError:
        return True
    except LogFormatError:
        return False
    return True


def newest_whole(pages: Iterable[bytes]) -> tuple[DataHead, bytes] | None:
    """Return (head, page) of the last data page, in its fullest whole version; None if none is.

    `pages` are what is in a segment's last `segment.TAIL_SLOTS` slots. Blank pages, a summary and
    versions whose writing was cut short are skipped. Raises LogVersionError if one is of a later
    format.
    """
    best: tuple[tuple[int, int, int], DataHead, bytes] | None = None
    for page in pages:
        try:
            prefix = read_prefix(page)
            if prefix.type != DATA:
                continue
            check_body(prefix, page)
            head = DataHead(prefix, page)
        except LogVersionError:
            raise
        except LogFormatError:
            continue
        weight = prefix.number, head.samples, head.events_bytes
        if best is None or weight >= best[0]:
            best = weight, head, page
    return None if best is None else best[1:]
