"""Mark a SIGTERM that ends the process as the kernel would without us, so that it is no crash.

While a run is recorded, its directory has an empty file, TERMINATED_NAME. For a SIGTERM whose
disposition is the default, faulthandler's handler writes there where the program was, restores the
default and raises the signal again. It is C code that needs neither the GIL nor the main thread, so
the process ends as soon as without us, by the same signal, also if it hangs in C code.
`signal.getsignal()` still says SIG_DFL, a handler that the program installs replaces ours, and exec
resets it. A program that has a handler when recording begins keeps it, alone.

What a SIGTERM without effect has left (pid 1 ignores it by default) is erased at the next look.
"""

# pathlib costs each service 5 ms, and has no openat
# ruff: noqa: PTH108

from __future__ import annotations

import os
import sys

from pprofplus.log.log_directory import TERMINATED_NAME
from pprofplus.system.descriptor import (
    DIRECTORY,
    Descriptor,
    close_descriptor,
    flags,
    read_small_file,
)
from pprofplus.system.procfs import file_system_type

try:
    # signal itself costs each service 1 ms
    import _signal  # type: ignore[import-not-found]
except ImportError:
    _signal = None

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A host that closes all descriptors, and opens files of its own, gets the lowest free numbers: at
# these the handler cannot meet one of its files.
_HIGH_NUMBER = 1000
_ROOM = 8
# What they write does not wait for a server. A disk that hangs holds the process itself, but that
# is so without us: the thread that samples waits for it where no signal reaches.
_LOCAL = {"bcachefs", "btrfs", "overlay", "ramfs", "rootfs", "tmpfs", "zfs"}
_MARK = flags("O_WRONLY", "O_CREAT", "O_APPEND", "O_NONBLOCK")
_NULL = flags("O_WRONLY")


def _high_number() -> int:
    try:
        from resource import RLIMIT_NOFILE, getrlimit  # noqa: PLC0415 - Windows has none
    except ImportError:
        return _HIGH_NUMBER
    return max(_ROOM, min(_HIGH_NUMBER, getrlimit(RLIMIT_NOFILE)[0] - _ROOM))


def _raised(number: int) -> Descriptor:
    """Return an open descriptor's copy at a high number; `number` is closed. Raises OSError."""
    import fcntl  # noqa: PLC0415 - Windows has none

    try:
        return Descriptor(fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _high_number()))
    finally:
        close_descriptor(number)


class _Handler:
    """faulthandler's handler of SIGTERM, and the descriptor that it writes to; one a process.

    It is installed once, and never uninstalled: that would uninstall a handler of the program's
    that has come in between. What changes is where its descriptor leads.
    """

    __slots__ = ("_inherited", "_out", "_refused", "_registered")

    def __init__(self) -> None:
        self._out: Descriptor | None = None
        self._inherited: list[Descriptor] = []  # of the parent's, to be closed
        self._registered = False
        self._refused = False

    @property
    def installed(self) -> bool:
        """Whether it is there, and its descriptor still ours."""
        return self._registered and self._out is not None and self._out.ours()

    @property
    def usable(self) -> bool:
        """Whether it is installed, or may be: the program has none of its own."""
        if not (self._registered or self._refused):
            self._refused = not _is_default()
        return not self._refused

    def reserve(self) -> None:
        """Take its descriptor, which leads nowhere yet, if it is usable. Raises OSError."""
        if self._out is None and self.usable:
            self._out = _raised(os.open(os.devnull, _NULL))

    def lead_to(self, target: Descriptor) -> bool:
        """Have it write to `target`; False if it has no descriptor. Raises OSError."""
        out = self._out
        if out is None or not out.ours():
            return False
        os.dup2(target.number, out.number, inheritable=False)
        self._out = Descriptor(out.number)
        return True

    def install(self, target: Descriptor) -> bool:
        """Install it, if it is usable; False if not. Raises OSError."""
        while self._inherited:
            self._inherited.pop().close()
        if self._registered and self.lead_to(target):
            return True
        if not self.usable:
            return False
        out = self._out if self.lead_to(target) else _raised(os.dup(target.number))
        if out is not None:
            self._register(out)
            self._out = out
        return self._registered

    def turn_away(self) -> None:
        """In a forked child: write nowhere. It closes and asks no file of the parent's."""
        if self._registered and self._out is not None:
            null = _raised(os.open(os.devnull, _NULL))
            self._register(null)
            self._inherited.append(self._out)
            self._out = null

    def _register(self, out: Descriptor) -> None:
        import faulthandler  # noqa: PLC0415 - built in, but for those that record

        # a second time it only learns the number
        faulthandler.register(_signal.SIGTERM, file=out.number, all_threads=False, chain=True)
        self._registered = True


