"""Memory of this process alone: unique and proportional set, swap. The kernel walks every page."""

from __future__ import annotations

import re

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.probes.process import PsutilMemoryProbe
from pprofplus.system.descriptor import read_small_file

_ROLLUP = "/proc/self/smaps_rollup"
_UNIQUE = re.compile(rb"^Private_\w+:\s+(\d+) kB$", re.MULTILINE)
_PROPORTIONAL = re.compile(rb"^Pss:\s+(\d+) kB$", re.MULTILINE)
_SWAP = re.compile(rb"^Swap:\s+(\d+) kB$", re.MULTILINE)


class RollupProbe(Probe):
    """Linux 4.14 and later: the totals that the kernel computes, as psutil reads them."""

    names = ("uss", "pss", "swap")
    exact = True
    budgeted = True
    # In a small process it costs four times as much as all other values together, and rss is read
    # every second. Half an interval less than five seconds, so that the fifth sample is not missed
    # by a little.
    min_period_s = 4.5

    def __init__(self) -> None:
        try:
            self.read()
        except (OSError, ValueError) as error:
            raise ProbeAbsentError(f"no {_ROLLUP}") from error

    def read(self) -> tuple[int, ...]:
        """Return bytes unique, proportional and swapped. Raises OSError, ValueError."""
        text = read_small_file(_ROLLUP)
        proportional, swap = _PROPORTIONAL.search(text), _SWAP.search(text)
        if proportional is None or swap is None:
            raise ValueError(f"{_ROLLUP} without Pss or Swap")
        unique_kib = sum(map(int, _UNIQUE.findall(text)))
        return unique_kib << 10, int(proportional[1]) << 10, int(swap[1]) << 10


class PortableFullProbe(PsutilMemoryProbe):
    """Other platforms: what psutil provides; macOS has the unique set only."""

    budgeted = True
    wanted = RollupProbe.names
    method = "memory_full_info"
    absent = "psutil cannot see this process's own memory"
