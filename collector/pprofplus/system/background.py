"""The collector's own thread, made without `threading`, so that the host cannot interfere with it.

`threading` makes the starting thread wait until the new thread runs. In a child forked under
gevent, that wait runs the parent's greenlets a second time; while the interpreter shuts down, it
never returns. `threading.Event` contains a lock that deadlocks if a signal handler sets the event
while it is being set. A host that patches `threading` at runtime breaks the entries that
`threading` keeps of our thread.
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

# Signals for errors of the thread itself stay unblocked: if they were blocked, the kernel would
# kill the process before faulthandler could write its traceback.
_ERRORS = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")

_ON_LINUX: bool = sys.platform == "linux"


def on_main_thread() -> bool:
    """Return whether this is the process's main thread."""
    if _ON_LINUX:  # ask the kernel: the host may have patched `threading`
        return get_native_id() == os.getpid()
    threading = sys.modules.get("threading")
    return threading is None or threading.main_thread().ident == get_ident()


class WakeEvent:
    """Wakes one waiting thread; `set` may be called from any thread and any signal handler."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the thread that waits, or the next one that waits."""
        try:
            self._lock.release()
        except RuntimeError:
            # it is already set
            pass

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, at most `timeout_s`; clear it and return whether it was set."""
        return self._lock.acquire(timeout=max(timeout_s, 0.0))


class Gate:
    """Blocks any number of threads until it is opened; it then stays open.

    Attributes:
        is_open: `wait` returns immediately.
    """

    __slots__ = ("_lock", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._lock = allocate_lock()
        self._lock.acquire()

    def open(self) -> None:
        """Release all waiting threads. Only the thread that the others wait for may call it."""
        if not self.is_open:
            # set it first: a signal handler may run between the two lines of `wait`
            self.is_open = True
            self._lock.release()

    def wait(self, timeout_s: float) -> None:
        """Wait until it is open, at most `timeout_s`."""
        if not self.is_open and self._lock.acquire(timeout=timeout_s):
            self._lock.release()


class BackgroundThread:
    """A thread that runs one function; the end of the interpreter does not wait for it.

    Attributes:
        alive: it has been started and has not ended.
    """

    __slots__ = ("_ended", "_function", "_ident", "alive")

    def __init__(self, function: Callable[[], None]) -> None:
        self.alive = False
        self._function = function
        self._ident = 0
        self._ended = allocate_lock()

    def start(self) -> None:
        """Start it, once. Raises RuntimeError or MemoryError if no more threads can be created."""
        self._ended.acquire()
        self.alive = True
        # The new thread inherits the signal mask, so it never takes a signal that another thread
        # waits for.
        mask = _block_signals()
        try:
            start_new_thread(self._run, ())
        except (RuntimeError, MemoryError):
            self._end()
            raise
        finally:
            _restore_signals(mask)

    def is_current(self) -> bool:
        """Return whether the calling thread is this one."""
        return self._ident == get_ident()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, at most `timeout_s`."""
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
    """Block all signals in this thread; return the signals that were blocked before."""
    if not hasattr(_signal, "pthread_sigmask"):  # Windows
        return None
    errors = {getattr(_signal, name, 0) for name in _ERRORS}
    blocked: set[int] = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - errors)
    return blocked


def _restore_signals(mask: set[int] | None) -> None:
    if mask is not None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
