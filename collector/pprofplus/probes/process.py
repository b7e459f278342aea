"""Resident and virtual memory, threads and descriptors of this process."""

from __future__ import annotations

import os

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.system.descriptor import KeptFile
from pprofplus.system.procfs import proc_problem

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    import psutil

_STATM = "/proc/self/statm"
_TASKS = "/proc/self/task"
_DESCRIPTORS = "/proc/self/fd"


def _keep(path: str) -> KeptFile:
    """Open `path` and keep it open: resolving the path takes longer than reading the status."""
    try:
        return KeptFile(path)
    except OSError as error:
        raise ProbeAbsentError(f"no {path}") from error


def own_process() -> psutil.Process:
    """Return the psutil object of this process.

    Raises ProbeAbsentError where our pid is another process or missing: in a pid namespace with the
    /proc of another one. `/proc/self`, if it exists, is correct even there.
    """
    problem = proc_problem()
    if problem:
        raise ProbeAbsentError(problem)
    # imported only when needed: 10 ms and 2.5 MB that a service on Linux does not need
    import psutil

    return psutil.Process()


class StatmProbe(Probe):
    """Linux: the three values that psutil reads from the same file, at a tenth of the cost."""

    names = ("rss", "vms", "shared")
    exact = True

    def __init__(self) -> None:
        try:
            self._file = KeptFile(_STATM)
            self._page_bytes = os.sysconf("SC_PAGE_SIZE")
            self.read()
        except (OSError, ValueError) as error:
            raise ProbeAbsentError(f"no {_STATM}") from error

    def read(self) -> tuple[int, ...]:
        """Return bytes resident, mapped, and shared. Raises OSError, ValueError."""
        mapped, resident, shared, _ = self._file.read().split(b" ", 3)
        page_bytes = self._page_bytes
        return int(resident) * page_bytes, int(mapped) * page_bytes, int(shared) * page_bytes

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class PsutilMemoryProbe(Probe):
    """Memory values from psutil, as far as it has them on this platform.

    Attributes:
        wanted: names of the values, as psutil calls them.
        method: of `psutil.Process`, which returns them.
        absent: why there is no such probe where psutil cannot read this process.
    """

    wanted: tuple[str, ...] = ()
    method = "memory_info"
    absent = "psutil cannot see this process"

    def __init__(self) -> None:
        try:
            self._read: Callable[[], object] = getattr(own_process(), self.method)
            found = self._read()
        except ProbeAbsentError:
            raise
        except Exception as error:  # psutil raises its own exceptions, and we must not import them
            raise ProbeAbsentError(self.absent) from error
        self.names = tuple(name for name in self.wanted if hasattr(found, name))

    def read(self) -> tuple[int, ...]:
        """Return bytes, in the order of `names`. Raises psutil.Error."""
        found = self._read()
        return tuple(getattr(found, name) for name in self.names)


class PortableProbe(PsutilMemoryProbe):
    """Other platforms: the same values from psutil."""

    wanted = StatmProbe.names


class ThreadsProbe(Probe):
    """Threads of this process: the link count of Linux's task directory."""

    names = ("threads",)
    exact = True

    def __init__(self) -> None:
        try:
            self._extra = os.stat(_TASKS).st_nlink - len(os.listdir(_TASKS))
        except OSError as error:
            raise ProbeAbsentError(f"no {_TASKS}") from error
        if self._extra != 2:  # `.` and `..`
            # an emulated /proc, or a thread that was created between the two calls: use the slow
            # way
            raise ProbeAbsentError(f"{_TASKS} has no usable link count")
        self._directory = _keep(_TASKS)

    def read(self) -> tuple[int, ...]:
        """Return the number of threads. Raises OSError."""
        return (self._directory.stat().st_nlink - self._extra,)

    def close(self) -> None:
        """Close the directory."""
        self._directory.close()


class PortableThreadsProbe(Probe):
    """Threads of this process as psutil counts them, where the link count is not usable."""

    names = ("threads",)

    def __init__(self) -> None:
        try:
            self._process = own_process()
            self.read()
        except ProbeAbsentError:
            raise
        except Exception as error:
            raise ProbeAbsentError("psutil cannot count the threads") from error

    def read(self) -> tuple[int, ...]:
        """Return the number of threads. Raises psutil.Error."""
        return (self._process.num_threads(),)


class DescriptorsProbe(Probe):
    """Open file descriptors, which Linux 6.2 and later report as the size of their directory."""

    names = ("fds",)
    exact = True

    def __init__(self) -> None:
        try:
            listed = len(os.listdir(_DESCRIPTORS)) - 1  # without the descriptor of the listing
            size = os.stat(_DESCRIPTORS).st_size
        except OSError as error:
            raise ProbeAbsentError(f"no {_DESCRIPTORS}") from error
        if not listed - 2 <= size <= listed + 2:  # another thread may open or close one meanwhile
            raise ProbeAbsentError(f"{_DESCRIPTORS} has no usable size")
        self._directory = _keep(_DESCRIPTORS)

    def read(self) -> tuple[int, ...]:
        """Return the number of open descriptors. Raises OSError."""
        return (self._directory.stat().st_size,)

    def close(self) -> None:
        """Close the directory."""
        self._directory.close()


class ListedDescriptorsProbe(Probe):
    """Open file descriptors counted one by one: budgeted, because a server may have thousands."""

    names = ("fds",)
    exact = True
    budgeted = True

    def __init__(self) -> None:
        # macOS has /dev/fd; on Linux it is a link to /proc/self/fd
        self._directory = _DESCRIPTORS if os.path.isdir(_DESCRIPTORS) else "/dev/fd"
        try:
            self.read()
        except OSError as error:
            raise ProbeAbsentError("no directory lists the open descriptors") from error

    def read(self) -> tuple[int, ...]:
        """Return the number of open descriptors, without that of the listing. Raises OSError."""
        return (len(os.listdir(self._directory)) - 1,)
