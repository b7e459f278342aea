"""The parent that `pprofplus run --wait` becomes: it waits for the command and says how it ended.

A script, run by its path and without `site`, for it lives as long as the service: it holds to the
interpreter's built-in modules until the command has ended. Its arguments are the log directory
("" for the default), the file that counts the OOM killer's kills ("" for none), the name to show,
the file to execute and the command's words.

It blocks every signal and takes them one at a time, so no handler of its own ever runs. What a
process sends is passed on. What the terminal sends (Ctrl-C, Ctrl-Z) is not: the command is in the
same process group and has it already. When the command stops, it stops, so the shell sees that.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path[:1] = []  # the package's own directory: its modules are not top-level ones

import _signal  # type: ignore[import-not-found]
import posix
from time import time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# how old the count of OOM kills may be to which that at the end is compared
_COUNT_PERIOD_S = 5.0
_PR_SET_PDEATHSIG = 1
# variables by which a service manager names the process that it has started
_PID_VARIABLES = (b"LISTEN_PID", b"WATCHDOG_PID", b"SYSTEMD_EXEC_PID")
# a fault of our own may not be blocked
_FAULTS = {"SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGKILL", "SIGSTOP"}
_BY_TERMINAL = {"SIGINT", "SIGQUIT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGHUP", "SIGWINCH"}
_CANNOT_START = 126


def _numbers(names: set[str]) -> set[int]:
    return {int(getattr(_signal, name)) for name in names if hasattr(_signal, name)}


class Supervisor:
    """One command, from its start to its end.

    Attributes:
        child: its pid.
        status: as waitpid(2) gave it; None while it runs.
        oom_killed: whether the OOM killer ended it; None if nothing counts that.
    """

    def __init__(self, counter: str, path: str, words: list[str]) -> None:
        """Start the command."""
        self.status: int | None = None
        self.oom_killed: bool | None = None
        self._counter = counter
        self._signals = set(_signal.valid_signals()) - _numbers(_FAULTS)
        # a parent that ignores it would have the kernel throw the exit code away
        ignored = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL) == _signal.SIG_IGN
        mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, self._signals)
        parent = posix.getpid()
        self.child = posix.fork()
        if self.child == 0:
            if ignored:
                _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
            _become(path, words, mask, parent)
        _let_go_of_descriptors()

    def wait(self) -> int:
        """Wait for the command's end; return its exit code as shells have it."""
        kills = self._kills()
        while True:
            number, from_process = self._next_signal()
            if number == 0:
                kills = self._kills()
            elif number == _signal.SIGCHLD:
                self._reap()
                if self.status is not None:
                    break
            elif from_process:
                self._pass_on(number)
        kills_now = self._kills()
        code = posix.waitstatus_to_exitcode(self.status or 0)
        if kills is not None and kills_now is not None:
            self.oom_killed = code == -_signal.SIGKILL and kills_now > kills
        return code if code >= 0 else 128 - code

    def _next_signal(self) -> tuple[int, bool]:
        """Return (signal, whether a process sent it); (0, False) after a while without one."""
        if hasattr(_signal, "sigtimedwait"):
            found = _signal.sigtimedwait(self._signals, _COUNT_PERIOD_S)
            # from a terminal and from the kernel itself it is above 0
            return (0, False) if found is None else (found.si_signo, found.si_code <= 0)
        number = _signal.sigwait(self._signals)  # macOS
        by_terminal = number in _numbers(_BY_TERMINAL) and posix.isatty(2)
        return number, not by_terminal

    def _pass_on(self, number: int) -> None:
        try:  # noqa: SIM105 - contextlib is not built in
            posix.kill(self.child, number)
        except OSError:  # it has another user, or has just ended
            pass

    def _reap(self) -> None:
        """Take in every child that ended: as pid 1 of a container we have those of others too."""
        flags = posix.WNOHANG | posix.WUNTRACED | posix.WCONTINUED
        stopped = False
        while True:
            try:
                pid, status = posix.waitpid(-1, flags)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.child:
                stopped = posix.WIFSTOPPED(status)
                if posix.WIFEXITED(status) or posix.WIFSIGNALED(status):
                    self.status = status
        if stopped:
            posix.kill(posix.getpid(), _signal.SIGSTOP)
            # here a shell has continued us, by a signal that is passed on next

    def _kills(self) -> int | None:
        """Return the OOM killer's kills so far, or None if that file does not tell."""
        if not self._counter:
            return None
        try:
            fd = posix.open(self._counter, posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            return None
        try:
            text = b"\n" + posix.read(fd, 1 << 16)
        except OSError:
            return None
        finally:
            posix.close(fd)
        digits = text.partition(b"\noom_kill ")[2].split(b"\n", 1)[0]
        return int(digits) if digits.isdigit() else None


def _become(path: str, words: list[str], mask: set[int], parent: int) -> NoReturn:
    """In the child: execute the command as it would be without us, or end."""
    environment = _environment(parent)
    if parent != 1:
        _die_with(parent)
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores these for itself
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    code = _CANNOT_START
    try:
        posix.execve(path, words, environment)
    except OSError:
        _find_package()
        # tries again, as a shell script too, and says what is wrong
        from pprofplus.supervision.execute import execute  # noqa: PLC0415 - in the child alone

        code = execute(path, words, environment)
    finally:
        posix._exit(code)  # noqa: SLF001 - it has no other name


def _environment(parent: int) -> dict[bytes, bytes]:
    """Return the command's environment: ours, with its own pid where ours was."""
    environment = dict(posix.environ)
    pid = b"%d" % posix.getpid()
    for name in _PID_VARIABLES:
        if environment.get(name) == b"%d" % parent:
            environment[name] = pid
    environment[b"PPROFPLUS_AUTOSTART_PID"] = pid
    if environment.get(b"LC_CTYPE") and not _was_given(b"LC_CTYPE="):
        del environment[b"LC_CTYPE"]  # Python has set it in the C locale, for itself
    return environment


def _was_given(variable: bytes) -> bool:
    """Tell whether a variable was in the environment when we began; True if nothing tells."""
    text = b""
    try:
        fd = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            while part := posix.read(fd, 1 << 16):
                text += part
        finally:
            posix.close(fd)
    except OSError:
        return True
    return any(entry.startswith(variable) for entry in text.split(b"\0"))


def _die_with(parent: int) -> None:
    """In the child: be killed when our parent is, as if the two were one process."""
    try:
        import ctypes  # noqa: PLC0415 - in the child alone

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return  # not Linux, or no ctypes: then it outlives a SIGKILL of its parent
    prctl(_PR_SET_PDEATHSIG, int(_signal.SIGKILL), 0, 0, 0)
    if posix.getppid() != parent:
        posix._exit(_CANNOT_START)  # noqa: SLF001 - it has no other name


def _let_go_of_descriptors() -> None:
    """Close what the command has inherited: a pipe or socket that it closes has to be closed.

    stderr stays, for the one line at the end.
    """
    try:
        fd = posix.open("/dev/null", posix.O_RDWR)
        for number in (0, 1):
            posix.dup2(fd, number)
        numbers = [int(name) for name in posix.listdir("/proc/self/fd")]
    except OSError:
        numbers = list(range(256))
    for number in numbers:
        if number > 2:  # noqa: PLR2004 - stderr
            try:  # noqa: SIM105 - as above
                posix.close(number)
            except OSError:
                pass


def _find_package() -> None:
    root = __file__.rsplit("/", 3)[0]
    if root not in sys.path:
        sys.path.append(root)


def main(home: str, counter: str, shown: str, path: str, *words: str) -> int:
    """Run the command, note how it ended, and return its exit code."""
    began_ms = time_ns() // 1_000_000
    supervisor = Supervisor(counter, path, list(words))
    code = supervisor.wait()
    try:
        _find_package()
        from pprofplus.supervision.end_report import report  # noqa: PLC0415 - not while it runs

        report(
            *(home, shown, began_ms),
            child=supervisor.child,
            status=supervisor.status or 0,
            oom_killed=supervisor.oom_killed,
        )
    except Exception as error:  # noqa: BLE001 - the outer edge: the exit code is the command's
        sys.stderr.write(f"pprofplus: how {shown} ended is not noted: {error!r}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
