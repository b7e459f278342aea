"""Bundles: runs in one file to send to others; packs runs in progress too, unpacks to a directory.

A bundle is a zip archive of `manifest.json` and the segments and artefacts of the runs under their
paths in a log directory, `<service>/<pid>-<start>/000001.pplog`. It is untrusted: only such names
are unpacked, as new files in a private directory, and up to a size limit.
"""

import json
import os
import re
import shutil
import stat
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from pprofplus.errors import LogFormatError
from pprofplus.log import log_directory
from pprofplus.log.artefacts import MAX_ARTEFACTS_BYTES
from pprofplus.version import __version__
from pprofplus_tui.atomic_file import new_file
from pprofplus_tui.model.death import Cause, cause_of
from pprofplus_tui.model.runs import PACKED, RUNNING
from pprofplus_tui.model.text import clean
from pprofplus_tui.signals import signals_held
from pprofplus_tui.sources.local.artefacts import artefact_named, read_artefact, run_artefacts
from pprofplus_tui.sources.local.ending_files import CAUSE_NAME, PACKED_NAME
from pprofplus_tui.sources.local.safe_files import opened, segment_sizes
from pprofplus_tui.sources.port import BundleError, RunToPack

MANIFEST = "manifest.json"
_FORMAT = 1
_MAX_FILES = 10_000
_MAX_TOTAL_BYTES = 1 << 30  # of all files: the default cap of a log directory
_MAX_FILE_BYTES = 1 << 26  # segments are of 1 MiB
_MAX_MANIFEST_BYTES = 1 << 22
_MAX_INDEX_BYTES = 1 << 22
_END = b"PK\x05\x06"  # the first of the 22 bytes at the end of a zip archive without a comment
_END_BYTES, _LOCATOR_BYTES = 22, 20
_LOCATOR = b"PK\x06\x07"
# What zipfile raises on invalid archives.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, struct.error),
    *(ValueError, RuntimeError, OverflowError, IndexError),
)
_CHUNK = 1 << 20
_TAIL_BYTES = 1 << 16  # read again, because the segment may be written to meanwhile
_TRIES = 5
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # others may use unlimited memory
_PATH = re.compile(r"([^/]{1,64})/([^/]{1,32})/([^/]{1,80})")


# Packing


def pack(runs: Iterable[RunToPack], path: str | Path) -> int:
    """Write the runs to a new file at `path`; return its size in bytes.

    Of a run in progress, it packs all complete pages written so far. Raises FileExistsError if
    `path` exists, OutputError if the file cannot be written, BundleError if the runs are too large
    or have no segments.
    """
    with new_file(path) as out:
        files = total = 0
        entries: list[dict[str, object]] = []
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as archive:
            for run in runs:
                sizes: dict[str, int] = {}
                artefact_sizes: dict[str, int] = {}
                for name, data, written_s in chain(_segments(run.id), _artefacts(run.id)):
                    files, total = files + 1, total + len(data)
                    if files >= _MAX_FILES or total > _MAX_TOTAL_BYTES:
                        raise BundleError("a bundle holds at most 1 GiB: pack fewer runs")
                    archive.writestr(_entry(f"{_archive_path(run)}/{name}", written_s), data)
                    is_artefact = artefact_named(name) is not None
                    (artefact_sizes if is_artefact else sizes)[name] = len(data)
                if not sizes:
                    raise BundleError(f"{run.id}: the log no longer exists")
                entries.append(
                    {
                        "path": _archive_path(run),
                        "service": run.service,
                        "pid": run.pid,
                        "state": run.state,
                        "begin_ms": run.begin_ms,
                        "end_ms": run.end_ms,
                        "segments": sizes,
                        "artefacts": artefact_sizes,
                        "cause": run.cause.as_json() if run.cause is not None else None,
                    }
                )
            manifest = {
                "format": _FORMAT,
                "pprofplus": __version__,
                "packed_ms": time.time_ns() // 1_000_000,
                "runs": entries,
            }
            archive.writestr(_entry(MANIFEST, time.time()), json.dumps(manifest, indent=1))
        return out.tell()


