"""The log directory: its default path, names in it, and directories that only we can write to.

A segment's path is `<log directory>/<service>/<pid>-<start unix ms>/000001.pplog`.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from pprofplus.errors import UnsafeDirectoryError
from pprofplus.system.descriptor import DIRECTORY, close_descriptor

SEGMENT_SUFFIX = ".pplog"
UNFINISHED_ARTEFACT_SUFFIX = ".gz.new"  # see artefacts.py
LEDGER_NAME = ".ledger"  # see ledger.py
RUN_LIST_NAME = ".ledger.runs"  # see scan_list.py
NEW_RUN_LIST_NAME = ".ledger.runs.new"
PIN_NAME = "pinned"  # retention never removes a run that has a file of this name
# How the process ended, as its parent or its service manager saw it: one JSON object,
# {"by": "pprofplus run" or "systemd", "unix_ms": int, "exit_code": int or null,
# "signal": int or null, "oom_killed": bool or null, "text": str}. It is renamed into place.
OUTCOME_NAME = "outcome"
# This file is empty while a run is recorded. If it has content, a SIGTERM without a handler of the
# program ended the process, at the time of the file's last change. The content is for people: where
# the program was. See termination.py.
TERMINATED_NAME = "sigterm"
SERVICE_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
RUN_PATTERN = re.compile(r"([0-9]{1,10})-([0-9]{1,15})")
SEGMENT_PATTERN = re.compile(r"([0-9]{6,9})\.pplog")

_NO_SERVICE = {".", "..", LEDGER_NAME, RUN_LIST_NAME, NEW_RUN_LIST_NAME}
_OWNERS_RIGHTS = stat.S_IRWXU
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def default_log_directory() -> str:
    """Return the log directory to use if none is given.

    `$PPROFPLUS_DIR`; else `$STATE_DIRECTORY/pprofplus`, which systemd creates for a unit; else
    `/var/tmp/pprofplus-<uid>`, which needs no home directory and which root finds for any user.
    """
    named = os.environ.get("PPROFPLUS_DIR")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    state = os.environ.get("STATE_DIRECTORY")
    if state:
        # systemd joins several directories with colons; use the first
        return os.path.abspath(os.path.join(state.split(":")[0], "pprofplus"))
    if not hasattr(os, "getuid"):
        return os.path.join(os.path.expanduser("~"), "pprofplus-logs")
    return f"/var/tmp/pprofplus-{os.getuid()}"  # noqa: S108 - checked to be ours before use


def valid_service(name: str) -> bool:
    """Return whether `name` is valid: 1 to 64 of A-Z a-z 0-9 . _ -, and not `.` or `..`."""
    return SERVICE_PATTERN.fullmatch(name) is not None and name not in _NO_SERVICE


def run_name(pid: int, start_ms: int) -> str:
    """Return the name of a run directory; `start_ms` is unix time."""
    return f"{pid}-{start_ms}"


def parse_run_name(name: str) -> tuple[int, int] | None:
    """Return (pid, start_ms) of a run directory's name, or None if it is not one."""
    found = RUN_PATTERN.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def segment_name(number: int) -> str:
    """Return the file name of segment `number`, which counts from 1."""
    return f"{number:06d}{SEGMENT_SUFFIX}"


def parse_segment_name(name: str) -> int | None:
    """Return the number of a segment's file name, or None if it is not one."""
    found = SEGMENT_PATTERN.fullmatch(name)
    return int(found[1]) if found else None


def open_private(
    path: str,
    *,
    within: int | None = None,
    above: str = "",
    group_readable: bool = False,
    make: bool = True,
) -> int:
    """Return a descriptor of directory `path`, created with mode 0700 (or 0750) if it is missing.

    `within` is the descriptor of the directory that a relative `path` starts from, `above` its
    name, for the error's text. Raises UnsafeDirectoryError if it is a link or not a directory,
    belongs to another user, or others can write to it; OSError if it cannot be created or opened,
    or is missing and `make` is false.
    """
    shown = f"{above}/{path}" if above else path
    mode = 0o750 if group_readable else 0o700
    made = False
    if make:
        try:
            os.mkdir(path, mode, dir_fd=within)
            made = True
        except FileExistsError:
            pass
    try:
        number = _open_directory(path, within, made=made)
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise UnsafeDirectoryError(
                f"{shown} is a link or not a directory: use another path"
            ) from error
        raise
    try:
        if made:
            os.fchmod(number, mode | _inherited_setgid(os.fstat(number), group_readable))
        _check_safe(shown, os.fstat(number))
    except BaseException:
        close_descriptor(number)
        raise
    return number


