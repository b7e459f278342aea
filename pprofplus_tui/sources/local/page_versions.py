"""Selects the version of each page to use: the fullest one with an undamaged body.

If a page is written incompletely, because the disk is full or the writer is killed, its head counts
samples that are missing in its body. The other version, written before, has nearly all of them. So
if a page has several versions, their bodies are verified. If it has one version, its head is
trusted, so that the page index of a year loads fast.
"""

from collections.abc import Callable

import numpy as np

from pprofplus.errors import LogFormatError, LogVersionError
from pprofplus.log.format import check_body, read_prefix
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.page_index import PageHeads

_NO_SLOTS: Ints = np.zeros(0, np.int64)


def unique_pages(heads: PageHeads, is_whole: Callable[[int], bool]) -> tuple[PageHeads, Ints]:
    """Return (each page once, in order of number; the slots of damaged versions).

    `is_whole` returns whether the body in a slot is undamaged; it is called only for pages with
    several versions, the fullest first. A page without an undamaged version is left out.
    """
    number = heads.fixed["number"].astype(np.int64)
    if (number[1:] > number[:-1]).all():
        return heads, _NO_SLOTS
    filled = heads.fixed["samples"].astype(np.int64) * 65536 + heads.fixed["events_bytes"]
    # of equal versions, as when a page was copied to its final slot, the later one comes last
    order = np.lexsort((filled, number))
    ordered = number[order]
    same = ordered[1:] == ordered[:-1]
    several = np.append(False, same) | np.append(same, False)
    last = np.append(~same, True)
    taken = order[last & ~several].tolist()
    damaged: list[int] = []
    resolved = -1  # the number of the last page with a selected version
    for at in order[several][::-1].tolist():
        if number[at] == resolved:
            continue
        if is_whole(int(heads.slot[at])):
            resolved = int(number[at])
            taken.append(at)
        else:
            damaged.append(int(heads.slot[at]))
    rows = np.array(taken, np.int64)
    return heads.take(rows[np.argsort(number[rows])]), np.array(damaged, np.int64)


def body_is_whole(page: bytes) -> bool:
    """Return whether a page is undamaged; a page of a later format version counts as undamaged."""
    try:
        check_body(read_prefix(page), page)
    except LogVersionError:
        return True
    except LogFormatError:
        return False
    return True
