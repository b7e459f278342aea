"""The artefacts in a run directory, such as profiles: listed and read as untrusted input."""

import os

from pprofplus.errors import LogFormatError
from pprofplus.log.artefacts import MAX_ARTEFACTS_BYTES, parse_artefact_name
from pprofplus_tui.sources.local.safe_files import opened
from pprofplus_tui.sources.port import RunArtefact

_MAX_ARTEFACTS = 10_000
_MAX_UNIX_MS = 1 << 48


def run_artefacts(path: str) -> tuple[RunArtefact, ...]:
    """Return the artefacts in a run directory, the oldest first. Raises OSError.

    Links, files that are not regular or larger than the collector writes, and files with other
    names are left out.
    """
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            artefact = artefact_named(entry.name)
            if artefact is None or not entry.is_file(follow_symlinks=False):
                continue
            try:
                size_bytes = entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:  # the collector has evicted it
                continue
            if size_bytes <= MAX_ARTEFACTS_BYTES:
                found.append(
                    RunArtefact(
                        artefact.name,
                        artefact.kind,
                        artefact.unix_ms,
                        artefact.why,
                        artefact.suffix,
                        size_bytes,
                    )
                )
            if len(found) >= _MAX_ARTEFACTS:
                break
    return tuple(sorted(found, key=lambda each: (each.unix_ms, each.name)))


def artefact_named(name: str) -> RunArtefact | None:
    """Return the artefact with this file name, without its size; None for any other name."""
    parsed = parse_artefact_name(name)
    if parsed is None or parsed.unix_ms >= _MAX_UNIX_MS:
        return None
    return RunArtefact(name, parsed.kind, parsed.unix_ms, parsed.why, parsed.suffix, 0)


def read_artefact(path: str, name: str) -> tuple[bytes, float]:
    """Return the content of an artefact, and the unix seconds of its last change.

    Raises LogFormatError if it is not an artefact of the collector, OSError if it cannot be read.
    """
    if artefact_named(name) is None:
        raise LogFormatError(f"{name}: not the name of an artefact")
    with opened(f"{path}/{name}") as (file, status):
        if status.st_size > MAX_ARTEFACTS_BYTES:
            raise LogFormatError(f"{path}/{name}: larger than an artefact may be")
        # the collector renames a file when it is complete, so it does not grow
        with os.fdopen(os.dup(file), "rb") as whole:
            return whole.read(MAX_ARTEFACTS_BYTES), status.st_mtime
