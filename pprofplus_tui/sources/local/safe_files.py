"""Opening what others wrote: never through a link, never a thing that could block."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from pprofplus.errors import LogFormatError
from pprofplus.log import log_directory

# A name planted in a log directory must neither lead elsewhere nor hang the monitor.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened(path: str) -> Iterator[tuple[int, os.stat_result]]:
    """Open the regular file at `path` to read; gives (file descriptor, its status).

    Raises OSError if it is not there, is a link or may not be read, LogFormatError if it is
    something else than a regular file.
    """
    file = os.open(path, _FLAGS)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise LogFormatError(f"{path}: not a regular file")
        yield file, status
    finally:
        os.close(file)


def segment_sizes(path: str) -> dict[int, int]:
    """Return the size in bytes of each segment in a run's directory, by number. Raises OSError."""
    sizes: dict[int, int] = {}
    with os.scandir(path) as entries:
        for entry in entries:
            number = log_directory.parse_segment_name(entry.name)
            # not 0000001.pplog, which is another file than 000001.pplog
            if (
                number
                and entry.name == log_directory.segment_name(number)
                and entry.is_file(follow_symlinks=False)
            ):
                sizes[number] = entry.stat(follow_symlinks=False).st_size
    return sizes


class DirectoryWatch:
    """Tells whether a directory's entries may have changed since they were last listed."""

    # Kernels stamp files with a clock that stands still for some milliseconds, so what happened
    # within the same tick as a listing cannot be told from it.
    _TICK_NS = 100_000_000

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self.mtime_ns = 0

    def changed(self, now_ns: int) -> bool:
        """Return True if the directory must be listed again; `now_ns` is unix time.

        Raises OSError if it is gone.
        """
        status = os.stat(self._path)  # noqa: PTH116 - asked each second, and pathlib doubles it
        seen = (status.st_dev, status.st_ino, status.st_mtime_ns)
        fresh = now_ns - status.st_mtime_ns < self._TICK_NS
        if seen == self._seen and not fresh:
            return False
        self.mtime_ns = status.st_mtime_ns
        # A listing this close to the last change may have missed the next one: not remembered.
        self._seen = None if fresh else seen
        return True

    def forget(self) -> None:
        """Take the directory for changed, because listing it failed."""
        self._seen = None
