"""The source lines of the functions in a profile, as a file of their own next to the profile.

With it, a viewer can list a function when the machine or container of the service is gone. The file
has the name of the profile with the suffix `src.gz`. It is gzip of lines that are JSON objects in
ASCII, each on one line:

    {"format": "pprofplus source lines", "version": 1}
    {"file": path, "first": number, "lines": [text, …]}
    {"file": path, "first": number, "lines": [text, …], "changed": true}
    …

A line after the first one is a block: consecutive lines of a file, `first` is the number of the
first one, from 1. The blocks of one file follow each other, and do not overlap. `path` is the
file name in the profile. `changed` says that the file was written after the process had started, so
that its lines may be others than those that ran. Unknown keys are ignored. A file has at most
MAX_SOURCE_BYTES, and MAX_TEXT_BYTES without compression; what would exceed that is left out.

Only regular files with a name that ends in .py or .pyw are read: code names any file it likes as
its source.
"""

from __future__ import annotations

import json
import os
import stat
import time
import zlib

from pprofplus.errors import ProfileFormatError
from pprofplus.system.descriptor import close_descriptor, read_small_file

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    Blocks = list[tuple[int, int]]

MAX_SOURCE_BYTES = 256 << 10
MAX_TEXT_BYTES = 4 << 20
_FORMAT = "pprofplus source lines"
_VERSION = 1
_MAX_FILE_BYTES = 4 << 20
_MAX_LINE = 400  # of characters
# a function is listed up to this number of lines after the last one that ran
_AFTER = 40
# of a longer function, and of a module, only the lines around those that ran are listed
_MAX_FUNCTION = 400
_AROUND = 10
# the start of a process is known to some ticks of the kernel
_SLACK_S = 2.0
_SUFFIXES = (".py", ".pyw")
_GZIP = 31  # the window's size for zlib, and gzip's frame
_TRAILER_BYTES = 64


class SourceLines:
    """The source lines of a profile.

    Attributes:
        files: by file name, the text of lines by number.
        changed: the files that were written after the process had started.
    """

    __slots__ = ("changed", "files")

    def __init__(self) -> None:
        self.files: dict[str, dict[int, str]] = {}
        self.changed: set[str] = set()


def pack_source_lines(wanted: dict[str, dict[int, set[int]]]) -> bytes:
    """Return the file for the lines that ran, by file name and first line of their function.

    The sources are read from disk; files that cannot be read are left out. Returns b"" if nothing
    could be read.
    """
    started_s = _started_s()
    found = []
    for name, functions in wanted.items():
        read = _read_source(name)
        if read is not None:
            text, written_s = read
            lines = text.split("\n")
            found += _records(name, lines, functions, changed=written_s > started_s + _SLACK_S)
    return _pack(found) if found else b""


def encode_source_lines(sources: SourceLines) -> bytes:
    """Return the file of these lines."""
    found = []
    for name, lines in sources.files.items():
        for first, last in _merged([(number, number) for number in lines]):
            texts = [lines[number] for number in range(first, last + 1)]
            found.append(_record(name, first, texts, changed=name in sources.changed))
    return _pack(found)


def parse_source_lines(data: bytes) -> SourceLines:
    """Return the content of a file. Raises ProfileFormatError unless it is well-formed."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(data, MAX_TEXT_BYTES)
    except zlib.error as error:
        raise ProfileFormatError("source lines that are no gzip") from error
    if len(data) > MAX_SOURCE_BYTES or not unpacker.eof or unpacker.unused_data:
        raise ProfileFormatError("source lines that are too long or incomplete")
    try:
        head, *records = map(json.loads, text.decode("ascii").splitlines())
        if head["format"] != _FORMAT or head["version"] != _VERSION:
            raise ProfileFormatError("source lines of another format or version")
        found = SourceLines()
        for record in records:
            _add_block(found, record)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProfileFormatError("source lines that are malformed") from error
    return found


def _add_block(found: SourceLines, record: dict[str, object]) -> None:
    """Add one block. Raises ValueError, KeyError, TypeError."""
    name, first, lines = record["file"], record["first"], record["lines"]
    if not (type(name) is str and type(first) is int and type(lines) is list and first > 0):
        raise ValueError("a malformed block")
    known = found.files.setdefault(name, {})
    for number, line in enumerate(lines, first):
        if type(line) is not str or number in known:
            raise ValueError("a malformed block")
        known[number] = line
    if record.get("changed") is True:
        found.changed.add(name)


def _record(name: str, first: int, lines: list[str], *, changed: bool) -> bytes:
    record: dict[str, object] = {"file": name, "first": first, "lines": lines}
    if changed:
        record["changed"] = True
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def _pack(records: Iterable[bytes]) -> bytes:
    """Compress as many of the records as fit."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    head = json.dumps({"format": _FORMAT, "version": _VERSION}).encode("ascii") + b"\n"
    packed = bytearray(packer.compress(head))
    text_bytes = len(head)
    for record in records:
        # the state before it, for the case that it does not fit
        before = packer.copy()
        piece = packer.compress(record) + packer.flush(zlib.Z_SYNC_FLUSH)
        text_bytes += len(record)
        if len(packed) + len(piece) > MAX_SOURCE_BYTES - _TRAILER_BYTES or (
            text_bytes >= MAX_TEXT_BYTES
        ):
            packer = before
            break
        packed += piece
    return bytes(packed) + packer.flush()


