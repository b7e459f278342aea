"""Collects the stacks of all threads of this process, from any one of its threads.

    stacks = ThreadStacks()
    for thread in stacks.collect():           # one tick; on any thread, by one at a time
        thread.name, thread.tid, thread.cpu_ns, thread.stack
    for frame in stacks.frames(thread.stack): # later: numbers, the leaf first
        stacks.frame(frame)                   # FrameName: name, filename, line, first line

A burst of n ticks is n calls, with `switch_interval.short_switch_interval` around them. Nothing
here sleeps, locks, or opens a file, except `_mapped`, once for each ThreadStacks.

What a tick must not do, and how it avoids that:

- It keeps no frame while the GIL may be released: if a function returned meanwhile, its locals
  would be freed, and their finalizers run, on our thread. So one expression that consists of C
  functions only walks the stacks of all threads; it returns code objects and offsets.
- It calls no code of the host. Frames are distinguished by the identity of their code, not by
  comparing it; the code is kept alive until `forget`, so that its identity stays unique.
- It does not walk the stack of a thread whose CPU clock stands still: without using CPU, a thread
  cannot have changed its stack.
- `pthread_getcpuclockid` reads memory of the thread, so it is called only for threads that Python
  knows at that moment, in the same expression.

Not collected: the calling thread, and the threads of this package.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import accumulate, chain, filterfalse, islice, repeat, takewhile, tee
from operator import attrgetter, truth

from pprofplus.profiles.code_names import function_name, line_of
from pprofplus.system.background import own_threads
from pprofplus.system.descriptor import close_descriptor
from pprofplus.system.real_threads import real_ident

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from types import CodeType, FrameType
    from typing import Any

# a deeper stack loses its outermost frames
MAX_DEPTH = 1024
TRUNCATED = "[truncated]"
# the GIL is held while so many threads are walked, 0.1 to 0.2 µs a frame; then it may be released
_GROUP = 8
# after this many different stacks or frames, `full` is true
MAX_KNOWN = 200_000

# missing on macOS and Windows: there each thread is walked at each tick
_clock_of: Any = getattr(time, "pthread_getcpuclockid", None)
_clock_ns: Any = getattr(time, "clock_gettime_ns", None)
_NO_CLOCK = 0

# constant arguments of map()
_F_BACK = repeat("f_back")
_GETATTR = repeat(getattr)
_TRUTH = repeat(truth)
_CODE_AND_OFFSET = repeat(attrgetter("f_code", "f_lasti"))
_CODE = repeat(attrgetter("f_code"))
_GLOBALS = repeat(attrgetter("f_globals"))
_DICT_GET = repeat(dict.get)
_NAME = repeat("__name__")
_LIMIT = repeat(MAX_DEPTH + 1)

_MODULE = type(sys)


class SampledThread:
    """One thread, from when it is first collected to its end; the same object at each tick.

    Attributes:
        ident: Python's identifier; another thread may get the same one later.
        tid: the kernel's identifier, 0 if unknown.
        name: its name in `threading`, "MainThread" for the main one, "" if it has none.
        cpu_ns: its CPU clock at the last tick, -1 if unknown.
        first_cpu_ns: its CPU clock when it was first collected.
        stack: the number of its stack at the last tick.
        moved: it used CPU between the last two ticks, or that is unknown.
        clock: the number of its CPU clock, 0 if unknown.
        walked_ns: its CPU clock before its stack was walked, -1 to walk it again.
    """

    __slots__ = (
        "clock",
        "cpu_ns",
        "first_cpu_ns",
        "ident",
        "moved",
        "name",
        "stack",
        "tid",
        "walked_ns",
    )

    def __init__(self, ident: int, clock: int) -> None:
        self.ident = ident
        self.tid = ~(clock >> 3) if clock else 0
        self.name = ""
        self.first_cpu_ns = self.cpu_ns = _read_clock(clock)
        self.stack = 0
        self.moved = True
        self.clock = clock
        self.walked_ns = -1


class FrameName:
    """A line of a function, for people.

    Attributes:
        name: "module.qualname".
        filename: of its source, as the code object has it.
        line: the line that runs; 0 for none.
        first_line: of the function; 0 for none.
    """

    __slots__ = ("filename", "first_line", "line", "name")

    def __init__(self, name: str, filename: str = "", line: int = 0, first_line: int = 0) -> None:
        self.name = name
        self.filename = filename
        self.line = line
        self.first_line = first_line


class ThreadStacks:
    """Collects all threads, and numbers their stacks and frames.

    Attributes:
        lost: calls of `collect` in which the stacks could not be walked.
    """

    __slots__ = (
        "_codes",
        "_frame_numbers",
        "_frames",
        "_modules",
        "_pid",
        "_stack_numbers",
        "_stacks",
        "_threads",
        "_unmapped",
        "lost",
    )

    def __init__(self) -> None:
        self.lost = 0
        self._pid = os.getpid()
        self._threads: dict[int, SampledThread] = {}
        self._unmapped = _unmapped(_idents(set())) if _clock_of is not None else frozenset()
        self.forget()

    def forget(self) -> None:
        """Free all stacks, frames and the code that they keep alive; numbers begin again at 0."""
        self._codes: dict[int, CodeType] = {}
        self._modules: dict[int, str] = {}
        self._frame_numbers: dict[tuple[int, int], int] = {}
        self._frames: list[tuple[CodeType | None, int]] = []
        self._stack_numbers: dict[tuple[int, ...], int] = {}
        self._stacks: list[tuple[int, ...]] = []
        for thread in self._threads.values():
            thread.walked_ns = -1  # walk it again

    @property
    def full(self) -> bool:
        """Whether so many stacks or frames are known that the caller should `forget` them."""
        return len(self._stacks) > MAX_KNOWN or len(self._frames) > MAX_KNOWN

    def __len__(self) -> int:
        """Return the number of different stacks; they are numbered 0 to n - 1."""
        return len(self._stacks)

    def frames(self, stack: int) -> tuple[int, ...]:
        """Return the numbers of the frames of a stack, the leaf first."""
        return self._stacks[stack]

    def frame(self, number: int) -> FrameName:
        """Return what a frame is, for people; the line is looked up now."""
        code, offset = self._frames[number]
        if code is None:
            return FrameName(TRUNCATED)
        module = self._modules.get(id(code))
        if module is None:
            module = _module_by_file(code.co_filename)
        return FrameName(
            function_name(code, module),
            code.co_filename,
            line_of(code, offset),
            code.co_firstlineno,
        )

    def collect(self) -> Collection[SampledThread]:
        """Return all threads with Python frames, with their stacks and clocks of this moment.

        The collection is valid until the next call. If the stacks cannot be walked, as with too
        little memory, it is empty, and `lost` counts it.
        """
        if self._pid != os.getpid():  # a forked child: the threads are others
            self._pid = os.getpid()
            self._threads = {}
        skip = self._read_clocks()
        try:
            idents, clocks = self._moved_threads(skip)
            for begin in range(0, len(idents), _GROUP):
                group = idents[begin : begin + _GROUP]
                walked = _walk(group)
                self._keep(group, clocks[begin : begin + _GROUP], walked)
        except (OSError, MemoryError, RuntimeError, AttributeError, TypeError):
            self.lost += 1
            return ()
        return self._threads.values()

    def _keep(self, idents: list[int], clocks: list[int], walked: list[list[Any]]) -> None:
        """Store the stacks that `_walk` returned for these threads."""
        threads = self._threads
        known = len(self._codes)
        for ident, clock, stack in zip(idents, clocks, walked, strict=True):
            if not stack:
                threads.pop(ident, None)  # it has ended
                continue
            thread = threads.get(ident)
            if thread is None or thread.clock != clock:
                thread = threads[ident] = SampledThread(ident, clock)
            thread.stack = self._number(stack)
            if not thread.name:
                thread.name = _thread_name(ident, thread.tid)
        if len(self._codes) > known:
            self._find_modules(idents)

    def _read_clocks(self) -> set[int]:
        """Read the clocks of the known threads; return the identifiers not to be walked."""
        skip = own_threads()
        skip.add(real_ident())
        threads = self._threads
        known = list(threads.values())
        clocks: Iterable[int]
        try:
            # fails if one of them has ended
            clocks = list(map(_clock_ns, [thread.clock for thread in known]))
        except (OSError, TypeError):
            clocks = [_read_clock(thread.clock) for thread in known]
        for thread, cpu_ns in zip(known, clocks, strict=True):
            if cpu_ns < 0 or not thread.clock:
                thread.moved = True
            elif cpu_ns == thread.walked_ns:
                thread.moved = False
                skip.add(thread.ident)
            else:
                thread.moved = True
                thread.cpu_ns = thread.walked_ns = cpu_ns
        return skip

    def _moved_threads(self, skip: set[int]) -> tuple[list[int], list[int]]:
        """Return identifiers and clocks of the threads to be walked; forget those that ended."""
        if _clock_of is None:
            idents = _idents(skip)
            clocks = [_NO_CLOCK] * len(idents)
        else:
            try:
                idents, clocks = _idents_and_clocks(skip | self._unmapped)
            except OSError:  # a thread of Python of which the C library knows nothing
                idents = _idents(skip)
                clocks = [_NO_CLOCK] * len(idents)
            else:
                if self._unmapped:
                    unmapped = [ident for ident in _idents(skip) if ident in self._unmapped]
                    idents += unmapped
                    clocks += [_NO_CLOCK] * len(unmapped)
        threads = self._threads
        for ident in threads.keys() - skip.union(idents):
            del threads[ident]
        for ident in threads.keys() & own_threads():
            del threads[ident]
        return idents, clocks

    def _number(self, stack: list[Any]) -> int:
        """Return the number of a stack: code and offset of each frame, the leaf first."""
        codes, offsets = stack[::2], stack[1::2]
        key = (*map(id, codes), *offsets)
        number = self._stack_numbers.get(key)
        if number is not None:
            return number
        frames = []
        for code, offset in zip(codes[:MAX_DEPTH], offsets, strict=False):
            place = id(code), offset
            frame = self._frame_numbers.get(place)
            if frame is None:
                self._codes[place[0]] = code
                frame = self._frame_numbers[place] = len(self._frames)
                self._frames.append((code, offset))
            frames.append(frame)
        if len(codes) > MAX_DEPTH:
            frame = self._frame_numbers.setdefault((0, 0), len(self._frames))
            if frame == len(self._frames):
                self._frames.append((None, 0))
            frames.append(frame)
        number = self._stack_numbers[key] = len(self._stacks)
        self._stacks.append(tuple(frames))
        return number

    def _find_modules(self, idents: list[int]) -> None:
        """Find the modules of code that is new: walk the same threads again.

        The stacks have rarely changed since. Code that is gone is found by its file name.
        """
        modules, codes = self._modules, self._codes
        for stack in _walk_modules(idents):
            for code, name in zip(stack[::2], stack[1::2], strict=False):
                if id(code) in codes and id(code) not in modules:
                    modules[id(code)] = name if type(name) is str else ""


def _walk(idents: list[int]) -> list[list[Any]]:
    """Return code and offset of each frame of each thread, the leaf first; empty if it has none."""
    if not idents:
        return []
    return list(
        map(list, map(chain.from_iterable, map(map, _CODE_AND_OFFSET, _chains_of_frames(idents))))
    )


def _walk_modules(idents: list[int]) -> list[list[Any]]:
    """Return code and `__name__` of the module of each frame of each thread, as `_walk`."""
    codes = map(map, _CODE, _chains_of_frames(idents))
    # f_globals may be a subclass of dict with methods of the host
    names = map(map, _DICT_GET, map(map, _GLOBALS, _chains_of_frames(idents)), repeat(_NAME))
    return list(map(list, map(chain.from_iterable, map(zip, codes, names))))


def _chains_of_frames(idents: list[int]) -> Iterable[Iterable[FrameType]]:
    """Return an iterator of the frames of each thread, the leaf first, that holds no frame yet.

    It consists of C functions only. From inside: the dictionary of all top frames; of these, those
    of `idents`; from each one frame, frame.f_back, and so on, cut before the None at the end and at
    a maximal depth.
    """
    top = map(dict.get, chain.from_iterable(map(repeat, _top_frames())), idents)
    chains: Any = map(accumulate, map(chain, zip(top), repeat(_F_BACK)), _GETATTR)
    return map(islice, map(takewhile, _TRUTH, chains), _LIMIT)


def _top_frames() -> Iterable[dict[int, FrameType]]:
    """Return an iterator of one item, sys._current_frames(), which is called by `next`."""
    return islice(iter(sys._current_frames, None), 1)


def _idents(skip: set[int]) -> list[int]:
    """Return the identifiers of all threads that run Python, without `skip`."""
    return list(filterfalse(skip.__contains__, chain.from_iterable(_top_frames())))


def _idents_and_clocks(skip: set[int]) -> tuple[list[int], list[int]]:
    """Return identifiers and CPU clocks of all threads that run Python, without `skip`.

    Raises OSError if the C library does not know one of them.
    """
    found, again = tee(filterfalse(skip.__contains__, chain.from_iterable(_top_frames())))
    pairs = list(zip(found, map(_clock_of, again), strict=False))
    return [ident for ident, _ in pairs], [clock for _, clock in pairs]


def _read_clock(clock: int) -> int:
    """Return a CPU clock in ns, -1 if the thread has ended or its clock is unknown."""
    if not clock or _clock_ns is None:
        return -1
    try:
        cpu_ns: int = _clock_ns(clock)
    except OSError:
        return -1
    return cpu_ns


def _unmapped(idents: Iterable[int]) -> frozenset[int]:
    """Return those of `idents` whose memory does not exist.

    They are threads of the parent, of which a child knows that was forked without informing Python;
    the C library would read their memory.
    """
    try:
        ranges = _mapped_ranges()
    except OSError:
        return frozenset()
    return frozenset(
        ident for ident in idents if not any(begin <= ident < end for begin, end in ranges)
    )


def _mapped_ranges() -> list[tuple[int, int]]:
    number = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = b""
        while part := os.read(number, 1 << 16):
            text += part
    finally:
        close_descriptor(number)
    ranges = []
    for line in text.splitlines():
        begin, _, end = line.split(b" ", 1)[0].partition(b"-")
        ranges.append((int(begin, 16), int(end, 16)))
    return ranges


def _thread_name(ident: int, tid: int) -> str:
    """Return a thread's name in `threading`; no code of the host is called for it."""
    threading = sys.modules.get("threading")
    active = getattr(threading, "_active", None)
    if type(active) is dict:
        # of Thread itself: a subclass may have a property __dict__
        try:
            attributes = vars(threading.Thread)["__dict__"]  # type: ignore[union-attr]
            name = attributes.__get__(active.get(ident)).get("_name")
        except (AttributeError, KeyError, TypeError):
            name = None
        if type(name) is str and name:
            return name
    return "MainThread" if tid and tid == os.getpid() else ""


def _module_by_file(filename: str) -> str:
    """Return the name of the module with this source file, or ""."""
    for name, module in sys.modules.copy().items():
        if (
            type(name) is str
            and type(module) is _MODULE
            and module.__dict__.get("__file__") == filename
        ):
            return name
    return ""
