"""Collects the stacks of all threads of this process, from any one of its threads.

    stacks = ThreadStacks()
    for thread in stacks.collect():           # one tick; on any thread, by one at a time
        thread.name, thread.tid, thread.cpu_ns, thread.stack
    for frame in stacks.frames(thread.stack): # later: numbers, the leaf first
        stacks.frame(frame)                   # FrameName: name, filename, line, first line

A burst of n ticks is n calls, with `switch_interval.ShortSwitchInterval` around them. A tick should
wait inside of `collect`, which reads what happens at the moment at which it gets the GIL.

Nothing here calls code of the host. Frames are distinguished by the identity of their code, not by
comparing it; the code is kept alive until `forget`, so that its identity stays unique. The stack of
a thread whose CPU clock stands still is not walked again: without using CPU, a thread cannot have
changed its stack. Not collected: the calling thread, and the threads of this package.
"""

from __future__ import annotations

import os
import sys
from opcode import opname

from pprofplus.profiles.address_ranges import mapped_ranges
from pprofplus.profiles.code_names import function_name, line_of
from pprofplus.profiles.sampled_thread import SampledThread
from pprofplus.profiles.stack_walk import (
    GROUP,
    HAS_CLOCKS,
    MAX_DEPTH,
    read_threads,
    running_threads,
    walk,
    walk_modules,
)
from pprofplus.profiles.thread_names import module_by_file, thread_name
from pprofplus.system.background import own_threads
from pprofplus.system.real_threads import real_ident

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from types import CodeType
    from typing import Any

    from pprofplus.profiles.stack_walk import ThreadReading
    from pprofplus.profiles.thread_states import ThreadStates

