"""Sends one request to several live runs, shows the progress, and collects the answers."""

from __future__ import annotations

import sys

from pprofplus.commands.common_arguments import print_error
from pprofplus.system.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

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
DENIED = "Permission denied: run this as the service's user or as root"
_MAX_DENIED_LINES = 3


class Answer:
    """What one run answered.

    Attributes:
        location: of the run.
        done: it was carried out.
        text: what was done, or why not; untrusted.
    """

    __slots__ = ("done", "location", "text")

    def __init__(self, location: RunLocation, text: str, *, done: bool) -> None:
        self.location = location
        self.done = done
        self.text = text


def find_live_runs(options: argparse.Namespace) -> tuple[list[RunLocation], bool]:
    """Return the live runs of the service that the options name, and whether that is all of them.

    Without a service, those of any service. It prints an error for each run that this user may not
    read, and if there is no run.
    """
    from pprofplus.log.discovery import live_runs, log_directories, services

    found = [
        live_runs(log_directory, service)
        for log_directory in log_directories(options.dir)
        for service in ([options.service] if options.service else services(log_directory))
    ]
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
    print_denied(denied)
    if not runs and not denied:
        _print_none_found(options)
    return runs, not denied


def print_denied(denied: list[str]) -> None:
    """Print an error for paths that this user may not read."""
    for path in denied[:_MAX_DENIED_LINES]:
        print_error(f"{path}: {DENIED}")
    if len(denied) > _MAX_DENIED_LINES:
        print_error(f"and {len(denied) - _MAX_DENIED_LINES} more: {DENIED}")


def _pid_of(path: str) -> int | None:
    """Return the pid in the path of a run directory; None for another directory."""
    from pprofplus.log.log_directory import parse_run_name

    parsed = parse_run_name(path.rsplit("/", 1)[-1])
    return None if parsed is None else parsed[0]


def _print_none_found(options: argparse.Namespace) -> None:
    from pprofplus.log.discovery import unreadable_log_directories

    who = " ".join(str(each) for each in (options.service, options.pid) if each is not None)
    where = options.dir or "the log directory (pprofplus where)"
    others = [] if options.dir else unreadable_log_directories()
    hint = f"; for {', '.join(others)}: {DENIED}" if others else ""
    print_error(f"no live run of {who} in {where}{hint}")


class Exchange:
    """The requests for one action to several runs, and their answers."""

    def __init__(self, action: Action, duration_s: float) -> None:
        """`duration_s` is the expected duration of the action."""
        self._action = action
        self._duration_s = duration_s
        self._waiting: list[tuple[RunLocation, str]] = []
        self._answers: list[Answer] = []
        self._progress: dict[str, tuple[float, str]] = {}
        self._progress_s = 0.0  # when it changed last
        self._status = _StatusLine()

    def ask(self, runs: list[RunLocation], request: Request) -> list[Answer]:
        """Send a request; return each run's answer when all have answered or the time is over.

        On Ctrl-C, requests without an answer are withdrawn or cancelled.
        """
        interrupted = False
        try:
            for location in runs:
                self._send(location, request)
            self._wait(_TIMEOUT_S, self._duration_s, follow_progress=True)
        except KeyboardInterrupt:
            if not self._action.long:
                self._withdraw("")
                raise
            interrupted = True
        self._end("interrupted" if interrupted else "")
        return sorted(self._answers, key=lambda each: each.location.pid)

    def _send(self, location: RunLocation, request: Request) -> None:
        """Put the request into a run directory."""
        from pprofplus.control.client import put_request

        try:
            self._waiting.append((location, put_request(location.path, request)))
        except PermissionError:
            self._add(location, (False, DENIED))
        except OSError as error:
            self._add(location, (False, error.strerror or str(error)))

    def _add(self, location: RunLocation, answer: tuple[bool, str]) -> None:
        done, text = answer
        self._answers.append(Answer(location, text, done=done))

    def _wait(
        self, timeout_s: float, duration_s: float = 0.0, *, follow_progress: bool = False
    ) -> None:
        """Wait for answers; longer for the runs that have begun a long action.

        `follow_progress`: as long as an action reports progress, it may take longer than expected.
        """
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
                    begun = [each for each in self._waiting if each[1] in self._progress]
                    news_s = self._progress_s if follow_progress else began_s
                    end_s = max(began_s + duration_s, news_s) + timeout_s
                    if not begun or now_s >= end_s:
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
                self._add(location, answer)
                self._waiting.remove((location, name))

    def _show_progress(self) -> None:
        from time import monotonic

        from pprofplus.control.client import read_progress

        parts = []
        for location, name in self._waiting:
            progress = read_progress(location.path, name)
            if progress is not None:
                if self._progress.get(name) != progress:
                    self._progress[name] = progress
                    self._progress_s = monotonic()
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
                self._add(location, late or (False, "it ended before it answered"))
                self._waiting.remove((location, name))

    def _end(self, why: str) -> None:
        """Withdraw or cancel the requests without an answer; `why` is "" after the time limit."""
        from pprofplus.control.client import cancel, take_answer

        busy = why or f"no answer in {_TIMEOUT_S:g} s: it is stopped or busy"
        self._withdraw(busy)
        if self._action.long:
            for location, name in self._waiting:
                cancel(location.path, name)
            self._wait(_CANCEL_TIMEOUT_S)
        for location, name in self._waiting:
            if self._action.long:
                text = f"{why or 'it takes too long'}; it has not yet answered to being cancelled"
            else:
                text = f"{busy}; the request was withdrawn"
            self._add(location, take_answer(location.path, name) or (False, text))

    def _withdraw(self, why: str) -> None:
        """Withdraw the requests that no run has read; `why` is part of their answers."""
        from pprofplus.control.client import withdraw

        for location, name in tuple(self._waiting):
            if withdraw(location.path, name):
                self._waiting.remove((location, name))
                self._add(location, (False, f"{why}; the request was withdrawn"))


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
