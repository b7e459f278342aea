"""`pprofplus ctl`: ask a running service to pause, resume, change its interval, or note a mark."""

from __future__ import annotations

# pathlib costs each command 5 ms
import argparse
import sys

from pprofplus.commands.common_arguments import add_directory_option, checked, print_error
from pprofplus.settings import check_interval_s, check_service
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.control import Request
    from pprofplus.log.discovery import LogDirectory

_PATIENCE_S = 10.0
_STEP_S = 0.02
_DENIED = "Permission denied: run this as the service's user or as root"
_DENIED_SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions with their arguments."""
    parser.description = (
        "Sends a request to the live runs of a service, and waits for their answers. "
        "Exit codes: 0 all have done it, 1 not all have, 2 wrong usage."
    )
    asked = parser.add_subparsers(dest="action", metavar="WHAT", required=True)
    for name, text in (
        ("pause", "take no more samples"),
        ("resume", "take samples again"),
        ("interval", "take one every SECONDS, 0.05 to 3600"),
        ("mark", "note TEXT: a line on every chart"),
    ):
        one = asked.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name == "interval":
            one.add_argument("seconds", metavar="SECONDS", type=checked(check_interval_s))
        if name == "mark":
            one.add_argument("text", metavar="TEXT")
        one.add_argument(
            "--service", metavar="NAME", required=True, type=checked(check_service), help="exactly"
        )
        one.add_argument("--pid", metavar="PID", type=int, help="this process of it alone")
        add_directory_option(one)


def run(options: argparse.Namespace) -> int:
    """Ask, wait and tell; return the exit code."""
    from pprofplus.control import Request
    from pprofplus.log.discovery import live_runs, log_directories

    request = Request(
        options.action, getattr(options, "seconds", 0.0), getattr(options, "text", "")
    )
    found = [live_runs(each, options.service) for each in log_directories(options.dir)]
    wanted = {None, options.pid}
    runs = [
        place
        for each in found
        for place in each.runs
        if options.pid is None or place.pid == options.pid
    ]
    denied = [
        path
        for each in found
        for path in each.denied
        if options.pid is None or _pid_of(path) in wanted
    ]
    for path in denied[:_DENIED_SHOWN]:
        print_error(f"{path}: {_DENIED}")
    if len(denied) > _DENIED_SHOWN:
        print_error(f"and {len(denied) - _DENIED_SHOWN} more: {_DENIED}")
    if not runs:
        if not denied:
            _complain_of_none(options)
        return 1
    asked = [(place, _ask(place, request)) for place in runs]
    done = [_tell(place, answer) for place, answer in _answers(asked)]
    return 0 if all(done) and not denied else 1


def _pid_of(path: str) -> int | None:
    """Return the pid in the path of a run's directory; None if it is another directory's."""
    from pprofplus.log.log_directory import parse_run_name

    parsed = parse_run_name(path.rsplit("/", 1)[-1])
    return None if parsed is None else parsed[0]


def _complain_of_none(options: argparse.Namespace) -> None:
    from pprofplus.log.discovery import unreadable_log_directories

    who = options.service if options.pid is None else f"{options.service} {options.pid}"
    where = options.dir or "the log directory (pprofplus where)"
    others = [] if options.dir else unreadable_log_directories()
    hint = f"; for {', '.join(others)}: {_DENIED}" if others else ""
    print_error(f"no live run of {who} in {where}{hint}")


def _ask(place: LogDirectory, request: Request) -> str | OSError:
    """Put a request into a run's directory; return its name without suffix, or why not."""
    from pprofplus.control import put_request

    try:
        return put_request(place.path, request)
    except OSError as error:
        return error


def _answers(
    asked: list[tuple[LogDirectory, str | OSError]],
) -> list[tuple[LogDirectory, tuple[bool, str]]]:
    """Return each run's answer, (done, text), when all have come or it has taken too long."""
    from time import monotonic, sleep

    from pprofplus.control import take_answer, withdraw

    until_s = monotonic() + _PATIENCE_S
    found: list[tuple[LogDirectory, tuple[bool, str]]] = []
    waiting = []
    for place, name in asked:
        if isinstance(name, OSError):
            denied = isinstance(name, PermissionError)
            found.append((place, (False, _DENIED if denied else name.strerror or str(name))))
        else:
            waiting.append((place, name))
    while waiting and monotonic() < until_s:
        for place, name in tuple(waiting):
            answer = take_answer(place.path, name)
            if answer is not None:
                found.append((place, answer))
                waiting.remove((place, name))
        if waiting:
            sleep(_STEP_S)
    for place, name in waiting:
        late = take_answer(place.path, name) if not withdraw(place.path, name) else None
        silent = f"no answer in {_PATIENCE_S:g} s: it is stopped or busy; the request was withdrawn"
        found.append((place, late or (False, silent)))
    return sorted(found, key=lambda each: each[0].pid)


def _tell(place: LogDirectory, answer: tuple[bool, str]) -> bool:
    done, text = answer
    line = f"{place.service} {place.pid}: {printable(text)}\n"
    (sys.stdout if done else sys.stderr).write(line)
    return done
