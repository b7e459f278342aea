"""`pprofplus watch`: record other processes, in any language, from outside."""

from __future__ import annotations

import argparse
import re
import sys

from pprofplus.commands.common_arguments import add_recording_options, checked, print_error
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.recording.watching import Watch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose processes, and those of recording."""
    parser.usage = "%(prog)s [PID ...] [--name REGEX] [--children] [options]"
    parser.description = (
        "Records what the kernel reports about other processes, in the same logs as the collector "
        "inside a service. Ends when all the processes have ended; with --name it waits for new "
        "ones until it is interrupted. Exit codes: 0 success, 1 no process to watch, 2 wrong usage."
    )
    parser.add_argument("pids", metavar="PID", nargs="*", type=checked(_check_pid))
    parser.add_argument(
        "--name",
        metavar="REGEX",
        type=checked(_check_pattern),
        help="processes whose name or command line matches, including new ones",
    )
    parser.add_argument(
        "--children",
        action="store_true",
        help="also the descendants of each PID, including new ones; without a PID, those of the "
        "process that started this one",
    )
    add_recording_options(parser, "the name of each process")
    parser.add_argument("--quiet", action="store_true", help="print only problems")


def _check_pid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise ValueError(f"{text!r} is not a process id")
    return int(text)


def _check_pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error


def run(options: argparse.Namespace) -> int:
    """Watch until all processes have ended, or a signal arrives; return the exit code."""
    import os

    from pprofplus.recording.watching import Watch, WatchSelection
    from pprofplus.settings import Settings
    from pprofplus.system.open_files import raise_descriptor_limit
    from pprofplus.system.procfs import proc_problem

    if not options.pids and options.name is None and not options.children:
        print_error("give the processes to watch: a PID, --name REGEX or --children (see --help)")
        return 2
    parents: tuple[int, ...] = ()
    if options.children:
        parents = tuple(options.pids) or (os.getppid(),)
    settings = Settings("watch", interval_s=options.interval, directory=options.dir)
    problem = proc_problem() or _directory_problem(settings.log_directory)
    if problem:
        print_error(problem)
        return 1
    raise_descriptor_limit()
    selection = WatchSelection(tuple(options.pids), options.name, parents)
    report = _print_nothing if options.quiet else _print_line
    watch = Watch(selection, settings, options.service, report, print_error)
    _watch_until_signal(watch)
    return 0 if watch.begun else 1


def _directory_problem(log_directory: str) -> str:
    """Return why this user cannot record to `log_directory`, or ""; a full disk does not count."""
    import errno
    import os

    from pprofplus.errors import UnsafeDirectoryError
    from pprofplus.log.log_directory import open_log_directory

    try:
        os.close(open_log_directory(log_directory))
    except UnsafeDirectoryError as error:
        return f"cannot record: {error}"
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}:
            return ""
        return (
            f"cannot record to {log_directory}: {error.strerror}: run this as another user, or"
            " give another directory (--dir)"
        )
    return ""


def _watch_until_signal(watch: Watch) -> None:
    import signal

    from pprofplus.system.background import WakeEvent

    wake = WakeEvent()
    ended = []

    def end(*_: object) -> None:
        ended.append(True)
        wake.set()

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:
            signal.signal(getattr(signal, name), end)
    try:
        wait_s = watch.step()
        while not ended and not watch.over:
            wake.wait(wait_s)
            wait_s = watch.step()
    finally:
        watch.close()


def _print_line(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()


def _print_nothing(_: str) -> None:
    return
