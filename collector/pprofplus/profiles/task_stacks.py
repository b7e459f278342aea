"""Walks the asyncio tasks of all threads: the coroutines that each task awaits, as a stack.

No code of the host runs: attributes are read by the descriptors of builtin types. Tasks are read by
C functions, many in one call, so that this thread never holds the last reference to a task, whose
result would then be freed here. Of a task only its coroutine is kept, for about a millisecond.
"""

from __future__ import annotations

import gc
import sys
from _weakref import ref
from functools import partial
from itertools import tee
from operator import attrgetter, is_, is_not
from types import AsyncGeneratorType, CoroutineType, GeneratorType

from pprofplus.probes.concurrency import all_are_listed, eager_tasks, weak_sets
from pprofplus.probes.instances import distinct, instances_among, is_heap_type, with_subclasses

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType
    from typing import Any

    from pprofplus.profiles.capture import Task

    Readers = tuple[tuple[type, Callable[[Any], Any]], ...]

RUNNING, READY, SUSPENDED = "running", "ready", "suspended"
# From 3.11 on, Python creates an object of about 180 bytes for each frame that is looked at, which
# lives as long as the coroutine. After so many, lines are left out: fewer when memory is short.
FEW_FRAMES = 20_000
MANY_FRAMES = 200_000
NO_OFFSET = -2  # of the instruction, if the frame was not looked at

_CHUNK = 200  # tasks that are read in one call
_MAX_DEPTH = 1000
_MAX_TRIES = 5
_MAX_WRAPPERS = 4

# by type: what the walk reads of it, with the frame and without it
_CODE_OFFSET_AWAITED = (
    (CoroutineType, attrgetter("cr_code", "cr_frame.f_lasti", "cr_await")),
    (GeneratorType, attrgetter("gi_code", "gi_frame.f_lasti", "gi_yieldfrom")),
    (AsyncGeneratorType, attrgetter("ag_code", "ag_frame.f_lasti", "ag_await")),
)
_CODE_AWAITED = (
    (CoroutineType, attrgetter("cr_code", "cr_await")),
    (GeneratorType, attrgetter("gi_code", "gi_yieldfrom")),
    (AsyncGeneratorType, attrgetter("ag_code", "ag_await")),
)
_GLOBALS = (
    (CoroutineType, attrgetter("cr_frame.f_globals")),
    (GeneratorType, attrgetter("gi_frame.f_globals")),
    (AsyncGeneratorType, attrgetter("ag_frame.f_globals")),
)
_RUNNING = (
    (CoroutineType, attrgetter("cr_running")),
    (GeneratorType, attrgetter("gi_running")),
    (AsyncGeneratorType, attrgetter("ag_running")),
)
# builtin types between a coroutine and what it awaits, which do not show that themselves
_WRAPPERS = frozenset(
    ("anext_awaitable", "async_generator_asend", "async_generator_athrow", "coroutine_wrapper")
)
_name_of_type: Callable[[type], str] = type.__dict__["__name__"].__get__
_is_none = partial(is_, None)
_exists = partial(is_not, None)


class TaskStack:
    """One task that is not done.

    Attributes:
        frames: code and offset of the instruction of each coroutine, the innermost first; empty if
            it is no coroutine written in Python. An offset may be NO_OFFSET.
        name: of the task; "" if asyncio named it, or if it is no exact str.
        state: RUNNING, READY (the loop has not come to it) or SUSPENDED.
        ident: of the thread that runs its loop, 0 if unknown.
    """

    __slots__ = ("frames", "ident", "name", "state")

    def __init__(
        self, frames: Sequence[tuple[CodeType, int]], name: str, state: str, ident: int
    ) -> None:
        self.frames = frames
        self.name = name
        self.state = state
        self.ident = ident


