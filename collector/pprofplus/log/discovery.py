"""Find log directories and live runs, for commands that run outside of the service."""

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

_SHARED = "/var/tmp"  # noqa: S108 - only listed
_PREFIX = "pprofplus-"


class RunLocation:
    """Where one run is recorded.

    Attributes:
        service: the service's name.
        pid: the pid of its process, in that process's namespace.
        path: the run directory.
    """

    __slots__ = ("path", "pid", "service")

    def __init__(self, path: str, service: str, pid: int) -> None:
        self.path = path
        self.service = service
        self.pid = pid


class LiveRuns:
    """The live runs of one service in a log directory.

    Attributes:
        runs: the runs whose processes are alive.
        denied: paths that this user may not read, where a live run may be.
    """

    __slots__ = ("denied", "runs")

    def __init__(self) -> None:
        self.runs: list[RunLocation] = []
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


def live_runs(log_directory: str, service: str) -> LiveRuns:
    """Return the live runs of a service, sorted by pid, and the paths that may not be read."""
    found = LiveRuns()
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
                if _newest_is_locked(name, fd):
                    found.runs.append(RunLocation(os.path.join(path, name), service, parsed[0]))
            except PermissionError:
                found.denied.append(os.path.join(path, name))
    except OSError:
        return found
    finally:
        os.close(fd)
    found.runs.sort(key=lambda run: run.pid)
    return found


def is_live(run_directory: str) -> bool:
    """Return whether the process of a run is alive; True if that is unknown."""
    service_directory, _, name = run_directory.rpartition("/")
    try:
        fd = os.open(service_directory, DIRECTORY)
    except OSError:
        return True
    try:
        return _newest_is_locked(name, fd)
    except OSError:
        return True
    finally:
        os.close(fd)


def _newest_is_locked(name: str, service_fd: int) -> bool:
    """Return whether the newest segment of a run is locked. Raises PermissionError."""
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
