"""Makes CPU, wall, block and lock profiles of the ticks of one window.

A tick takes the GIL from the thread that runs: that thread then waits for the GIL, as those do that
compete with it, and which one it was cannot be seen. So the time of a thread that waits for the GIL
is divided by what its clocks say: as much as it ran counts as running, the rest as waiting. A
thread that waits for the GIL at a call that releases it, such as `recv`, did not run there: it has
returned from the call.
"""

from __future__ import annotations

from pprofplus.profiles.capture import ProfilePart
from pprofplus.profiles.pprof_encoder import ProfileBuilder
from pprofplus.profiles.thread_states import GIL, LOCK, READY, RUNNING
from pprofplus.system.background import own_threads

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pprofplus.profiles.pprof_encoder import Label
    from pprofplus.profiles.sampled_thread import SampledThread
    from pprofplus.profiles.sampled_time import Place, SampledCount, SampledTime
    from pprofplus.profiles.thread_clocks import ThreadClocks
    from pprofplus.profiles.thread_stacks import FrameName, ThreadStacks

    _Counts = Sequence[tuple[Place, SampledCount]]

CPU, WALL, BLOCK, LOCKS = "cpu", "wall", "block", "lock"

_NS = "nanoseconds"
_SAMPLE_TYPES = {
    CPU: (("samples", "count"), ("cpu", _NS)),
    WALL: (("samples", "count"), ("wall", _NS)),
    BLOCK: (("waits", "count"), ("delay", _NS)),
    LOCKS: (("waits", "count"), ("delay", _NS)),
}

NATIVE = "[native]"  # a thread, or a part of its life, without Python
ENDED = "[ended threads]"
BETWEEN = "[between ticks]"

# more CPU time than this share is missing in the ticks of a thread that enters and leaves Python
_MISSING = 0.05
# A call releases the GIL if threads were seen to wait there for something else in this share of the
# time, or to run without the GIL.
_BLOCKED = 0.05
_FREE = 0.2
# a thread that ran, but so shortly that its clock does not show it
_LEAST = 1e-9
# CPU time of threads that ended is shown from this share of the process's on
_SHOWN = 0.01


class SampledWindow:
    """What was sampled.

    Attributes:
        stacks, times, clocks: as they are after the last tick.
        unix_ns: when the window began.
        duration_ns: its length.
        period_ns: between two ticks, on average.
    """

    def __init__(
        self,
        stacks: ThreadStacks,
        times: SampledTime,
        clocks: ThreadClocks,
        unix_ns: int,
        duration_ns: int,
        period_ns: int,
    ) -> None:
        self.stacks = stacks
        self.times = times
        self.clocks = clocks
        self.unix_ns = unix_ns
        self.duration_ns = duration_ns
        self.period_ns = period_ns