def _is_default() -> bool:
    """Tell whether SIGTERM has its default disposition, in Python and in the kernel."""
    if _signal is None or _signal.getsignal(_signal.SIGTERM) != _signal.SIG_DFL:
        return False
    if not hasattr(_signal, "pthread_sigmask"):  # Windows
        return False
    try:
        status = read_small_file("/proc/self/status")
    except OSError:
        return sys.platform != "linux"
    caught = status.partition(b"\nSigCgt:")[2].split(b"\n", 1)[0].strip()
    return bool(caught) and not int(caught, 16) >> (int(_signal.SIGTERM) - 1) & 1


_handler = _Handler()


def reserve() -> None:
    """Take the handler's descriptor before there is a thread of ours; never raises OSError.

    A high number makes the kernel enlarge the table of descriptors. In a process of one thread that
    takes no time, in others some 15 ms, and `start()` would wait for it.
    """
    try:
        _handler.reserve()
    except (OSError, ImportError):
        # no descriptor left: the thread tries again
        return


class Termination:
    """The mark of one run. None of its methods raises OSError.

    `look` is called after files are written, `suspend` before. On a file system that may wait for
    a server, the mark is put aside meanwhile, for the handler must not wait for it, too.
    """

    __slots__ = ("_aside", "_careful", "_directory", "_led", "_mark", "_mode")

    def __init__(self) -> None:
        self._directory = ""
        self._mode = 0o600
        self._mark: Descriptor | None = None
        self._careful = True
        self._aside = True
        self._led = False  # the handler writes to this mark

    def arm(self, directory: str, *, group_readable: bool) -> None:
        """Begin in the run's directory."""
        self.disarm()
        self._directory, self._mode = directory, 0o640 if group_readable else 0o600
        self.look()

    def look(self) -> None:
        """Take up the mark again after files were written; erase one that had no effect."""
        if not self._directory:
            return
        if not _handler.usable and "uvicorn.server" not in sys.modules:
            return
        try:
            if self._mark is None or not self._mark.ours():
                self._mark = self._open_mark()
            if os.fstat(self._mark.number).st_size:
                os.ftruncate(self._mark.number, 0)
            self._aside = False
            if not (self._led and _handler.installed):
                self._led = _handler.install(self._mark)
            _follow_uvicorn(self)
        except (OSError, ValueError, RuntimeError, ImportError, AttributeError):
            # no descriptor left, a full disk, no faulthandler: then a SIGTERM looks as any death
            self._led = False

    def suspend(self) -> None:
        """Put the mark aside while files are written, if that may take long."""
        if self._careful:
            self._put_aside()

    def _put_aside(self) -> None:
        self._aside, self._led = True, False
        if not _handler.installed:
            return
        try:
            null = Descriptor(os.open(os.devnull, _NULL))
        except OSError:
            return
        try:
            _handler.lead_to(null)
        except OSError:
            return
        finally:
            null.close()

    def note(self, text: str) -> None:
        """Mark that the process is about to end by SIGTERM."""
        mark = self._mark
        if mark is not None and not self._aside and mark.ours():
            try:
                os.write(mark.number, text.encode("utf-8", "replace") + b"\n")
            except OSError:
                return

    def disarm(self) -> None:
        """End: the log says by itself how it ends."""
        self._put_aside()
        directory, self._directory = self._directory, ""
        mark, self._mark = self._mark, None
        if mark is not None:
            mark.close()
        if directory:
            try:
                os.unlink(f"{directory}/{TERMINATED_NAME}")
            except OSError:
                return

    def leave_to_parent(self) -> None:
        """In a forked child: write nothing to the parent's mark. It waits for no disk."""
        self._aside, self._led = True, False
        self._directory = ""
        try:
            _handler.turn_away()
        except (OSError, ValueError, RuntimeError):
            return

    def _open_mark(self) -> Descriptor:
        directory = os.open(self._directory, DIRECTORY)
        try:
            number = os.open(TERMINATED_NAME, _MARK, self._mode, dir_fd=directory)
        finally:
            close_descriptor(directory)
        mark = _raised(number)
        os.fchmod(mark.number, self._mode)
        device = os.fstat(mark.number).st_dev
        self._careful = not (os.major(device) or file_system_type(device) in _LOCAL)
        self._led = False
        return mark


# uvicorn ends by the signal that it was sent, when it has restored the default disposition itself
_of_uvicorn: list[
    Termination
] = []  # the one that is notified of its shutdown, once its class calls us


def _follow_uvicorn(termination: Termination) -> None:
    """Have uvicorn's servers call us when they have shut down."""
    if _of_uvicorn:
        _of_uvicorn[:] = [termination]
        return
    server: Any = getattr(sys.modules.get("uvicorn.server"), "Server", None)
    if server is None:
        return
    _of_uvicorn.append(termination)
    shutdown: Callable[..., Any] = server.shutdown

    async def shut_down(self: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the one that it calls
        try:
            return await shutdown(self, *arguments, **options)
        finally:
            if _signal.SIGTERM in getattr(self, "_captured_signals", ()):
                _of_uvicorn[0].note("uvicorn has shut down")

    shut_down.__name__, shut_down.__doc__ = "shutdown", shutdown.__doc__
    server.shutdown = shut_down
