"""Takes the kind `allocs`: the lines that allocated what was kept during the window (tracemalloc).

tracemalloc is started for the window, with one frame a block, and stopped afterwards. If the host
traces already, its traces are only read, with its number of frames, and what was there before is
subtracted line by line.

The label `half` separates what is kept from what is only churning. The blocks that a line has at
the end are "first" as far as it had as many at half time, and "second" as far as it has more since.
A leak grows as much in the second half as in the first. A pool or a cache that is full after the
first half, or objects that live for a moment, are "first" only. A window that ends before half of
its length has no such labels.
"""

from __future__ import annotations

import os
from itertools import islice
from time import monotonic_ns, thread_time_ns, time_ns

from pprofplus.profiles.capture import ProfilePart, ProfileRefusedError
from pprofplus.profiles.line_names import LineNames
from pprofplus.profiles.pprof_encoder import ProfileBuilder

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pprofplus.profiles.capture import CaptureRequest, Task

    Lines = tuple[tuple[str, int], ...]
    # (blocks, bytes) of each stack of lines, the leaf first
    Sums = dict[Lines, list[int]]

_tracemalloc: Any
try:
    # the built-in part: `tracemalloc` itself also loads pickle and linecache
    import _tracemalloc
except ImportError:
    _tracemalloc = None

MAX_TRACES = 300_000
_BYTES_PER_TRACE = 50  # of tracemalloc's own memory
_HOLD_NS_PER_TRACE = 300  # to list them
_STEP_S = 0.1
_CHUNK = 5000
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_SAMPLE_TYPES = (("inuse_objects", "count"), ("inuse_space", "bytes"))
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

_started_by_us = False


def check(request: CaptureRequest) -> None:
    """Raise ProfileRefusedError without tracemalloc, or if the host traces too many blocks."""
    if _tracemalloc is None:
        raise ProfileRefusedError("allocs need tracemalloc, which this interpreter does not have")
    if _tracemalloc.is_tracing() and not request.force:
        _refuse_many(MAX_TRACES)


def expected_hold_ms(request: CaptureRequest) -> float:  # noqa: ARG001 - the same for all requests
    """Return how long listing the traces will hold the GIL, at most unless it is forced."""
    count = _traces() if _tracemalloc is not None and _tracemalloc.is_tracing() else 0
    return max(count, MAX_TRACES) * _HOLD_NS_PER_TRACE / _NS_PER_MS


