"""`pprofplus watch`: record other processes, in any language, from outside."""

from __future__ import annotations

import argparse
import re
import sys

from pprofplus.commands import add_recording, checked, complain
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.commands import Subparsers
    from pprofplus.recording.watching import Watch


def add(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "watch",
        help="record other processes, in any language, from outside",
        usage="%(prog)s [PID ...] [--name REGEX] [--children] [options]",
        description="Records what the kernel tells of other processes, to logs as the collector "
        "writes them. Ends when all of them have; with --name it waits for new ones until it is "
        "interrupted. Exit code: 0, 1 if there was nothing to watch, 2 usage.",
        allow_abbrev=False,
    )
    parser.add_argument("pids", metavar="PID", nargs="*", type=checked(_check_pid))
    parser.add_argument(
        "--name",
        metavar="REGEX",
        type=checked(_check_pattern),
        help="processes whose name or command line it finds, new ones too",
    )
    parser.add_argument(
        "--children",
        action="store_true",
        help="the descendants of each PID too, new ones as well; without a PID, of the process "
        "that started this one",
    )
    add_recording(parser, "each process's own")
    parser.add_argument("--quiet", action="store_true", help="say only what goes wrong")
    parser.set_defaults(run=run)


def _check_pid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise ValueError(f"{text!r} is no process id")
    return int(text)


def _check_pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error


def run(options: argparse.Namespace) -> int:
    """Watch until there is nothing left, or a signal comes; return the exit code."""
    import os  # noqa: PLC0415 - as the package says

    from pprofplus.recording.watching import Choice, Watch  # noqa: PLC0415 - as above
    from pprofplus.settings import Settings  # noqa: PLC0415 - as above
    from pprofplus.system.open_files import raise_descriptor_limit  # noqa: PLC0415 - as above
    from pprofplus.system.procfs import proc_problem  # noqa: PLC0415 - as above

    if not options.pids and options.name is None and not options.children:
        complain("name what to watch: a PID, --name REGEX or --children (see --help)")
        return 2
    above: tuple[int, ...] = ()
    if options.children:
        above = tuple(options.pids) or (os.getppid(),)
    settings = Settings("watch", interval_s=options.interval, directory=options.dir)
    problem = proc_problem() or _place_problem(settings.home)
    if problem:
        complain(problem)
        return 1
    raise_descriptor_limit()
    choice = Choice(tuple(options.pids), options.name, above)
    tell = _keep_quiet if options.quiet else _say
    watch = Watch(choice, settings, options.service, tell, complain)
    _until_a_signal(watch)
    return 0 if watch.begun else 1


def _place_problem(home: str) -> str:
    """Return why this user may not record to `home`, or "": a full disk is no reason."""
    import errno  # noqa: PLC0415 - as the package says
    import os  # noqa: PLC0415 - as above

    from pprofplus.errors import UnsafePlaceError  # noqa: PLC0415 - as above
    from pprofplus.log.log_directory import open_home  # noqa: PLC0415 - as above

    try:
        os.close(open_home(home))
    except UnsafePlaceError as error:
        return f"cannot record: {error}"
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}:
            return ""
        return (
            f"cannot record to {home}: {error.strerror}: run this as another user, or name another"
            " directory (--dir)"
        )
    return ""


def _until_a_signal(watch: Watch) -> None:
    import signal  # noqa: PLC0415 - as the package says

    from pprofplus.system.background import WakeEvent  # noqa: PLC0415 - as above

    bell = WakeEvent()
    ended = []

    def end(*_: object) -> None:
        ended.append(True)
        bell.ring()

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:
            signal.signal(getattr(signal, name), end)
    try:
        wait_s = watch.step()
        while not ended and not watch.over:
            bell.wait(wait_s)
            wait_s = watch.step()
    finally:
        watch.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()


def _keep_quiet(_: str) -> None:
    return
