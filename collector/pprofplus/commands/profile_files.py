"""Reads the artefacts of runs, which are untrusted, and writes copies or merged profiles."""

from __future__ import annotations

import os
import stat

from pprofplus.errors import ProfileFormatError
from pprofplus.log.artefacts import (
    MAX_ARTEFACTS_BYTES,
    PROFILE_SUFFIX,
    SOURCE_SUFFIX,
    TRACE_SUFFIX,
    parse_artefact_name,
)
from pprofplus.system.descriptor import DIRECTORY, EXISTING, close_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pprofplus.log.artefacts import Artefact


class ProfileFile:
    """A profile in the run directory of a process.

    Attributes:
        pid: of the process.
        path: of the file.
        artefact: what its name contains.
        data: its content.
        source: the content of the file with its source lines, or b"".
    """

    __slots__ = ("artefact", "data", "path", "pid", "source")

    def __init__(self, pid: int, path: str, artefact: Artefact, data: bytes, source: bytes) -> None:
        self.pid = pid
        self.path = path
        self.artefact = artefact
        self.data = data
        self.source = source


def read_profile(directory: str, pid: int, name: str) -> ProfileFile:
    """Return a profile in a run directory, and its source lines. Raises OSError, ValueError."""
    artefact = parse_artefact_name(name)
    if artefact is None:
        raise ValueError("no name of a profile")
    run_fd = os.open(directory, DIRECTORY)
    try:
        data = _read(name, run_fd)
        artefact.size_bytes = len(data)
        try:
            source = _read(name.removesuffix(artefact.suffix) + SOURCE_SUFFIX, run_fd)
        except OSError:  # it has none
            source = b""
    finally:
        close_descriptor(run_fd)
    return ProfileFile(pid, os.path.join(directory, name), artefact, data, source)


def _read(name: str, run_fd: int) -> bytes:
    """Return the content of a regular file. Raises OSError, ValueError."""
    fd = os.open(name, EXISTING, dir_fd=run_fd)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_ARTEFACTS_BYTES:
            raise ValueError("it is no regular file, or too long")
        with open(fd, "rb", closefd=False) as file:
            return file.read(MAX_ARTEFACTS_BYTES)
    finally:
        close_descriptor(fd)


def merged(files: Sequence[ProfileFile]) -> tuple[bytes, bytes]:
    """Return one file of the same kind for several processes, and one for their source lines.

    A single file is returned as it is. Raises ProfileFormatError if they cannot be merged.
    """
    if len(files) == 1:
        return files[0].data, files[0].source
    from pprofplus.profiles.merging import merge_profiles, merge_source_lines, merge_traces
    from pprofplus.profiles.pprof_decoder import decode_profile
    from pprofplus.profiles.source_lines import encode_source_lines, parse_source_lines

    if files[0].artefact.suffix == TRACE_SUFFIX:
        return merge_traces([file.data for file in files]), b""
    sources = []
    for file in files:
        try:
            sources.append(parse_source_lines(file.source))
        except ProfileFormatError:
            # it has none, or they are damaged: the profile is what counts
            continue
    data = merge_profiles([(file.pid, decode_profile(file.data)) for file in files]).encode()
    lines = merge_source_lines(sources)
    return data, encode_source_lines(lines) if lines.files else b""


class Output:
    """Where -o writes: one file, or a directory with a file for each kind."""

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

    def write(self, name: str, data: bytes, source: bytes) -> str:
        """Write a profile, named `name` in a directory, and its source lines; return its path.

        Raises OSError.
        """
        path = os.path.join(self._path, name) if self._is_directory else self._path
        _replace(path, data)
        if source and os.path.isfile(path):
            _replace(source_path(path), source)
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
