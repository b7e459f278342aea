"""The parent process of `pprofplus run --wait`: waits for the command and reports how it ended.

It is run as a script, by its path and without `site`. Because it lives as long as the service, it
uses only the interpreter's built-in modules until the command has ended. Its arguments are the log
directory ("" for the default), the file with the count of OOM kills ("" for none), the name to
show, the file to execute and the command's words.

It blocks every signal and takes them one at a time, so it never runs a signal handler of its own.
It forwards signals that a process sends, but not those of the terminal (Ctrl-C, Ctrl-Z): the
command is in the same process group and receives them itself. When the command stops, this process
stops too, so that the shell sees it.
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

# maximum age of the count of OOM kills with which the count at the end is compared
_COUNT_PERIOD_S = 5.0
_PR_SET_PDEATHSIG = 1
# variables in which a service manager names the process that it has started
_PID_VARIABLES = (b"LISTEN_PID", b"WATCHDOG_PID", b"SYSTEMD_EXEC_PID")
# signals for our own faults must not be blocked
_FAULTS = {"SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGKILL", "SIGSTOP"}
_BY_TERMINAL = {"SIGINT", "SIGQUIT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGHUP", "SIGWINCH"}
_CANNOT_START = 126


def _numbers(names: set[str]) -> set[int]:
    return {int(getattr(_signal, name)) for name in names if hasattr(_signal, name)}


class Supervisor:
    """One command, from its start to its end.

    Attributes:
        child: its pid.
        status: as waitpid(2) returned it; None while it runs.
        oom_killed: whether the OOM killer ended it; None if that is not counted.
    """

    def __init__(self, counter: str, path: str, words: list[str]) -> None:
        """Start the command."""
        self.status: int | None = None
        self.oom_killed: bool | None = None
        self._counter = counter
        self._signals = set(_signal.valid_signals()) - _numbers(_FAULTS)
        # if the parent ignores SIGCHLD, the kernel discards the exit code
        ignored = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL) == _signal.SIG_IGN
        mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, self._signals)
        parent = posix.getpid()
        self.child = posix.fork()
        if self.child == 0:
            if ignored:
                _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
            _execute(path, words, mask, parent)
        _close_descriptors()

    def wait(self) -> int:
        """Wait for the command's end; return its exit code as shells do."""
        kills = self._oom_kills()
        while True:
            number, from_process = self._next_signal()
            if number == 0:
                kills = self._oom_kills()
            elif number == _signal.SIGCHLD:
                self._reap()
                if self.status is not None:
                    break
            elif from_process:
                self._forward(number)
        kills_now = self._oom_kills()
        code = posix.waitstatus_to_exitcode(self.status or 0)
        if kills is not None and kills_now is not None:
            self.oom_killed = code == -_signal.SIGKILL and kills_now > kills
        return code if code >= 0 else 128 - code

    def _next_signal(self) -> tuple[int, bool]:
        """Return (signal, whether a process sent it); (0, False) after a while without one."""
        if hasattr(_signal, "sigtimedwait"):
            found = _signal.sigtimedwait(self._signals, _COUNT_PERIOD_S)
            # from a terminal and from the kernel itself, si_code is above 0
            return (0, False) if found is None else (found.si_signo, found.si_code <= 0)
        number = _signal.sigwait(self._signals)  # macOS
        by_terminal = number in _numbers(_BY_TERMINAL) and posix.isatty(2)
        return number, not by_terminal

    def _forward(self, number: int) -> None:
        try:
            posix.kill(self.child, number)
        except OSError:  # it has another user, or has just ended
            pass

    def _reap(self) -> None:
        """Reap every child that ended: as pid 1 of a container we get orphans too."""
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
            # execution continues here after SIGCONT, a signal that is forwarded next

    def _oom_kills(self) -> int | None:
        """Return the count of OOM kills so far, or None if the file does not contain it."""
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


def _execute(path: str, words: list[str], mask: set[int], parent: int) -> NoReturn:
    """In the child: execute the command with its original environment and signal mask, or exit."""
    environment = _environment(parent)
    if parent != 1:
        _end_with_parent(parent)
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python sets these to be ignored
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    code = _CANNOT_START
    try:
        posix.execve(path, words, environment)
    except OSError:
        _find_package()
        # tries again, also as a shell script, and prints the error
        from pprofplus.supervision.execute import execute

        code = execute(path, words, environment)
    finally:
        posix._exit(code)


def _environment(parent: int) -> dict[bytes, bytes]:
    """Return the command's environment: ours, with the command's pid in place of ours."""
    environment = dict(posix.environ)
    pid = b"%d" % posix.getpid()
    for name in _PID_VARIABLES:
        if environment.get(name) == b"%d" % parent:
            environment[name] = pid
    environment[b"PPROFPLUS_AUTOSTART_PID"] = pid
    if environment.get(b"LC_CTYPE") and not _in_environment(b"LC_CTYPE="):
        del environment[b"LC_CTYPE"]  # Python sets it itself in the C locale
    return environment


def _in_environment(variable: bytes) -> bool:
    """Return whether a variable was in the environment at our start; True if unknown."""
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


def _end_with_parent(parent: int) -> None:
    """In the child: request SIGKILL at the parent's death, so that both end together."""
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return  # not Linux, or no ctypes: then it outlives a SIGKILL of its parent
    prctl(_PR_SET_PDEATHSIG, int(_signal.SIGKILL), 0, 0, 0)
    if posix.getppid() != parent:
        posix._exit(_CANNOT_START)


def _close_descriptors() -> None:
    """Close the descriptors that we share with the command, so that a pipe it closes is closed.

    stderr stays open, for the line at the end.
    """
    try:
        fd = posix.open("/dev/null", posix.O_RDWR)
        for number in (0, 1):
            posix.dup2(fd, number)
        numbers = [int(name) for name in posix.listdir("/proc/self/fd")]
    except OSError:
        numbers = list(range(256))
    for number in numbers:
        if number > 2:  # stderr
            try:
                posix.close(number)
            except OSError:
                pass


def _find_package() -> None:
    root = __file__.rsplit("/", 3)[0]
    if root not in sys.path:
        sys.path.append(root)


def main(log_directory: str, counter: str, shown: str, path: str, *words: str) -> int:
    """Run the command, record how it ended, and return its exit code."""
    began_ms = time_ns() // 1_000_000
    supervisor = Supervisor(counter, path, list(words))
    code = supervisor.wait()
    try:
        _find_package()
        from pprofplus.supervision.end_report import report

        report(
            *(log_directory, shown, began_ms),
            child=supervisor.child,
            status=supervisor.status or 0,
            oom_killed=supervisor.oom_killed,
        )
    except Exception as error:  # noqa: BLE001 - outer boundary: the exit code is the command's
        sys.stderr.write(f"pprofplus: cannot record how {shown} ended: {error!r}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
