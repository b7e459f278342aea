"""The runs in a home, for the commands that look at them from outside."""

# pathlib costs each command 5 ms, and has no openat
# ruff: noqa: PTH118, PTH208

from __future__ import annotations

import os

from pprofplus.descriptor import DIRECTORY, EXISTING
from pprofplus.home import default_home, parse_run_name, parse_segment_name, valid_service
from pprofplus.locks import lock

_SHARED = "/var/tmp"  # noqa: S108 - only looked at
_PREFIX = "pprofplus-"


class Place:
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


def homes(named: str | None) -> list[str]:
    """Return the homes to look in: the one named, else our own, and to root every user's."""
    if named is not None:
        return [named]
    found = [default_home()]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        try:
            names = sorted(os.listdir(_SHARED))
        except OSError:
            names = []
        others = [f"{_SHARED}/{name}" for name in names if name.startswith(_PREFIX)]
        found += [home for home in others if home not in found]
    return found


def live_runs(home: str, service: str) -> list[Place]:
    """Return the runs of a service whose processes live, by pid; none if there is no such home."""
    path = os.path.join(home, service)
    if not valid_service(service):
        return []
    try:
        fd = os.open(path, DIRECTORY)
    except OSError:
        return []
    try:
        names = os.listdir(fd)
        pids = {name: parsed[0] for name in names if (parsed := parse_run_name(name))}
        alive = [name for name in pids if _is_live(name, fd)]
    except OSError:
        return []
    finally:
        os.close(fd)
    places = [Place(os.path.join(path, name), service, pids[name]) for name in alive]
    return sorted(places, key=lambda place: place.pid)


def _is_live(name: str, service_fd: int) -> bool:
    """Tell whether a run's newest segment is locked."""
    try:
        run_fd = os.open(name, DIRECTORY, dir_fd=service_fd)
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
    except OSError:  # it went away, or is not ours to read
        return False
    finally:
        os.close(run_fd)
