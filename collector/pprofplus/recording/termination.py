"""Record that a SIGTERM ended the process, so that this does not look like a crash.

While a run is recorded, its directory has an empty file, TERMINATED_NAME. If SIGTERM has its
default disposition, we install faulthandler's handler: it writes to this file where the program
was, restores the default and raises the signal again. It is C code that needs neither the GIL nor
the main thread. So the process ends as fast as without us, by the same signal, even if it hangs in
C code. `signal.getsignal()` still returns SIG_DFL, a handler that the program installs replaces
ours, and exec resets it. A program that has a handler when recording begins keeps only its own.

A SIGTERM may have no effect (pid 1 ignores it by default): the next refresh empties the file again.
"""

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

# A host that closes all descriptors and then opens its own files gets the lowest free numbers. At
# these high numbers the handler never writes to a file of the host.
_HIGH_NUMBER = 1000
_ROOM = 8
# Writes to these file systems do not wait for a server. A disk that hangs can still block the
# process, but it would without us: the sampling thread waits for the disk in the kernel, where no
# signal interrupts it.
_LOCAL = {"bcachefs", "btrfs", "overlay", "ramfs", "rootfs", "tmpfs", "zfs"}
_FILE_FLAGS = flags("O_WRONLY", "O_CREAT", "O_APPEND", "O_NONBLOCK")
_NULL = flags("O_WRONLY")


def _high_number() -> int:
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:
        return _HIGH_NUMBER
    return max(_ROOM, min(_HIGH_NUMBER, getrlimit(RLIMIT_NOFILE)[0] - _ROOM))


def _at_high_number(number: int) -> Descriptor:
    """Return an open descriptor's copy with a high number; closes `number`. Raises OSError."""
    import fcntl

    try:
        return Descriptor(fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _high_number()))
    finally:
        close_descriptor(number)


class _Handler:
    """faulthandler's handler of SIGTERM, and the descriptor that it writes to; one per process.

    It is installed once, and never uninstalled: that would also uninstall a handler that the
    program has installed meanwhile. Only the target of its descriptor changes.
    """

    __slots__ = ("_inherited", "_out", "_refused", "_registered")

    def __init__(self) -> None:
        self._out: Descriptor | None = None
        self._inherited: list[Descriptor] = []  # copies of the parent's descriptors, to be closed
        self._registered = False
        self._refused = False

    @property
    def installed(self) -> bool:
        """Whether it is installed, and its descriptor still ours."""
        return self._registered and self._out is not None and self._out.ours()

    @property
    def usable(self) -> bool:
        """Whether it is installed, or may be: the program has no handler of its own."""
        if not (self._registered or self._refused):
            self._refused = not _is_default()
        return not self._refused

    def reserve(self) -> None:
        """Open its descriptor on /dev/null, if it is usable. Raises OSError."""
        if self._out is None and self.usable:
            self._out = _at_high_number(os.open(os.devnull, _NULL))

    def redirect(self, target: Descriptor) -> bool:
        """Redirect it to `target`; False if it has no descriptor. Raises OSError."""
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
        if self._registered and self.redirect(target):
            return True
        if not self.usable:
            return False
        out = self._out if self.redirect(target) else _at_high_number(os.dup(target.number))
        if out is not None:
            self._register(out)
            self._out = out
        return self._registered

    def redirect_to_null(self) -> None:
        """In a forked child: redirect it to /dev/null, without access to the parent's files."""
        if self._registered and self._out is not None:
            null = _at_high_number(os.open(os.devnull, _NULL))
            self._register(null)
            self._inherited.append(self._out)
            self._out = null

    def _register(self, out: Descriptor) -> None:
        import faulthandler

        # a second call only changes the number
        faulthandler.register(_signal.SIGTERM, file=out.number, all_threads=False, chain=True)
        self._registered = True


def _is_default() -> bool:
    """Return whether SIGTERM has its default disposition, in Python and in the kernel."""
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
    """Open the handler's descriptor before the collector has a thread; never raises OSError.

    A high number makes the kernel enlarge the descriptor table. In a process with one thread that
    takes no time, in others some 15 ms, and `start()` would wait for it.
    """
    try:
        _handler.reserve()
    except (OSError, ImportError):
        # no descriptor left: the thread tries again
        return


