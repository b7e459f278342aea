"""A file descriptor that knows what it was opened on."""

from __future__ import annotations

import errno
import os


def flags(*names: str) -> int:
    """Return the flags of open(2) together; those that a platform lacks are left out."""
    found = 0
    for name in (*names, "O_NOFOLLOW", "O_CLOEXEC"):
        found |= getattr(os, name, 0)
    return found


# nothing is followed through a link, and nothing waits for the other end of a pipe
DIRECTORY = flags("O_RDONLY", "O_DIRECTORY")
EXISTING = flags("O_RDONLY", "O_NONBLOCK")
NEW = flags("O_RDWR", "O_CREAT", "O_EXCL")
EITHER = flags("O_RDWR", "O_CREAT", "O_NONBLOCK")


_STANDARD = 2  # stdin, stdout and stderr are 0 to 2


def close_descriptor(number: int) -> None:
    """Close a descriptor; never raises OSError.

    close(2) reports a write-back that failed on a network file system or a bad disk. The number is
    free all the same, and an exception here would lose what the caller has just opened.
    """
    try:  # noqa: SIM105 - contextlib costs each service 1 ms
        os.close(number)
    except OSError:
        pass


def above_standard(number: int) -> int:
    """Return an open descriptor, or its copy above the numbers of the standard streams.

    A host that was started without these has their numbers free. Whatever it writes to stderr
    without asking, as C code does, would go into a file of ours that we kept there, and what it
    opens to stand for them would not. Raises OSError; `number` is closed then.
    """
    if number > _STANDARD:
        return number
    import fcntl  # noqa: PLC0415 - Windows has none, and hardly a host is like this

    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _STANDARD + 1)
    finally:
        close_descriptor(number)


class Descriptor:
    """A descriptor of ours, and proof that it still is.

    The host shares the table of descriptors with us. A daemon that closes all of them, and then
    opens a file of its own, gets one of our numbers for it: reading there gives nonsense, and
    writing there destroys the host's file. So whoever uses the number asks `stat` first, and a
    number that has passed to someone else is forgotten, never closed.
    """

    __slots__ = ("_identity", "number")

    def __init__(self, number: int) -> None:
        """Take over the open descriptor `number`. Raises OSError if it is none."""
        found = os.fstat(number)
        self.number = number
        self._identity = (found.st_dev, found.st_ino)

    def stat(self) -> os.stat_result | None:
        """Return the file's status, or None if the number is no longer ours.

        Only EBADF and another file's identity say so. Raises OSError for any other error: a file
        system that fails for a moment (ESTALE, EIO) says nothing about the number.
        """
        try:
            found = os.fstat(self.number)
        except OSError as error:
            if error.errno == errno.EBADF:
                return None
            raise
        return found if (found.st_dev, found.st_ino) == self._identity else None

    def ours(self) -> bool:
        """Tell whether the number is still ours; a failing file system does not change that."""
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


def _open_to_keep(path: str) -> Descriptor:
    number = above_standard(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    try:
        return Descriptor(number)
    except OSError:
        close_descriptor(number)
        raise


class KeptFile:
    """A small file or a directory of the kernel's, looked at again and again by one descriptor.

    That is four times as fast as opening it each time, and goes on when the host has no
    descriptor left to open.
    """

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str) -> None:
        """Open `path`. Raises OSError."""
        self._path = path
        self._descriptor = _open_to_keep(path)

    def read(self) -> bytes:
        """Return what it says now, up to 256 bytes. Raises OSError."""
        self.stat()
        return os.pread(self._descriptor.number, 256, 0)

    def stat(self) -> os.stat_result:
        """Return its status now. Raises OSError."""
        found = self._descriptor.stat()
        if found is None:
            self._descriptor = _open_to_keep(self._path)
            found = os.fstat(self._descriptor.number)
        return found

    def close(self) -> None:
        """Close it; never raises."""
        self._descriptor.close()
