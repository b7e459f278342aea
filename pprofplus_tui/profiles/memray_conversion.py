"""Converts a capture of memray, an artefact of the kind `native`, into a pprof profile.

    python -m pprofplus_tui.profiles.memray_conversion CAPTURE.memray.gz PROFILE.pb.gz

memray reads its files in C++, and a capture is untrusted. So it is read in a process of its own,
with bounds on time and memory: a damaged or malicious file cannot end the caller. Functions in C
have names where the libraries of the service lie at the same paths as when it ran, and have
symbols; elsewhere they are addresses of memray, `???`.
"""

import os
import resource
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

from pprofplus.profiles.pprof_encoder import ProfileBuilder
from pprofplus_tui.model.installation import how_to_install

_TIMEOUT_S = 120
_MAX_CAPTURE_BYTES = 256 << 20  # after decompression
_MAX_MEMORY_BYTES = 8 << 30  # address space: debug information is mapped
_MAX_PROFILE_BYTES = 64 << 20
_MAX_FRAMES = 500
_SAMPLE_TYPES = (("inuse_objects", "count"), ("inuse_space", "bytes"))
_READ_BYTES = 1 << 20
_NS_PER_S = 1_000_000_000


class MemrayConversionError(ValueError):
    """The capture cannot be converted; the text is one line that says why."""


def convert(capture: bytes) -> bytes:
    """Return the pprof profile of a capture, both compressed; takes up to two minutes.

    A sample is what one stack allocated in the window and kept: `inuse_objects`, `inuse_space`.
    Raises MemrayConversionError.
    """
    with tempfile.TemporaryDirectory(prefix="pprofplus-") as directory:
        source, target = Path(directory, "capture.gz"), Path(directory, "profile.pb.gz")
        source.write_bytes(capture)
        command = [sys.executable, "-m", __name__, str(source), str(target)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MemrayConversionError("memray took too long to read the capture") from error
        except OSError as error:
            raise MemrayConversionError(f"memray could not be started: {error}") from error
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            known = done.returncode == _FAILED and lines
            raise MemrayConversionError(lines[-1] if known else "memray could not read the capture")
        return target.read_bytes()


_FAILED = 3


def _main(source: str, target: str) -> None:
    """Convert a file; runs in a process of its own. Raises MemrayConversionError."""
    try:
        import memray
    except ImportError as error:
        text = f"native profiles need memray: {how_to_install('native')}"
        raise MemrayConversionError(text) from error
    _limit(resource.RLIMIT_AS, _MAX_MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, _TIMEOUT_S)
    _limit(resource.RLIMIT_FSIZE, _MAX_CAPTURE_BYTES)
    with tempfile.TemporaryDirectory(prefix="pprofplus-") as directory:
        plain = Path(directory, "capture")
        _decompress(Path(source), plain)
        try:
            with memray.FileReader(plain) as reader:
                data = _profile(reader).encode()
        except (OSError, ValueError, RuntimeError) as error:
            raise MemrayConversionError(f"it is no capture of memray: {error}") from error
    if len(data) > _MAX_PROFILE_BYTES:
        raise MemrayConversionError("the profile is too large")
    Path(target).write_bytes(data)


def _limit(which: int, value: int) -> None:
    _, most = resource.getrlimit(which)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(which, (value, most))


def _decompress(source: Path, target: Path) -> None:
    """Write the plain capture. Raises MemrayConversionError if it is damaged or too large."""
    unpacker = zlib.decompressobj(31)
    size_bytes = 0
    with source.open("rb") as packed, target.open("wb") as plain:
        while part := packed.read(_READ_BYTES):
            while part:
                try:
                    data = unpacker.decompress(part, _READ_BYTES)
                except zlib.error as error:
                    raise MemrayConversionError("the capture is damaged") from error
                size_bytes += len(data)
                if size_bytes > _MAX_CAPTURE_BYTES:
                    raise MemrayConversionError("the capture is too large")
                plain.write(data)
                part = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise MemrayConversionError("the capture is incomplete")


def _profile(reader: Any) -> ProfileBuilder:  # noqa: ANN401 - memray may be missing
    profile = ProfileBuilder(_SAMPLE_TYPES)
    metadata = reader.metadata
    profile.time_ns = int(metadata.start_time.timestamp() * _NS_PER_S)
    profile.duration_ns = int((metadata.end_time - metadata.start_time).total_seconds() * _NS_PER_S)
    profile.comments += [f"pid: {metadata.pid}", "converted from a capture of memray"]
    for record in reader.get_leaked_allocation_records(merge_threads=True):
        frames = (
            record.hybrid_stack_trace(_MAX_FRAMES)
            if metadata.has_native_traces
            else record.stack_trace(_MAX_FRAMES)
        )
        stack = [profile.location(name, filename, line) for name, filename, line in frames]
        profile.add(stack or [profile.location("[unknown]")], (record.n_allocations, record.size))
    return profile


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:3])
    except MemrayConversionError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_FAILED)
