"""What is this process's own: unique and proportional set, swap. The kernel walks every page."""

from __future__ import annotations

import re

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.probes.process import own_process
from pprofplus.system.descriptor import read_small_file

_ROLLUP = "/proc/self/smaps_rollup"
_UNIQUE = re.compile(rb"^Private_\w+:\s+(\d+) kB$", re.MULTILINE)
_PROPORTIONAL = re.compile(rb"^Pss:\s+(\d+) kB$", re.MULTILINE)
_SWAP = re.compile(rb"^Swap:\s+(\d+) kB$", re.MULTILINE)


class RollupProbe(Probe):
    """Linux 4.14 and later: the sums that the kernel keeps for us, as psutil reads them."""

    names = ("uss", "pss", "swap")
    exact = True
    budgeted = True
    # In a small process it costs four times all other figures together, and rss is there every
    # second. Half an interval short of five seconds, so that the fifth sample is not just missed.
    least_period_s = 4.5

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


class PortableFullProbe(Probe):
    """Elsewhere: what psutil finds out on this platform; macOS tells the unique set only."""

    budgeted = True

    def __init__(self) -> None:
        try:
            self._process = own_process()
            found = self._process.memory_full_info()
        except ProbeAbsentError:
            raise
        except Exception as error:  # psutil raises errors of its own, and we may not import them
            raise ProbeAbsentError("psutil cannot see this process's own memory") from error
        self.names = tuple(name for name in RollupProbe.names if hasattr(found, name))

    def read(self) -> tuple[int, ...]:
        """Return bytes, in the order of `names`. Raises psutil.Error."""
        found = self._process.memory_full_info()
        return tuple(getattr(found, name) for name in self.names)
