"""`pprofplus run`: starts a command so that each Python process in it records itself.

The command replaces this process (exec), so that its pid, arguments, terminal, signals and exit
code are unchanged. Only the environment differs. With --wait a small parent process stays and
records how the command ended: see supervision/supervisor.py.
"""

from __future__ import annotations

import argparse
import os
import sys

from pprofplus.commands.autostart import bootstrap
from pprofplus.commands.common_arguments import add_recording_options, print_error
from pprofplus.settings import check_service
from pprofplus.supervision.execute import NOT_EXECUTABLE, NOT_FOUND, execute
from pprofplus.system.command_line import parse_call, parse_shebang, service_of_script
from pprofplus.system.locks import LOCKS_EXIST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options and the command to run."""
    parser.usage = (
        "%(prog)s [--wait] [--service NAME] [--interval SECONDS] [--dir DIR] -- COMMAND ..."
    )
    parser.description = (
        "Runs COMMAND unchanged, and records each Python process in it: the program, its workers, "
        "and the processes that these start."
    )
    add_recording_options(parser, "PPROFPLUS_SERVICE, or the name of the program")
    parser.add_argument(
        "--wait",
        action="store_true",
        help="stay as the parent process, forward signals, and record in the log how the command "
        "ended; the exit code is that of the command, or 128 + n if signal n ended it",
    )
    parser.add_argument("program", metavar="COMMAND", nargs=argparse.REMAINDER)


def run(options: argparse.Namespace) -> int:
    """Replace this process by the command; return an exit code only if that failed."""
    words: list[str] = options.program
    if words and words[0] == "--":
        words = words[1:]
    if not words or not words[0]:
        print_error("give a command to run: pprofplus run -- python app.py")
        return 2
    if not LOCKS_EXIST:
        print_error("this platform has no exec: call pprofplus.start() in the program")
        return 2
    path = _find(words[0])
    call = parse_call(words) or (None if path is None else parse_shebang(path))
    environment = _environment(options, _service(options, words))
    if path is None:
        return _report_missing(words[0])
    if call is not None and call.isolating_option:
        option = call.isolating_option
        print_error(f"{words[0]} runs with {option}, which hides PYTHONPATH: it is not recorded")
    if options.wait:
        return _exec_supervisor(options.dir, path, words, environment)
    return _exec_command(path, words, environment)


def _find(name: str) -> str | None:
    """Return the file of a command, searched like execvp(3) does, or None."""
    import shutil

    return shutil.which(name)


def _report_missing(name: str) -> int:
    """Print why this name cannot be executed; return the exit code."""
    import shutil

    exists = os.path.exists(name) if "/" in name else shutil.which(name, mode=os.F_OK)
    if not exists:
        print_error(f"{name}: command not found")
        return NOT_FOUND
    hint = f": run it as `python {name}`" if name.endswith(".py") else ""
    print_error(f"{name} is not executable{hint}")
    return NOT_EXECUTABLE


def _service(options: argparse.Namespace, words: list[str]) -> str:
    """Return the name of the service: from the option, the environment, or the program."""
    if options.service is not None:
        name: str = options.service
        return name
    named = os.environ.get("PPROFPLUS_SERVICE")
    if named:
        try:
            return check_service(named)
        except ValueError as error:
            print_error(f"PPROFPLUS_SERVICE is ignored: {error}")
    call = parse_call(words)
    return service_of_script(words[0]) if call is None else call.service


def _environment(options: argparse.Namespace, service: str) -> dict[str, str]:
    """Return the environment in which each Python process of the command records itself."""
    environment = dict(os.environ)
    if environment.get("LC_CTYPE") and not _was_given(b"LC_CTYPE="):
        del environment["LC_CTYPE"]  # Python sets it in the C locale, for itself
    environment["PPROFPLUS_AUTOSTART"] = service
    environment["PPROFPLUS_AUTOSTART_PID"] = str(os.getpid())  # the command keeps our pid
    if options.interval is not None:
        environment["PPROFPLUS_INTERVAL"] = str(options.interval)
    if options.dir is not None:
        environment["PPROFPLUS_DIR"] = options.dir
    entry = bootstrap()
    # an empty entry would mean the working directory
    rest = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{entry}{os.pathsep}{rest}" if rest else entry
    return environment


def _was_given(variable: bytes) -> bool:
    """Return whether a variable was in our initial environment; True if that is unknown."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return any(entry.startswith(variable) for entry in file.read().split(b"\0"))
    except OSError:
        return True


def _exec_command(path: str, words: list[str], environment: dict[str, str]) -> int:
    """Replace this process by the command; return an exit code if that failed."""
    import signal

    # Python ignores these, and the command would inherit that
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    return execute(path, words, environment)


def _exec_supervisor(
    directory: str | None, path: str, words: list[str], environment: dict[str, str]
) -> int:
    """Become the parent of the command: a small interpreter without site packages."""
    from pprofplus.supervision import __file__ as package

    script = os.path.join(os.path.dirname(package), "supervisor.py")
    # PYTHONHOME is the directory of the interpreter's own modules: -E would ignore it
    options = ["-S", "-B"] if environment.get("PYTHONHOME") else ["-S", "-B", "-E"]
    arguments = [directory or "", _oom_counter(), words[0], path, *words]
    return execute(sys.executable, [sys.executable, *options, script, *arguments], environment)


def _oom_counter() -> str:
    """Return the file that counts the kills by the OOM killer, or ""."""
    from pprofplus.errors import ProbeAbsentError
    from pprofplus.probes.cgroup import Cgroup

    try:
        found = Cgroup()
        path = f"{found.directory}/{found.events}"
        if os.path.exists(path):
            return path
    except ProbeAbsentError:
        pass
    # the root cgroup of version 2 has no such file; /proc/vmstat counts for the machine
    return "/proc/vmstat" if os.path.exists("/proc/vmstat") else ""
