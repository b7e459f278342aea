"""Pinned runs: retention does not remove a run directory with a file named `pinned`."""

import os
import stat

from pprofplus.log import log_directory
from pprofplus_tui.sources.port import PinError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o600


def is_pinned(path: str) -> bool:
    """Return whether the run at `path` is pinned: any kind of file of that name counts."""
    return os.path.lexists(f"{path}/{log_directory.PIN_NAME}")


def set_pin(path: str, *, pinned: bool) -> None:
    """Pin or unpin the run at `path`; does nothing if it is so already. Raises PinError."""
    _change(path, pinned)


def toggle_pin(path: str) -> bool:
    """Pin the run at `path` if it is not pinned, else unpin it; return whether it is pinned now.

    Raises PinError.
    """
    return _change(path, None)


def _change(path: str, wanted: bool | None) -> bool:  # noqa: FBT001 - private; None toggles
    try:
        directory = _open_own(path)
        try:
            was = _has_pin(directory)
            now = not was if wanted is None else wanted
            if now and not was:
                os.close(os.open(log_directory.PIN_NAME, _NEW_FILE, _MODE, dir_fd=directory))
            elif was and not now:
                os.unlink(log_directory.PIN_NAME, dir_fd=directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise PinError(f"{path}: {error.strerror or error}") from error
    return now


def _open_own(path: str) -> int:
    """Return a descriptor of a run directory of this user. Raises PinError, OSError.

    The log directory may be reached through links, but the last two parts of the path may not be
    links.
    """
    log_root, name = os.path.split(os.path.abspath(path))
    log_root, service = os.path.split(log_root)
    if log_directory.parse_run_name(name) is None or not log_directory.valid_service(service):
        raise PinError(f"{path}: not a run directory, which is named <service>/<pid>-<start>")
    number = os.open(log_root, _DIRECTORY)
    for step in (service, name):
        above = number
        try:
            number = os.open(step, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)
    owner = os.fstat(number).st_uid
    if owner != os.geteuid():
        os.close(number)
        raise PinError(f"{path}: the run belongs to uid {owner}: only that user can pin it")
    return number


def _has_pin(directory: int) -> bool:
    """Return whether the run is pinned. Raises PinError if the pin is not a regular file."""
    try:
        found = os.stat(log_directory.PIN_NAME, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise PinError(f"{log_directory.PIN_NAME} in the run directory is not a regular file")
    return True
