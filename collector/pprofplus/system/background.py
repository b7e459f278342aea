"""The collector's own thread, made without `threading`, so that the host cannot interfere with it.

`threading` makes the starting thread wait until the new thread runs. In a child forked under
gevent, that wait runs the parent's greenlets a second time; while the interpreter shuts down, it
never returns. `threading.Event` contains a lock that deadlocks if a signal handler sets the event
while it is being set. A host that patches `threading` at runtime breaks the entries that
`threading` keeps of our thread.

gevent also patches `_thread`. A greenlet in place of our thread would stand still as long as any
greenlet computes, so the functions are taken as they were before.
"""

from __future__ import annotations

import _thread
import os
import sys
from _thread import get_native_id
from functools import partial

try:
    # signal itself costs each service 1 ms
    import _signal  # type: ignore[import-not-found]
except ImportError:
    _signal = None

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable


def _original(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a function of `_thread`
    """Return a function of `_thread` as it was before gevent patched it."""
    monkey = sys.modules.get("gevent.monkey")
    get_original = getattr(monkey, "get_original", None)
    return getattr(_thread, name) if get_original is None else get_original("_thread", name)


if TYPE_CHECKING:
    from _thread import allocate_lock, get_ident, start_new_thread
else:
    allocate_lock = _original("allocate_lock")
    get_ident = _original("get_ident")
    start_new_thread = _original("start_new_thread")

# Signals for errors of the thread itself stay unblocked: if they were blocked, the kernel would
# kill the process before faulthandler could write its traceback.
_ERRORS = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")

_ON_LINUX: bool = sys.platform == "linux"

# where gevent has replaced threads, one that we start is a greenlet in a thread of the host
_THREADS_ARE_REAL = isinstance(start_new_thread, type(len))
# By identifier, the process in which it runs, because a forked child inherits the entry and not the
# thread; and its native identifier.
_own: dict[int, tuple[int, int]] = {}


def own_threads() -> dict[int, int]:
    """Return this package's threads in this process, which profiles omit: {ident: native id}."""
    pid = os.getpid()
    return {
        ident: native_id
        for ident, (started_in, native_id) in _own.copy().items()
        if started_in == pid
    }


def register_own_thread(ident: int) -> None:
    """Add the calling thread, whose identifier this is, to `own_threads`."""
    _own[ident] = os.getpid(), get_native_id()


def unregister_own_thread(ident: int) -> None:
    """Remove the calling thread, which ends, from `own_threads`."""
    _own.pop(ident, None)


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

    def waiter(self, timeout_s: float) -> Callable[[], bool]:
        """Return a C function without arguments that does what `wait` does."""
        return partial(self._lock.acquire, True, max(timeout_s, 0.0))  # noqa: FBT003 - a C function


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
        mask = block_signals()
        try:
            start_new_thread(self._run, ())
        except (RuntimeError, MemoryError):
            self._end()
            raise
        finally:
            restore_signals(mask)

    def is_current(self) -> bool:
        """Return whether the calling thread is this one."""
        return self._ident == get_ident()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, at most `timeout_s`."""
        if self.alive and self._ended.acquire(timeout=timeout_s):
            self._ended.release()

    def _run(self) -> None:
        self._ident = ident = get_ident()
        if _THREADS_ARE_REAL:
            register_own_thread(ident)
        try:
            self._function()
        finally:
            unregister_own_thread(ident)
            self._end()

    def _end(self) -> None:
        self.alive = False
        self._ident = 0
        self._ended.release()


def block_signals() -> set[int] | None:
    """Block all signals in this thread; return the signals that were blocked before."""
    if not hasattr(_signal, "pthread_sigmask"):  # Windows
        return None
    errors = {getattr(_signal, name, 0) for name in _ERRORS}
    blocked: set[int] = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - errors)
    return blocked


def restore_signals(mask: set[int] | None) -> None:
    """Set this thread's signal mask to what `block_signals` returned."""
    if mask is not None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
