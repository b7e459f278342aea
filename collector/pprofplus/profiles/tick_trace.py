"""Takes the kind `trace`: what each thread did over time, for Perfetto or chrome://tracing.

Each thread is a row. A function that is on the stack at several ticks in a row is one slice; what a
thread waits for is the innermost slice. Pauses of the garbage collector have a row of their own,
and marks are lines across all rows.
"""

from __future__ import annotations

import gc
import os
from time import monotonic_ns, time_ns

from pprofplus.profiles.capture import MAX_HZ, ProfilePart, ProfileRefusedError
from pprofplus.profiles.sampling_thread import check_stopped, run_sampling
from pprofplus.profiles.switch_interval import ShortSwitchInterval
from pprofplus.profiles.thread_clocks import kernel_name
from pprofplus.profiles.thread_stacks import ThreadStacks, stacks_problem
from pprofplus.profiles.thread_states import CHILD, IO, LOCK, OTHER, POLL, SLEEP, ThreadStates
from pprofplus.profiles.tick_loop import TickLoop
from pprofplus.profiles.trace_events import TraceEvents
from pprofplus.system.marks import begin_collecting, end_collecting

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pprofplus.profiles.capture import CaptureRequest, Task
    from pprofplus.profiles.sampled_thread import SampledThread
    from pprofplus.profiles.thread_stacks import FrameName
    from pprofplus.system.real_threads import RealThread

TRACE_SUFFIX = "json.gz"  # as in log.artefacts
# shown as slices; a thread that wants the GIL is not waiting: the tick took it
_WAITS = frozenset({CHILD, IO, LOCK, OTHER, POLL, SLEEP})
# greater than any thread's number on Linux
_GC_ROW = 1 << 23
_GC_NAME = "garbage collector"
_MAX_PAUSES = 100_000


def check(request: CaptureRequest) -> None:
    """Raise ProfileRefusedError if the trace cannot be taken in this process."""
    if not 1 <= request.hz <= MAX_HZ:
        raise ProfileRefusedError(f"{request.hz} ticks a second: use 1 to {MAX_HZ}")
    if not request.window_s > 0:
        raise ProfileRefusedError("a window of no length: use more than 0 seconds")
    problem = stacks_problem()
    if problem:
        raise ProfileRefusedError(problem)


