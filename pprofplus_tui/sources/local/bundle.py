"""Runs in one file for a colleague: packed from logs that may be live, opened as a directory.

A bundle is a zip archive of `manifest.json` and the runs' segments and artefacts under the paths
that they have in a log directory, `<service>/<pid>-<start>/000001.pplog`. It is untrusted input:
only such names are unpacked, as new files of a private directory, up to a limit of bytes.
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
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from pprofplus.errors import LogFormatError, PprofplusError
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

SUFFIX = ".pplogs"
MANIFEST = "manifest.json"
_FORMAT = 1
_MOST_FILES = 10_000
_MOST_BYTES = 1 << 30  # of all files: as much as a log directory keeps by default
_MOST_FILE_BYTES = 1 << 26  # segments are of 1 MiB
_MOST_MANIFEST_BYTES = 1 << 22
_MOST_INDEX_BYTES = 1 << 22
_END = b"PK\x05\x06"  # begins the 22 bytes that end a zip archive without a comment
_END_BYTES, _LOCATOR_BYTES = 22, 20
_LOCATOR = b"PK\x06\x07"
# What zipfile raises on archives that nobody packed.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, struct.error),
    *(ValueError, RuntimeError, OverflowError, IndexError),
)
_CHUNK = 1 << 20
_TAIL_BYTES = 1 << 16  # of a segment that is written to while it is copied
_TRIES = 5
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # others may take memory at their will
_PATH = re.compile(r"([^/]{1,64})/([^/]{1,32})/([^/]{1,80})")


class BundleError(PprofplusError):
    """A bundle that cannot be made or opened; its text is one line that says why."""


@dataclass(frozen=True)
class PackedRun:
    """A run to pack: its directory, how it is at this moment, and why it ended if it did."""

    path: str
    service: str
    pid: int
    state: str
    begin_ms: int
    end_ms: int
    cause: Cause | None = None


# Packing


def pack(runs: Iterable[PackedRun], path: str | Path) -> int:
    """Write the runs to a new file at `path`; return its size in bytes.

    Of a live run it is what has been written by now, whole. Raises FileExistsError if there is
    something at `path`, OutputError if the disk will not have it, BundleError if it is too much or
    there is nothing to pack.
    """
    with new_file(path) as out:
        files = total = 0
        told: list[dict[str, object]] = []
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as archive:
            for run in runs:
                sizes: dict[str, int] = {}
                artefact_sizes: dict[str, int] = {}
                for name, data, written_s in chain(_segments(run.path), _artefacts(run.path)):
                    files, total = files + 1, total + len(data)
                    if files >= _MOST_FILES or total > _MOST_BYTES:
                        raise BundleError("too much for one bundle: 1 GiB; pack fewer runs")
                    archive.writestr(_entry(f"{_place(run)}/{name}", written_s), data)
                    is_artefact = artefact_named(name) is not None
                    (artefact_sizes if is_artefact else sizes)[name] = len(data)
                if not sizes:
                    raise BundleError(f"{run.path}: there is no log any more")
                told.append(
                    {
                        "path": _place(run),
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
                "runs": told,
            }
            archive.writestr(_entry(MANIFEST, time.time()), json.dumps(manifest, indent=1))
        return out.tell()


def _place(run: PackedRun) -> str:
    return f"{run.service}/{Path(run.path).name}"


def _entry(name: str, written_s: float) -> zipfile.ZipInfo:
    # a zip archive's clock begins in 1980
    moment = max(time.gmtime(written_s)[:6], (1980, 1, 1, 0, 0, 0))
    entry = zipfile.ZipInfo(name, moment)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    return entry


def _segments(path: str) -> Iterator[tuple[str, bytes, float]]:
    """Give (name, bytes, unix seconds of the last write) of each segment that is there."""
    try:
        numbers = sorted(segment_sizes(path))
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    for number in numbers:
        name = log_directory.segment_name(number)
        try:
            with opened(f"{path}/{name}") as (file, status):
                if status.st_size > _MOST_FILE_BYTES:
                    raise BundleError(f"{path}/{name}: too large for a segment")
                yield name, _read(file, status.st_size), status.st_mtime
        except FileNotFoundError:
            continue  # rotation took it since the directory was listed
        except (OSError, LogFormatError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BundleError(f"{path}/{name}: {reason}") from error


def _artefacts(path: str) -> Iterator[tuple[str, bytes, float]]:
    """Give (name, bytes, unix seconds of the last write) of each artefact that is there."""
    try:
        artefacts = run_artefacts(path)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    for artefact in artefacts:
        name = artefact.name
        try:
            data, written_s = read_artefact(path, name)
        except FileNotFoundError:
            continue  # the collector has evicted it since the directory was listed
        except (OSError, LogFormatError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BundleError(f"{path}/{name}: {reason}") from error
        yield name, data, written_s


def _read(file: int, size: int) -> bytes:
    """Return the file's bytes; its end as it was between two writes."""
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
    """Provide a private directory with the bundle's runs, which is gone afterwards.

    Raises BundleError if it is no bundle, or one that is out for more than to be looked at.
    """
    place: Path | None = None
    try:
        with signals_held():  # a directory that is made is one that is removed
            place = Path(tempfile.mkdtemp(prefix="pprofplus-bundle-"))
        try:
            # the user may name a link, as anywhere
            with (
                opened(os.path.realpath(path)) as (number, status),
                os.fdopen(os.dup(number), "rb") as file,
            ):
                _check_end(file, status.st_size, path)
                with zipfile.ZipFile(file) as archive:
                    _unpack(archive, place, path)
        except _DAMAGED as error:
            raise BundleError(clean(f"{path}: no bundle, or a damaged one: {error}")) from error
        except LogFormatError as error:
            raise BundleError(clean(str(error))) from error
        except OSError as error:
            raise BundleError(clean(f"{path}: {error.strerror or error}")) from error
        yield place
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


