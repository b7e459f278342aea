"""`pprofplus run`: start a command, and have each Python that it runs record itself.

The command takes this process's place, so its pid, arguments, terminal, signals and exit code are
its own. What is left of us is the environment. With --wait a small parent stays and notes how the
command ended: see supervision/supervisor.py.
"""

from __future__ import annotations

# pathlib costs each command 5 ms
# ruff: noqa: PTH110, PTH118, PTH120
import argparse
import os
import sys

from pprofplus.commands import add_recording, complain
from pprofplus.commands.autostart import bootstrap
from pprofplus.settings import check_service
from pprofplus.supervision.execute import NOT_EXECUTABLE, NOT_FOUND, execute
from pprofplus.system.command_line import call_of, call_of_file, service_of_script
from pprofplus.system.locks import LOCKS_EXIST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.commands import Subparsers


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run",
        help="run a program, and record each Python in it",
        usage="%(prog)s [--wait] [--service NAME] [--interval SECONDS] [--dir DIR] -- COMMAND ...",
        description="Runs COMMAND as it is, and records each Python in it: the program, its "
        "workers, and what they start.",
        allow_abbrev=False,
    )
    add_recording(parser, "PPROFPLUS_SERVICE, else the program's")
    parser.add_argument(
        "--wait",
        action="store_true",
        help="stay as its parent, pass signals on, and note in its log how it ended; the exit code"
        " is the command's, or 128 + n if signal n ended it",
    )
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
    if options.wait:
        return _stay(options.dir, path, words, environment)
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
        return NOT_FOUND
    hint = f": run it as `python {name}`" if name.endswith(".py") else ""
    complain(f"{name} is not executable{hint}")
    return NOT_EXECUTABLE


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
    return execute(path, words, environment)


def _stay(home: str | None, path: str, words: list[str], environment: dict[str, str]) -> int:
    """Become the command's parent, an interpreter with next to nothing in it."""
    from pprofplus.supervision import __file__ as package  # noqa: PLC0415 - only here

    script = os.path.join(os.path.dirname(package), "supervisor.py")
    # PYTHONHOME says where the interpreter's own modules are
    options = ["-S", "-B"] if environment.get("PYTHONHOME") else ["-S", "-B", "-E"]
    arguments = [home or "", _oom_counter(), words[0], path, *words]
    return execute(sys.executable, [sys.executable, *options, script, *arguments], environment)


def _oom_counter() -> str:
    """Return the file that counts the OOM killer's kills here, or ""."""
    from pprofplus.errors import ProbeAbsentError  # noqa: PLC0415 - as above
    from pprofplus.probes.cgroup import Cgroup  # noqa: PLC0415 - as above

    try:
        found = Cgroup()
        path = f"{found.directory}/{found.events}"
        if os.path.exists(path):
            return path
    except ProbeAbsentError:
        pass
    # the root of version 2 has no such file; this counts those of the whole machine
    return "/proc/vmstat" if os.path.exists("/proc/vmstat") else ""
