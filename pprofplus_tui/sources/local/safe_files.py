"""Opens untrusted files: follows no links, and never blocks."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from pprofplus.errors import LogFormatError
from pprofplus.log import log_directory

# A malicious name in a log directory must not lead to another file or block the monitor.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened(path: str) -> Iterator[tuple[int, os.stat_result]]:
    """Open the regular file at `path` for reading; yield (file descriptor, its status).

    Raises OSError if it is missing, is a link or may not be read, LogFormatError if it is not a
    regular file.
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
    """Return the size in bytes of each segment in a run directory, by number. Raises OSError."""
    sizes: dict[int, int] = {}
    with os.scandir(path) as entries:
        for entry in entries:
            number = log_directory.parse_segment_name(entry.name)
            # not 0000001.pplog, which is a different file from 000001.pplog
            if (
                number
                and entry.name == log_directory.segment_name(number)
                and entry.is_file(follow_symlinks=False)
            ):
                sizes[number] = entry.stat(follow_symlinks=False).st_size
    return sizes


class DirectoryWatch:
    """Detects whether the entries of a directory may have changed since they were listed."""

    # The kernel takes file times from a clock with a resolution of some milliseconds: a change
    # within the same tick as a listing does not change the time.
    _TICK_NS = 100_000_000

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self.mtime_ns = 0

    def changed(self, now_ns: int) -> bool:
        """Return True if the directory must be listed again; `now_ns` is unix time.

        Raises OSError if it does not exist.
        """
        status = os.stat(self._path)
        seen = (status.st_dev, status.st_ino, status.st_mtime_ns)
        fresh = now_ns - status.st_mtime_ns < self._TICK_NS
        if seen == self._seen and not fresh:
            return False
        self.mtime_ns = status.st_mtime_ns
        # A listing this soon after the last change may miss the next one: list it again.
        self._seen = None if fresh else seen
        return True

    def invalidate(self) -> None:
        """Report the directory as changed at the next call, because listing it failed."""
        self._seen = None
