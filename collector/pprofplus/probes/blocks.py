"""Memory blocks that Python has allocated; the interpreter walks its pools to count them."""

from __future__ import annotations

import sys

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe


class BlocksProbe(Probe):
    """`sys.getallocatedblocks()`, budgeted: 0.5 ms per GB of heap."""

    names = ("heap_blocks",)
    exact = True
    budgeted = True

    def __init__(self) -> None:
        count = getattr(sys, "getallocatedblocks", None)
        if count is None or not count():
            # PYTHONMALLOC=malloc: pymalloc is not used
            raise ProbeAbsentError("this interpreter does not count its memory blocks")
        self._count = count

    def read(self) -> tuple[int, ...]:
        """Return the number of blocks."""
        return (self._count(),)