class TaskWalk:
    """One walk over all tasks.

    Attributes:
        modules: name of the module of each code, by the code's id, as far as it is known.
        unknown: tasks of a kind that cannot be read.
        without_lines: tasks whose frames were not looked at, see `TaskWalk`.
    """

    __slots__ = ("_frames_left", "_getters", "_idents", "modules", "unknown", "without_lines")

    def __init__(self, max_frames: int) -> None:
        """Look at up to `max_frames` frames; of further tasks only the functions are known."""
        self.modules: dict[int, str] = {}
        self.unknown = 0
        self.without_lines = 0
        self._frames_left = max_frames if sys.version_info >= (3, 11) else sys.maxsize
        self._idents: dict[int, tuple[object, int]] = {}  # by the id of the loop, kept alive
        self._getters = _getters()

    def stacks(self, task: Task) -> Iterator[TaskStack]:
        """Yield each task that is not done. Raises ActionCancelledError if `task` must end."""
        references = _references()
        for begin in range(0, len(references), _CHUNK):
            task.check()
            chunk = references[begin : begin + _CHUNK]
            for row in self._read(chunk):
                yield self._stack(row)

    def _read(self, chunk: list[ref[Any]]) -> Iterator[tuple[Any, ...]]:
        """Yield the facts about each task that is not done."""
        try:
            rows = _facts(chunk, self._getters)
        except (AttributeError, TypeError):  # they are not all written in C
            rows = [row for each in chunk for row in self._read_alone(each)]
        for row in rows:
            if not row[2]:
                yield row

    def _read_alone(self, reference: ref[Any]) -> list[tuple[Any, ...]]:
        try:
            return _facts([reference], self._getters)
        except (AttributeError, TypeError):
            pass
        try:
            return _facts_of_python_task(reference())
        except (AttributeError, TypeError):
            self.unknown += 1
            return []

    def _stack(self, row: tuple[Any, ...]) -> TaskStack:
        coroutine, name, _, loop, ready = row
        running = _read_by_type(coroutine, _RUNNING)
        state = RUNNING if running else READY if ready else SUSPENDED
        if type(name) is not str or (name.startswith("Task-") and name[5:].isdigit()):
            name = ""
        known = self._idents.get(id(loop))
        if known is None:
            known = self._idents[id(loop)] = loop, _ident_of_loop(loop)
        return TaskStack(self._chain(coroutine), name, state, known[1])

    def _chain(self, awaitable: Any) -> list[tuple[CodeType, int]]:  # noqa: ANN401 - of the host
        """Return code and offset of each coroutine from this one inwards, the innermost first."""
        frames: list[tuple[CodeType, int]] = []
        looks = self._frames_left > 0
        if not looks:
            self.without_lines += 1
        while len(frames) < _MAX_DEPTH:
            inner = _unwrapped(awaitable)
            if inner is None:
                break
            try:
                if looks:
                    code, offset, awaitable = _read_by_type(inner, _CODE_OFFSET_AWAITED)
                    if id(code) not in self.modules:
                        names = _read_by_type(inner, _GLOBALS)
                        # f_globals may be a subclass of dict with methods of the host
                        module = dict.get(names, "__name__")
                        self.modules[id(code)] = module if type(module) is str else ""
                else:
                    code, awaitable = _read_by_type(inner, _CODE_AWAITED)
                    offset = NO_OFFSET
            except AttributeError:  # it has ended meanwhile, and has no frame
                break
            frames.append((code, offset))
        self._frames_left -= len(frames)
        frames.reverse()
        return frames


def _references() -> list[ref[Any]]:
    """Return weak references to all tasks."""
    if not all_are_listed():
        return distinct(_listed() + _found_by_type())
    return _listed()


def _listed() -> list[ref[Any]]:
    """Return weak references to the tasks in asyncio's sets."""
    for _ in range(_MAX_TRIES):
        try:
            found = [reference for each in weak_sets() for reference in list(each.data)]  # type: ignore[attr-defined]
            return found + list(map(ref, eager_tasks()))
        except RuntimeError:
            # a finalizer of the host ran during the copy, and changed the set
            continue
    return []


