"""The collector's own thread, made without `threading`, so that no host notices or disturbs it.

`threading` has a thread wait until the one that it starts has begun. In a child forked under
gevent that wait runs the parent's greenlets, each a second time; in an ending interpreter it never
returns. Its Event has a lock inside, which a signal handler that sets it twice waits for in vain.
And a host that patches `threading` while we run breaks the entries that it keeps of our thread.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock, get_ident, get_native_id, start_new_thread

try:
    # signal itself costs each service 1 ms
    import _signal  # type: ignore[import-not-found]
except ImportError:
    _signal = None

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

# errors of a thread's own: blocked, they would kill the process without a word of faulthandler's
_ERRORS = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")

_ON_LINUX: bool = sys.platform == "linux"


def on_main_thread() -> bool:
    """Tell whether this is the process's first thread."""
    if _ON_LINUX:  # the kernel's word, whatever the host has patched
        return get_native_id() == os.getpid()
    threading = sys.modules.get("threading")
    return threading is None or threading.main_thread().ident == get_ident()


class WakeEvent:
    """What one thread waits for, and any may ring, whatever they are in the middle of."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread that waits, or the next one that does."""
        try:  # noqa: SIM105 - contextlib costs each service 1 ms
            self._lock.release()
        except RuntimeError:
            # it rings already
            pass

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring, `timeout_s` at the most; return whether one came, which ends it."""
        return self._lock.acquire(timeout=max(timeout_s, 0.0))


class Gate:
    """What any number of threads wait for, until one opens it for good.

    Attributes:
        is_open: nobody waits any more.
    """

    __slots__ = ("_lock", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._lock = allocate_lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let all pass; only the thread that others wait for may call it."""
        if not self.is_open:
            self.is_open = True  # first, for a signal handler between the two lines of `wait`
            self._lock.release()

    def wait(self, timeout_s: float) -> None:
        """Wait until it is open, `timeout_s` at the most."""
        if not self.is_open and self._lock.acquire(timeout=timeout_s):
            self._lock.release()


class BackgroundThread:
    """A thread that runs one function, and that no end of the interpreter waits for.

    Attributes:
        alive: it was started and has not ended.
    """

    __slots__ = ("_ended", "_function", "_ident", "alive")

    def __init__(self, function: Callable[[], None]) -> None:
        self.alive = False
        self._function = function
        self._ident = 0
        self._ended = allocate_lock()

    def start(self) -> None:
        """Start it, once. Raises RuntimeError or MemoryError if there can be no more threads."""
        self._ended.acquire()
        self.alive = True
        # it inherits the mask, and takes no signal that another thread waits for
        mask = _block_signals()
        try:
            start_new_thread(self._run, ())
        except (RuntimeError, MemoryError):
            self._end()
            raise
        finally:
            _restore_signals(mask)

    def is_current(self) -> bool:
        """Tell whether it is this thread that asks."""
        return self._ident == get_ident()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, `timeout_s` at the most."""
        if self.alive and self._ended.acquire(timeout=timeout_s):
            self._ended.release()

    def _run(self) -> None:
        self._ident = get_ident()
        try:
            self._function()
        finally:
            self._end()

    def _end(self) -> None:
        self.alive = False
        self._ident = 0
        self._ended.release()


def _block_signals() -> set[int] | None:
    """Block all signals in this thread; return those that were blocked before."""
    if not hasattr(_signal, "pthread_sigmask"):  # Windows
        return None
    errors = {getattr(_signal, name, 0) for name in _ERRORS}
    blocked: set[int] = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - errors)
    return blocked


def _restore_signals(mask: set[int] | None) -> None:
    if mask is not None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