def _archive_path(run: RunToPack) -> str:
    return f"{run.service}/{Path(run.id).name}"


def _entry(name: str, written_s: float) -> zipfile.ZipInfo:
    # zip archives cannot store a time before 1980
    moment = max(time.gmtime(written_s)[:6], (1980, 1, 1, 0, 0, 0))
    entry = zipfile.ZipInfo(name, moment)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    return entry


def _segments(path: str) -> Iterator[tuple[str, bytes, float]]:
    """Yield (name, bytes, unix seconds of the last write) of each segment."""
    try:
        numbers = sorted(segment_sizes(path))
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    for number in numbers:
        name = log_directory.segment_name(number)
        try:
            with opened(f"{path}/{name}") as (file, status):
                if status.st_size > _MAX_FILE_BYTES:
                    raise BundleError(f"{path}/{name}: larger than a segment may be")
                yield name, _read(file, status.st_size), status.st_mtime
        except FileNotFoundError:
            continue  # rotation removed it after the directory was listed
        except (OSError, LogFormatError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BundleError(f"{path}/{name}: {reason}") from error


def _artefacts(path: str) -> Iterator[tuple[str, bytes, float]]:
    """Yield (name, bytes, unix seconds of the last write) of each artefact."""
    try:
        artefacts = run_artefacts(path)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    for artefact in artefacts:
        name = artefact.name
        try:
            data, written_s = read_artefact(path, name)
        except FileNotFoundError:
            continue  # the collector evicted it after the directory was listed
        except (OSError, LogFormatError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BundleError(f"{path}/{name}: {reason}") from error
        yield name, data, written_s


def _read(file: int, size: int) -> bytes:
    """Return the bytes of the file, with its end read between two writes."""
    begin = max(size - _TAIL_BYTES, 0)
    data = os.pread(file, size, 0)
    for _ in range(_TRIES):
        tail = os.pread(file, len(data) - begin, begin)
        if tail == data[begin:]:
            break
        data = data[:begin] + tail
    return data


# Opening


@contextmanager
def unpacked(path: str) -> Iterator[Path]:
    """Yield a private directory with the runs of the bundle; remove it at the end of the block.

    Raises BundleError if the file is not a bundle, or is a malicious one.
    """
    directory: Path | None = None
    try:
        with signals_held():  # no signal between creating the directory and storing its path
            directory = Path(tempfile.mkdtemp(prefix="pprofplus-bundle-"))
        try:
            # the path that the user gives may be a link
            with (
                opened(os.path.realpath(path)) as (number, status),
                os.fdopen(os.dup(number), "rb") as file,
            ):
                _check_end(file, status.st_size, path)
                with zipfile.ZipFile(file) as archive:
                    _unpack(archive, directory, path)
        except _DAMAGED as error:
            raise BundleError(clean(f"{path}: not a bundle, or a damaged one: {error}")) from error
        except LogFormatError as error:
            raise BundleError(clean(str(error))) from error
        except OSError as error:
            raise BundleError(clean(f"{path}: {error.strerror or error}")) from error
        yield directory
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


def _check_end(file: BinaryIO, size: int, path: str) -> None:
    """Raise BundleError unless the index of the archive is small, because it is read whole."""
    reach = min(size, _END_BYTES + _LOCATOR_BYTES)
    file.seek(size - reach)
    tail = file.read(reach)
    end = tail[-_END_BYTES:]
    if len(end) < _END_BYTES or not end.startswith(_END) or end[-2:] != b"\0\0":
        raise BundleError(clean(f"{path}: not a bundle of  pprofplus-tui pack"))
    entries = int.from_bytes(end[10:12], "little")
    index_bytes = int.from_bytes(end[12:16], "little")
    # a locator means counts of 64 bits, which our bundles never have
    large = tail[:-_END_BYTES].startswith(_LOCATOR)
    if large or entries > _MAX_FILES or index_bytes > _MAX_INDEX_BYTES:
        raise BundleError(clean(f"{path}: refused: it has more files than a bundle may have"))
    file.seek(0)


def _unpack(archive: zipfile.ZipFile, directory: Path, path: str) -> None:
    """Write the segments of the archive below `directory`. Raises BundleError, OSError."""

    def refuse(reason: str) -> BundleError:
        return BundleError(clean(f"{path}: refused: {reason}"))

    entries = archive.infolist()
    problem = _problem_of(entries)
    if problem:
        raise refuse(problem)
    endings = _read_manifest(archive, refuse)
    left = _MAX_TOTAL_BYTES
    for entry in entries:
        if entry.filename == MANIFEST:
            continue
        target = directory / entry.filename
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        kind, most = _limit_of(target.name)
        most = min(left, most)
        with target.open("xb") as out, archive.open(entry) as source:
            # the sizes in the index are untrusted
            while chunk := source.read(min(_CHUNK, most + 1)):
                most, left = most - len(chunk), left - len(chunk)
                if most < 0:
                    raise refuse(f"{entry.filename!r} is larger than {kind} may be")
                out.write(chunk)
    for name, (state, cause) in endings.items():
        if (directory / name).is_dir():
            _save_ending(directory / name, state, cause)


def _limit_of(name: str) -> tuple[str, int]:
    """Return the kind of a file with this name, and its maximum size in bytes."""
    if artefact_named(name) is not None:
        return "an artefact", MAX_ARTEFACTS_BYTES
    return "a segment", _MAX_FILE_BYTES


def _save_ending(run: Path, state: str, cause: Cause | None) -> None:
    """Write to a run directory the state and cause that the run had when it was packed."""
    if state in RUNNING or state == PACKED:
        (run / PACKED_NAME).touch()
    if cause is not None:
        (run / CAUSE_NAME).write_text(json.dumps(cause.as_json()), encoding="utf-8")


def _problem_of(entries: list[zipfile.ZipInfo]) -> str:
    """Return why an archive of these entries is refused, else ""."""
    names = {entry.filename for entry in entries}
    if len(names) != len(entries):
        return "it has two files of one name"
    if MANIFEST not in names:
        return f"it has no {MANIFEST}"
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in {0, stat.S_IFREG} or entry.is_dir():
            return f"{entry.filename!r} is not a regular file"
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            return f"{entry.filename!r} is encrypted or uses an unknown compression"
        if entry.filename != MANIFEST and not _is_allowed(entry.filename):
            return f"{entry.filename!r} is neither a segment nor an artefact of a run"
    return ""


def _is_allowed(name: str) -> bool:
    """Return whether a path is that of a segment or an artefact of a run."""
    found = _PATH.fullmatch(name)
    if found is None or not log_directory.valid_service(found[1]):
        return False
    if log_directory.parse_run_name(found[2]) is None:
        return False
    number = log_directory.parse_segment_name(found[3])
    if number is not None:
        return found[3] == log_directory.segment_name(number)
    return artefact_named(found[3]) is not None


def _read_manifest(
    archive: zipfile.ZipFile, refuse: Callable[[str], BundleError]
) -> dict[str, tuple[str, Cause | None]]:
    """Return by path the state of each run when packed, and its cause. Raises BundleError."""
    with archive.open(MANIFEST) as file:
        text = file.read(_MAX_MANIFEST_BYTES + 1)
    if len(text) > _MAX_MANIFEST_BYTES:
        raise refuse("its manifest is too large")
    try:
        manifest = json.loads(text)
        if manifest["format"] != _FORMAT:
            raise refuse("a newer pprofplus packed it: upgrade pprofplus")
        runs = [(run["path"], run["state"], run.get("cause")) for run in manifest["runs"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refuse("its manifest cannot be read") from error
    return {
        path: (state, cause_of(cause))  # bundles of earlier versions have no causes
        for path, state, cause in runs
        if isinstance(path, str) and isinstance(state, str) and _is_allowed(f"{path}/000001.pplog")
    }
