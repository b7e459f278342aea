"""Takes CPU, wall, block and lock profiles: the stacks of all threads, at ticks of one window.

All of these kinds are made of the same ticks. `tick_loop` says when they are, `thread_stacks` what
the stacks are, `thread_states` what a thread does, `thread_clocks` what CPU time it used;
`sampled_profiles` makes profiles of it.
"""

from __future__ import annotations

from time import monotonic_ns, thread_time_ns, time_ns

from pprofplus.profiles.capture import MAX_HZ, ProfileRefusedError
from pprofplus.profiles.sampled_profiles import WALL, SampledWindow, make_parts
from pprofplus.profiles.sampled_time import SampledTime
from pprofplus.profiles.sampling_thread import check_stopped, run_sampling
from pprofplus.profiles.switch_interval import ShortSwitchInterval
from pprofplus.profiles.thread_clocks import ThreadClocks
from pprofplus.profiles.thread_stacks import ThreadStacks, stacks_problem
from pprofplus.profiles.thread_states import ThreadStates
from pprofplus.profiles.tick_loop import TickLoop

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pprofplus.profiles.capture import CaptureRequest, ProfilePart, Task
    from pprofplus.system.real_threads import RealThread

_REFRESH_NS = 1_000_000_000
_NO_STATES = (
    "this platform does not show what threads wait for (/proc/self/task/*/syscall): only the kind"
    " wall can be taken here, without states"
)


def check(request: CaptureRequest) -> None:
    """Raise ProfileRefusedError if the kinds cannot be taken in this process."""
    if not 1 <= request.hz <= MAX_HZ:
        raise ProfileRefusedError(f"{request.hz} ticks a second: use 1 to {MAX_HZ}")
    if not request.window_s > 0:
        raise ProfileRefusedError("a window of no length: use more than 0 seconds")
    problem = stacks_problem()
    if problem:
        raise ProfileRefusedError(problem)
    states = ThreadStates()
    states.close()
    if request.kinds != (WALL,) and not states.available:
        raise ProfileRefusedError(_NO_STATES)


def take(request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:
    """Sample for the window; yield the profiles. Raises ActionCancelledError."""
    sampling = _Sampling(request)
    run_sampling(sampling.run, task, request.window_s, sampling.loop.end_window)
    # encoding a profile needs the GIL for long: let the threads of the host have it at once
    with ShortSwitchInterval():
        for part in sampling.parts:
            task.check()
            yield part


class _Sampling:
    """One window; `run` is the function of its thread.

    Attributes:
        parts: the profiles, when it has ended.
        loop: its ticks.
    """

    def __init__(self, request: CaptureRequest) -> None:
        self.parts: list[ProfilePart] = []
        self._request = request
        self.loop = TickLoop(request.hz, request.window_s)

    def run(self, thread: RealThread) -> None:
        """Sample until the end of the window, then make the profiles."""
        request, loop = self._request, self.loop
        states = ThreadStates()
        try:
            stacks = ThreadStacks(states)
            clocks, times = ThreadClocks(), SampledTime(stacks)
            begin_unix_ns, begin_ns = time_ns(), monotonic_ns()
            refresh_ns = begin_ns + _REFRESH_NS

            def count(time_ns: int, waited: bool | None) -> bool:  # noqa: FBT001 - TickLoop's call
                nonlocal refresh_ns
                contended = times.add(stacks.threads, stacks.ended, time_ns, waited=waited)
                now_ns = monotonic_ns()
                if now_ns >= refresh_ns:
                    refresh_ns = now_ns + _REFRESH_NS
                    clocks.refresh()
                return contended

            loop.run(thread, stacks, count)
            check_stopped(thread)
            clocks.refresh()
            duration_ns = monotonic_ns() - begin_ns
            times.finish(duration_ns)
            own_cpu_ns = thread_time_ns()
        finally:
            states.close()
        with ShortSwitchInterval():  # making profiles needs the GIL for long
            window = SampledWindow(
                stacks, times, clocks, begin_unix_ns, duration_ns, 1_000_000_000 // request.hz
            )
            comments = [
                f"rate: {request.hz} Hz, the ticks 0.5 to 1.5 periods apart",
                *loop.comments(),
                f"CPU time of the ticks: {own_cpu_ns / 1e6:.0f} ms",
                *self._losses(states, stacks),
            ]
            self.parts = make_parts(request.kinds, window, comments, lambda: check_stopped(thread))

    @staticmethod
    def _losses(states: ThreadStates, stacks: ThreadStacks) -> Iterator[str]:
        if stacks.lost:
            yield f"lost: {stacks.lost} ticks at which the stacks could not be read"
        if not states.available:
            yield "lost: what threads wait for; this platform does not show it"
        elif states.reader is None:
            yield "states are less exact, because ctypes is missing"
