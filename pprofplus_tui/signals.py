"""Which signals end a command that has to clean up, and how they wait while it begins to."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Those that were to end this process. Where a finalizer runs, as imports have them, what a handler
# raises is dropped: whoever begins something long asks here first.
heard: list[int] = []


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back the signals that end; one that came is heard when the block is left.

    A blocked mask would not do: it holds for one thread, and numpy has others.
    """
    noted: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        noted.append(number)

    before = {number: signal.signal(number, note) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if noted:
            signal.raise_signal(noted[0])


@contextmanager
def ended_by_signals() -> Iterator[Callable[[], None]]:
    """Turn the first signal to end into SystemExit; provide what makes any further one ignored.

    So what was begun is cleaned up, and the cleaning, which takes seconds at most, is not broken
    off by a second Ctrl-C.
    """

    def ignore() -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)

    def leave(number: int, _: FrameType | None) -> None:
        ignore()
        heard.append(number)
        sys.exit(128 + number)

    heard.clear()
    before = {number: signal.signal(number, leave) for number in ENDING}
    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
