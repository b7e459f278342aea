"""What the kernel accounts to this process: resident and virtual memory, threads, descriptors."""

from __future__ import annotations

# pathlib costs each service 5 ms
# ruff: noqa: PTH112, PTH116, PTH208
import os

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.system.descriptor import KeptFile
from pprofplus.system.procfs import proc_problem

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    import psutil

_STATM = "/proc/self/statm"
_TASKS = "/proc/self/task"
_DESCRIPTORS = "/proc/self/fd"


def _keep(path: str) -> KeptFile:
    """Open `path` to look at it at each sample: walking its way takes longer than the look."""
    try:
        return KeptFile(path)
    except OSError as error:
        raise ProbeAbsentError(f"no {path}") from error


def own_process() -> psutil.Process:
    """Return this process as psutil reads it, by its pid.

    Raises ProbeAbsentError where that pid is another process or none: in a pid namespace that sees
    the /proc of another. `/proc/self` is right there too, if it leads anywhere.
    """
    problem = proc_problem()
    if problem:
        raise ProbeAbsentError(problem)
    # imported here: 10 ms and 2.5 MB that a service on Linux need not pay
    import psutil  # noqa: PLC0415

    return psutil.Process()


class StatmProbe(Probe):
    """Linux: the three figures that psutil takes from the same file, at a tenth of the cost."""

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


class PortableProbe(Probe):
    """Elsewhere: the same figures from psutil, as far as it has them on this platform."""

    def __init__(self) -> None:
        try:
            self._process = own_process()
            found = self._process.memory_info()
        except ProbeAbsentError:
            raise
        except Exception as error:  # psutil raises errors of its own, and we may not import them
            raise ProbeAbsentError("psutil cannot see this process") from error
        self.names = tuple(name for name in StatmProbe.names if hasattr(found, name))

    def read(self) -> tuple[int, ...]:
        """Return bytes, in the order of `names`. Raises psutil.Error."""
        found = self._process.memory_info()
        return tuple(getattr(found, name) for name in self.names)


class ThreadsProbe(Probe):
    """Threads of this process: the links that Linux reports of its directory of tasks."""

    names = ("threads",)
    exact = True

    def __init__(self) -> None:
        try:
            self._extra = os.stat(_TASKS).st_nlink - len(os.listdir(_TASKS))
        except OSError as error:
            raise ProbeAbsentError(f"no {_TASKS}") from error
        if self._extra != 2:  # noqa: PLR2004 - `.` and `..`
            # an imitation of /proc, or a thread that came between the two looks: take the long way
            raise ProbeAbsentError(f"{_TASKS} does not count its links as Linux does")
        self._directory = _keep(_TASKS)

    def read(self) -> tuple[int, ...]:
        """Return the number of threads. Raises OSError."""
        return (self._directory.stat().st_nlink - self._extra,)

    def close(self) -> None:
        """Close the directory."""
        self._directory.close()


class PortableThreadsProbe(Probe):
    """Threads of this process as psutil counts them, where links do not tell."""

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
    """Open file descriptors, which Linux 6.2 and later give as the size of their directory."""

    names = ("fds",)
    exact = True

    def __init__(self) -> None:
        try:
            listed = len(os.listdir(_DESCRIPTORS)) - 1  # the listing's own
            size = os.stat(_DESCRIPTORS).st_size
        except OSError as error:
            raise ProbeAbsentError(f"no {_DESCRIPTORS}") from error
        if not listed - 2 <= size <= listed + 2:  # another thread may open or close one meanwhile
            raise ProbeAbsentError(f"{_DESCRIPTORS} does not tell its size")
        self._directory = _keep(_DESCRIPTORS)

    def read(self) -> tuple[int, ...]:
        """Return the number of open descriptors. Raises OSError."""
        return (self._directory.stat().st_size,)

    def close(self) -> None:
        """Close the directory."""
        self._directory.close()


class ListedDescriptorsProbe(Probe):
    """Open file descriptors counted one by one: budgeted, for a server may have thousands."""

    names = ("fds",)
    exact = True
    budgeted = True

    def __init__(self) -> None:
        # /dev/fd is macOS's; on Linux it leads to /proc/self/fd
        self._directory = _DESCRIPTORS if os.path.isdir(_DESCRIPTORS) else "/dev/fd"
        try:
            self.read()
        except OSError as error:
            raise ProbeAbsentError("no directory lists the open descriptors") from error

    def read(self) -> tuple[int, ...]:
        """Return the number of open descriptors, less the one that lists them. Raises OSError."""
        return (len(os.listdir(self._directory)) - 1,)
