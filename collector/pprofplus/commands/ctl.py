"""`pprofplus ctl`: send a request to a running service, such as to pause.

Each action of the registry is a subcommand, with the name, help and arguments that it declares.
"""

from __future__ import annotations

# pathlib costs each command 5 ms
import argparse
import sys

from pprofplus.commands.common_arguments import add_directory_option, checked, print_error
from pprofplus.recording.run_actions import ACTIONS
from pprofplus.settings import check_service
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.control.actions import Action
    from pprofplus.control.requests import Request
    from pprofplus.log.discovery import RunLocation

_TIMEOUT_S = 10.0
# how long to wait for the end of a long action that was cancelled
_CANCEL_TIMEOUT_S = 5.0
_POLL_S = 0.02
_PROGRESS_S = 0.2
_LIVE_CHECK_S = 1.0
_WIDTH = 78
_DENIED = "Permission denied: run this as the service's user or as root"
_MAX_DENIED_LINES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions with their arguments."""
    parser.description = (
        "Sends a request to the live runs of a service, and waits for their answers. "
        "Exit codes: 0 all have done it, 1 not all have, 2 wrong usage."
    )
    actions = parser.add_subparsers(dest="action", metavar="WHAT", required=True)
    for action in ACTIONS:
        subparser = actions.add_parser(
            action.name, help=action.help, description=action.help, allow_abbrev=False
        )
        for argument in action.arguments:
            if argument.default is None:
                subparser.add_argument(
                    argument.name,
                    metavar=argument.metavar,
                    type=checked(argument.check),
                    help=argument.help or None,
                )
        subparser.add_argument(
            "--service", metavar="NAME", required=True, type=checked(check_service), help="exactly"
        )
        subparser.add_argument("--pid", metavar="PID", type=int, help="this process of it alone")
        add_directory_option(subparser)
        for argument in action.arguments:
            if argument.default is not None:
                subparser.add_argument(
                    f"--{argument.name.replace('_', '-')}",
                    dest=argument.name,
                    metavar=argument.metavar,
                    type=checked(argument.check),
                    default=argument.default,
                    help=argument.help or None,
                )


def run(options: argparse.Namespace) -> int:
    """Send the requests, wait, and print the answers; return the exit code."""
    from pprofplus.control.requests import Request
    from pprofplus.log.discovery import live_runs, log_directories

    action = ACTIONS.get(options.action)
    if action is None:
        raise ValueError(options.action)  # the parser accepts no other name
    arguments = {each.name: getattr(options, each.name) for each in action.arguments}
    request = Request(action.name, arguments)
    found = [live_runs(each, options.service) for each in log_directories(options.dir)]
    wanted = {None, options.pid}
    runs = [
        location
        for each in found
        for location in each.runs
        if options.pid is None or location.pid == options.pid
    ]
    denied = [
        path
        for each in found
        for path in each.denied
        if options.pid is None or _pid_of(path) in wanted
    ]
    for path in denied[:_MAX_DENIED_LINES]:
        print_error(f"{path}: {_DENIED}")
    if len(denied) > _MAX_DENIED_LINES:
        print_error(f"and {len(denied) - _MAX_DENIED_LINES} more: {_DENIED}")
    if not runs:
        if not denied:
            _print_none_found(options)
        return 1
    exchange = _Exchange(action, action.duration_s(arguments))
    for location in runs:
        exchange.send(location, request)
    done = [_print_answer(location, answer) for location, answer in exchange.answers()]
    return 0 if all(done) and not denied else 1


def _pid_of(path: str) -> int | None:
    """Return the pid in the path of a run directory; None for another directory."""
    from pprofplus.log.log_directory import parse_run_name

    parsed = parse_run_name(path.rsplit("/", 1)[-1])
    return None if parsed is None else parsed[0]


def _print_none_found(options: argparse.Namespace) -> None:
    from pprofplus.log.discovery import unreadable_log_directories

    who = options.service if options.pid is None else f"{options.service} {options.pid}"
    where = options.dir or "the log directory (pprofplus where)"
    others = [] if options.dir else unreadable_log_directories()
    hint = f"; for {', '.join(others)}: {_DENIED}" if others else ""
    print_error(f"no live run of {who} in {where}{hint}")


class _Exchange:
    """The requests for one action to several runs, and their answers."""

    def __init__(self, action: Action, duration_s: float) -> None:
        """`duration_s` is the expected duration of the action."""
        self._action = action
        self._duration_s = duration_s
        self._waiting: list[tuple[RunLocation, str]] = []
        self._answers: list[tuple[RunLocation, tuple[bool, str]]] = []
        self._begun: set[str] = set()
        self._status = _StatusLine()

    def send(self, location: RunLocation, request: Request) -> None:
        """Put the request into a run directory."""
        from pprofplus.control.client import put_request

        try:
            self._waiting.append((location, put_request(location.path, request)))
        except PermissionError:
            self._answers.append((location, (False, _DENIED)))
        except OSError as error:
            self._answers.append((location, (False, error.strerror or str(error))))

    def answers(self) -> list[tuple[RunLocation, tuple[bool, str]]]:
        """Return each run's answer, (done, text), when all have answered or the time is over.

        On Ctrl-C, requests without an answer are withdrawn or cancelled.
        """
        interrupted = False
        try:
            self._wait(_TIMEOUT_S, self._duration_s)
        except KeyboardInterrupt:
            if not self._action.long:
                self._withdraw("")
                raise
            interrupted = True
        self._end("interrupted" if interrupted else "")
        return sorted(self._answers, key=lambda each: each[0].pid)

    def _wait(self, timeout_s: float, duration_s: float) -> None:
        """Wait for answers; longer for the runs that have begun a long action."""
        from time import monotonic, sleep

        began_s = monotonic()
        next_progress_s, next_live_check_s = began_s + _PROGRESS_S, began_s + _LIVE_CHECK_S
        try:
            while self._waiting:
                self._take_answers()
                now_s = monotonic()
                if self._action.long and now_s >= next_progress_s:
                    next_progress_s = now_s + _PROGRESS_S
                    self._show_progress()
                if self._action.long and now_s >= next_live_check_s:
                    next_live_check_s = now_s + _LIVE_CHECK_S
                    self._drop_ended_runs()
                if now_s >= began_s + timeout_s:
                    begun = [each for each in self._waiting if each[1] in self._begun]
                    if not begun or now_s >= began_s + timeout_s + duration_s:
                        return
                    if len(begun) < len(self._waiting):
                        self._withdraw(f"no answer in {timeout_s:g} s: it is stopped or busy")
                if self._waiting:
                    sleep(_POLL_S)
        finally:
            self._status.clear()

    def _take_answers(self) -> None:
        from pprofplus.control.client import take_answer

        for location, name in tuple(self._waiting):
            answer = take_answer(location.path, name)
            if answer is not None:
                self._answers.append((location, answer))
                self._waiting.remove((location, name))

    def _show_progress(self) -> None:
        from pprofplus.control.client import read_progress

        parts = []
        for location, name in self._waiting:
            progress = read_progress(location.path, name)
            if progress is not None:
                self._begun.add(name)
                share, text = progress
                parts.append(f"{location.service} {location.pid}: {share:4.0%} {text}".rstrip())
        self._status.show("  ".join(parts))

    def _drop_ended_runs(self) -> None:
        """Stop waiting for runs whose processes have ended."""
        from pprofplus.control.client import take_answer
        from pprofplus.log.discovery import is_live

        for location, name in tuple(self._waiting):
            if not is_live(location.path):
                late = take_answer(location.path, name)
                self._answers.append((location, late or (False, "it ended before it answered")))
                self._waiting.remove((location, name))

    def _end(self, why: str) -> None:
        """Withdraw or cancel the requests without an answer; `why` is "" after the time limit."""
        from pprofplus.control.client import cancel, take_answer

        busy = why or f"no answer in {_TIMEOUT_S:g} s: it is stopped or busy"
        self._withdraw(busy)
        if self._action.long:
            for location, name in self._waiting:
                cancel(location.path, name)
            self._wait(_CANCEL_TIMEOUT_S, 0.0)
        for location, name in self._waiting:
            if self._action.long:
                text = f"{why or 'it takes too long'}; it has not yet answered to being cancelled"
            else:
                text = f"{busy}; the request was withdrawn"
            self._answers.append((location, take_answer(location.path, name) or (False, text)))

    def _withdraw(self, why: str) -> None:
        """Withdraw the requests that no run has read; `why` is part of their answers."""
        from pprofplus.control.client import withdraw

        for location, name in tuple(self._waiting):
            if withdraw(location.path, name):
                self._waiting.remove((location, name))
                self._answers.append((location, (False, f"{why}; the request was withdrawn")))


class _StatusLine:
    """A line on the terminal that is redrawn; nothing if stderr is no terminal."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, text: str) -> None:
        if sys.stderr.isatty() and (text or self._shown):
            self._shown = bool(text)
            sys.stderr.write(f"\r{printable(text)[:_WIDTH]}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        self.show("")


def _print_answer(location: RunLocation, answer: tuple[bool, str]) -> bool:
    done, text = answer
    line = f"{location.service} {location.pid}: {printable(text)}\n"
    (sys.stdout if done else sys.stderr).write(line)
    return done
