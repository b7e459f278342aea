"""Runs the ticks of a window on a real thread, while the thread of the request waits for it.

The thread of the request may be a greenlet, and it reports progress; ticks need a thread that does
nothing else.
"""

from __future__ import annotations

from time import monotonic

from pprofplus.system.real_threads import RealThread

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from pprofplus.profiles.capture import Task

_REPORT_S = 0.25
_END_S = 10.0


class SamplingStoppedError(Exception):
    """The function must end now: the request was cancelled."""


def check_stopped(thread: RealThread) -> None:
    """Raise SamplingStoppedError if the function must end."""
    if not thread.wait(0):
        raise SamplingStoppedError


def run_sampling(function: Callable[[RealThread], None], task: Task, window_s: float) -> None:
    """Run a function that takes about `window_s` on a thread of its own; report the progress.

    Raises what it raises, ActionCancelledError, and RuntimeError or MemoryError if no thread can be
    created. When it returns or raises, the function has ended.
    """
    thread = RealThread(function)
    thread.start()
    begin_s = monotonic()
    try:
        while not thread.ended:
            task.wait(_REPORT_S)
            passed_s = monotonic() - begin_s
            task.report(min(passed_s / window_s, 0.99), f"{min(passed_s, window_s):.0f} s")
    finally:
        thread.stop()
        thread.join(_END_S)
    if thread.error is not None:
        raise thread.error
