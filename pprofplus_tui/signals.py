"""Termination signals of commands that must clean up: defer them, or turn them into SystemExit."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The termination signals received. A SystemExit that a handler raises is lost if a finalizer runs
# at that moment, for example during imports: code that starts a long task checks this list first.
ended_by: list[int] = []


@contextmanager
def signals_held() -> Iterator[None]:
    """Defer termination signals; the first one received is raised again at the end of the block.

    A blocked signal mask is not enough: it applies to one thread, and numpy starts others.
    """
    received: list[int] = []

    def record(number: int, _: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, record) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if received:
            signal.raise_signal(received[0])


@contextmanager
def ended_by_signals() -> Iterator[Callable[[], None]]:
    """Turn the first termination signal into SystemExit; yield a function that ignores the others.

    The command can then clean up, which takes a few seconds at most, and a second Ctrl-C does not
    interrupt the cleanup.
    """

    def ignore() -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)

    def leave(number: int, _: FrameType | None) -> None:
        ignore()
        ended_by.append(number)
        sys.exit(128 + number)

    ended_by.clear()
    before = {number: signal.signal(number, leave) for number in ENDING}
    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