def _records(
    name: str, lines: list[str], functions: dict[int, set[int]], *, changed: bool
) -> list[bytes]:
    """Return the records of one file."""
    blocks: Blocks = []
    for first_line, ran in functions.items():
        blocks += _blocks_of(lines, first_line, {number for number in ran if number > 0})
    return [
        _record(
            name,
            first,
            [line[:_MAX_LINE] for line in lines[first - 1 : last]],
            changed=changed,
        )
        for first, last in _merged(blocks)
    ]


def _blocks_of(lines: list[str], first_line: int, ran: set[int]) -> Blocks:
    """Return the (first, last) lines to list of one function."""
    ran = {number for number in ran if number <= len(lines)}
    if not 1 <= first_line <= len(lines):
        first_line = min(ran, default=0)
    if not first_line:
        return []
    last_ran = max(ran, default=first_line)
    if last_ran - first_line >= _MAX_FUNCTION:
        around = [(max(n - _AROUND, 1), min(n + _AROUND, len(lines))) for n in ran]
        return [(first_line, min(first_line + _AROUND, len(lines))), *around]
    return [(first_line, _end_of_block(lines, first_line, last_ran))]


def _end_of_block(lines: list[str], first_line: int, last_ran: int) -> int:
    """Return the last line of the block that begins with `first_line`, judged by indentation."""
    indent = _indent(lines[first_line - 1])
    last = max(last_ran, first_line)
    for number in range(last + 1, min(last + _AFTER, len(lines)) + 1):
        line = lines[number - 1]
        if line.strip() and _indent(line) <= indent:
            break
        if line.strip():
            last = number
    return last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _merged(blocks: Blocks) -> Blocks:
    """Return blocks in order, those that touch as one."""
    found: Blocks = []
    for first, last in sorted(blocks):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _read_source(name: str) -> tuple[str, float] | None:
    """Return (text, time of its last change) of a source file, None if it must not be read."""
    if not (os.path.isabs(name) and name.endswith(_SUFFIXES)) or "\0" in name:
        return None
    try:
        # before it is opened: to open a device may have an effect
        if not _is_source(os.stat(name)):
            return None
        fd = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError):
        return None
    try:
        found = os.fstat(fd)
        if not _is_source(found):
            return None
        pieces = []
        left = _MAX_FILE_BYTES
        while left > 0 and (piece := os.read(fd, left)):
            pieces.append(piece)
            left -= len(piece)
    except OSError:
        return None
    finally:
        close_descriptor(fd)
    text = b"".join(pieces).decode("utf-8", "replace").replace("\r\n", "\n")
    return text.replace("\r", "\n"), found.st_mtime


def _is_source(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_FILE_BYTES


def _started_s() -> float:
    """Return the unix time at which this process started; infinity if that is unknown."""
    try:
        # psutil would take 3 MB and most of the time that the first profile takes to load
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + _started_after_boot_s()
    except (OSError, ValueError, IndexError, AttributeError):
        return float("inf")


def _started_after_boot_s() -> float:
    """Return when this process started, in seconds after the boot. Raises OSError, ValueError."""
    # the name of the program, in parentheses, may contain anything
    fields = read_small_file("/proc/self/stat").rpartition(b")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")
