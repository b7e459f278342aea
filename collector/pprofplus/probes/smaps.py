"""Memory of this process alone: unique and proportional set, swap. The kernel walks every page."""

from __future__ import annotations

import re

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import CALM_PERIOD_S, Probe
from pprofplus.probes.process import PsutilMemoryProbe
from pprofplus.system.descriptor import read_small_file

_ROLLUP = "/proc/self/smaps_rollup"
# in one search: each passes over the text, which takes longer than anything else in Python here
_FIGURES = re.compile(
    rb"\nPss: +(\d+) kB\n.*?\nPrivate_Clean: +(\d+) kB\nPrivate_Dirty: +(\d+) kB\n.*?"
    rb"(?:\nPrivate_Hugetlb: +(\d+) kB)?\nSwap: +(\d+) kB\n",
    re.DOTALL,
)


class RollupProbe(Probe):
    """Linux 4.14 and later: the totals that the kernel computes, as psutil reads them."""

    names = ("uss", "pss", "swap")
    exact = True
    budgeted = True
    min_period_s = CALM_PERIOD_S

    def __init__(self) -> None:
        try:
            self.read()
        except (OSError, ValueError) as error:
            raise ProbeAbsentError(f"no {_ROLLUP}") from error

    def read(self) -> tuple[int, ...]:
        """Return bytes unique, proportional and swapped. Raises OSError, ValueError."""
        text = read_small_file(_ROLLUP)
        found = _FIGURES.search(text)
        if found is None:
            raise ValueError(f"{_ROLLUP} without Pss, Private or Swap")
        proportional, clean, dirty, huge, swap = map(int, found.groups(b"0"))
        return (clean + dirty + huge) << 10, proportional << 10, swap << 10


class PortableFullProbe(PsutilMemoryProbe):
    """Other platforms: what psutil provides; macOS has the unique set only."""

    budgeted = True
    wanted = RollupProbe.names
    method = "memory_full_info"
    absent = "psutil cannot see this process's own memory"
