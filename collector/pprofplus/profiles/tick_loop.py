"""The ticks of a sampling window: when they are due, in bursts if the GIL is contended.

Ticks are 0.5 to 1.5 periods apart, at random, so that they follow no rhythm of the host. A tick
that must wait for the GIL is late; if further ones become due meanwhile, it counts for them too:
the thread that held the GIL, as a long call of C does, gets the time for which it held it.

Where threads compete for the GIL, a short switch interval costs them much. So after each burst of
0.1 s in which they did, ticks pause for 0.4 s, with the interval of the host. The ticks of the next
burst stand for the pause too.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from random import Random
from time import monotonic_ns

from pprofplus.profiles.own_processor import OwnProcessor
from pprofplus.profiles.switch_interval import (
    PreciseTimers,
    ShortSwitchInterval,
)

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    _Any = TypeVar("_Any")

    from pprofplus.profiles.thread_stacks import ThreadStacks
    from pprofplus.system.real_threads import RealThread

try:
    from resource import RUSAGE_THREAD, getrusage

    # a C function: how often this thread has waited, among others
    _usage: Callable[[], Sequence[float]] = partial(getrusage, RUSAGE_THREAD)
except ImportError:  # Windows, macOS
    _usage = partial(bytes, 16)  # zeros
_NVCSW, _NIVCSW = 14, 15  # indexes of ru_nvcsw and ru_nivcsw

_COARSE_US = 10_000
_BURST_HZ = 100  # within a burst, ticks are at least as frequent
_BURST_NS = 100_000_000
_PAUSE_NS = 400_000_000
# a burst is followed by a pause if threads competed at this share of its ticks
_CONTENDED = 0.3


def _once(function: Callable[[], _Any]) -> Iterator[_Any]:
    """Return an iterator of one item, which it gets by calling a function when it is asked."""
    return islice(iter(function, None), 1)


class TickLoop:
    """Calls a function at each tick of a window.

    Attributes:
        requested: ticks that were due.
        taken: ticks at which the function was called; each stands for all that were due by then.
        in_bursts: those of them that belong to a burst after a pause.
        late_us: for how long ticks waited for a processor and the GIL after they were due, in steps
            of 10 µs, from 10 ms on of 1 ms: {time: ticks}.
        tick_ns: monotonic time of the last tick.
        after_pause: the last tick is the first one after a pause of the ticks.
        precise: the kernel ends our waits in time.
    """

    def __init__(self, hz: int, window_s: float) -> None:
        self.requested = 0
        self.taken = 0
        self.in_bursts = 0
        self.late_us: dict[int, int] = {}
        self.precise = False
        self.tick_ns = 0
        self.after_pause = False
        self._over = False
        self._due_ns = 0
        self._period_ns = 1_000_000_000 // hz
        self._window_ns = round(window_s * 1e9)
        # a generator of its own: the host may have seeded the other one, and needs its sequence
        self._random = Random()  # noqa: S311 - not a secret

    def end_window(self) -> None:
        """End the window before its time, after the next tick; any thread may call it."""
        self._over = True

    def run(
        self, thread: RealThread, stacks: ThreadStacks, count: Callable[[int, bool | None], bool]
    ) -> None:
        """Collect stacks and call `count` at each tick, until the window or the thread ends.

        Its arguments are the time in ns that this tick stands for, and whether the tick had to wait
        for the GIL, None if that is unknown. It returns whether threads compete for the GIL.
        """
        timers = PreciseTimers()
        processor = OwnProcessor()
        with timers, processor:
            self.precise = timers.active
            self._due_ns = monotonic_ns() + self._next(self._period_ns)
            end_ns = self._due_ns + self._window_ns
            pause_ns = 0
            while True:
                with ShortSwitchInterval():
                    contended = self._burst(thread, stacks, count, end_ns, pause_ns)
                if stacks.busiest_tid:
                    processor.avoid(stacks.busiest_tid)
                if self._over or self._due_ns >= end_ns or not thread.wait(0):
                    return
                pause_ns = 0
                if contended:
                    begin_ns = monotonic_ns()
                    if not thread.wait(self._pause_ns() / 1e9):
                        return
                    now_ns = monotonic_ns()
                    pause_ns = now_ns - begin_ns
                    self._due_ns = now_ns + self._next(self._period_ns)

    def _burst(
        self,
        thread: RealThread,
        stacks: ThreadStacks,
        count: Callable[[int, bool | None], bool],
        end_ns: int,
        pause_ns: int,
    ) -> bool:
        """Tick for the length of a burst; return whether threads competed for the GIL."""
        period_ns = self._period_ns
        if pause_ns:
            period_ns = min(period_ns, 1_000_000_000 // _BURST_HZ)
        length = max(1, _BURST_NS // period_ns)
        # each of them stands for a part of the pause, too
        weight_ns = period_ns + pause_ns // length
        due_ns = self._due_ns
        contended = served = taken = 0
        while served < length and due_ns < end_ns and not self._over:
            before = _usage()
            times_ns: list[int] = []
            usage: list[Sequence[float]] = []
            stacks.collect(
                (
                    thread.waiter(max(due_ns - monotonic_ns(), 1) / 1e9),
                    partial(times_ns.extend, _once(monotonic_ns)),
                    partial(usage.extend, _once(_usage)),
                )
            )
            if thread.stopping or not times_ns:
                break
            now_ns = self.tick_ns = times_ns[0]
            self.after_pause = pause_ns > 0 and not taken
            # one switch is the wait for the tick itself
            waited: bool | None = usage[0][_NVCSW] > before[_NVCSW] + 1
            if not waited and usage[0][_NIVCSW] > before[_NIVCSW]:
                waited = None  # it may have been about to wait when it lost its processor
            self._note_late((now_ns - due_ns) // 1000)
            due = 0
            while due_ns <= now_ns:
                due_ns += self._next(period_ns)
                due += 1
            served += due
            taken += 1
            contended += count(due * weight_ns, waited)
        self._due_ns = due_ns
        self.requested += served
        self.taken += taken
        if pause_ns:
            self.in_bursts += taken
        return contended > _CONTENDED * taken

    def _next(self, period_ns: int) -> int:
        """Return the time from one tick to the next."""
        return int(period_ns * (0.5 + self._random.random()))

    def _pause_ns(self) -> int:
        # at a low rate, bursts must not take more ticks than were requested
        needed_ns = _BURST_NS // (1_000_000_000 // _BURST_HZ) * self._period_ns - _BURST_NS
        return int(max(_PAUSE_NS, needed_ns) * (0.75 + 0.5 * self._random.random()))

    def comments(self) -> Iterator[str]:
        """Yield lines for people: what was taken of what was requested, and how."""
        share = self.taken / self.requested if self.requested else 1.0
        yield f"ticks: {self.taken} taken of {self.requested} requested ({share:.1%})"
        yield f"wait for the GIL: p99 {self.p99_late_us / 1000:.2f} ms"
        in_bursts = self.in_bursts / self.taken if self.taken else 0.0
        yield f"in bursts, because threads competed for the GIL: {in_bursts:.0%} of the ticks"
        if not self.precise:
            yield "lost: precise timers (/proc/<tid>/timerslack_ns); ticks may be biased"

    def _note_late(self, late_us: int) -> None:
        step = 10 if late_us < _COARSE_US else 1000
        key = late_us // step * step
        self.late_us[key] = self.late_us.get(key, 0) + 1

    @property
    def p99_late_us(self) -> int:
        """The 99th percentile of `late_us`."""
        left = self.taken * 99 // 100
        for late_us, count in sorted(self.late_us.items()):
            left -= count
            if left < 0:
                return late_us
        return 0
