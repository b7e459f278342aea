"""Where logs live: `<home>/<service>/<pid>-<start unix ms>/000001.pplog`, and that it is safe."""

# pathlib costs each service 5 ms, and has no openat
# ruff: noqa: PTH100, PTH101, PTH102, PTH111, PTH112, PTH116, PTH118, PTH120

from __future__ import annotations

import errno
import os
import re
import stat

from pprofplus.errors import UnsafePlaceError
from pprofplus.system.descriptor import DIRECTORY, close_descriptor

SEGMENT_SUFFIX = ".pplog"
LEDGER_NAME = ".ledger"  # see ledger.py
RUN_LIST_NAME = ".ledger.runs"  # see runlist.py
NEW_RUN_LIST_NAME = ".ledger.runs.new"
PIN_NAME = "pinned"  # retention leaves alone a run that has a file of this name
# How the process ended, as its parent or its service manager saw it: one JSON object,
# {"by": "pprofplus run" or "systemd", "unix_ms": int, "exit_code": int or null,
#  "signal": int or null, "oom_killed": bool or null, "text": str}. It is renamed into place.
OUTCOME_NAME = "outcome"
# Empty while a run is recorded; with something in it, a SIGTERM ended the process, at the time of
# its last change, as the kernel does where the program has no handler. What is in it is for people:
# where the program was. See termination.py.
TERMINATED_NAME = "sigterm"
SERVICE_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
RUN_PATTERN = re.compile(r"([0-9]{1,10})-([0-9]{1,15})")
SEGMENT_PATTERN = re.compile(r"([0-9]{6,9})\.pplog")

_NO_SERVICE = {".", "..", LEDGER_NAME, RUN_LIST_NAME, NEW_RUN_LIST_NAME}
_OWNERS_RIGHTS = stat.S_IRWXU
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def default_home() -> str:
    """Return the directory for logs when none is named.

    `$PPROFPLUS_DIR`; else `$STATE_DIRECTORY/pprofplus`, which systemd makes for a unit; else
    `/var/tmp/pprofplus-<uid>`, which needs no home directory and which root finds for any user.
    """
    named = os.environ.get("PPROFPLUS_DIR")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    state = os.environ.get("STATE_DIRECTORY")
    if state:
        # systemd joins several directories with colons; the first is ours
        return os.path.abspath(os.path.join(state.split(":")[0], "pprofplus"))
    if not hasattr(os, "getuid"):
        return os.path.join(os.path.expanduser("~"), "pprofplus-logs")
    return f"/var/tmp/pprofplus-{os.getuid()}"  # noqa: S108 - checked to be ours before use


def valid_service(name: str) -> bool:
    """Tell whether `name` may be a service: 1 to 64 of A-Z a-z 0-9 . _ -, and not `.` or `..`."""
    return SERVICE_PATTERN.fullmatch(name) is not None and name not in _NO_SERVICE


def run_name(pid: int, start_ms: int) -> str:
    """Return the name of a run's directory; `start_ms` is unix time."""
    return f"{pid}-{start_ms}"


def parse_run_name(name: str) -> tuple[int, int] | None:
    """Return (pid, start_ms) of a run's directory name, or None if it is none."""
    found = RUN_PATTERN.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def segment_name(number: int) -> str:
    """Return the file name of segment `number`, which counts from 1."""
    return f"{number:06d}{SEGMENT_SUFFIX}"


def parse_segment_name(name: str) -> int | None:
    """Return the number of a segment's file name, or None if it is none."""
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
    """Return a descriptor of directory `path`, made with mode 0700 (or 0750) if it is missing.

    `within` is the descriptor of the directory that a relative `path` starts from, `above` its
    name, for the error's text. Raises UnsafePlaceError if it is a link or no directory, belongs to
    another user, or others may write there; OSError if it cannot be made or opened, or is missing
    and not to be made.
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
            raise UnsafePlaceError(f"{shown} is a link or no directory: name another") from error
        raise
    try:
        if made:
            os.fchmod(number, mode | _kept_group(os.fstat(number), group_readable))
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
        # a umask may take the owner's right to read what it has just made
        if not made or not give_mode(path, _OWNERS_RIGHTS, within):
            raise
    return os.open(path, DIRECTORY, dir_fd=within)


def give_mode(path: str, mode: int, within: int | None) -> bool:
    """Set the mode of a file or directory of ours that cannot be opened as it is.

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


def _kept_group(found: os.stat_result, group_readable: bool) -> int:  # noqa: FBT001 - as given
    """Return the bit by which what is made in a new directory has its group, if it is set there.

    It comes from above, as from a Kubernetes volume with fsGroup; without it the group that may
    read the directory may not read what is in it.
    """
    return found.st_mode & stat.S_ISGID if group_readable else 0


def _check_safe(path: str, found: os.stat_result) -> None:
    """Raise UnsafePlaceError unless a directory is ours, and only we may write there."""
    if found.st_uid != os.geteuid():
        raise UnsafePlaceError(f"{path} belongs to uid {found.st_uid}: name another directory")
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise UnsafePlaceError(f"{path} may be written by others: chmod go-w it")


def open_home(path: str, *, group_readable: bool = False) -> int:
    """Return a descriptor of the home directory, made with its parents if missing; see above."""
    _make_parents(os.path.dirname(path))
    return open_private(path, group_readable=group_readable)


def _make_parents(path: str) -> None:
    """Make a directory and those above it that are missing. Raises OSError."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        try:
            # under the umask 0 of many a daemon, others could put something else in our place
            os.mkdir(each, 0o755)
        except FileExistsError:  # another process may make each of them first
            if not os.path.isdir(each):
                raise
            continue
        mode = stat.S_IMODE(os.stat(each).st_mode)
        if mode & _OWNERS_RIGHTS != _OWNERS_RIGHTS:  # the umask took some of them
            give_mode(each, mode | _OWNERS_RIGHTS, None)


def make_run(
    home: str, service: str, pid: int, start_ms: int, *, group_readable: bool = False
) -> int:
    """Make a new run's directory; return its start: later than `start_ms` if that one is taken.

    Raises UnsafePlaceError, OSError.
    """
    home_fd = open_home(home, group_readable=group_readable)
    try:
        service_fd = open_private(
            service, within=home_fd, above=home, group_readable=group_readable
        )
    finally:
        close_descriptor(home_fd)
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
                mode = 0o750 | _kept_group(os.stat(name, dir_fd=service_fd), group_readable)
            os.chmod(name, mode, dir_fd=service_fd)  # whatever the umask left of it
            return start_ms
    finally:
        close_descriptor(service_fd)


def open_run(
    home: str, service: str, pid: int, start_ms: int, *, group_readable: bool = False
) -> int:
    """Return a descriptor of a run's directory. Raises UnsafePlaceError, OSError."""
    number, path = open_home(home, group_readable=group_readable), home
    for name in (service, run_name(pid, start_ms)):
        above = number
        try:
            number = open_private(name, within=above, above=path, make=False)
        finally:
            close_descriptor(above)
        path = f"{path}/{name}"
    return number


def remove_empty_run(home_fd: int, service: str, pid: int, start_ms: int) -> None:
    """Remove a run's directory that has nothing in it, and the service's; never raises OSError."""
    try:
        service_fd = os.open(service, DIRECTORY, dir_fd=home_fd)
    except OSError:
        return
    try:
        os.rmdir(run_name(pid, start_ms), dir_fd=service_fd)
        os.rmdir(service, dir_fd=home_fd)
    except OSError:
        # there is something in it, or another run of the service
        return
    finally:
        close_descriptor(service_fd)
