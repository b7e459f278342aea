"""What each thread of this process does at this moment: runs, or waits, and for what.

    states = ThreadStates()
    if states.available:
        state, lock = states.read(tid)  # or ThreadStacks(states), for all threads at a tick

It is read from `/proc/self/task/<tid>/syscall`: the system call in which a thread waits, and its
arguments. A wait for a futex in the interpreter's static data is one for the GIL; elsewhere it is
one for a lock.
"""

from __future__ import annotations

import os
import platform
import sys
from _thread import get_native_id
from itertools import repeat

from pprofplus.profiles.address_ranges import interpreter_data
from pprofplus.system.descriptor import (
    Descriptor,
    above_standard,
    close_descriptor,
    read_small_file,
)
from pprofplus.system.procfs import proc_problem

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pprofplus.profiles.sampled_thread import SampledThread

RUNNING = "running"
# ready to run, but no processor is free, or it has only just been woken up
READY = "ready"
# ready to run Python as soon as it gets the GIL
GIL = "gil"
LOCK = "lock"
IO = "io"
POLL = "poll"
SLEEP = "sleep"
CHILD = "child"
# it waits in another system call
OTHER = "other"
UNKNOWN = "unknown"

# numbers of system calls: include/uapi/asm-generic/unistd.h (arm64), arch/x86/entry/syscalls
_NUMBERS: dict[str, dict[str, tuple[int, ...]]] = {
    "x86_64": {
        LOCK: (202, 449, 455),  # futex, futex_waitv, futex_wait
        POLL: (7, 23, 208, 232, 270, 271, 281, 426, 441, 128),
        SLEEP: (34, 35, 130, 230),
        CHILD: (61, 247),
        IO: (
            *(0, 1, 2, 17, 18, 19, 20, 40, 42, 43, 44, 45, 46, 47, 65, 69, 70, 72, 73, 74, 75),
            *(26, 162, 220, 242, 243, 257, 275, 277, 288, 295, 296, 299, 306, 307, 326, 327, 328),
        ),
    },
    "aarch64": {
        LOCK: (98, 449, 455),
        POLL: (4, 22, 72, 73, 426, 441, 137),
        SLEEP: (101, 115, 133),
        CHILD: (95, 260),
        IO: (
            *(25, 32, 56, 63, 64, 65, 66, 67, 68, 69, 70, 71, 76, 81, 82, 83, 84, 182, 183, 188),
            *(189, 192, 193, 202, 203, 206, 207, 211, 212, 227, 242, 243, 267, 269, 285, 286, 287),
        ),
    },
}
# select(2) and pselect(2) without descriptors are how Python 3.10 sleeps
_SELECT = {"x86_64": (23, 270), "aarch64": (72,)}

# so many files are kept open; those of other threads are opened for each read
_MAX_KEPT = 64
_PATH = "/proc/self/task/{}/syscall"
_SIZE = 128  # of the content: at most nine numbers


