"""The limit of open files of this process, and whether descriptors are left."""

# pathlib costs each command 5 ms

from __future__ import annotations

import errno
import os

NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})


def descriptors_left(count: int) -> bool:
    """Return whether `count` more files can be open at the same time."""
    numbers: list[int] = []
    try:
        numbers.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(count))
    except OSError:
        return False
    finally:
        for number in numbers:
            os.close(number)
    return True


def descriptor_limit() -> str:
    """Return the number of files that this process may open, as text."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:
        return "of this system"
    return str(getrlimit(RLIMIT_NOFILE)[0])


def raise_descriptor_limit() -> None:
    """Raise the limit of open files to the maximum allowed; never raises."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit, setrlimit
    except ImportError:
        return
    soft, hard = getrlimit(RLIMIT_NOFILE)
    if soft != hard:
        try:
            setrlimit(RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            return  # macOS: the hard limit is "unlimited", but the kernel has a lower one
