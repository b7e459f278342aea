"""Sums the time of ticks: for each thread, by its stack and by what it does there.

A tick that waits for the GIL can get it in two ways. The interpreter makes the thread that holds it
pass it on, wherever that is: the thread then wants it back. Or the thread releases it before,
because it calls `send` or `sleep`: then it was computing when the tick was due, but is seen at the
call. Such a tick may be *displaced*: if that is a call that releases the GIL, its time belongs to
the places at which the thread was seen computing.
"""

from __future__ import annotations

from pprofplus.profiles.thread_states import GIL, READY, RUNNING

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Collection

    from pprofplus.profiles.sampled_thread import SampledThread
    from pprofplus.profiles.thread_stacks import ThreadStacks

    # number of the stack, state, address of the lock
    Place = tuple[int, str, int]

_RUNNABLE = frozenset({GIL, READY, RUNNING})
_MAX_PLACES = 10_000  # of one thread, with their locks
# so many threads compete for the GIL, with the one from which the tick took it
_COMPETING = 2


class SampledCount:
    """What was counted of a thread at one place.

    Attributes:
        ticks: at which the thread was there.
        time_ns: for which these ticks stand.
        stays: how often the thread was found there after it had used CPU.
        displaced_ticks, displaced_ns: those of `ticks` and `time_ns` that may be displaced.
        free_ns: of `time_ns`, when the thread ran although nobody held the GIL.
    """

    __slots__ = ("displaced_ns", "displaced_ticks", "free_ns", "stays", "ticks", "time_ns")

    def __init__(self) -> None:
        self.ticks = 0
        self.time_ns = 0
        self.stays = 0
        self.displaced_ticks = 0
        self.displaced_ns = 0
        self.free_ns = 0


class _Stay:
    """Where a thread is now, and since when."""

    __slots__ = ("place", "since_ns", "since_ticks")

    def __init__(self) -> None:
        self.place: Place | None = None
        self.since_ticks = 0
        self.since_ns = 0


class SampledTime:
    """Counts of all threads.

    A thread that does not use CPU costs nothing at a tick: it is counted when it has moved.

    Attributes:
        ticks: so far.
        time_ns: for which all ticks stand.
        counts: of each thread, also of those that have ended, by place.
    """

    __slots__ = ("_stacks", "_stays", "counts", "ticks", "time_ns")

    def __init__(self, stacks: ThreadStacks) -> None:
        self._stacks = stacks
        self.ticks = 0
        self.time_ns = 0
        self.counts: dict[SampledThread, dict[Place, SampledCount]] = {}
        self._stays: dict[SampledThread, _Stay] = {}

    def add(
        self,
        threads: Collection[SampledThread],
        ended: list[SampledThread],
        time_ns: int,
        *,
        waited: bool | None,
    ) -> bool:
        """Count one tick; return whether threads compete for the GIL.

        Args:
            threads: all that run.
            ended: those that have ended since the last tick; the list is cleared.
            time_ns: for which the tick stands.
            waited: it had to wait for the GIL; None if that is unknown.
        """
        for thread in ended:
            self._end_stay(thread, self._stays.pop(thread, None))
        ended.clear()
        moved = [thread for thread in threads if thread.moved]
        runnable = [thread for thread in moved if thread.state in _RUNNABLE]
        contended = len(runnable) >= _COMPETING and waited is not False
        if contended:
            # With a short interval, threads that wait for the GIL wake up all the time to ask for
            # it: they are seen running, or ready to run.
            for thread in runnable:
                thread.state = GIL
        # A thread from which the last tick took the GIL may still be ready to take it back.
        free = waited is False and len(runnable) == 1 and not self._is_still_there(runnable[0])
        for thread in moved:
            self._begin_stay(thread)
        if free:
            self._count(runnable[0]).free_ns += time_ns
        elif waited and not any(thread.state is GIL for thread in runnable):
            released_by = runnable or moved
            if len(released_by) == 1:
                count = self._count(released_by[0])
                count.displaced_ticks += 1
                count.displaced_ns += time_ns
        self.ticks += 1
        self.time_ns += time_ns
        return contended

    def finish(self, window_ns: int) -> None:
        """Count what the threads have done since they moved; the window had this length.

        The window may have ended in a pause of the ticks, for which the next one would have stood.
        """
        for thread, stay in self._stays.items():
            self._end_stay(thread, stay)
        self._stays.clear()
        factor = window_ns / self.time_ns if self.time_ns else 1.0
        for counts in self.counts.values():
            for count in counts.values():
                count.time_ns = round(count.time_ns * factor)
                count.displaced_ns = round(count.displaced_ns * factor)
                count.free_ns = round(count.free_ns * factor)
        self.time_ns = window_ns

    def _is_still_there(self, thread: SampledThread) -> bool:
        """Return whether a thread is in the function in which the last tick saw it."""
        stay = self._stays.get(thread)
        if stay is None or stay.place is None:
            return False
        before, now = self._stacks.frames(stay.place[0])[0], self._stacks.frames(thread.stack)[0]
        return self._stacks.function(before) == self._stacks.function(now)

    def _begin_stay(self, thread: SampledThread) -> None:
        stay = self._stays.get(thread)
        if stay is None:
            stay = self._stays[thread] = _Stay()
            self.counts[thread] = {}
        self._end_stay(thread, stay)
        # each wait may be for another lock, so that there is no limit to their number
        lock = thread.lock if len(self.counts[thread]) < _MAX_PLACES else 0
        stay.place = thread.stack, thread.state, lock
        stay.since_ticks, stay.since_ns = self.ticks, self.time_ns

    def _end_stay(self, thread: SampledThread, stay: _Stay | None) -> None:
        if stay is None or stay.place is None:
            return
        count = self._count(thread, stay.place)
        count.stays += 1
        count.ticks += self.ticks - stay.since_ticks
        count.time_ns += self.time_ns - stay.since_ns

    def _count(self, thread: SampledThread, place: Place | None = None) -> SampledCount:
        """Return the count of a place, by default of the one where the thread is now."""
        key = place or self._stays[thread].place or (0, "", 0)
        counts = self.counts[thread]
        count = counts.get(key)
        if count is None:
            count = counts[key] = SampledCount()
        return count
