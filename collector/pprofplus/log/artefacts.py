"""The artefacts of a run: files such as profiles, in the run directory with the segments.

Their names are `<unix ms>-<kind>[-<why>].<suffix>`, as in `1795000000000-heap-limit-75.pb.gz`.
Their size in one run is limited, and the oldest are evicted first. Retention counts them, and
removes them with the run. A file is named `.<name>.new` until it is complete.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from pprofplus.system.descriptor import NEW, Descriptor, above_standard, close_descriptor

MAX_ARTEFACTS_BYTES = 16 << 20  # of one run
# under a small cap for the log directory, most space is for logs
_SHARE_OF_TOTAL = 4

PROFILE_SUFFIX = "pb.gz"  # pprof
TRACE_SUFFIX = "json.gz"  # Chrome's trace format
SOURCE_SUFFIX = "src.gz"  # the lines of source code that a profile of the same name refers to

_TIME, _KIND, _WHY = r"[0-9]{1,15}", r"[a-z]{1,16}", r"[a-z0-9][a-z0-9_-]{0,31}"
_SUFFIX = r"(?:pb|json|src)\.gz"
ARTEFACT_NAME = rf"{_TIME}-{_KIND}(?:-{_WHY})?\.{_SUFFIX}"  # has no groups, for larger patterns
_PATTERN = re.compile(rf"({_TIME})-({_KIND})(?:-({_WHY}))?\.({_SUFFIX})")
_CHUNK_BYTES = 1 << 20


class Artefact:
    """One artefact: what its file name contains, and its size.

    Attributes:
        name: the file's name.
        unix_ms: when it was taken.
        kind: what it is, such as "heap".
        why: its cause, or "".
        suffix: PROFILE_SUFFIX or another one.
        size_bytes: of the file.
    """

    __slots__ = ("kind", "name", "size_bytes", "suffix", "unix_ms", "why")

    def __init__(
        self, name: str, *, unix_ms: int, kind: str, why: str, suffix: str, size_bytes: int
    ) -> None:
        self.name = name
        self.unix_ms = unix_ms
        self.kind = kind
        self.why = why
        self.suffix = suffix
        self.size_bytes = size_bytes

    @property
    def group(self) -> tuple[int, str, str]:
        """The key that files of one capture share; the keys sort by age."""
        return self.unix_ms, self.kind, self.why


def artefact_name(unix_ms: int, kind: str, why: str = "", suffix: str = PROFILE_SUFFIX) -> str:
    """Return a file name. Raises ValueError if a part of it is not allowed."""
    name = f"{unix_ms}-{kind}{f'-{why}' if why else ''}.{suffix}"
    if parse_artefact_name(name) is None:
        raise ValueError(f"no name of an artefact: {name!r}")
    return name


def parse_artefact_name(name: str, size_bytes: int = 0) -> Artefact | None:
    """Return the artefact of a file name; None if it is no name of an artefact."""
    found = _PATTERN.fullmatch(name)
    if found is None:
        return None
    return Artefact(
        name,
        unix_ms=int(found[1]),
        kind=found[2],
        why=found[3] or "",
        suffix=found[4],
        size_bytes=size_bytes,
    )


def most_artefact_bytes(max_total_bytes: int) -> int:
    """Return the cap on the artefacts of one run in a log directory with this cap."""
    return min(MAX_ARTEFACTS_BYTES, max_total_bytes // _SHARE_OF_TOTAL)


def free_name(run_fd: int, unix_ms: int, kind: str, why: str, suffix: str) -> str:
    """Return a name that is unused in a run directory, with a later time if necessary.

    Raises ValueError if a part of it is not allowed, OSError.
    """
    while True:
        name = artefact_name(unix_ms, kind, why, suffix)
        if _status(name, run_fd) is None:
            return name
        unix_ms += 1


def artefacts_bytes(run_fd: int) -> int:
    """Return the size of all artefacts in a run directory. Raises OSError."""
    return sum(artefact.size_bytes for artefact in list_artefacts(run_fd))


def list_artefacts(run_fd: int) -> list[Artefact]:
    """Return the artefacts in a run directory, the oldest first. Raises OSError."""
    found = []
    for name in os.listdir(run_fd):
        artefact = parse_artefact_name(name)
        if artefact is not None:
            status = _status(name, run_fd)
            if status is not None and stat.S_ISREG(status.st_mode):
                artefact.size_bytes = status.st_size
                found.append(artefact)
    found.sort(key=lambda each: (each.group, each.name))
    return found


def evict_artefacts(
    run_fd: int, new_bytes: int, max_bytes: int, keep: tuple[int, str, str] | None = None
) -> int:
    """Remove the oldest artefacts until the rest and `new_bytes` are at most `max_bytes`.

    A group is removed as a unit, and the group `keep` stays, even if that is too much. Unfinished
    files of an interrupted write are removed first. Returns the bytes freed. Raises OSError.
    """
    freed = 0
    for name in os.listdir(run_fd):
        if name[0] == "." and name.endswith(".new") and parse_artefact_name(name[1:-4]):
            freed += _remove(name, run_fd)
    found = list_artefacts(run_fd)
    over = sum(each.size_bytes for each in found) + new_bytes - max_bytes
    evicted = None
    for each in found:
        if over <= 0 and each.group != evicted:
            break
        if each.group == keep:
            continue
        over -= each.size_bytes
        evicted = each.group
        freed += _remove(each.name, run_fd)
    return freed


class NewArtefact:
    """An artefact during its write.

    Its file has its final size from the start, so that a scan of the log directory always counts
    all of it.
    """

    __slots__ = ("_descriptor", "_hidden", "_name", "_run_fd", "_size_bytes")

    def __init__(self, run_fd: int, name: str, size_bytes: int, mode: int) -> None:
        """Create its file under a hidden name; `run_fd` must stay open. Raises OSError."""
        self._run_fd = run_fd
        self._name = name
        self._hidden = f".{name}.new"
        self._size_bytes = size_bytes
        fd = above_standard(os.open(self._hidden, NEW, 0o600, dir_fd=run_fd))
        try:
            self._descriptor = Descriptor(fd)
            os.fchmod(fd, mode)
            os.ftruncate(fd, size_bytes)
        except BaseException:
            close_descriptor(fd)
            _remove(self._hidden, run_fd)
            raise

    def write(self, data: bytes) -> None:
        """Write all of it. Raises OSError; then `discard` it."""
        view, at = memoryview(data), 0
        while at < len(data):
            if self._descriptor.stat() is None:
                raise OSError(errno.EBADF, "the host closed the artefact's descriptor")
            count = os.pwrite(self._descriptor.number, view[at : at + _CHUNK_BYTES], at)
            if not count:  # no error and no progress: some FUSE file systems do that
                raise OSError(errno.EIO, "the file system wrote no byte of the artefact")
            at += count

    def publish(self) -> bool:
        """Rename it; return False: it uses its reservation. Raises OSError; then `discard` it."""
        os.rename(self._hidden, self._name, src_dir_fd=self._run_fd, dst_dir_fd=self._run_fd)
        self._descriptor.close()
        return False

    def discard(self) -> bool:
        """Remove it; return whether that freed its space. Never raises OSError."""
        self._descriptor.close()
        try:
            os.unlink(self._hidden, dir_fd=self._run_fd)
        except OSError:
            return False
        return True


def _status(name: str, run_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=run_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _remove(name: str, run_fd: int) -> int:
    """Remove a file; return its bytes, 0 if that failed. Never raises OSError."""
    try:
        size_bytes = os.stat(name, dir_fd=run_fd, follow_symlinks=False).st_size
        os.unlink(name, dir_fd=run_fd)
    except OSError:
        return 0
    return size_bytes
