"""Memory, CPU time and descriptors of another process, read through psutil."""

from __future__ import annotations

import psutil

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.probes.cgroup import CgroupLimitProbe, CgroupOomKillsProbe, CgroupUsedProbe
from pprofplus.system.descriptor import read_small_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# fields of /proc/<pid>/stat after the process's name
_MINOR_FAULTS, _MAJOR_FAULTS = 7, 9


class _OtherProbe(Probe):
    """Metrics of another process; absent if this user may not read them."""

    _names: tuple[str, ...] = ()

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.names = self._names
        try:
            self.read()
        except (psutil.Error, OSError, AttributeError, NotImplementedError, ValueError) as error:
            raise ProbeAbsentError(f"{', '.join(self._names)}: {error}") from error


class _OtherFieldsProbe(_OtherProbe):
    """Those of the wanted values that psutil provides for another process on this platform."""

    _method = ""
    _wanted: tuple[str, ...] = ()

    def __init__(self, process: psutil.Process) -> None:
        self._read_fields = getattr(process, self._method)
        try:
            found = self._read_fields()
        except psutil.Error as error:
            raise ProbeAbsentError(f"{', '.join(self._wanted)}: {error}") from error
        self._names = tuple(name for name in self._wanted if hasattr(found, name))
        super().__init__(process)

    def read(self) -> tuple[int, ...]:
        """Return bytes, in the order of `names`. Raises psutil.Error."""
        found = self._read_fields()
        return tuple(getattr(found, name) for name in self._names)


class OtherMemoryProbe(_OtherFieldsProbe):
    """Resident and virtual memory."""

    _method = "memory_info"
    _wanted = ("rss", "vms", "shared")


class OtherFullProbe(_OtherFieldsProbe):
    """Unique and proportional set, swap: for the process's user and root only."""

    _method = "memory_full_info"
    _wanted = ("uss", "pss", "swap")
    budgeted = True
    min_period_s = 4.5  # as in the service itself


class OtherCpuProbe(_OtherProbe):
    """CPU time, in ticks of 10 ms: the kernel's resolution for other processes."""

    _names = ("cpu_user", "cpu_system")

    def read(self) -> tuple[int, ...]:
        """Return microseconds. Raises psutil.Error."""
        found = self._process.cpu_times()
        return round(found.user * 1e6), round(found.system * 1e6)


class OtherThreadsProbe(_OtherProbe):
    """Threads."""

    _names = ("threads",)

    def read(self) -> tuple[int, ...]:
        """Return the number of threads. Raises psutil.Error."""
        return (self._process.num_threads(),)


class OtherDescriptorsProbe(_OtherProbe):
    """Open file descriptors, counted one by one: for the process's user and root only."""

    _names = ("fds",)
    budgeted = True

    def read(self) -> tuple[int, ...]:
        """Return the number of open descriptors. Raises psutil.Error."""
        return (self._process.num_fds(),)


class OtherFaultsProbe(_OtherProbe):
    """Page faults, on Linux."""

    _names = ("faults_minor", "faults_major")

    def read(self) -> tuple[int, ...]:
        """Return faults without and with disk. Raises OSError, ValueError."""
        text = read_small_file(f"/proc/{self._process.pid}/stat")
        # the name is in parentheses, and may contain any character
        fields = text[text.rindex(b")") + 1 :].split()
        return int(fields[_MINOR_FAULTS]), int(fields[_MAJOR_FAULTS])


_OF_A_PROCESS = (
    OtherMemoryProbe,
    OtherFullProbe,
    OtherCpuProbe,
    OtherThreadsProbe,
    OtherDescriptorsProbe,
    OtherFaultsProbe,
)


def sources_of(process: psutil.Process) -> tuple[tuple[Callable[[], Probe], ...], ...]:
    """Return the sources of a probe set for another process."""
    who = str(process.pid)
    return (
        *((lambda probe=probe: probe(process),) for probe in _OF_A_PROCESS),
        # no descriptor is kept: a watch records more processes than it may open files
        (lambda: CgroupUsedProbe(who, keep=False),),
        (lambda: CgroupLimitProbe(who),),
        (lambda: CgroupOomKillsProbe(who, keep=False),),
    )


def all_metric_names() -> tuple[str, ...]:
    """Return the metrics of another process that a user with all permissions can read, on Linux."""
    return (
        *("rss", "vms", "shared", "uss", "pss", "swap", "cpu_user", "cpu_system", "threads"),
        *("fds", "faults_minor", "faults_major"),
    )
