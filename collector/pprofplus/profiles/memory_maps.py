"""Takes the kind `maps`: the memory of this process by mapping.

It answers what "other" is, the part of RSS that is neither Python's heap nor malloc's. A stack has
two frames: the name of a mapping, and its kind.
"""

from __future__ import annotations

import sys
from time import thread_time_ns, time_ns

from pprofplus.profiles.capture import ProfilePart, ProfileRefusedError
from pprofplus.profiles.mapping_kinds import MANY_BLOCKS, MappingKinds
from pprofplus.profiles.pprof_encoder import OTHER, ProfileBuilder
from pprofplus.profiles.smaps_reader import SMAPS, read_mappings
from pprofplus.system.descriptor import read_small_file
from pprofplus.system.printable import printable
from pprofplus.system.procfs import proc_problem

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pprofplus.profiles.capture import CaptureRequest, Task
    from pprofplus.profiles.smaps_reader import MemoryMapping

_SAMPLE_TYPES = (
    ("mappings", "count"),
    ("rss", "bytes"),
    ("pss", "bytes"),
    ("private_dirty", "bytes"),
)
# the kernel holds the lock of mmap and munmap while it walks the pages of one mapping
_LOCK_MS_PER_GIB = 10
_MAX_LOCK_MS = 500
_NOTED_LOCK_MS = 100
_MAX_NAMES = 10_000  # of mappings, then they are summed as `[other]`
_NS_PER_MS = 1_000_000
_HOLD_NS_PER_BLOCK = 18  # with cold caches


def check(request: CaptureRequest) -> None:
    """Raise ProfileRefusedError where there is no smaps, or if it takes the kernel too long."""
    if sys.platform != "linux":
        raise ProfileRefusedError("maps are taken on Linux only: this platform has no /proc")
    problem = proc_problem()
    if problem:
        raise ProfileRefusedError(problem)
    lock_ms = _lock_ms()
    if lock_ms > _MAX_LOCK_MS and not request.force:
        raise ProfileRefusedError(
            f"the kernel would block mmap and munmap for up to {lock_ms:.0f} ms while it walks"
            " this process's pages: force it if that is acceptable"
        )


def expected_hold_ms(request: CaptureRequest) -> float:  # noqa: ARG001 - the same for all requests
    """Return how long listing Python's objects will hold the GIL."""
    return min(sys.getallocatedblocks(), MANY_BLOCKS) * _HOLD_NS_PER_BLOCK / _NS_PER_MS


def take(request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:  # noqa: ARG001 - of all kinds
    """Yield the one profile. Raises ProfileRefusedError, ActionCancelledError."""
    begin_ns = time_ns()
    lock_ms = _lock_ms()
    profile = ProfileBuilder(_SAMPLE_TYPES)
    profile.time_ns = begin_ns
    cpu_ns = thread_time_ns()
    kinds = MappingKinds()
    hold_ns = thread_time_ns() - cpu_ns
    sums = _sums_by_name(kinds, task)
    if not any(rss for _, rss, _, _ in sums.values()):
        raise ProfileRefusedError(f"{SMAPS} of this kernel does not say what is resident")
    for (found, seen, permissions), values in sums.items():
        kind, name = kinds.settle(found, seen)
        stack = profile.location(name), profile.location(kind)
        labels = (("permissions", permissions),) if permissions else ()
        profile.add(stack, values, labels)
    count = sum(values[0] for values in sums.values())
    note = f"{count} mappings"
    if lock_ms > _NOTED_LOCK_MS:
        note += f"; mmap and munmap may have waited for up to about {lock_ms:.0f} ms"
    profile.comments.append(note)
    yield ProfilePart(
        "maps",
        profile,
        unix_ms=begin_ns // _NS_PER_MS,
        note=note,
        hold_ms=hold_ns / _NS_PER_MS,
    )


def _sums_by_name(kinds: MappingKinds, task: Task) -> dict[tuple[str, str, str], list[int]]:
    """Return (mappings, rss, pss, private dirty) by (kind, name, permissions)."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    before: MemoryMapping | None = None
    mapping: MemoryMapping | None = None
    for following in _and_none(read_mappings(task)):
        if mapping is not None:
            kind, name = kinds.kind(mapping, following, before)
            key = kind, _shown(name), mapping.permissions
            if key not in sums and len(sums) >= _MAX_NAMES:
                key = kind, OTHER, ""
            found = sums.setdefault(key, [0, 0, 0, 0])
            found[0] += 1
            found[1] += mapping.rss
            found[2] += mapping.pss
            found[3] += mapping.private_dirty
        before, mapping = mapping, following
    return sums


def _and_none(mappings: Iterator[MemoryMapping]) -> Iterator[MemoryMapping | None]:
    yield from mappings
    yield None


def _shown(name: str) -> str:
    """Return a name without control characters; the kernel prints a path as it is."""
    return name if name.isprintable() else printable(name)


def _lock_ms() -> float:
    """Return about how long the kernel may hold the lock: if all pages are of one mapping."""
    try:
        pages = int(read_small_file("/proc/self/statm").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages / (1 << 18) * _LOCK_MS_PER_GIB