class ThreadStates:
    """Reads the states of threads.

    Attributes:
        available: this platform shows them. If not, each state is UNKNOWN.
        reader: returns an iterator, of C functions only, that reads the files of the threads with
            these identifiers and holds the GIL meanwhile; None if there is no such function. Then
            `update` reads them later.
    """

    __slots__ = (
        "_buffers",
        "_descriptors",
        "_kinds",
        "_new_buffer",
        "_numbers",
        "_pread",
        "_ranges",
        "_selects",
        "available",
        "reader",
    )

    def __init__(self) -> None:
        machine = platform.machine()
        self._kinds = {
            str(number).encode(): state
            for state, numbers in _NUMBERS.get(machine, {}).items()
            for number in numbers
        }
        self._selects = {str(number).encode() for number in _SELECT.get(machine, ())}
        # by identifier: what is kept open, its number, and where its content is read to
        self._descriptors: dict[int, Descriptor] = {}
        self._numbers: dict[int, int] = {}
        self._buffers: dict[int, Any] = {}
        self._ranges: list[tuple[int, int]] = []
        self._pread, self._new_buffer = _pread_that_holds_the_gil()
        self.reader = None if self._pread is None else self._read_all
        self.available = False
        _close_in_children()
        # a 32-bit process has other system calls
        if self._kinds and sys.platform == "linux" and sys.maxsize > 1 << 32:
            try:
                self._ranges = interpreter_data()
                self.available = not proc_problem() and bool(_read_once(get_native_id()))
            except OSError:
                pass

    def update(self, threads: list[SampledThread], lengths: list[int], later_ns: list[int]) -> None:
        """Set `state` and `lock` of threads.

        Args:
            threads: with their CPU times of just before.
            lengths: what `reader` has returned for them; may be empty.
            later_ns: their CPU times of just after; may be empty.
        """
        if not self.available:
            for thread in threads:
                thread.state, thread.lock = UNKNOWN, 0
            return
        lengths = lengths or [-1] * len(threads)
        later_ns = later_ns or [-1] * len(threads)
        for thread, length, cpu_ns in zip(threads, lengths, later_ns, strict=True):
            # its file may not be open yet
            kept = length > 0
            content = self._buffers[thread.ident].raw[:length] if kept else self._open(thread)
            thread.state, thread.lock = self._parse(content)
            if thread.state is RUNNING and cpu_ns == thread.cpu_ns:
                thread.state = READY

    def read(self, tid: int) -> tuple[str, int]:
        """Return a thread's state and, if it waits for a lock, the address of its futex, else 0."""
        return self._parse(_read_once(tid) if self.available and tid else b"")

    def forget(self, ident: int) -> None:
        """Close what is kept for a thread that has ended."""
        self._numbers.pop(ident, None)
        self._buffers.pop(ident, None)
        kept = self._descriptors.pop(ident, None)
        if kept is not None:
            kept.close()

    def close(self) -> None:
        """Close everything."""
        for ident in list(self._descriptors):
            self.forget(ident)
        _in_use.pop(id(self), None)

    def _read_all(self, idents: Iterable[int]) -> Iterable[int]:
        numbers = map(self._numbers.get, idents, repeat(-1))
        buffers = map(self._buffers.get, idents)
        return map(self._pread, numbers, buffers, repeat(_SIZE), repeat(0))

    def _open(self, thread: SampledThread) -> bytes:
        """Return the content of a thread's file; keep it open, if that is not too much."""
        ident = thread.ident
        if ident in self._numbers or len(self._numbers) >= _MAX_KEPT or self._pread is None:
            self.forget(ident)  # the host may have closed it, and opened something else
            return _read_once(thread.tid)
        try:
            number = os.open(_PATH.format(thread.tid), os.O_RDONLY | os.O_CLOEXEC)
            kept = self._descriptors[ident] = Descriptor(above_standard(number))
            _in_use[id(self)] = self  # again, after `close`
            self._numbers[ident] = kept.number
            self._buffers[ident] = self._new_buffer(_SIZE)
            return os.pread(kept.number, _SIZE, 0)
        except OSError:
            return b""

    def _parse(self, content: bytes) -> tuple[str, int]:
        """Return state and futex: `running`, or number of the system call, arguments, pointers."""
        words = content.split(maxsplit=2)
        if not words:
            return UNKNOWN, 0
        number = words[0]
        if number == b"running":
            return RUNNING, 0
        if number == b"-1":  # it waits outside of system calls, for a page of memory
            return IO, 0
        state = self._kinds.get(number, OTHER)
        if state is LOCK:
            address = int(words[1], 16)
            if any(begin <= address < end for begin, end in self._ranges):
                return GIL, 0
            return LOCK, address
        if number in self._selects and words[1] == b"0x0":
            return SLEEP, 0
        return state, 0


# those that may have open files, by identity
_in_use: dict[int, ThreadStates] = {}
_hooked: list[bool] = []


def _close_in_children() -> None:
    """Let forked children close their copies of the files of all states."""
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked.append(True)
        os.register_at_fork(after_in_child=_close_all)


def _close_all() -> None:
    if not _in_use:
        return
    for states in list(_in_use.values()):
        states.close()
    # the fork may have been between the opening of a file and its entry
    try:
        for name in os.listdir("/proc/self/fd"):
            if _is_state_file(f"/proc/self/fd/{name}"):
                close_descriptor(int(name))
    except OSError:
        pass


def _is_state_file(link: str) -> bool:
    try:
        path = os.readlink(link)
    except OSError:
        return False
    return path.startswith("/proc/") and path.endswith("/syscall")


def _read_once(tid: int) -> bytes:
    """Return the content of a thread's file, b"" if the thread has ended."""
    try:
        return read_small_file(_PATH.format(tid))
    except OSError:
        return b""


def _pread_that_holds_the_gil() -> tuple[Any, Any]:
    """Return pread(2) as a function of C, and one that makes a buffer for it; or None, None.

    `os.pread` releases the GIL: then the threads that wait for it run before the next one is read.
    """
    try:
        import ctypes

        pread = ctypes.PyDLL(None).pread
        pread.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)
        pread.restype = ctypes.c_ssize_t
    except (ImportError, OSError, AttributeError, TypeError):
        return None, None
    return pread, ctypes.create_string_buffer
