"""CPU time and page faults from getrusage, in microseconds; /proc counts ticks of 10 ms."""

from __future__ import annotations

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Any

# Fields of a struct_rusage: by index, because CPython does not cache the lookup of their names.
_TIMES = slice(0, 2)  # in user code and in the kernel, seconds
_FAULTS = slice(6, 8)  # minor and major


class UsageProbe(Probe):
    """CPU time and page faults of all threads of this process."""

    names = ("cpu_user", "cpu_system", "faults_minor", "faults_major")
    exact = True

    def __init__(self) -> None:
        try:
            from resource import RUSAGE_SELF, getrusage
        except ImportError as error:
            raise ProbeAbsentError("no getrusage") from error
        self._who = RUSAGE_SELF
        self._getrusage = getrusage

    def read(self) -> tuple[int, ...]:
        """Return microseconds in user code and in the kernel, minor and major faults."""
        used: tuple[Any, ...] = self._getrusage(self._who)
        user_s, system_s = used[_TIMES]
        minor, major = used[_FAULTS]
        return int(user_s * 1e6 + 0.5), int(system_s * 1e6 + 0.5), minor, major
