"""Writes profiles to a path that a person or a program names: one file, or a directory."""

from __future__ import annotations

import os

from pprofplus.log.artefacts import PROFILE_SUFFIX, SOURCE_SUFFIX

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable


class OutputFiles:
    """One file, or a directory with a file for each kind."""

    def __init__(self, path: str, count: int) -> None:
        """Check that `count` profiles can be written. Raises OSError, ValueError.

        It is a directory if it exists as one, ends with a slash, or if there are several profiles.
        """
        self._path = path
        self._is_directory = os.path.isdir(path) or path.endswith("/") or count > 1
        if self._is_directory:
            if os.path.lexists(path) and not os.path.isdir(path):
                raise ValueError(f"{path}: several profiles need a directory")
            os.makedirs(path, exist_ok=True)
            _check_writable(path)
        elif os.path.exists(path) and not os.path.isfile(path):
            _check_writable(path)
        else:
            _check_writable(os.path.dirname(os.path.realpath(path)))

    def store(self, name: str, data: bytes) -> str:
        """Write a file and return its path. Raises OSError.

        `name` is that of an artefact: it is the file's name in a directory, and shows whether these
        are the source lines of the profile, whose name is then that of the profile.
        """
        is_source = name.endswith(f".{SOURCE_SUFFIX}")
        path = os.path.join(self._path, name) if self._is_directory else self._path
        if is_source and not self._is_directory:
            if not os.path.isfile(path):  # the profile went to a device or a pipe
                return path
            path = source_path(path)
        _replace(path, data)
        return path


def source_path(path: str) -> str:
    """Return the path for the source lines of the profile at `path`."""
    for suffix in (f".{PROFILE_SUFFIX}", ".pprof", ".prof", ".gz"):
        if path.endswith(suffix):
            path = path.removesuffix(suffix)
            break
    return f"{path}.{SOURCE_SUFFIX}"


def _check_writable(path: str) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError(2, os.strerror(2), path)
    if not os.access(path, os.W_OK):
        raise PermissionError(13, os.strerror(13), path)


def _replace(path: str, data: bytes) -> None:
    """Write a file, complete or not at all; a device or a pipe is written to. Raises OSError."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    directory, name = os.path.split(path)
    hidden = os.path.join(directory, f".{name[:200]}.{os.getpid()}.new")
    _write_new(hidden, data, lambda: os.replace(hidden, path))


def _write_new(path: str, data: bytes, publish: Callable[[], None]) -> None:
    """Write a new file, and publish it; remove it if that fails. Raises OSError."""
    try:
        with open(path, "xb") as file:
            file.write(data)
        publish()
    except BaseException:
        try:
            os.unlink(path)
        except OSError:
            # it was not created
            pass
        raise
