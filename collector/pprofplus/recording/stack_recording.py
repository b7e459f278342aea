"""Takes the stacks of all threads about once a second, between the samples of a run.

There are two kinds of ticks. A *plain* one follows a sample, each second: the sampling thread has
the interpreter lock (GIL) then, because some thread has released it, so what runs at that moment is
not representative. What waits, and what each thread did last, is exact. Every few seconds a *burst*
of ticks at random moments, with a short switch interval, shows without bias what runs. The first
tick of a burst also waits, because the burst begins where a thread has released the lock.

In a burst, the owner of the recorder waits in `take_burst_tick`; around all other work it calls
`suspend`, `work` and `resume`: the switch interval is short only while this thread waits for the
next tick, never during a write.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from functools import partial
from itertools import islice
from time import monotonic_ns, thread_time_ns, time_ns

from pprofplus.log.stack_format import STACK_STATES
from pprofplus.log.stack_writer import StackWriter
from pprofplus.profiles.own_processor import OwnProcessor
from pprofplus.profiles.switch_interval import PreciseTimers, ShortSwitchInterval
from pprofplus.profiles.thread_stacks import ThreadStacks, stacks_problem
from pprofplus.profiles.thread_states import ThreadStates
from pprofplus.system.real_threads import real_ident

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Hashable

    from pprofplus.log.stack_encoder import Frame, ThreadTick
    from pprofplus.profiles.sampled_thread import SampledThread
    from pprofplus.recording.run_recorder import RunRecorder
    from pprofplus.system.background import WakeEvent

_NS_PER_MS = 1_000_000
_PLAIN_NS = 1_000_000_000
_BURST_NS = 5_000_000_000
_NEVER_NS = 1 << 62
_BURST_TICKS = 5
_SPACING_NS = 10_000_000
_FIRST_MIN_NS, _FIRST_MAX_NS = 5_000_000, 35_000_000
# of the budget for expensive probes
_SHARE_OF_BUDGET = 0.3
_MAX_PAUSE_NS = 60_000_000_000
# new stacks cost more than known ones, and at the start all are new
_MAX_CREDIT_NS = 10_000_000
_AVOID_NS = 60_000_000_000
# beyond these, what is known of stacks is forgotten, because it keeps code alive
_MAX_KNOWN_STACKS = 2000
_EPOCH_BITS = 32
_STATES = {name: number for number, name in STACK_STATES.items()}


class StackRecording:
    """The stacks of one run.

    Attributes:
        due_ns: monotonic time of the next tick.
        writer: the files of the stacks.
    """

    def __init__(self, recorder: RunRecorder, budget: float, due_ns: int) -> None:
        """Prepare it; the first tick is taken at `due_ns`, and then each second.

        Raises LookupError if that is impossible in this process.
        """
        problem = stacks_problem()
        if problem:
            raise LookupError(problem)
        if real_ident() != get_ident():
            raise LookupError("the sampling thread is a greenlet: it sees no other thread")
        if not _threads_are_real():
            raise LookupError("Python knows threads that do not exist: their memory may be gone")
        self.due_ns = due_ns
        self.writer = StackWriter(recorder.writer.files, self)
        self._recorder = recorder
        self._states = ThreadStates()
        self._stacks = ThreadStacks(self._states if self._states.available else None)
        self._epoch = 0
        self._share = _SHARE_OF_BUDGET * budget
        self._credit_ns = _MAX_CREDIT_NS  # CPU time that may be used now
        self._counted_ns = monotonic_ns()
        self._plain_due_ns = due_ns
        # uWSGI forks without informing Python: if a thread waits for the GIL then, the child may
        # wait for that thread forever. In a burst, this thread waits for it often.
        self._burst_due_ns = _NEVER_NS if "uwsgi" in sys.modules else due_ns
        self._left = 0  # ticks of the burst
        self._in_burst = False  # it has begun, and its ticks are not written
        self._interval: ShortSwitchInterval | None = None  # while it is short
        self._timers = PreciseTimers()
        self._processor = OwnProcessor()
        self._prepared = False
        self._avoid_due_ns = 0
        self._missed = 0
        self._random = time_ns() ^ os.getpid() << 20
        self._cpu_ns: dict[SampledThread, int] = {}  # as far as it is counted
        self._first = True

    @property
    def in_burst(self) -> bool:
        """Whether the next tick belongs to a burst: `take_burst_tick` takes it."""
        return self._left > 0

    @property
    def burst_ended(self) -> bool:
        """Whether the ticks of a burst have to be written: `work` does it."""
        return self._in_burst and not self._left

    def take_burst_tick(self, wake_event: WakeEvent) -> bool:
        """Wait until the next tick of a burst is due, and take it; return whether it was woken.

        If it is woken, that moment is not random: the tick is not counted. After the last tick,
        call `work` between `suspend` and `resume`.
        """
        began_ns = thread_time_ns()
        due_ns = self.due_ns
        self._left -= 1
        # first, so that an error below cannot make this tick due again and again
        self.due_ns = due_ns + self._spacing_ns() if self._left else self._plain_due_ns
        woken: list[bool] = []
        times_ns: list[int] = []
        wait = wake_event.waiter((due_ns - monotonic_ns()) / 1e9)
        # what is read belongs to the moment at which the wait ends
        lost = self._stacks.lost
        self._stacks.collect(
            (
                partial(woken.extend, islice(iter(wait, None), 1)),
                partial(times_ns.extend, islice(iter(monotonic_ns, None), 1)),
            )
        )
        if True in woken:
            self._left += 1
            self.due_ns = due_ns
        elif self._stacks.lost > lost or not times_ns:
            self._missed += 1
        else:
            self._add(times_ns[0], biased=not self._timers.active)
            # ticks that became due while it waited for the GIL are not made up for
            self.due_ns = max(self.due_ns, times_ns[0] + _SPACING_NS // 2)
            if not self._left:
                self.due_ns = self._plain_due_ns
        self._credit_ns -= thread_time_ns() - began_ns
        return True in woken

    def work(self) -> None:
        """Take a plain tick if it is due, and write the ticks of a burst that has ended."""
        if self._left:
            return
        now_ns = monotonic_ns()
        plain = now_ns >= self._plain_due_ns
        if not plain and not self._in_burst:
            return
        began_ns = thread_time_ns()
        if self._in_burst:
            self._in_burst = False
        if plain:
            late = (now_ns - self._plain_due_ns) // _PLAIN_NS + 1
            self._plain_due_ns += _PLAIN_NS * late
            self.due_ns = self._plain_due_ns
            lost = self._stacks.lost
            self._stacks.collect()
            if self._stacks.lost > lost:
                self._missed += 1
            else:
                self._add(monotonic_ns(), biased=True)
        self._states.close()  # a service should not have more open files because of us
        self._write()
        self._spend(now_ns, thread_time_ns() - began_ns)
        if plain and now_ns >= self._burst_due_ns:
            self._left, self._in_burst = _BURST_TICKS, True
            # each burst follows a plain tick
            self._burst_due_ns = now_ns + _BURST_NS - _PLAIN_NS // 2
            self._prepare(now_ns)
            delay_ns = _FIRST_MIN_NS + self._below(_FIRST_MAX_NS - _FIRST_MIN_NS)
            self.due_ns = monotonic_ns() + delay_ns

    def _spend(self, now_ns: int, cost_ns: int) -> None:
        """Count CPU time; if that was too much, postpone the next plain tick, and so the burst."""
        gained_ns = int((now_ns - self._counted_ns) * self._share)
        self._counted_ns = now_ns
        self._credit_ns = min(self._credit_ns + gained_ns, _MAX_CREDIT_NS) - cost_ns
        if self._credit_ns < 0:
            pause_ns = min(int(-self._credit_ns / self._share), _MAX_PAUSE_NS)
            self._plain_due_ns += pause_ns // _PLAIN_NS * _PLAIN_NS
            self.due_ns = self._plain_due_ns

    def _prepare(self, now_ns: int) -> None:
        """Let bursts end their waits in time, and on another processor than the host's threads.

        It concerns this thread only, and stays so: to change it for each burst costs more than the
        ticks.
        """
        if not self._prepared:
            self._prepared = True
            self._timers.__enter__()
            self._processor.__enter__()
        if now_ns >= self._avoid_due_ns and self._stacks.busiest_tid:
            self._avoid_due_ns = now_ns + _AVOID_NS
            self._processor.avoid(self._stacks.busiest_tid)

    def suspend(self) -> None:
        """Restore the switch interval: other work of this thread follows."""
        if self._interval is not None:
            interval, self._interval = self._interval, None
            interval.__exit__()

    def resume(self) -> None:
        """Begin or continue a burst after other work."""
        if self._left and self._interval is None:
            self._interval = ShortSwitchInterval()
            self._interval.__enter__()
            # the other work may have waited for the GIL: the next tick must not follow at once
            now_ns = monotonic_ns()
            if self.due_ns < now_ns + _SPACING_NS // 2:
                self.due_ns = now_ns + self._spacing_ns()

    def close(self) -> None:
        """End a burst; the recorder closes the files."""
        self._left = 0
        self.suspend()
        self._states.close()
        if self._prepared:
            self._prepared = False
            self._timers.__exit__()
            self._processor.__exit__()

    def abandon(self) -> None:
        """In a forked child: close what belongs to the parent."""
        self._states.close()

    # Names, for the writer

    def frames(self, stack: Hashable) -> list[Frame]:
        """Return the frames of a stack, the outermost first."""
        stacks = self._stacks
        if type(stack) is not int or stack >> _EPOCH_BITS != self._epoch:
            return []
        found: list[Frame] = []
        for number in reversed(stacks.frames(stack & ((1 << _EPOCH_BITS) - 1))):
            frame = stacks.frame(number)
            found.append((frame.name, frame.filename, frame.first_line, frame.line))
        return found

    def thread_name(self, native_id: int) -> str:
        """Return the name of a thread, or ""."""
        for thread in self._cpu_ns:
            if _id_of(thread) == native_id:
                return thread.name
        return ""

    # Ticks

    def _add(self, now_ns: int, *, biased: bool) -> None:
        """Add what was collected at `now_ns` to the ticks to be written."""
        unix_ms = (time_ns() - monotonic_ns() + now_ns) // _NS_PER_MS
        base = self._epoch << _EPOCH_BITS
        counted, first = self._cpu_ns, self._first
        threads = self._stacks.threads
        found: list[ThreadTick] = []
        for thread in threads:
            cpu_ns, used_ms = thread.cpu_ns, 0
            before = counted.get(thread)
            if before is None:
                before = counted[thread] = cpu_ns if first else 0
            if cpu_ns - before >= _NS_PER_MS:
                used_ms = (cpu_ns - before) // _NS_PER_MS
                counted[thread] = before + used_ms * _NS_PER_MS
            state = _STATES.get(thread.state, 0)
            found.append((_id_of(thread), base + thread.stack, state, used_ms))
        if len(counted) > len(found):
            self._cpu_ns = {thread: counted[thread] for thread in threads}
        self._stacks.ended.clear()
        self._first = False
        missed, self._missed = self._missed, 0
        self.writer.add(now_ns // _NS_PER_MS, unix_ms, found, biased=biased, missed=missed)

    def _write(self) -> None:
        self._recorder.write_stacks()
        if len(self._stacks) > _MAX_KNOWN_STACKS or self._stacks.full:
            self._stacks.forget()
            self._epoch += 1

    def _spacing_ns(self) -> int:
        return _SPACING_NS // 2 + self._below(_SPACING_NS)

    def _below(self, most: int) -> int:
        """Return a random number; the module of that name costs each service 1 MB."""
        self._random = (self._random * 6364136223846793005 + 1442695040888963407) & ((1 << 64) - 1)
        return (self._random >> 33) * most >> 31


def _id_of(thread: SampledThread) -> int:
    """Return the kernel's identifier of a thread, or another number where it is unknown."""
    return thread.tid or thread.ident & 0x7FFF_FFFF_FFFF_FFFF


def _threads_are_real() -> bool:
    """Return whether the threads of `threading` exist.

    A child that was forked without informing Python keeps those of its parent. Their frames and
    clocks are in memory that may be unmapped at any time.
    """
    if os.getpid() != _pid[0]:
        return False
    threading = sys.modules.get("threading")
    active = getattr(threading, "_active", None)
    if type(active) is not dict:
        return True
    dummy = getattr(threading, "_DummyThread", None)
    for _ in range(3):  # a thread may begin or end between the two counts
        # a dummy stands for a thread of C, and stays after its end
        known = [type(thread) is not dummy for thread in active.copy().values()]
        try:
            real = len(os.listdir("/proc/self/task"))
        except OSError:
            return True  # no Linux
        if sum(known) + 1 <= real:  # the calling thread is not one of `threading`
            return True
    return False


_pid = [os.getpid()]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _pid.__setitem__(0, os.getpid()))