def _open_directory(path: str, within: int | None, *, made: bool) -> int:
    """Open a directory. Raises OSError."""
    try:
        return os.open(path, DIRECTORY, dir_fd=within)
    except PermissionError:
        # a umask may remove the owner's read permission from a new directory
        if not made or not set_mode(path, _OWNERS_RIGHTS, within):
            raise
    return os.open(path, DIRECTORY, dir_fd=within)


def set_mode(path: str, mode: int, within: int | None) -> bool:
    """Set the mode of our own file or directory that cannot be opened with its present mode.

    A link is not followed. False if that failed.
    """
    try:
        if not hasattr(os, "O_PATH"):  # macOS
            os.chmod(path, mode, dir_fd=within, follow_symlinks=False)
            return True
        number = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    except OSError:
        return False
    try:
        found = os.fstat(number)
        if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
            return False
        os.chmod(f"/proc/self/fd/{number}", mode)
    except OSError:
        return False
    finally:
        close_descriptor(number)
    return True


def _inherited_setgid(found: os.stat_result, group_readable: bool) -> int:  # noqa: FBT001 - as given
    """Return the setgid bit of a new directory, if it is set there and the group may read.

    The bit is inherited, as from a Kubernetes volume with fsGroup. Without it, new files do not get
    the directory's group, and that group could read the directory but not the files in it.
    """
    return found.st_mode & stat.S_ISGID if group_readable else 0


def _check_safe(path: str, found: os.stat_result) -> None:
    """Raise UnsafeDirectoryError unless a directory is ours, and no other user can write to it."""
    if found.st_uid != os.geteuid():
        raise UnsafeDirectoryError(
            f"{path} belongs to uid {found.st_uid}: use another directory, or run as that user"
        )
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise UnsafeDirectoryError(f"{path} is writable by other users: run chmod go-w on it")


def open_log_directory(path: str, *, group_readable: bool = False) -> int:
    """Return a descriptor of the log directory, created with its parents if missing; as above."""
    _make_parents(os.path.dirname(path))
    return open_private(path, group_readable=group_readable)


def _make_parents(path: str) -> None:
    """Create a directory and its missing parents. Raises OSError."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        try:
            # many daemons have umask 0: then other users could put something else there
            os.mkdir(each, 0o755)
        except FileExistsError:  # another process may create each of them first
            if not os.path.isdir(each):
                raise
            continue
        mode = stat.S_IMODE(os.stat(each).st_mode)
        if mode & _OWNERS_RIGHTS != _OWNERS_RIGHTS:  # the umask removed some of them
            set_mode(each, mode | _OWNERS_RIGHTS, None)


def make_run(
    log_directory: str, service: str, pid: int, start_ms: int, *, group_readable: bool = False
) -> int:
    """Create a new run directory; return its start, later than `start_ms` if that one is taken.

    Raises UnsafeDirectoryError, OSError.
    """
    log_directory_fd = open_log_directory(log_directory, group_readable=group_readable)
    try:
        service_fd = open_private(
            service, within=log_directory_fd, above=log_directory, group_readable=group_readable
        )
    finally:
        close_descriptor(log_directory_fd)
    try:
        while True:
            try:
                os.mkdir(run_name(pid, start_ms), 0o700, dir_fd=service_fd)
            except FileExistsError:
                # the same pid in another container, or a restart within the millisecond
                start_ms += 1
                continue
            name = run_name(pid, start_ms)
            mode = 0o700
            if group_readable:
                mode = 0o750 | _inherited_setgid(os.stat(name, dir_fd=service_fd), group_readable)
            os.chmod(name, mode, dir_fd=service_fd)  # the umask may have removed permissions
            return start_ms
    finally:
        close_descriptor(service_fd)


def open_run(
    log_directory: str, service: str, pid: int, start_ms: int, *, group_readable: bool = False
) -> int:
    """Return a descriptor of a run directory. Raises UnsafeDirectoryError, OSError."""
    number, path = open_log_directory(log_directory, group_readable=group_readable), log_directory
    for name in (service, run_name(pid, start_ms)):
        above = number
        try:
            number = open_private(name, within=above, above=path, make=False)
        finally:
            close_descriptor(above)
        path = f"{path}/{name}"
    return number


def remove_empty_run(log_directory_fd: int, service: str, pid: int, start_ms: int) -> None:
    """Remove a run directory that is empty, and the service's; never raises OSError."""
    try:
        service_fd = os.open(service, DIRECTORY, dir_fd=log_directory_fd)
    except OSError:
        return
    try:
        os.rmdir(run_name(pid, start_ms), dir_fd=service_fd)
        os.rmdir(service, dir_fd=log_directory_fd)
    except OSError:
        # it is not empty, or the service has another run
        return
    finally:
        close_descriptor(service_fd)
