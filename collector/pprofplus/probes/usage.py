"""CPU time and page faults from getrusage, in microseconds; /proc counts ticks of 10 ms."""

from __future__ import annotations

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe


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
        used = self._getrusage(self._who)
        return (
            int(used.ru_utime * 1e6 + 0.5),
            int(used.ru_stime * 1e6 + 0.5),
            used.ru_minflt,
            used.ru_majflt,
        )
