"""Reads the profiles in run directories, which are untrusted, and merges those of several."""

from __future__ import annotations

import os
import stat

from pprofplus.errors import ProfileFormatError
from pprofplus.log.artefacts import (
    MAX_ARTEFACTS_BYTES,
    MEMRAY_SUFFIX,
    SOURCE_SUFFIX,
    TRACE_SUFFIX,
    parse_artefact_name,
)
from pprofplus.system.descriptor import DIRECTORY, EXISTING, close_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

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

    if files[0].artefact.suffix == MEMRAY_SUFFIX:
        raise ProfileFormatError(
            "memray's files of several processes cannot be merged: use --pid, or the files in the"
            " runs (pprofplus ctl profiles)"
        )
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