def make_parts(
    kinds: Sequence[str],
    window: SampledWindow,
    comments: Sequence[str],
    check: Callable[[], None],
) -> list[ProfilePart]:
    """Return the profiles of these kinds; `check` is called often, and may raise."""
    names = _Names(window.stacks)
    calls = _releasing_calls(window)
    profiles = {kind: _Profile(kind, window, names, check) for kind in kinds}
    by_tid: dict[int, list[SampledThread]] = {}
    for thread in window.times.counts:
        by_tid.setdefault(thread.tid, []).append(thread)
    for tid, threads in by_tid.items():
        check()
        _add_thread(profiles, window, calls, tid, threads)
    if CPU in profiles:
        _add_other_threads(profiles[CPU], window, by_tid)
    parts = []
    for kind, profile in profiles.items():
        profile.builder.comments.extend(comments)
        parts.append(ProfilePart(kind, profile.builder, unix_ms=window.unix_ns // 1_000_000))
    return parts


class _Names:
    """The names of frames, looked up once for all profiles."""

    __slots__ = ("_found", "stacks")

    def __init__(self, stacks: ThreadStacks) -> None:
        self.stacks = stacks
        self._found: dict[int, FrameName] = {}

    def __getitem__(self, frame: int) -> FrameName:
        name = self._found.get(frame)
        if name is None:
            name = self._found[frame] = self.stacks.frame(frame)
        return name


class _Profile:
    """The profile of one kind, while it is made."""

    __slots__ = ("_check", "_locations", "_names", "_stacks", "builder")

    def __init__(
        self, kind: str, window: SampledWindow, names: _Names, check: Callable[[], None]
    ) -> None:
        period = (kind, "nanoseconds", window.period_ns) if kind in {CPU, WALL} else None
        self.builder = ProfileBuilder(_SAMPLE_TYPES[kind], period=period)
        self.builder.time_ns = window.unix_ns
        self.builder.duration_ns = window.duration_ns
        self._names = names
        self._check = check
        self._locations: dict[int, int] = {}
        self._stacks: dict[int, tuple[int, ...]] = {}

    def add(self, stack: int, values: tuple[int, int], labels: Sequence[Label]) -> None:
        """Add a sample of a stack of Python."""
        if not any(values):
            return
        locations = self._stacks.get(stack)
        if locations is None:
            self._check()
            frames = self._names.stacks.frames(stack)
            locations = self._stacks[stack] = tuple(map(self._location, frames))
        self.builder.add(locations, values, labels)

    def add_named(self, name: str, values: tuple[int, int], labels: Sequence[Label] = ()) -> None:
        """Add a sample whose stack is one name."""
        self.builder.add((self.builder.location(name),), values, labels)

    def _location(self, frame: int) -> int:
        known = self._locations.get(frame)
        if known is None:
            name = self._names[frame]
            known = self._locations[frame] = self.builder.location(
                name.name, name.filename, name.line, name.first_line
            )
        return known


class _Division:
    """How the time of one thread is divided into running and waiting, and its CPU time.

    Attributes:
        preempted: the part of the time at which it waited for the GIL or for a processor, not at a
            call that releases the GIL, that counts as running: it had to give the GIL to us.
        cpu_per_ns: CPU time for each ns that counts as running.
    """

    __slots__ = ("_calls", "cpu_per_ns", "preempted")

    def __init__(self, counts: _Counts, calls: set[int], cpu_ns: int) -> None:
        """Divide it; `calls` are numbers of stacks at a call that releases the GIL."""
        self._calls = calls
        running_ns = waiting_ns = 0
        for (stack, state, _), count in counts:
            if state == RUNNING:
                running_ns += count.time_ns
            elif state in {GIL, READY} and stack not in calls:
                waiting_ns += count.time_ns
        missing_ns = cpu_ns - running_ns
        self.preempted = min(max(missing_ns / waiting_ns, _LEAST), 1.0) if waiting_ns else 1.0
        ran_ns = running_ns + self.preempted * waiting_ns
        self.cpu_per_ns = cpu_ns / ran_ns if ran_ns else 0.0

    def running(self, place: Place) -> float:
        """Return the part of the time at a place that counts as running."""
        stack, state, _ = place
        if state == RUNNING:
            return 1.0
        return self.preempted if state in {GIL, READY} and stack not in self._calls else 0.0


def _releasing_calls(window: SampledWindow) -> set[int]:
    """Return the stacks whose leaf is at a call that releases the GIL."""
    total: dict[int, int] = {}
    blocked: dict[int, int] = {}
    free: dict[int, int] = {}
    leaves: dict[int, int] = {}
    for counts in window.times.counts.values():
        for (stack, state, _), count in counts.items():
            leaf = leaves[stack] = window.stacks.frames(stack)[0]
            total[leaf] = total.get(leaf, 0) + count.time_ns
            free[leaf] = free.get(leaf, 0) + count.free_ns
            if state not in {GIL, READY, RUNNING}:
                blocked[leaf] = blocked.get(leaf, 0) + count.time_ns
    calls = {
        leaf
        for leaf, time_ns in total.items()
        if (blocked.get(leaf, 0) > _BLOCKED * time_ns or free[leaf] > _FREE * time_ns)
        and window.stacks.may_release_gil(leaf)
    }
    return {stack for stack, leaf in leaves.items() if leaf in calls}


def _move_displaced(counts: _Counts, calls: set[int]) -> None:
    """Divide the displaced time of a thread among the places at which it was seen computing."""
    computing = [
        count
        for (stack, state, _), count in counts
        if state in {GIL, READY, RUNNING} and stack not in calls
    ]
    known_ns = sum(count.time_ns for count in computing)
    displaced = [count for (stack, _, _), count in counts if stack in calls and count.displaced_ns]
    if not known_ns or not displaced:
        return
    ticks = sum(count.displaced_ticks for count in displaced)
    time_ns = sum(count.displaced_ns for count in displaced)
    for count in displaced:
        count.ticks -= count.displaced_ticks
        count.time_ns -= count.displaced_ns
    for count in computing:
        share = count.time_ns / known_ns
        count.ticks += round(ticks * share)
        count.time_ns += round(time_ns * share)


def _add_thread(
    profiles: dict[str, _Profile],
    window: SampledWindow,
    calls: set[int],
    tid: int,
    threads: list[SampledThread],
) -> None:
    """Add one thread, which may have entered Python several times."""
    counts = [
        (place, count) for thread in threads for place, count in window.times.counts[thread].items()
    ]
    totals = window.clocks.of(tid, max(thread.cpu_ns for thread in threads))
    cpu_ns = totals.cpu_ns
    if len(threads) > 1:
        seen_ns = sum(thread.cpu_ns - thread.first_cpu_ns for thread in threads)
        if seen_ns < (1 - _MISSING) * cpu_ns:
            # its other CPU time is added with that of threads without Python
            cpu_ns = totals.in_python_ns = seen_ns
    _move_displaced(counts, calls)
    division = _Division(counts, calls, cpu_ns)
    name = next((thread.name for thread in threads if thread.name), "") or totals.name
    labels: tuple[Label, ...] = (("thread", name), ("thread_id", tid))
    for place, count in counts:
        share = division.running(place)
        _add_count(profiles, place, count, share, division.cpu_per_ns, labels)
    if CPU in profiles and cpu_ns and not division.cpu_per_ns:
        profiles[CPU].add_named(BETWEEN, (0, cpu_ns), labels)


def _add_count(
    profiles: dict[str, _Profile],
    place: Place,
    count: SampledCount,
    share: float,
    cpu_per_ns: float,
    labels: tuple[Label, ...],
) -> None:
    """Add what was counted of a thread at one place; `share` is the part that it ran."""
    stack, state, lock = place
    running_ns, running_ticks = round(count.time_ns * share), round(count.ticks * share)
    waiting_ns, waiting_ticks = count.time_ns - running_ns, count.ticks - running_ticks
    waits = round(count.stays * (1 - share)) or int(waiting_ns > 0)
    with_state = (*labels, ("state", state))
    for kind, profile in profiles.items():
        if kind == CPU:
            profile.add(stack, (running_ticks, round(running_ns * cpu_per_ns)), labels)
        elif kind == WALL:
            profile.add(stack, (running_ticks, running_ns), (*labels, ("state", RUNNING)))
            profile.add(stack, (waiting_ticks, waiting_ns), with_state)
        elif state != READY and (kind == BLOCK or state in {LOCK, GIL}):
            found = with_state if not lock else (*with_state, ("lock", f"{lock:#x}"))
            profile.add(stack, (waits, waiting_ns) if waiting_ns else (0, 0), found)


def _add_other_threads(
    profile: _Profile, window: SampledWindow, by_tid: dict[int, list[SampledThread]]
) -> None:
    """Add the CPU time of threads, or parts of their lives, without Python."""
    own, clocks = set(own_threads().values()), window.clocks
    for tid, totals in clocks.threads.items():
        if tid in own:
            continue
        cpu_ns = totals.cpu_ns
        if tid in by_tid:
            cpu_ns = cpu_ns - totals.in_python_ns if totals.in_python_ns is not None else 0
        if cpu_ns > 0:
            ticks = cpu_ns // window.period_ns
            labels = ("thread", totals.name), ("thread_id", tid)
            profile.add_named(NATIVE, (ticks, cpu_ns), labels)
    ended_ns = clocks.process_ns - sum(totals.cpu_ns for totals in clocks.threads.values())
    if ended_ns > _SHOWN * clocks.process_ns:
        profile.add_named(ENDED, (ended_ns // window.period_ns, ended_ns))