class Termination:
    """The SIGTERM file of one run. None of its methods raises OSError.

    `refresh` is called after files are written, `suspend` before. On a file system that may wait
    for a server, the handler is redirected to /dev/null meanwhile, because it must not wait as
    well.
    """

    __slots__ = ("_directory", "_file", "_may_block", "_mode", "_redirected", "_suspended")

    def __init__(self) -> None:
        self._directory = ""
        self._mode = 0o600
        self._file: Descriptor | None = None
        self._may_block = True
        self._suspended = True
        self._redirected = False  # the handler writes to this run's file

    def arm(self, directory: str, *, group_readable: bool) -> None:
        """Begin in the run directory."""
        self.disarm()
        self._directory, self._mode = directory, 0o640 if group_readable else 0o600
        self.refresh()

    def refresh(self) -> None:
        """Redirect the handler to the file after writes; empty it if a signal had no effect."""
        if not self._directory:
            return
        if not _handler.usable and "uvicorn.server" not in sys.modules:
            return
        try:
            if self._file is None or not self._file.ours():
                self._file = self._open_file()
            if os.fstat(self._file.number).st_size:
                os.ftruncate(self._file.number, 0)
            self._suspended = False
            if not (self._redirected and _handler.installed):
                self._redirected = _handler.install(self._file)
            _hook_uvicorn(self)
        except (OSError, ValueError, RuntimeError, ImportError, AttributeError):
            # no descriptor left, a full disk, no faulthandler: then a SIGTERM looks like a
            # crash
            self._redirected = False

    def suspend(self) -> None:
        """Redirect the handler away while files are written, if a write may take long."""
        if self._may_block:
            self._redirect_away()

    def _redirect_away(self) -> None:
        self._suspended, self._redirected = True, False
        if not _handler.installed:
            return
        try:
            null = Descriptor(os.open(os.devnull, _NULL))
        except OSError:
            return
        try:
            _handler.redirect(null)
        except OSError:
            return
        finally:
            null.close()

    def write_reason(self, text: str) -> None:
        """Record that the process is about to end by SIGTERM."""
        file = self._file
        if file is not None and not self._suspended and file.ours():
            try:
                os.write(file.number, text.encode("utf-8", "replace") + b"\n")
            except OSError:
                return

    def disarm(self) -> None:
        """End: the log itself records how it ends."""
        self._redirect_away()
        directory, self._directory = self._directory, ""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        if directory:
            try:
                os.unlink(f"{directory}/{TERMINATED_NAME}")
            except OSError:
                return

    def detach_from_parent(self) -> None:
        """In a forked child: write nothing to the parent's file. It does not wait for the disk."""
        self._suspended, self._redirected = True, False
        self._directory = ""
        try:
            _handler.redirect_to_null()
        except (OSError, ValueError, RuntimeError):
            return

    def _open_file(self) -> Descriptor:
        directory = os.open(self._directory, DIRECTORY)
        try:
            number = os.open(TERMINATED_NAME, _FILE_FLAGS, self._mode, dir_fd=directory)
        finally:
            close_descriptor(directory)
        file = _at_high_number(number)
        os.fchmod(file.number, self._mode)
        device = os.fstat(file.number).st_dev
        self._may_block = not (os.major(device) or file_system_type(device) in _LOCAL)
        self._redirected = False
        return file


# uvicorn restores the default disposition itself, then ends by the signal that it received
# holds the one to notify of a shutdown, once uvicorn's class is patched
_uvicorn_termination: list[Termination] = []


def _hook_uvicorn(termination: Termination) -> None:
    """Patch uvicorn's server so that it notifies us after its shutdown."""
    if _uvicorn_termination:
        _uvicorn_termination[:] = [termination]
        return
    server: Any = getattr(sys.modules.get("uvicorn.server"), "Server", None)
    if server is None:
        return
    _uvicorn_termination.append(termination)
    shutdown: Callable[..., Any] = server.shutdown

    async def shut_down(self: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as the one that it calls
        try:
            return await shutdown(self, *arguments, **options)
        finally:
            if _signal.SIGTERM in getattr(self, "_captured_signals", ()):
                _uvicorn_termination[0].write_reason("uvicorn has shut down")

    shut_down.__name__, shut_down.__doc__ = "shutdown", shutdown.__doc__
    server.shutdown = shut_down
