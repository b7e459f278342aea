"""Threads and locks of the operating system, also where gevent replaces those of `_thread`.

Under gevent's monkey patching a "thread" is a greenlet: it shares its thread with the host, stops
while the host computes, and stops the host while it computes itself. A profile needs a thread that
does neither.
"""

from __future__ import annotations

import _thread
import os
import sys
from functools import partial

from pprofplus.system.background import (
    block_signals,
    register_own_thread,
    restore_signals,
    unregister_own_thread,
)

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BUILTIN = type(len)


def _original(name: str) -> Any:  # noqa: ANN401 - functions of different signatures
    """Return the function that `_thread` calls `name`. Raises LookupError if it is not known."""
    found = getattr(_thread, name)
    if type(found) is not _BUILTIN:
        saved = getattr(sys.modules.get("gevent.monkey"), "saved", {})
        found = saved.get("_thread", {}).get(name)
    if type(found) is not _BUILTIN:
        raise LookupError(f"_thread.{name} has been replaced, and the original is not known")
    return found


def real_ident() -> int:
    """Return the identifier of this thread, not of its greenlet. Raises LookupError."""
    ident: int = _original("get_ident")()
    return ident


def real_lock() -> Any:  # noqa: ANN401 - the type is not the same in all versions
    """Return a new lock of threads, not of greenlets. Raises LookupError."""
    return _original("allocate_lock")()


class RealThread:
    """Runs one function on a real thread of this package; signals are blocked there.

    The function must not use locks or `sleep` of the host, which may be those of greenlets: it
    waits in `wait`.

    Attributes:
        ended: the function has ended.
        error: what it raised, or None.
    """

    __slots__ = ("_end", "_function", "_get_ident", "_pid", "_stopping", "_wake", "ended", "error")

    def __init__(self, function: Callable[[RealThread], None]) -> None:
        """Prepare it. Raises LookupError if real threads cannot be had here."""
        self.ended = False
        self.error: BaseException | None = None
        self._function = function
        self._get_ident = _original("get_ident")
        self._pid = os.getpid()
        self._stopping = False
        self._wake = real_lock()
        self._wake.acquire()
        self._end = real_lock()
        self._end.acquire()

    def start(self) -> None:
        """Start it, once. Raises RuntimeError or MemoryError if no thread can be created."""
        mask = block_signals()
        try:
            _original("start_new_thread")(self._run, ())
        finally:
            restore_signals(mask)

    def stop(self) -> None:
        """Let it end soon; does not wait."""
        if not self._stopping:
            self._stopping = True
            self._wake.release()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end, at most `timeout_s`; return whether it has ended.

        A forked child, which may have a copy of the greenlet that waits, does not have the thread.
        """
        if os.getpid() != self._pid:
            return True
        if not self.ended and self._end.acquire(timeout=timeout_s):
            self._end.release()
        return self.ended

    @property
    def stopping(self) -> bool:
        """Whether its function must end."""
        return self._stopping

    def waiter(self, timeout_s: float) -> Callable[[], object]:
        """Return a C function that sleeps as `wait` does; afterwards check `stopping`."""
        return partial(self._wake.acquire, True, timeout_s)  # noqa: FBT003 - the lock's own call

    def wait(self, timeout_s: float) -> bool:
        """In its function: sleep; return False as soon as it must end."""
        if timeout_s > 0 and not self._stopping:
            self._wake.acquire(timeout=timeout_s)
        return not self._stopping

    def _run(self) -> None:
        ident = self._get_ident()
        register_own_thread(ident)
        try:
            self._function(self)
        except BaseException as error:  # noqa: BLE001 - its owner raises it
            self.error = error
        finally:
            unregister_own_thread(ident)
            self.ended = True
            self._end.release()