def _check_end(file: BinaryIO, size: int, path: str) -> None:
    """Raise BundleError unless the archive's index is small: it is read as a whole."""
    reach = min(size, _END_BYTES + _LOCATOR_BYTES)
    file.seek(size - reach)
    tail = file.read(reach)
    end = tail[-_END_BYTES:]
    if len(end) < _END_BYTES or not end.startswith(_END) or end[-2:] != b"\0\0":
        raise BundleError(clean(f"{path}: no bundle, as  pprofplus-tui pack  makes them"))
    entries, index_bytes = (
        int.from_bytes(end[10:12], "little"),
        int.from_bytes(end[12:16], "little"),
    )
    large = tail[:-_END_BYTES].startswith(_LOCATOR)  # counts of 64 bits, which none of ours needs
    if large or entries > _MOST_FILES or index_bytes > _MOST_INDEX_BYTES:
        raise BundleError(clean(f"{path}: refused, it holds more files than a bundle may"))
    file.seek(0)


def _unpack(archive: zipfile.ZipFile, place: Path, path: str) -> None:
    """Write the archive's segments below `place`. Raises BundleError, OSError."""

    def refuse(why: str) -> BundleError:
        return BundleError(clean(f"{path}: refused, {why}"))

    entries = archive.infolist()
    problem = _problem_of(entries)
    if problem:
        raise refuse(problem)
    told = _told(archive, refuse)
    left = _MOST_BYTES
    for entry in entries:
        if entry.filename == MANIFEST:
            continue
        target = place / entry.filename
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        kind, most = _limit_of(target.name)
        most = min(left, most)
        with target.open("xb") as out, archive.open(entry) as source:
            # what the index says of sizes is not believed
            while chunk := source.read(min(_CHUNK, most + 1)):
                most, left = most - len(chunk), left - len(chunk)
                if most < 0:
                    raise refuse(f"{entry.filename!r} is larger than {kind} may be")
                out.write(chunk)
    for name, (state, cause) in told.items():
        if (place / name).is_dir():
            _note(place / name, state, cause)


def _limit_of(name: str) -> tuple[str, int]:
    """Return what a file of this name is, and how large it may be."""
    if artefact_named(name) is not None:
        return "an artefact", MAX_ARTEFACTS_BYTES
    return "a segment", _MOST_FILE_BYTES


def _note(run: Path, state: str, cause: Cause | None) -> None:
    """Keep beside a run's log how it was when it was packed."""
    if state in RUNNING or state == PACKED:
        (run / PACKED_NAME).touch()
    if cause is not None:
        (run / CAUSE_NAME).write_text(json.dumps(cause.as_json()), encoding="utf-8")


def _problem_of(entries: list[zipfile.ZipInfo]) -> str:
    """Return what is wrong with an archive of these entries, or ""."""
    names = {entry.filename for entry in entries}
    if len(names) != len(entries):
        return "it holds two files of one name"
    if MANIFEST not in names:
        return f"it has no {MANIFEST}"
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in {0, stat.S_IFREG} or entry.is_dir():
            return f"{entry.filename!r} is no regular file"
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            return f"{entry.filename!r} is packed in another way"
        if entry.filename != MANIFEST and not _is_allowed(entry.filename):
            return f"{entry.filename!r} is neither a segment nor an artefact of a run"
    return ""


def _is_allowed(name: str) -> bool:
    """Tell whether a path is that of a segment or of an artefact of a run."""
    found = _PATH.fullmatch(name)
    if found is None or not log_directory.valid_service(found[1]):
        return False
    if log_directory.parse_run_name(found[2]) is None:
        return False
    number = log_directory.parse_segment_name(found[3])
    if number is not None:
        return found[3] == log_directory.segment_name(number)
    return artefact_named(found[3]) is not None


def _told(
    archive: zipfile.ZipFile, refuse: Callable[[str], BundleError]
) -> dict[str, tuple[str, Cause | None]]:
    """Return by path each run's state when it was packed, and its cause. Raises BundleError."""
    with archive.open(MANIFEST) as file:
        text = file.read(_MOST_MANIFEST_BYTES + 1)
    if len(text) > _MOST_MANIFEST_BYTES:
        raise refuse("its manifest is too large")
    try:
        manifest = json.loads(text)
        if manifest["format"] != _FORMAT:
            raise refuse("a later pprofplus packed it: use that one")
        told = [(run["path"], run["state"], run.get("cause")) for run in manifest["runs"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refuse("its manifest cannot be read") from error
    return {
        path: (state, cause_of(cause))  # bundles of earlier versions have no causes
        for path, state, cause in told
        if isinstance(path, str) and isinstance(state, str) and _is_allowed(f"{path}/000001.pplog")
    }
