"""`pprofplus ctl`: ask a running service to carry out an action, such as to pause.

The actions are those of the registry: each one's name, help and arguments are its own.
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
    from pprofplus.log.discovery import LogDirectory

_TIMEOUT_S = 10.0
# after it was cancelled, a long action has so long to end
_CANCEL_TIMEOUT_S = 5.0
_STEP_S = 0.02
_SHOW_S = 0.2
_LIVE_S = 1.0
_WIDTH = 78
_DENIED = "Permission denied: run this as the service's user or as root"
_DENIED_SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions with their arguments."""
    parser.description = (
        "Sends a request to the live runs of a service, and waits for their answers. "
        "Exit codes: 0 all have done it, 1 not all have, 2 wrong usage."
    )
    asked = parser.add_subparsers(dest="action", metavar="WHAT", required=True)
    for action in ACTIONS:
        one = asked.add_parser(
            action.name, help=action.help, description=action.help, allow_abbrev=False
        )
        for argument in action.arguments:
            if argument.default is None:
                one.add_argument(
                    argument.name,
                    metavar=argument.metavar,
                    type=checked(argument.check),
                    help=argument.help or None,
                )
        one.add_argument(
            "--service", metavar="NAME", required=True, type=checked(check_service), help="exactly"
        )
        one.add_argument("--pid", metavar="PID", type=int, help="this process of it alone")
        add_directory_option(one)
        for argument in action.arguments:
            if argument.default is not None:
                one.add_argument(
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
        raise ValueError(options.action)  # the parser knows these names only
    arguments = {each.name: getattr(options, each.name) for each in action.arguments}
    request = Request(action.name, arguments)
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
            _print_none_found(options)
        return 1
    exchange = _Exchange(action, action.duration_s(arguments))
    for place in runs:
        exchange.send(place, request)
    done = [_print_answer(place, answer) for place, answer in exchange.answers()]
    return 0 if all(done) and not denied else 1


def _pid_of(path: str) -> int | None:
    """Return the pid in the path of a run's directory; None if it is another directory's."""
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
    """Requests of one action to several runs, and their answers."""

    def __init__(self, action: Action, duration_s: float) -> None:
        """`duration_s` is how long the action is expected to take."""
        self._action = action
        self._duration_s = duration_s
        self._waiting: list[tuple[LogDirectory, str]] = []
        self._answers: list[tuple[LogDirectory, tuple[bool, str]]] = []
        self._begun: set[str] = set()
        self._status = _StatusLine()

    def send(self, place: LogDirectory, request: Request) -> None:
        """Put the request into a run's directory."""
        from pprofplus.control.client import put_request

        try:
            self._waiting.append((place, put_request(place.path, request)))
        except PermissionError:
            self._answers.append((place, (False, _DENIED)))
        except OSError as error:
            self._answers.append((place, (False, error.strerror or str(error))))

    def answers(self) -> list[tuple[LogDirectory, tuple[bool, str]]]:
        """Return each run's answer, (done, text), when all have come or it has taken too long.

        On Ctrl-C, what has not been answered is withdrawn or cancelled.
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
        """Wait for answers: longer from those runs that have begun with a long action."""
        from time import monotonic, sleep

        began_s = monotonic()
        show_s, live_s = began_s + _SHOW_S, began_s + _LIVE_S
        try:
            while self._waiting:
                self._take_answers()
                now_s = monotonic()
                if self._action.long and now_s >= show_s:
                    show_s = now_s + _SHOW_S
                    self._show_progress()
                if self._action.long and now_s >= live_s:
                    live_s = now_s + _LIVE_S
                    self._drop_ended_runs()
                if now_s >= began_s + timeout_s:
                    begun = [each for each in self._waiting if each[1] in self._begun]
                    if not begun or now_s >= began_s + timeout_s + duration_s:
                        return
                    if len(begun) < len(self._waiting):
                        self._withdraw(f"no answer in {timeout_s:g} s: it is stopped or busy")
                if self._waiting:
                    sleep(_STEP_S)
        finally:
            self._status.clear()

    def _take_answers(self) -> None:
        from pprofplus.control.client import take_answer

        for place, name in tuple(self._waiting):
            answer = take_answer(place.path, name)
            if answer is not None:
                self._answers.append((place, answer))
                self._waiting.remove((place, name))

    def _show_progress(self) -> None:
        from pprofplus.control.client import read_progress

        parts = []
        for place, name in self._waiting:
            progress = read_progress(place.path, name)
            if progress is not None:
                self._begun.add(name)
                share, text = progress
                parts.append(f"{place.service} {place.pid}: {share:4.0%} {text}".rstrip())
        self._status.show("  ".join(parts))

    def _drop_ended_runs(self) -> None:
        """Wait no longer for runs whose processes have ended."""
        from pprofplus.control.client import take_answer
        from pprofplus.log.discovery import lives

        for place, name in tuple(self._waiting):
            if not lives(place.path):
                late = take_answer(place.path, name)
                self._answers.append((place, late or (False, "it ended before it answered")))
                self._waiting.remove((place, name))

    def _end(self, why: str) -> None:
        """Withdraw or cancel what is not answered; `why`, "" for the time that it has taken."""
        from pprofplus.control.client import cancel, take_answer

        busy = why or f"no answer in {_TIMEOUT_S:g} s: it is stopped or busy"
        self._withdraw(busy)
        if self._action.long:
            for place, name in self._waiting:
                cancel(place.path, name)
            self._wait(_CANCEL_TIMEOUT_S, 0.0)
        for place, name in self._waiting:
            if self._action.long:
                text = f"{why or 'it takes too long'}; it has not yet answered to being cancelled"
            else:
                text = f"{busy}; the request was withdrawn"
            self._answers.append((place, take_answer(place.path, name) or (False, text)))

    def _withdraw(self, why: str) -> None:
        """Withdraw those requests that no run has taken; `why` is part of their answers."""
        from pprofplus.control.client import withdraw

        for place, name in tuple(self._waiting):
            if withdraw(place.path, name):
                self._waiting.remove((place, name))
                self._answers.append((place, (False, f"{why}; the request was withdrawn")))


class _StatusLine:
    """One line on a terminal that is drawn over and over; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, text: str) -> None:
        if sys.stderr.isatty() and (text or self._shown):
            self._shown = bool(text)
            sys.stderr.write(f"\r{printable(text)[:_WIDTH]}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        self.show("")


def _print_answer(place: LogDirectory, answer: tuple[bool, str]) -> bool:
    done, text = answer
    line = f"{place.service} {place.pid}: {printable(text)}\n"
    (sys.stdout if done else sys.stderr).write(line)
    return done
