"""File descriptors that detect when the host has closed or reused their number."""

from __future__ import annotations

import errno
import os


def flags(*names: str) -> int:
    """Return the combined flags of open(2); flags that the platform lacks are left out."""
    found = 0
    for name in (*names, "O_NOFOLLOW", "O_CLOEXEC"):
        found |= getattr(os, name, 0)
    return found


# never follow a link, and never wait for the other end of a pipe
DIRECTORY = flags("O_RDONLY", "O_DIRECTORY")
EXISTING = flags("O_RDONLY", "O_NONBLOCK")
NEW = flags("O_RDWR", "O_CREAT", "O_EXCL")
EITHER = flags("O_RDWR", "O_CREAT", "O_NONBLOCK")


_STANDARD = 2  # stdin, stdout and stderr are 0 to 2


def close_descriptor(number: int) -> None:
    """Close a descriptor; never raises OSError.

    close(2) reports a failed write-back of a network file system or a bad disk. The descriptor is
    closed nevertheless, and an exception here would lose what the caller has just opened.
    """
    try:
        os.close(number)
    except OSError:
        pass


def above_standard(number: int) -> int:
    """Return an open descriptor, or its copy above the numbers of the standard streams.

    A host may have been started without standard streams: then 0 to 2 are free numbers. If a log
    file had number 2, C code that writes to stderr would write into the log. If the host later
    opens its own stderr, it needs that number. Raises OSError; `number` is closed then.
    """
    if number > _STANDARD:
        return number
    import fcntl

    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _STANDARD + 1)
    finally:
        close_descriptor(number)


class Descriptor:
    """A descriptor that this package opened, with the identity of its file.

    The host shares the process's descriptor table. A daemon that closes all descriptors and then
    opens its own files gets one of our numbers: a read there returns wrong data, and a write there
    destroys the host's file. So each user of the number calls `stat` first, and a number that now
    belongs to another file is forgotten, never closed.
    """

    __slots__ = ("_identity", "number")

    def __init__(self, number: int) -> None:
        """Take ownership of the open descriptor `number`. Raises OSError if it is not open."""
        found = os.fstat(number)
        self.number = number
        self._identity = (found.st_dev, found.st_ino)

    def stat(self) -> os.stat_result | None:
        """Return the file's status, or None if the number is no longer ours.

        Only EBADF or another file's identity means that. Raises OSError for any other error: a file
        system that fails for a moment (ESTALE, EIO) does not change the owner of the number.
        """
        try:
            found = os.fstat(self.number)
        except OSError as error:
            if error.errno == errno.EBADF:
                return None
            raise
        return found if (found.st_dev, found.st_ino) == self._identity else None

    def ours(self) -> bool:
        """Return whether the number is still ours; True if the file system reports an error."""
        try:
            return self.stat() is not None
        except OSError:
            return True

    def close(self) -> None:
        """Close it, if it is still ours; never raises."""
        number, ours = self.number, self.ours()
        self.number = -1
        if ours:
            close_descriptor(number)


def read_small_file(path: str) -> bytes:
    """Return up to 64 KiB of a kernel file. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(number, 1 << 16)
    finally:
        close_descriptor(number)


def _open_kept(path: str) -> Descriptor:
    number = above_standard(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    try:
        return Descriptor(number)
    except OSError:
        close_descriptor(number)
        raise


class KeptFile:
    """A small kernel file or directory that is kept open and read repeatedly.

    That is four times as fast as opening it each time, and works when no descriptor is left.
    """

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str) -> None:
        """Open `path`. Raises OSError."""
        self._path = path
        self._descriptor = _open_kept(path)

    def read(self) -> bytes:
        """Return the current content, up to 256 bytes. Raises OSError."""
        self.stat()
        return os.pread(self._descriptor.number, 256, 0)

    def stat(self) -> os.stat_result:
        """Return the current status. Raises OSError."""
        found = self._descriptor.stat()
        if found is None:
            self._descriptor = _open_kept(self._path)
            found = os.fstat(self._descriptor.number)
        return found

    def close(self) -> None:
        """Close it; never raises."""
        self._descriptor.close()
