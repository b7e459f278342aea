"""Find log directories and live runs, for commands that run outside of the service."""

# pathlib costs each command 5 ms, and has no openat
# ruff: noqa: PTH118, PTH208

from __future__ import annotations

import os

from pprofplus.log.log_directory import (
    default_log_directory,
    parse_run_name,
    parse_segment_name,
    valid_service,
)
from pprofplus.system.descriptor import DIRECTORY, EXISTING
from pprofplus.system.locks import is_locked

_SHARED = "/var/tmp"  # noqa: S108 - only looked at
_PREFIX = "pprofplus-"


class LogDirectory:
    """The directory of one run.

    Attributes:
        service: its service's name.
        pid: its process, in its own namespace.
        path: the path of the directory.
    """

    __slots__ = ("path", "pid", "service")

    def __init__(self, path: str, service: str, pid: int) -> None:
        self.path = path
        self.service = service
        self.pid = pid


class FoundRunDirectory:
    """The search result for one service.

    Attributes:
        runs: the runs whose processes are alive.
        denied: directories and files that this user may not read.
    """

    __slots__ = ("denied", "runs")

    def __init__(self) -> None:
        self.runs: list[LogDirectory] = []
        self.denied: list[str] = []


def log_directories(named: str | None) -> list[str]:
    """Return the log directories to search: `named`, else our own, and for root all users'."""
    if named is not None:
        return [named]
    found = [default_log_directory()]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        found += [
            log_directory
            for log_directory in shared_log_directories()
            if log_directory not in found
        ]
    return found


def unreadable_log_directories() -> list[str]:
    """Return the default log directories of other users that this user may not read."""
    return [
        log_directory
        for log_directory in shared_log_directories()
        if not os.access(log_directory, os.R_OK | os.X_OK)
    ]


def shared_log_directories() -> list[str]:
    """Return the default log directories of all users, readable or not."""
    try:
        with os.scandir(_SHARED) as entries:
            return sorted(
                entry.path
                for entry in entries
                if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False)
            )
    except OSError:
        return []


def live_runs(log_directory: str, service: str) -> FoundRunDirectory:
    """Return the runs of a service whose processes are alive, by pid, and what may not be read."""
    found = FoundRunDirectory()
    path = os.path.join(log_directory, service)
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
                    found.runs.append(LogDirectory(os.path.join(path, name), service, parsed[0]))
            except PermissionError:
                found.denied.append(os.path.join(path, name))
    except OSError:
        return found
    finally:
        os.close(fd)
    found.runs.sort(key=lambda run: run.pid)
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
    """Return whether a run's newest segment is locked. Raises PermissionError."""
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
            return is_locked(fd) is True
        finally:
            os.close(fd)
    except PermissionError:
        raise
    except OSError:  # it was removed
        return False
    finally:
        os.close(run_fd)