def _found_by_type() -> list[ref[Any]]:
    """Return weak references to the tasks of Python 3.14, which has no set of them."""
    kinds = with_subclasses(_c_task()) if _c_task() is not None else []
    classes = [kind for kind in kinds if is_heap_type(kind)]
    return instances_among(gc.get_referrers(*classes), kinds) if classes else []


def _c_task() -> Any:  # noqa: ANN401 - a class without stubs
    return getattr(dict.get(sys.modules, "_asyncio"), "Task", None)


def _getters() -> tuple[Callable[[Any], Any], ...]:
    """Return C functions for a task's coroutine, name, whether it is done, loop, and future.

    They are those of the class in C, also for an instance of a subclass, and raise TypeError for
    all other objects.
    """
    kind = _c_task()
    if kind is None:
        return ()
    try:
        coroutine, loop, future = attrgetter("_coro", "_loop", "_fut_waiter")(kind)
    except AttributeError:  # a version of Python that is not known
        return ()
    return coroutine.__get__, kind.get_name, kind.done, loop.__get__, future.__get__


def _facts(chunk: list[ref[Any]], getters: tuple[Callable[[Any], Any], ...]) -> list[Any]:
    """Return (coroutine, name, done, loop, waits for no future) of each task that still exists.

    Nothing is read before the last line, which calls C functions only. Raises TypeError if one is
    no task in C.
    """
    if not getters:
        raise TypeError("no task in C")
    tasks = tee(filter(_exists, map(ref.__call__, chunk)), len(getters))
    columns = list(map(map, getters, tasks))
    columns[-1] = map(_is_none, columns[-1])
    del tasks
    return list(zip(*columns, strict=True))


def _facts_of_python_task(task: object) -> list[tuple[Any, ...]]:
    """Return the same of a task of asyncio's class in Python. Raises what `_facts` raises."""
    future: Any = getattr(dict.get(sys.modules, "asyncio.futures"), "_PyFuture", None)
    attributes = future.__dict__["__dict__"].__get__(task)
    if task is None or type(attributes) is not dict:
        return []
    name, state = attributes.get("_name"), attributes.get("_state")
    return [
        (
            attributes.get("_coro"),
            name,
            type(state) is str and state != "PENDING",
            attributes.get("_loop"),
            attributes.get("_fut_waiter") is None,
        )
    ]


def _ident_of_loop(loop: object) -> int:
    """Return the identifier of the thread that runs a loop; 0 if it is unknown, as with uvloop."""
    module: Any = dict.get(sys.modules, "asyncio.events")
    try:
        attributes = module.AbstractEventLoop.__dict__["__dict__"].__get__(loop)
    except (AttributeError, KeyError, TypeError):
        return 0
    ident = dict.get(attributes, "_thread_id")
    return ident if type(ident) is int else 0


def _read_by_type(awaitable: object, readers: Readers) -> Any:  # noqa: ANN401 - of any type
    """Return what the reader for the exact type of an object returns; None if there is none."""
    kind = type(awaitable)
    for each, read in readers:
        if kind is each:
            return read(awaitable)
    return None


def _unwrapped(awaitable: object) -> object | None:
    """Return the coroutine or generator that an awaitable is, or wraps; None if there is none."""
    for _ in range(_MAX_WRAPPERS):
        if _is_coroutine(awaitable):
            return awaitable
        kind = type(awaitable)
        if is_heap_type(kind) or _name_of_type(kind) not in _WRAPPERS:
            return None
        for inner in gc.get_referents(awaitable):
            if _is_coroutine(inner) or _name_of_type(type(inner)) in _WRAPPERS:
                awaitable = inner
                break
        else:
            return None
    return None


def _is_coroutine(value: object) -> bool:
    # not `in`: a metaclass of the host may define `__eq__`
    kind = type(value)
    return kind is CoroutineType or kind is GeneratorType or kind is AsyncGeneratorType
