"""What a forked child has of its parent's files when the fork could not wait for them.

A fork waits for a change of files no longer than a moment. If the disk hangs, the child may have
copies of descriptors whose numbers no object of the parent's knew yet. They would hold the
parent's locks: a dead parent would look alive, and the ledger would stay taken.
"""

# pathlib costs each service 5 ms
# ruff: noqa: PTH115, PTH208

from __future__ import annotations

import os

from pprofplus.descriptor import close_descriptor
from pprofplus.home import LEDGER_NAME, SEGMENT_SUFFIX

_DESCRIPTORS = "/proc/self/fd"
_LOCKED = (SEGMENT_SUFFIX, f"{SEGMENT_SUFFIX}.new", f"/{LEDGER_NAME}")


def close_strays(home: str) -> int:
    """Close descriptors that may hold a lock on a file of the log directory; return how many.

    Only those open for writing: a program that reads logs keeps its own. Call it before this
    process opens a log. Without /proc nothing is found. Never raises OSError.
    """
    try:
        numbers = [int(name) for name in os.listdir(_DESCRIPTORS)]
    except OSError:
        return 0
    return sum(_close_stray(number, f"{home}/") for number in numbers)


def _close_stray(number: int, home: str) -> bool:
    import fcntl  # noqa: PLC0415 - Windows has none, and hardly a child comes here

    try:
        path = os.readlink(f"{_DESCRIPTORS}/{number}").removesuffix(" (deleted)")
        writes = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:  # the listing's own descriptor is gone
        return False
    if writes and path.startswith(home) and path.endswith(_LOCKED):
        close_descriptor(number)
        return True
    return False
