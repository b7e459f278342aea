"""A short switch interval of the interpreter, and precise timers of a thread, for unbiased ticks.

With the usual interval of 5 ms, a thread that wants the GIL gets it where the host happens to
release it: at send, recv and select. Ticks then show these instead of the code that computes. With
a short interval, the interpreter passes the GIL on soon after the thread has asked for it; but the
kernel delays the wake-up of that thread by its timer slack, 50 µs, unless that is reduced.

    with PreciseTimers():  # once, around all ticks of a thread
        with ShortSwitchInterval():  # around one tick, one burst, or all
            tick

ShortSwitchInterval may be used by several threads at once, and be nested: the last one restores the
interval, unless the host has set another one meanwhile. It is restored in a forked child, too.
Where two or more threads compete for the GIL, a short interval costs them 30 to 56 %: use bursts.
"""

from __future__ import annotations

import os
import sys
from _thread import get_native_id
from struct import Struct

from pprofplus.system.descriptor import close_descriptor
from pprofplus.system.procfs import proc_problem
from pprofplus.system.real_threads import real_lock

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

INTERVAL_S = 1e-5
_SLACK_NS = b"1"
# the shortest that the kernel accepts
_SLICE_NS = 100_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
# size, policy, flags, nice, priority, runtime, deadline, period
_SCHED_ATTR = Struct("=IIQiIQQQ")
_FAIR_POLICIES = (0, 3)  # SCHED_OTHER, SCHED_BATCH
_RESET_ON_FORK = 0x4000_0000


class _Interval:
    """The switch interval of this process.

    Attributes:
        users: how many need a short one now.
        host_s: what it was before; 0 if it was not changed.
        short_s: what it is since then, as the interpreter rounds it.
        lock: held while one of these changes.
        hooked: the hook for forked children is installed.
    """

    __slots__ = ("hooked", "host_s", "lock", "short_s", "users")

    def __init__(self) -> None:
        self.users = 0
        self.host_s = self.short_s = 0.0
        self.lock: Any = real_lock()
        self.hooked = False

    def shorten(self) -> None:
        with self.lock:
            self.users += 1
            if self.users > 1:
                return
            if not self.hooked and hasattr(os, "register_at_fork"):
                self.hooked = True
                os.register_at_fork(after_in_child=after_fork_in_child)
            now_s = sys.getswitchinterval()
            if now_s > INTERVAL_S:
                self.host_s = now_s
                sys.setswitchinterval(INTERVAL_S)
                self.short_s = sys.getswitchinterval()

    def restore(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                self.put_back()

    def put_back(self) -> None:
        """Set the host's interval again, unless the host has set another one meanwhile."""
        host_s, self.host_s = self.host_s, 0.0
        if host_s and sys.getswitchinterval() == self.short_s:
            sys.setswitchinterval(host_s)


_interval = _Interval()


def after_fork_in_child() -> None:
    """Restore the interval in a forked child, which has no thread that uses a short one."""
    _interval.lock = real_lock()  # it may have been held by a thread of the parent
    _interval.users = 0
    _interval.put_back()


class ShortSwitchInterval:
    """Shorten the switch interval in a `with` block, unless the host's is as short already."""

    __slots__ = ("_pid",)

    def __enter__(self) -> None:
        """Shorten it."""
        self._pid = os.getpid()
        _interval.shorten()

    def __exit__(self, *_: object) -> None:
        """Restore it, unless this is a child forked within the block."""
        if os.getpid() == self._pid:
            _interval.restore()


class PreciseTimers:
    """Let the calling thread run as soon as its waits end, in a `with` block. Only on Linux.

    Its timer slack becomes 1 ns, and its time slice the shortest one: Linux 6.12 and later then
    let it run before a thread of the host that uses the same processor, as it does in a container
    with one. Else it would run when the host's thread waits, and ticks would show that wait. It
    does not get more processor time.

    Attributes:
        active: its timer slack was reduced.
    """

    __slots__ = ("_path", "_set_slice", "_slack", "active")

    def __init__(self) -> None:
        self.active = False

    def __enter__(self) -> None:
        """Reduce its timer slack and its time slice."""
        self._slack = b""
        self._set_slice = _slice_setter()
        self._set_slice(_SLICE_NS)
        # in another pid namespace, the path is that of another process
        if sys.platform == "linux" and not proc_problem():
            self._path = f"/proc/{get_native_id()}/timerslack_ns"
            try:
                self._slack = _exchange(self._path, _SLACK_NS)
                self.active = True
            except (OSError, ValueError):  # a sandbox may hide it
                pass

    def __exit__(self, *_: object) -> None:
        """Restore both."""
        self._set_slice(0)
        if self._slack:
            try:
                _exchange(self._path, self._slack)
            except OSError:
                pass


def _exchange(path: str, content: bytes) -> bytes:
    """Write to a kernel file; return what it contained before. Raises OSError."""
    number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        before = os.read(number, 64).strip()
        os.write(number, content)
    finally:
        close_descriptor(number)
    return before


def _slice_setter() -> Callable[[int], object]:
    """Return a function that sets the calling thread's time slice in ns, 0 for the default.

    Its policy and nice value stay the same. Where this is not possible, the function does nothing.
    """
    try:
        import ctypes

        number = _SCHED_SETATTR[os.uname().machine]
        policy = os.sched_getscheduler(0)
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        if sys.platform != "linux" or policy & ~_RESET_ON_FORK not in _FAIR_POLICIES:
            return lambda _: None
        call = ctypes.CDLL(None).syscall
    except (ImportError, OSError, AttributeError, KeyError):
        return lambda _: None
    flags = 1 if policy & _RESET_ON_FORK else 0

    def set_slice(slice_ns: int) -> None:
        fields = 48, policy & ~_RESET_ON_FORK, flags, nice, 0, slice_ns, 0, 0
        call(ctypes.c_long(number), ctypes.c_long(0), _SCHED_ATTR.pack(*fields), ctypes.c_long(0))

    return set_slice