def take(request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:
    """Yield the one profile. Raises ProfileRefusedError, ActionCancelledError."""
    window = _Window(request, task)
    try:
        window.begin()
        window.run()
    finally:
        window.end()
    yield window.part()


class _Window:
    """One window of tracing."""

    def __init__(self, request: CaptureRequest, task: Task) -> None:
        self._request = request
        self._task = task
        self._host_traces = _tracemalloc.is_tracing()
        self._sums: list[Sums] = []  # at the begin, at half time and at the end
        self._traces: list[tuple[int, int, Lines]] = []
        self._begin_unix_ns = 0
        self._took_ns = 0
        self._hold_ns = 0
        self._notes: list[str] = []

    def begin(self) -> None:
        global _started_by_us  # noqa: PLW0603 - tracing is a state of the process
        self._begin_unix_ns = time_ns()
        if self._host_traces:
            frames = _tracemalloc.get_traceback_limit()
            self._notes.append(f"the program's own tracemalloc was read, with {frames} frames")
            self._sums.append(self._group(self._list()))
        else:
            _stop_in_forked_children()
            _started_by_us = True
            _tracemalloc.start(1)
            self._sums.append({})

    def run(self) -> None:
        """Wait for the end of the window, or until there are too many traces."""
        began_ns = monotonic_ns()
        length_ns = int(self._request.window_s * _NS_PER_S)
        while not self._task.window_over and (passed_ns := monotonic_ns() - began_ns) < length_ns:
            left_s = (length_ns - passed_ns) / _NS_PER_S
            self._task.wait(min(_STEP_S, left_s))
            self._task.report(min(passed_ns / length_ns, 1.0), "allocs")
            if not _tracemalloc.is_tracing():
                self._notes.append("the program stopped tracemalloc: what came later is missing")
                break
            if _traces() > MAX_TRACES and not self._request.force:
                _refuse_many(2 * MAX_TRACES)
                self._notes.append(f"ended early, with {_traces():,} blocks kept")
                break
            if len(self._sums) == 1 and passed_ns >= length_ns / 2:
                self._sums.append(self._group(self._list()))
        self._took_ns = monotonic_ns() - began_ns
        self._traces = self._list()

    def end(self) -> None:
        """Stop tracing, if it was started here."""
        global _started_by_us  # noqa: PLW0603
        if _started_by_us:
            began_ns = thread_time_ns()
            _tracemalloc.stop()
            _started_by_us = False
            self._hold_ns = max(self._hold_ns, thread_time_ns() - began_ns)

    def part(self) -> ProfilePart:
        """Return the profile; it is made when tracing has ended."""
        profile = ProfileBuilder(_SAMPLE_TYPES)
        profile.time_ns = self._begin_unix_ns
        profile.duration_ns = self._took_ns
        self._sums.append(self._group(self._traces))
        self._traces = []
        before, half, after = self._sums[0], self._sums[-2], self._sums[-1]
        names = LineNames(profile)
        totals = [0, 0]
        for index, (lines, now) in enumerate(after.items()):
            if not index % _CHUNK:
                self._task.check()
            if lines and lines[0][0].startswith(_PACKAGE):
                continue
            kept = [max(now[i] - before.get(lines, _NONE)[i], 0) for i in range(2)]
            later = [min(max(now[i] - half.get(lines, _NONE)[i], 0), kept[i]) for i in range(2)]
            stack = tuple([names.location(*line) for line in lines])
            if len(self._sums) == 2:  # it ended before half time
                profile.add(stack, kept)
            else:
                _add_halves(profile, stack, kept, later)
            totals = [totals[i] + kept[i] for i in range(2)]
        took_s = self._took_ns / _NS_PER_S
        self._notes.insert(0, f"{totals[0]:,} blocks, {totals[1]:,} bytes kept in {took_s:.1f} s")
        profile.comments += self._notes
        return ProfilePart(
            "allocs",
            profile,
            unix_ms=self._begin_unix_ns // _NS_PER_MS,
            note="; ".join(self._notes),
            hold_ms=self._hold_ns / _NS_PER_MS,
        )

    def _list(self) -> list[tuple[int, int, Lines]]:
        began_ns = thread_time_ns()
        traces: list[tuple[int, int, Lines]] = _tracemalloc._get_traces()  # noqa: SLF001 - tracemalloc's own
        self._hold_ns = max(self._hold_ns, thread_time_ns() - began_ns)
        return traces

    def _group(self, traces: list[tuple[int, int, Lines]]) -> Sums:
        """Return sums by stack. Raises ActionCancelledError."""
        sums: Sums = {}
        remaining = iter(traces)
        while chunk := list(islice(remaining, _CHUNK)):
            self._task.check()
            for trace in chunk:
                found = sums.get(trace[2])
                if found is None:
                    sums[trace[2]] = [1, trace[1]]
                else:
                    found[0] += 1
                    found[1] += trace[1]
        return sums


_NONE = (0, 0)


def _add_halves(
    profile: ProfileBuilder, stack: tuple[int, ...], kept: list[int], later: list[int]
) -> None:
    earlier = [kept[i] - later[i] for i in range(2)]
    for half, values in (("first", earlier), ("second", later)):
        if any(values):
            profile.add(stack, values, (("half", half),))


def _traces() -> int:
    """Return about how many blocks are traced."""
    used_bytes: int = _tracemalloc.get_tracemalloc_memory()
    return used_bytes // _BYTES_PER_TRACE


def _refuse_many(limit: int) -> None:
    count = _traces()
    if count > limit:
        raise ProfileRefusedError(
            f"about {count:,} blocks are traced: to list them stops the program for about"
            f" {count * _HOLD_NS_PER_TRACE / _NS_PER_MS:.0f} ms; use a shorter window, or force it"
        )


_hooked: list[bool] = []


def _stop_in_forked_children() -> None:
    """Stop tracing in children that are forked in a window: nothing there would stop it."""
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked.append(True)
        os.register_at_fork(after_in_child=_stop_in_child)


def _stop_in_child() -> None:
    global _started_by_us  # noqa: PLW0603
    if _started_by_us:
        _started_by_us = False
        _tracemalloc.stop()