def take(request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:
    """Sample for the window; yield the trace. Raises ActionCancelledError."""
    tracing = _Tracing(request)
    run_sampling(tracing.run, task, request.window_s, tracing.loop.end_window)
    part = tracing.part
    if part is not None:
        task.check()
        yield part


class _CollectionTimes:
    """Times each garbage collection; creates no object that the collector would have to track."""

    __slots__ = ("_began_ns", "_getpid", "_now_ns", "_pid", "times")

    def __init__(self) -> None:
        self._began_ns = 0
        # kept here: module globals are gone when the interpreter's exit runs the GC
        self._now_ns = monotonic_ns
        self._getpid = os.getpid
        self._pid = os.getpid()
        self.times: list[int] = []  # begin, end, generation of each

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns = self._now_ns()
        elif self._getpid() != self._pid:
            return  # a forked child, which inherits this and not the trace
        elif self._began_ns and len(self.times) < 3 * _MAX_PAUSES:
            self.times.append(self._began_ns)
            self.times.append(self._now_ns())
            self.times.append(info["generation"])
            self._began_ns = 0


class _Row:
    """The slices of one thread that have begun and not ended.

    Attributes:
        slices: (what is compared, frame or state, begin in ns), the outermost first.
    """

    __slots__ = ("slices", "thread")

    def __init__(self, thread: SampledThread) -> None:
        self.thread = thread
        self.slices: list[tuple[object, int | str, int]] = []


class _Tracing:
    """One window; `run` is the function of its thread.

    Attributes:
        part: the trace, when it has ended.
    """

    def __init__(self, request: CaptureRequest) -> None:
        self.part: ProfilePart | None = None
        self._request = request
        self.loop = TickLoop(request.hz, request.window_s)
        self._rows: dict[SampledThread, _Row] = {}
        self._names: dict[int, FrameName] = {}

    def run(self, thread: RealThread) -> None:
        """Sample until the end of the window, then make the trace."""
        collections = _CollectionTimes()
        marks = begin_collecting()
        states = ThreadStates()
        gc.callbacks.append(collections)
        try:
            self._stacks = ThreadStacks(states)
            begin_unix_ns, begin_ns = time_ns(), monotonic_ns()
            self._events = TraceEvents(os.getpid(), begin_ns)
            self._last_ns = begin_ns
            self.loop.run(thread, self._stacks, self._count)
            end_ns = monotonic_ns()
        finally:
            gc.callbacks.remove(collections)
            end_collecting(marks)
            states.close()
        check_stopped(thread)
        with ShortSwitchInterval():
            for row in self._rows.values():
                self._end_slices(row, 0, end_ns)
            self._name_rows()
            times = collections.times
            for began_ns, ended_ns, generation in zip(
                times[::3], times[1::3], times[2::3], strict=False
            ):
                name = f"generation {generation}"
                self._events.add_slice(_GC_ROW, name, began_ns, ended_ns, 0)
            for at_ns, text in marks:
                self._events.add_mark(text, at_ns)
            check_stopped(thread)
            self.part = ProfilePart(
                "trace",
                data=self._events.encode(self._comments()),
                suffix=TRACE_SUFFIX,
                unix_ms=begin_unix_ns // 1_000_000,
            )

    def _count(self, _: int, waited: bool | None) -> bool:  # noqa: ARG002, FBT001 - TickLoop's call
        """Begin and end slices at one tick."""
        stacks, now_ns = self._stacks, self.loop.tick_ns
        if self.loop.after_pause:  # what happened in between is not known
            for row in self._rows.values():
                self._end_slices(row, 0, self._last_ns + 1_000_000_000 // self._request.hz)
        waiting = 0
        for thread in stacks.ended:
            ended = self._rows.get(thread)
            if ended is not None:
                self._end_slices(ended, 0, now_ns)
        stacks.ended.clear()
        for thread in stacks.threads:
            if thread not in self._rows:
                self._rows[thread] = _Row(thread)
            row = self._rows[thread]
            if thread.moved or not row.slices:
                self._move(row, now_ns)
            waiting += thread.moved and thread.state not in _WAITS
        self._last_ns = now_ns
        return waiting > 1

    def _move(self, row: _Row, now_ns: int) -> None:
        """End the slices of functions that a thread has left, begin those that it has entered."""
        thread = row.thread
        frames = self._stacks.frames(thread.stack)
        places: list[tuple[object, int | str]] = [
            (self._stacks.function(frame), frame) for frame in reversed(frames)
        ]
        if thread.state in _WAITS:
            places.append((now_ns, thread.state))  # it has used CPU: this is another wait
        common = 0
        for (compared, _), (known, _, _) in zip(places, row.slices, strict=False):
            if compared != known:
                break
            common += 1
        self._end_slices(row, common, now_ns)
        row.slices += ((compared, place, now_ns) for compared, place in places[common:])

    def _end_slices(self, row: _Row, depth: int, now_ns: int) -> None:
        """End the slices of a row from a depth on."""
        tid = row.thread.tid
        for index, (_, place, begin_ns) in enumerate(row.slices[depth:], depth):
            if type(place) is int:
                name = self._name(place)
                self._events.add_slice(
                    tid, name.name, begin_ns, now_ns, index, file=name.filename, line=name.line
                )
            else:
                self._events.add_slice(tid, f"[{place}]", begin_ns, now_ns, index)
        del row.slices[depth:]

    def _name(self, frame: int) -> FrameName:
        name = self._names.get(frame)
        if name is None:
            name = self._names[frame] = self._stacks.frame(frame)
        return name

    def _name_rows(self) -> None:
        events = self._events
        events.name_process(kernel_name(os.getpid()) or "python")
        events.name_row(_GC_ROW, _GC_NAME, 0)
        named = set()
        for position, thread in enumerate(self._rows, 1):
            if thread.tid not in named:
                named.add(thread.tid)
                name = thread.name or kernel_name(thread.tid) or f"thread {thread.tid}"
                events.name_row(thread.tid, name, position)

    def _comments(self) -> dict[str, str]:
        lines = [f"rate: {self._request.hz} Hz", *self.loop.comments()]
        if self._events.lost:
            lines.append(f"lost: {self._events.lost} slices, because there are too many")
        if self._stacks.lost:
            lines.append(f"lost: {self._stacks.lost} ticks at which the stacks could not be read")
        return {f"comment {number}": line for number, line in enumerate(lines, 1)}
