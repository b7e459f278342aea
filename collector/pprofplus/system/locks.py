"""File locks. A writer that runs holds one; the kernel releases it when the process ends."""

from __future__ import annotations

import errno

try:
    import fcntl
except ImportError:  # Windows
    LOCKS_EXIST = False
else:
    LOCKS_EXIST = True

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def is_locked(fd: int) -> bool | None:
    """Return whether another process holds the lock of an open file; None if that is unknown.

    The lock is left as it was. Raises OSError.
    """
    taken = lock(fd, shared=True)
    if taken:
        fcntl.flock(fd, fcntl.LOCK_UN)
    return None if taken is None else not taken


def lock(fd: int, *, shared: bool = False) -> bool | None:
    """Lock an open file without waiting; False if another process holds a conflicting lock.

    None on a file system without locks: a live writer cannot be detected there. Raises OSError.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True
