"""Takes the kind `threads`: what each thread, asyncio task and greenlet does at this moment.

Equal stacks are one sample. A task that runs, and the greenlet that runs, are on the stack of a
thread. The label `type` tells what a sample is: "thread", "task" or "greenlet".
"""

from __future__ import annotations

import sys
from time import time_ns

from pprofplus.probes.concurrency import greenlet_class
from pprofplus.profiles import task_stacks
from pprofplus.profiles.capture import ProfilePart
from pprofplus.profiles.code_names import function_name, line_of
from pprofplus.profiles.greenlet_stacks import GreenletWalk
from pprofplus.profiles.pprof_encoder import ProfileBuilder
from pprofplus.profiles.task_stacks import NO_OFFSET, RUNNING, TaskWalk
from pprofplus.profiles.thread_stacks import ThreadStacks
from pprofplus.profiles.thread_states import UNKNOWN, ThreadStates

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType

    from pprofplus.profiles.capture import CaptureRequest, Task

# After so many, labels that distinguish them are left out, so that equal stacks are one sample.
_MAX_NAMED_THREADS = 1000
_MAX_NAMED_TASKS = 20  # of one stack
_NS_PER_MS = 1_000_000
_HOLD_NS_PER_BLOCK = 15  # of one pass over all containers, with cold caches


def check(request: CaptureRequest) -> None:
    """Refuse nothing: a dump is small, and greenlets of a huge process are left out."""


def expected_hold_ms(request: CaptureRequest) -> float:  # noqa: ARG001 - the same for all requests
    """Return how long the search for greenlets will hold the GIL; 0 where none are used."""
    if greenlet_class() is None:
        return 0.0
    return sys.getallocatedblocks() * _HOLD_NS_PER_BLOCK / _NS_PER_MS


def take(request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:
    """Yield the one profile. Raises ActionCancelledError."""
    dump = _Dump()
    dump.add_threads()
    task.check()
    # a trigger takes it when memory is short
    max_frames = task_stacks.FEW_FRAMES if request.why else task_stacks.MANY_FRAMES
    dump.add_tasks(TaskWalk(max_frames), task)
    dump.add_greenlets(GreenletWalk(max_frames), task, force=request.force)
    yield dump.part()


class _Dump:
    """The profile during its capture."""

    def __init__(self) -> None:
        self._begin_ns = time_ns()
        self._profile = ProfileBuilder((("threads", "count"),))
        self._profile.time_ns = self._begin_ns
        self._threads: dict[int, tuple[str, int, tuple[int, ...]]] = {}  # by ident
        self._places: dict[tuple[int, int], int] = {}  # of code: locations
        self._codes: dict[int, CodeType] = {}  # keeps their ids unique
        self._named: dict[tuple[int, ...], int] = {}  # by stack: tasks with a name
        self._counts = [0, 0, 0]
        self._lost: list[str] = []
        self._hold_ns = 0

    def add_threads(self) -> None:
        """Add each thread that runs Python, except those of this package."""
        stacks, profile = ThreadStacks(), self._profile
        threads = stacks.collect()
        states = ThreadStates()
        if stacks.lost:
            self._lost.append("the threads could not be read")
        places: dict[int, int] = {}
        for index, thread in enumerate(threads):
            numbers = stacks.frames(thread.stack)
            for number in numbers:
                if number not in places:
                    frame = stacks.frame(number)
                    places[number] = profile.location(
                        frame.name, frame.filename, frame.line, frame.first_line
                    )
            stack = tuple([places[number] for number in numbers])
            labels: list[tuple[str, str | int]] = [("type", "thread")]
            state, lock = states.read(thread.tid)
            if state is not UNKNOWN:
                labels.append(("state", state))
            if index < _MAX_NAMED_THREADS:
                labels += _thread_labels(thread.name, thread.tid)
                if lock:
                    labels.append(("lock", f"{lock:#x}"))
            self._threads[thread.ident] = thread.name, thread.tid, stack
            profile.add(stack, (1,), labels)
            self._counts[0] += 1

    def add_tasks(self, walk: TaskWalk, task: Task) -> None:
        """Add each asyncio task that is not done. Raises ActionCancelledError."""
        for found in walk.stacks(task):
            self._counts[1] += 1
            name, tid, thread_stack = self._threads.get(found.ident, ("", 0, ()))
            stack = self._stack(found.frames, walk.modules) or (
                self._profile.location("[coroutine not written in Python]"),
            )
            if found.state == RUNNING:
                stack = _running_part(thread_stack, stack)
            labels: list[tuple[str, str | int]] = [("type", "task"), ("state", found.state)]
            labels += _thread_labels(name, tid)
            if found.name and self._may_name(stack):
                labels.append(("task", found.name))
            self._profile.add(stack, (1,), labels)
        if walk.without_lines:
            self._lost.append(f"tasks without lines, to save memory: {walk.without_lines}")
        if walk.unknown:
            self._lost.append(f"tasks of an unknown class, not counted: {walk.unknown}")

    def add_greenlets(self, walk: GreenletWalk, task: Task, *, force: bool) -> None:
        """Add each greenlet that does not run now. Raises ActionCancelledError."""
        for found in walk.stacks(task, force=force):
            self._counts[2] += 1
            stack = self._stack(found.frames, walk.modules) or (
                self._profile.location(f"[greenlet, {found.state}]"),
            )
            self._profile.add(stack, (1,), (("type", "greenlet"), ("state", found.state)))
        self._hold_ns = walk.hold_ns
        if walk.too_large:
            self._lost.append(
                "greenlets are left out: to find them would stop a process this large"
            )

    def part(self) -> ProfilePart:
        """Return the profile."""
        words = f"{self._counts[0]} threads"
        words += "".join(
            f", {count} {name}"
            for count, name in zip(self._counts[1:], ("tasks", "greenlets"), strict=True)
            if count
        )
        self._profile.comments += [words, *self._lost]
        return ProfilePart(
            "threads",
            self._profile,
            unix_ms=self._begin_ns // _NS_PER_MS,
            note="; ".join((words, *self._lost)),
            hold_ms=self._hold_ns / _NS_PER_MS,
        )

    def _stack(
        self, frames: Sequence[tuple[CodeType, int]], modules: dict[int, str]
    ) -> tuple[int, ...]:
        places = []
        for code, offset in frames:
            place = self._places.get((id(code), offset))
            if place is None:
                self._codes[id(code)] = code
                line = code.co_firstlineno if offset == NO_OFFSET else line_of(code, offset)
                name = function_name(code, modules.get(id(code), ""))
                place = self._profile.location(name, code.co_filename, line, code.co_firstlineno)
                self._places[id(code), offset] = place
            places.append(place)
        return tuple(places)

    def _may_name(self, stack: tuple[int, ...]) -> bool:
        count = self._named[stack] = self._named.get(stack, 0) + 1
        return count <= _MAX_NAMED_TASKS


def _thread_labels(name: str, tid: int) -> list[tuple[str, str | int]]:
    labels: list[tuple[str, str | int]] = [("thread", name)] if name else []
    return [*labels, ("thread_id", tid)] if tid else labels


def _running_part(thread_stack: tuple[int, ...], stack: tuple[int, ...]) -> tuple[int, ...]:
    """Return the part of a thread's stack that belongs to the task that it runs.

    Of a coroutine that runs, only the outermost frame is known. Returned is `stack` if the thread
    has moved on.
    """
    for index in range(len(thread_stack) - 1, -1, -1):
        if thread_stack[index] == stack[-1]:
            return thread_stack[: index + 1]
    return stack
