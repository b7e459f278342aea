"""The runs in a home, for the commands that look at them from outside."""

# pathlib costs each command 5 ms, and has no openat
# ruff: noqa: PTH118, PTH208

from __future__ import annotations

import os

from pprofplus.log.log_directory import (
    default_home,
    parse_run_name,
    parse_segment_name,
    valid_service,
)
from pprofplus.system.descriptor import DIRECTORY, EXISTING
from pprofplus.system.locks import lock

_SHARED = "/var/tmp"  # noqa: S108 - only looked at
_PREFIX = "pprofplus-"


class LogDirectory:
    """Where a run is.

    Attributes:
        service: its service's name.
        pid: its process, in its own namespace.
        path: its directory.
    """

    __slots__ = ("path", "pid", "service")

    def __init__(self, path: str, service: str, pid: int) -> None:
        self.path = path
        self.service = service
        self.pid = pid


class FoundRunDirectory:
    """What was found of a service.

    Attributes:
        places: the runs whose processes live.
        denied: directories and files that this user may not read.
    """

    __slots__ = ("denied", "places")

    def __init__(self) -> None:
        self.places: list[LogDirectory] = []
        self.denied: list[str] = []


def homes(named: str | None) -> list[str]:
    """Return the homes to look in: the one named, else our own, and to root every user's."""
    if named is not None:
        return [named]
    found = [default_home()]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        found += [home for home in _shared_homes() if home not in found]
    return found


def homes_of_others() -> list[str]:
    """Return the default homes of other users that this user may not read."""
    return [home for home in _shared_homes() if not os.access(home, os.R_OK | os.X_OK)]


def _shared_homes() -> list[str]:
    try:
        names = sorted(os.listdir(_SHARED))
    except OSError:
        return []
    return [f"{_SHARED}/{name}" for name in names if name.startswith(_PREFIX)]


def live_runs(home: str, service: str) -> FoundRunDirectory:
    """Return the runs of a service whose processes live, by pid, and what may not be read."""
    found = FoundRunDirectory()
    path = os.path.join(home, service)
    if not valid_service(service):
        return found
    try:
        fd = os.open(path, DIRECTORY)
    except PermissionError:
        found.denied.append(path)
        return found
    except OSError:
        return found
    try:
        for name in os.listdir(fd):
            parsed = parse_run_name(name)
            if parsed is None:
                continue
            try:
                if _is_live(name, fd):
                    found.places.append(LogDirectory(os.path.join(path, name), service, parsed[0]))
            except PermissionError:
                found.denied.append(os.path.join(path, name))
    except OSError:
        return found
    finally:
        os.close(fd)
    found.places.sort(key=lambda place: place.pid)
    return found


def lives(path: str) -> bool:
    """Tell whether the process of the run in directory `path` lives; True if that is not known."""
    parent, _, name = path.rpartition("/")
    try:
        fd = os.open(parent, DIRECTORY)
    except OSError:
        return True
    try:
        return _is_live(name, fd)
    except OSError:
        return True
    finally:
        os.close(fd)


def _is_live(name: str, service_fd: int) -> bool:
    """Tell whether a run's newest segment is locked. Raises PermissionError."""
    try:
        run_fd = os.open(name, DIRECTORY, dir_fd=service_fd)
    except PermissionError:
        raise
    except OSError:
        return False
    try:
        numbers = {n: found for n in os.listdir(run_fd) if (found := parse_segment_name(n))}
        if not numbers:
            return False
        fd = os.open(max(numbers, key=lambda n: numbers[n]), EXISTING, dir_fd=run_fd)
        try:
            return lock(fd, shared=True) is False
        finally:
            os.close(fd)
    except PermissionError:
        raise
    except OSError:  # it went away
        return False
    finally:
        os.close(run_fd)
