"""Finds what a mapping of this process is for: the kernel names only files and a few others."""

from __future__ import annotations

import gc
import sys
from bisect import bisect_left
from itertools import chain, islice

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Any

    from pprofplus.profiles.smaps_reader import MemoryMapping

FILE = "file"
ANONYMOUS = "anonymous"
PYTHON_HEAP = "python heap"
C_HEAP = "C heap"
MALLOC_ARENA = "malloc arena"
THREAD_STACK = "thread stack"
MAIN_STACK = "main stack"
SHARED_MEMORY = "shared memory"
MEMFD = "memfd"
HUGE_PAGES = "huge pages"
KERNEL = "kernel"
RESERVED = "reserved"  # address space without access, such as guards of stacks
_NO_ACCESS = RESERVED, "[no access]"
DEVICE = "device"
OTHER_KIND = "other"
PYMALLOC_ARENAS = "[pymalloc arenas]"
# anonymous, and of the size of whole arenas of Python: see `MappingKinds.settle`
WHOLE_ARENAS = "whole arenas"

# what glibc reserves, aligned, for each arena but the first
_ARENA_BYTES = 64 << 20
# pymalloc's; adjacent ones are one mapping
_PYTHON_ARENA_BYTES = 1 << 20
MANY_BLOCKS = 2_500_000  # to list the objects of more would hold the GIL for more than 45 ms
_MAX_ADDRESSES = 50_000
# sizes of anonymous mappings, as classes that stay the same from one profile to the next
_SIZES = ((1 << 20, "< 1 MiB"), (1 << 24, "1 to 16 MiB"), (1 << 28, "16 to 256 MiB"))
_LARGEST = "> 256 MiB"


class MappingKinds:
    """Tells the kinds of mappings, of this process at this moment.

    A stack is known by a thread of Python, whose identifier is an address in it. A part of Python's
    heap is known by a Python object in it, or as it consists of whole arenas of 1 MiB; the kernel
    may have merged other memory with it.
    """

    def __init__(self) -> None:
        self._threads = _thread_addresses()
        self._objects = _object_addresses()
        self._pymalloc = False  # it is in use: a mapping with an object has been seen

    def kind(
        self, mapping: MemoryMapping, following: MemoryMapping | None, before: MemoryMapping | None
    ) -> tuple[str, str]:
        """Return the kind and the name of a mapping, given its neighbours."""
        name = mapping.name
        if mapping.huge:
            return HUGE_PAGES, name or "[anonymous huge pages]"
        if name.startswith(("/memfd:", "/memfd (")):
            return MEMFD, name
        if name.startswith("/dev/"):
            shared = name.startswith(("shm/", "zero"), len("/dev/"))
            return (SHARED_MEMORY if shared else DEVICE), name
        if name.startswith("/SYSV") or name == "[anon_shmem]":
            return SHARED_MEMORY, name
        if name.startswith("/"):
            return FILE, name
        if name == "[heap]":
            return C_HEAP, name
        if name == "[stack]":
            return MAIN_STACK, name
        if name in {"[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]"}:
            return KERNEL, name
        if name and not name.startswith(("[anon:", "[stack:")):
            return OTHER_KIND, name
        return self._anonymous(mapping, following, before)

    def _anonymous(
        self, mapping: MemoryMapping, following: MemoryMapping | None, before: MemoryMapping | None
    ) -> tuple[str, str]:
        if mapping.permissions.startswith("---"):
            arena = before is not None and _is_arena(before, mapping)
            return (
                (MALLOC_ARENA, "[malloc arena, reserved]") if arena else (RESERVED, "[no access]")
            )
        if mapping.permissions.endswith("s"):
            return SHARED_MEMORY, mapping.name or "[anonymous shared memory]"
        if _within(self._threads, mapping):
            return THREAD_STACK, "[thread stack]"
        if _is_arena(mapping, following):
            return MALLOC_ARENA, "[malloc arena]"
        if _within(self._objects, mapping):
            self._pymalloc = True
            return PYTHON_HEAP, PYMALLOC_ARENAS
        size_bytes = mapping.end - mapping.begin
        writable = mapping.permissions.startswith("rw")
        if mapping.name:
            return ANONYMOUS, mapping.name
        size = next((text for limit, text in _SIZES if size_bytes < limit), _LARGEST)
        kind = WHOLE_ARENAS if writable and not size_bytes % _PYTHON_ARENA_BYTES else ANONYMOUS
        return kind, f"[anonymous, {size}]"

    def settle(self, kind: str, name: str) -> tuple[str, str]:
        """Return the final kind and name, when all mappings have been seen."""
        if kind != WHOLE_ARENAS:
            return kind, name
        return (PYTHON_HEAP, PYMALLOC_ARENAS) if self._pymalloc else (ANONYMOUS, name)


def _is_arena(mapping: MemoryMapping, following: MemoryMapping | None) -> bool:
    """Return whether a mapping is the used part of an arena, and `following` its reserved part."""
    if mapping.begin % _ARENA_BYTES or mapping.name or not mapping.permissions.startswith("rw"):
        return False
    if mapping.end - mapping.begin == _ARENA_BYTES:
        return True
    return (
        following is not None
        and following.begin == mapping.end
        and following.permissions.startswith("---")
        and following.end == mapping.begin + _ARENA_BYTES
    )


def _within(addresses: list[int], mapping: MemoryMapping) -> bool:
    index = bisect_left(addresses, mapping.begin)
    return index < len(addresses) and addresses[index] < mapping.end


def _thread_addresses() -> list[int]:
    """Return an address in the stack of each thread of Python: in glibc and musl its identifier.

    That of the main thread is elsewhere: the kernel made its stack, and names it.
    """
    # no frame is kept: the dictionary exists only during the call
    found = set(chain.from_iterable(islice(iter(sys._current_frames, None), 1)))
    found.discard(_main_ident())
    return sorted(found)


def _main_ident() -> int:
    """Return the identifier of the main thread, 0 if it is unknown."""
    threading: Any = dict.get(sys.modules, "threading")
    try:
        # of Thread itself: a subclass may have a property __dict__
        attributes = threading.Thread.__dict__["__dict__"].__get__(threading._main_thread)  # noqa: SLF001
        ident = attributes.get("_ident")
    except (AttributeError, KeyError, TypeError):
        return 0
    return ident if type(ident) is int else 0


def _object_addresses() -> list[int]:
    """Return addresses of objects of Python, all over its heap; of young ones in a large process.

    No object is kept while another thread may run.
    """
    blocks = sys.getallocatedblocks()
    if blocks <= MANY_BLOCKS:
        step = blocks // _MAX_ADDRESSES + 1
        return sorted(map(id, islice(gc.get_objects(), 0, None, step)))
    young = list(map(id, islice(gc.get_objects(generation=0), _MAX_ADDRESSES)))
    older = list(map(id, islice(gc.get_objects(generation=1), _MAX_ADDRESSES)))
    return sorted(young + older + list(map(id, sys.modules.copy().values())))
