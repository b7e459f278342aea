"""`pprofplus run`: start a command, and have each Python that it runs record itself.

The command takes this process's place, so its pid, arguments, terminal, signals and exit code are
its own. What is left of us is the environment.
"""

from __future__ import annotations

# pathlib costs each command 5 ms
# ruff: noqa: PTH110
import argparse
import errno
import os
import sys

from pprofplus.commands import add_recording, complain
from pprofplus.commands.autostart import bootstrap
from pprofplus.locks import LOCKS_EXIST
from pprofplus.program import call_of, call_of_file, service_of_script
from pprofplus.settings import check_service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.commands import Subparsers

# as env(1), nice(1) and shells have it
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run",
        help="run a program, and record each Python in it",
        usage="%(prog)s [--service NAME] [--interval SECONDS] [--dir DIR] -- COMMAND ...",
        description="Runs COMMAND as it is, and records each Python in it: the program, its "
        "workers, and what they start.",
        allow_abbrev=False,
    )
    add_recording(parser, "PPROFPLUS_SERVICE, else the program's")
    parser.add_argument("program", metavar="COMMAND", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Become the command; return an exit code only if that failed."""
    words: list[str] = options.program
    if words and words[0] == "--":
        words = words[1:]
    if not words or not words[0]:
        complain("name a command to run: pprofplus run -- python app.py")
        return 2
    if not LOCKS_EXIST:
        complain("this platform has no exec: call pprofplus.start() in the program")
        return 2
    path = _find(words[0])
    call = call_of(words) or (None if path is None else call_of_file(path))
    environment = _environment(options, _service(options, words))
    if path is None:
        return _refuse(words[0])
    if call is not None and call.deaf:
        complain(f"{words[0]} runs with {call.deaf}, which hides PYTHONPATH: it is not recorded")
    return _become(path, words, environment)


def _find(name: str) -> str | None:
    """Return the file that a command's name stands for, as execvp(3) looks for it, or None."""
    import shutil  # noqa: PLC0415 - 5 ms

    return shutil.which(name)


def _refuse(name: str) -> int:
    """Say why nothing can be executed under this name; return the exit code."""
    import shutil  # noqa: PLC0415 - as above

    there = os.path.exists(name) if "/" in name else shutil.which(name, mode=os.F_OK)
    if not there:
        complain(f"{name}: command not found")
        return _NOT_FOUND
    hint = f": run it as `python {name}`" if name.endswith(".py") else ""
    complain(f"{name} is not executable{hint}")
    return _NOT_EXECUTABLE


def _service(options: argparse.Namespace, words: list[str]) -> str:
    """Return the service's name: the option's, the environment's, or the program's."""
    if options.service is not None:
        name: str = options.service
        return name
    named = os.environ.get("PPROFPLUS_SERVICE")
    if named:
        try:
            return check_service(named)
        except ValueError as error:
            complain(f"PPROFPLUS_SERVICE is passed over: {error}")
    call = call_of(words)
    return service_of_script(words[0]) if call is None else call.service


def _environment(options: argparse.Namespace, service: str) -> dict[str, str]:
    """Return the environment that makes each Python in the command record itself."""
    environment = dict(os.environ)
    if environment.get("LC_CTYPE") and not _was_given(b"LC_CTYPE="):
        del environment["LC_CTYPE"]  # Python has set it in the C locale, for itself
    environment["PPROFPLUS_AUTOSTART"] = service
    environment["PPROFPLUS_AUTOSTART_PID"] = str(os.getpid())  # the command will have it
    if options.interval is not None:
        environment["PPROFPLUS_INTERVAL"] = str(options.interval)
    if options.dir is not None:
        environment["PPROFPLUS_DIR"] = options.dir
    first = bootstrap()
    # an empty entry would mean the working directory
    rest = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{first}{os.pathsep}{rest}" if rest else first
    return environment


def _was_given(variable: bytes) -> bool:
    """Tell whether a variable was in the environment when we began; True if nothing tells."""
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - as above
            return any(entry.startswith(variable) for entry in file.read().split(b"\0"))
    except OSError:
        return True


def _become(path: str, words: list[str], environment: dict[str, str]) -> int:
    """Execute the command in our place; return an exit code if that failed."""
    import signal  # noqa: PLC0415 - only before the exec

    # Python ignores these for itself, and what is ignored stays so in the command
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    sys.stderr.flush()
    try:
        try:
            os.execve(path, words, environment)  # noqa: S606 - what we are for
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # no first line that names an interpreter: a shell script, to execvp(3) too
            os.execve("/bin/sh", ["sh", path, *words[1:]], environment)  # noqa: S606 - as above
    except OSError as error:
        if error.errno == errno.ENOENT:
            complain(f"{words[0]}: the interpreter that its first line names is not there")
            return _NOT_FOUND
        complain(f"{words[0]} cannot be executed: {error.strerror}")
        return _NOT_EXECUTABLE
