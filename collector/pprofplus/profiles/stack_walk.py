"""Reads CPU clocks, states and stacks of all threads in one call of C functions.

Between two lines of Python the GIL may be released. The threads of the host run then, so that what
is read before and after does not belong together; and a frame that is kept meanwhile may keep the
locals of a function that returns, whose finalizers would run in our thread. So everything here is
one expression of iterators that call C functions only: `map`, `chain`, `accumulate`. It begins with
the wait for the tick: nothing runs between the moment at which the thread gets the GIL and the
first reading.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from itertools import accumulate, chain, compress, filterfalse, islice, repeat, takewhile
from operator import attrgetter, methodcaller, ne, truth

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any

# a deeper stack loses its outermost frames
MAX_DEPTH = 1024
# the GIL is held while so many threads are walked, 0.1 to 0.2 µs a frame
GROUP = 16

# missing on macOS and Windows
_clock_of: Any = getattr(time, "pthread_getcpuclockid", None)
_clock_ns: Any = getattr(time, "clock_gettime_ns", None)
HAS_CLOCKS: bool = _clock_of is not None and _clock_ns is not None

_call: Any = methodcaller("__call__")
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


class ThreadReading:
    """What one call has read; all of it is of one moment.

    Attributes:
        idents: all threads that run Python, except those to skip.
        clocks: numbers of their CPU clocks; zeros on platforms without.
        cpu_ns: their CPU times; zeros on platforms without.
        moved: those whose CPU time has changed, as identifiers.
        later_ns: CPU times of `moved`, read again at the end.
        states: of `moved`: lengths of what was read, see `ThreadStates.reader`.
        stacks: of the first of `moved`, at most GROUP, as `walk` returns them.
    """

    __slots__ = ("clocks", "cpu_ns", "idents", "later_ns", "moved", "stacks", "states")

    def __init__(self) -> None:
        self.idents: list[int] = []
        self.clocks: list[int] = []
        self.cpu_ns: list[int] = []
        self.moved: list[int] = []
        self.later_ns: list[int] = []
        self.states: list[int] = []
        self.stacks: list[list[Any]] = []


def read_threads(
    skip: set[int],
    known_ns: dict[int, int],
    reader: Callable[[list[int]], Iterable[int]] | None = None,
    first: Iterable[Callable[[], object]] = (),
    *,
    clocks: bool = HAS_CLOCKS,
) -> ThreadReading:
    """Read all threads.

    Args:
        skip: identifiers of threads to leave out.
        known_ns: CPU time of each known thread just before its stack was walked the last time.
        reader: returns an iterator of C functions that reads the states of threads.
        first: C functions without arguments to call before, such as a partial of a lock's acquire.
        clocks: CPU clocks exist; else each thread counts as moved.

    Raises OSError if the C library does not know the clock of a thread.
    """
    reading = ThreadReading()
    idents, moved = reading.idents, reading.moved
    changed: list[bool] = []
    running = filterfalse(skip.__contains__, chain.from_iterable(_top_frames()))
    # each step reads, when it is called, the lists that steps before it have filled
    steps: list[Callable[[], object]] = [*first]
    steps.append(partial(idents.extend, running))
    if clocks:
        # the C library reads memory of the thread: it must not have ended
        steps.append(partial(reading.clocks.extend, map(_clock_of, idents)))
        steps.append(partial(reading.cpu_ns.extend, map(_clock_ns, reading.clocks)))
        steps.append(partial(changed.extend, map(ne, reading.cpu_ns, map(known_ns.get, idents))))
        steps.append(partial(moved.extend, compress(idents, changed)))
    else:
        steps.append(partial(moved.extend, idents))
    if reader is not None:
        steps.append(partial(reading.states.extend, reader(moved)))
    steps.append(partial(reading.stacks.extend, _stacks(islice(moved, GROUP))))
    if clocks:
        moved_clocks = compress(reading.clocks, changed)
        steps.append(partial(reading.later_ns.extend, map(_clock_ns, moved_clocks)))
    # Each step is removed before it is called, because its iterators keep frames.
    count = len(steps)
    steps.reverse()
    list(map(_call, islice(iter(steps.pop, None), count)))
    if not clocks:
        reading.clocks = reading.cpu_ns = [0] * len(idents)
    return reading


def walk(idents: list[int]) -> list[list[Any]]:
    """Return the stacks of these threads: code, offset, code, offset …, the leaf first.

    The stack of a thread that has ended is empty.
    """
    return list(_stacks(idents)) if idents else []


def walk_modules(idents: list[int]) -> list[list[Any]]:
    """Return code and `__name__` of the module of each frame of these threads, as `walk`."""
    if not idents:
        return []
    # No iterator may be in a local variable: it would keep our own frame, which would keep it.
    return list(map(list, map(chain.from_iterable, map(zip, _codes(idents), _modules(idents)))))


def running_threads() -> list[int]:
    """Return the identifiers of all threads that run Python."""
    return list(chain.from_iterable(_top_frames()))


def _stacks(idents: Iterable[int]) -> Iterable[list[Any]]:
    """Return an iterator of the stacks, as `walk`, that holds no frame yet."""
    places = map(map, _CODE_AND_OFFSET, _chains_of_frames(idents))
    return map(list, map(chain.from_iterable, places))


def _codes(idents: Iterable[int]) -> Iterable[Iterable[object]]:
    return map(map, _CODE, _chains_of_frames(idents))


def _modules(idents: Iterable[int]) -> Iterable[Iterable[object]]:
    # f_globals may be a subclass of dict with methods of the host
    return map(map, _DICT_GET, map(map, _GLOBALS, _chains_of_frames(idents)), repeat(_NAME))


def _chains_of_frames(idents: Iterable[int]) -> Iterable[Iterable[FrameType]]:
    """Return an iterator of the frames of each thread, the leaf first, that holds no frame yet.

    From inside: the dictionary of all top frames; of these, those of `idents`; from each one frame,
    frame.f_back, and so on, cut before the None at the end and at a maximal depth.
    """
    top = map(dict.get, chain.from_iterable(map(repeat, _top_frames())), idents)
    chains: Any = map(accumulate, map(chain, zip(top), repeat(_F_BACK)), _GETATTR)
    return map(islice, map(takewhile, _TRUTH, chains), _LIMIT)


def _top_frames() -> Iterable[dict[int, FrameType]]:
    """Return an iterator of one item, sys._current_frames(), which is called by `next`."""
    return islice(iter(sys._current_frames, None), 1)