_NEVER_RELEASING = ("JUMP", "POP_JUMP", "RESUME")
TRUNCATED, OTHER = "[truncated]", "[other]"
_TRUNCATED, _OTHER = 0, -1  # their offsets
# after so many different stacks or frames, `full` is true, and new stacks are OTHER
MAX_KNOWN = 200_000


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
        lost: calls of `collect` in which the stacks could not be read.
        ended: threads that were collected and have ended since, until the caller clears it.
        busiest_tid: the thread that used most CPU since the call before, 0 if none did.
    """

    __slots__ = (
        "_clocks",
        "_codes",
        "_frame_numbers",
        "_frames",
        "_known_ns",
        "_modules",
        "_moved",
        "_pid",
        "_stack_numbers",
        "_stacks",
        "_states",
        "_threads",
        "_unmapped",
        "busiest_tid",
        "ended",
        "lost",
    )

    def __init__(self, states: ThreadStates | None = None) -> None:
        """Prepare it; `states` fills in `SampledThread.state`, and is closed by its owner."""
        self.lost = 0
        self.busiest_tid = 0
        self.ended: list[SampledThread] = []
        self._states = states
        self._begin()
        self.forget()

    def _begin(self) -> None:
        """Forget all threads, as in a forked child, which has other ones."""
        self._pid = os.getpid()
        self._threads: dict[int, SampledThread] = {}
        self._moved: list[SampledThread] = []
        self._known_ns: dict[int, int] = {}
        self._clocks = HAS_CLOCKS
        self._unmapped = _unmapped_threads() if HAS_CLOCKS else frozenset()

    def forget(self) -> None:
        """Free all stacks, frames and the code that they keep alive; numbers begin again at 0."""
        self._codes: dict[int, CodeType] = {}
        self._modules: dict[int, str] = {}
        self._frame_numbers: dict[tuple[int, int], int] = {}
        self._frames: list[tuple[CodeType | None, int]] = []
        self._stack_numbers: dict[tuple[int, ...], int] = {}
        self._stacks: list[tuple[int, ...]] = []
        self._known_ns.clear()  # walk all stacks again

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

    def function(self, number: int) -> int:
        """Return what identifies the function of a frame, until `forget`."""
        return id(self._frames[number][0])

    def may_release_gil(self, number: int) -> bool:
        """Return whether the instruction of a frame may release the GIL by itself, as a call may.

        At a jump and at the begin of a function, the interpreter only passes it on if asked to.
        """
        code, offset = self._frames[number]
        if code is None or not 0 <= offset < len(code.co_code):
            return False
        return not opname[code.co_code[offset]].startswith(_NEVER_RELEASING)

    def frame(self, number: int) -> FrameName:
        """Return what a frame is, for people; the line is looked up now."""
        code, offset = self._frames[number]
        if code is None:
            return FrameName(TRUNCATED if offset == _TRUNCATED else OTHER)
        module = self._modules.get(id(code))
        if module is None:
            module = module_by_file(code.co_filename)
        return FrameName(
            function_name(code, module),
            code.co_filename,
            line_of(code, offset),
            code.co_firstlineno,
        )

    @property
    def threads(self) -> Collection[SampledThread]:
        """The threads of the last `collect`."""
        return self._threads.values()

    def collect(self, first: Iterable[Callable[[], object]] = ()) -> Collection[SampledThread]:
        """Return all threads that run Python, with their stacks and clocks of one moment.

        If the stacks cannot be read, as with too little memory, they are those of the last call,
        and `lost` counts it.

        Args:
            first: C functions without arguments to call before, such as a partial of a lock's
                acquire that waits for the tick. What is read is of the moment at which the last one
                returns.
        """
        if self._pid != os.getpid():
            self._begin()
        try:
            reading = self._read(first)
            self._update(reading)
        except (OSError, MemoryError, RuntimeError, LookupError, AttributeError, TypeError):
            self.lost += 1
        return self._threads.values()

    def _read(self, first: Iterable[Callable[[], object]]) -> ThreadReading:
        skip = {real_ident(), *own_threads(), *self._unmapped}
        reader = None if self._states is None else self._states.reader
        if self._clocks:
            try:
                return read_threads(skip, self._known_ns, reader, first)
            except OSError:
                # It knows a thread of Python that the C library does not know: a child that was
                # forked without informing Python. The wait is over.
                self._clocks = False
                first = ()
        return read_threads(skip, self._known_ns, reader, first, clocks=False)

    def _update(self, reading: ThreadReading) -> None:
        """Store what was read of each thread that moved."""
        for thread in self._moved:
            thread.moved = False
        alive = set(reading.idents)
        if self._threads.keys() != alive:
            for ident in self._threads.keys() - alive:
                self._remove(ident)
        self._moved = self._update_clocks(reading)
        if self._states is not None:
            self._states.update(self._moved, reading.states, reading.later_ns)
        self._keep(reading.moved[:GROUP], reading.stacks)
        for begin in range(GROUP, len(reading.moved), GROUP):
            group = reading.moved[begin : begin + GROUP]
            self._keep(group, walk(group))
        if self._clocks:
            for thread in self._moved:
                if thread.ident in self._threads:
                    self._known_ns[thread.ident] = thread.cpu_ns

    def _update_clocks(self, reading: ThreadReading) -> list[SampledThread]:
        """Return the threads that moved, some of which are new."""
        pairs = zip(reading.clocks, reading.cpu_ns, strict=True)
        clocks = dict(zip(reading.idents, pairs, strict=True))
        moved = []
        self.busiest_tid = most_ns = 0
        for ident in reading.moved:
            clock, cpu_ns = clocks[ident]
            thread = self._threads.get(ident)
            if thread is None or thread.clock != clock:
                self._remove(ident)
                thread = self._threads[ident] = SampledThread(ident, clock, cpu_ns)
            elif cpu_ns - thread.cpu_ns > most_ns:
                most_ns, self.busiest_tid = cpu_ns - thread.cpu_ns, thread.tid
            thread.cpu_ns = cpu_ns
            thread.moved = True
            moved.append(thread)
        return moved

    def _keep(self, idents: list[int], walked: list[list[Any]]) -> None:
        """Store the stacks of these threads."""
        known = len(self._codes)
        for ident, stack in zip(idents, walked, strict=True):
            if not stack:
                self._remove(ident)  # it has ended
                continue
            thread = self._threads[ident]
            thread.stack = self._number(stack)
            if not thread.name:
                thread.name = thread_name(ident, thread.tid)
        if len(self._codes) > known:
            self._find_modules(idents)

    def _remove(self, ident: int) -> None:
        self._known_ns.pop(ident, None)
        if ident in self._threads:
            thread = self._threads.pop(ident)
            self.ended.append(thread)
            if self._states is not None:
                self._states.forget(ident)

    def _number(self, stack: list[Any]) -> int:
        """Return the number of a stack: code and offset of each frame, the leaf first."""
        codes, offsets = stack[::2], stack[1::2]
        truncated = len(codes) > MAX_DEPTH
        if truncated:
            codes[MAX_DEPTH:], offsets[MAX_DEPTH:] = (), (-1,)
        key = (*map(id, codes), *offsets)
        number = self._stack_numbers.get(key)
        if number is not None:
            return number
        if self.full:
            key, codes, truncated = (_OTHER,), [], False
            if key in self._stack_numbers:
                return self._stack_numbers[key]
        frames = [] if codes else [self._mark(_OTHER)]
        for code, offset in zip(codes, offsets, strict=False):
            place = id(code), offset
            frame = self._frame_numbers.get(place)
            if frame is None:
                self._codes[place[0]] = code
                frame = self._frame_numbers[place] = len(self._frames)
                self._frames.append((code, offset))
            frames.append(frame)
        if truncated:
            frames.append(self._mark(_TRUNCATED))
        number = self._stack_numbers[key] = len(self._stacks)
        self._stacks.append(tuple(frames))
        return number

    def _mark(self, offset: int) -> int:
        """Return the number of a frame that is no code."""
        frame = self._frame_numbers.setdefault((0, offset), len(self._frames))
        if frame == len(self._frames):
            self._frames.append((None, offset))
        return frame

    def _find_modules(self, idents: list[int]) -> None:
        """Find the modules of code that is new: walk the same threads again.

        The stacks have rarely changed since. Code that is gone is found by its file name.
        """
        modules, codes = self._modules, self._codes
        for stack in walk_modules(idents):
            for code, name in zip(stack[::2], stack[1::2], strict=False):
                if id(code) in codes and id(code) not in modules:
                    modules[id(code)] = name if type(name) is str else ""


def stacks_problem() -> str:
    """Return why stacks cannot be collected in this interpreter, one line, or ""."""
    if type(getattr(sys, "_current_frames", None)) is not type(len):
        return "this interpreter does not show the stacks of its threads"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "stacks cannot be collected safely in a free-threaded build without the GIL"
    try:
        real_ident()
    except LookupError as error:
        return str(error)
    return ""


def _unmapped_threads() -> frozenset[int]:
    """Return the threads that Python knows and whose memory does not exist.

    They are threads of the parent, in a child that was forked without informing Python. The C
    library would read their memory.
    """
    try:
        ranges = mapped_ranges()
    except OSError:
        return frozenset()
    idents = running_threads()
    return frozenset(ident for ident in idents if not any(ident in each for each in ranges))
