"""The requests of one run: found in its directory, carried out or refused, and answered."""

# pathlib costs each service 5 ms, and has no openat
# ruff: noqa: PTH116, PTH208

from __future__ import annotations

import json
import os
from time import monotonic, monotonic_ns, time

from pprofplus.control.requests import (
    FILE_PATTERN,
    MAX_REQUEST_BYTES,
    check_owner,
    parse_request,
    read_request,
)
from pprofplus.system.descriptor import DIRECTORY, NEW, close_descriptor
from pprofplus.warn import describe

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pprofplus.control.actions import Action, ActionRegistry
    from pprofplus.control.long_actions import LongAction

# files that stay where nobody waited for an answer are removed after this
_LEFT_S = 600.0
# an answer that cannot be written is tried again for so long
_UNWRITTEN_S = 60.0

_AT_ONCE = 64
# A file system's clock is coarse: a change within the tick of the last look leaves no trace.
_TICK_NS = 40_000_000


class _Answer:
    """An answer that is still to be written."""

    __slots__ = ("done", "stem", "text", "until_s")

    def __init__(self, stem: str, text: str, *, done: bool) -> None:
        self.stem = stem
        self.text = text
        self.done = done
        self.until_s = monotonic() + _UNWRITTEN_S


class RequestHandler:
    """Carries out the requests of one run; one long action at a time.

    All methods are called by the collector's thread, but `cancel`, which any thread may call, and
    `end` and `abandon`.
    """

    __slots__ = (
        "_actions",
        "_answers",
        "_long",
        "_looked_ns",
        "_own_process",
        "_seen_ns",
        "_settled",
        "_troubles",
        "_wake",
    )

    def __init__(
        self,
        actions: ActionRegistry,
        wake: Callable[[], None] | None = None,
        *,
        own_process: bool = True,
    ) -> None:
        """Prepare to carry out `actions`; `wake` makes the collector's thread call `due` soon.

        `own_process`: the run is that of this process, not of one that is recorded from outside.
        """
        self._actions = actions
        self._wake = wake
        self._own_process = own_process
        self._seen_ns = 0
        self._looked_ns = 0
        self._settled = False
        self._troubles: list[tuple[str, str]] = []
        self._answers: list[_Answer] = []
        self._long: LongAction | None = None

    def due(self, directory: str) -> bool:
        """Tell whether there is something to do: costs one `stat` of the run's directory."""
        if self._answers or (self._long is not None and self._long.has_news):
            return True
        try:
            changed_ns = os.stat(directory).st_mtime_ns
        except OSError:
            return False
        if changed_ns != self._seen_ns:
            self._seen_ns, self._looked_ns, self._settled = changed_ns, monotonic_ns(), False
            return True
        if self._settled:
            return False
        self._settled = monotonic_ns() - self._looked_ns > _TICK_NS
        return True

    def handle(self, directory: str, recorder: object) -> None:
        """Carry out the requests that are there, and write answers. Never raises OSError.

        `recorder` is given to the handlers of the actions.
        """
        try:
            self._handle(directory, recorder)
        except OSError:
            # no descriptor is left, or the directory was removed: look again the next time
            self._seen_ns = 0

    def cancel(self, why: str) -> None:
        """Have the long action end that is at work, if any. Does not wait, and uses no file."""
        long = self._long
        if long is not None:
            long.cancel(why)

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the long action, `timeout_s` at the most."""
        long = self._long
        if long is not None:
            long.join(timeout_s)

    def end(self, directory: str, why: str) -> None:
        """Answer what is not answered, at the end of the run. Never raises OSError.

        A long action that has not ended is cancelled, and its result is discarded.
        """
        long, self._long = self._long, None
        if long is not None:
            long.cancel(why)
            done, text = long.result or (False, why)
            self._answers.append(_Answer(long.stem, text, done=done))
        if not self._answers:
            return
        try:
            run_fd = os.open(directory, DIRECTORY)
            try:
                self._write_answers(run_fd)
            finally:
                close_descriptor(run_fd)
        except OSError:
            # the one who asked finds out that the run has ended
            pass
        self._answers.clear()

    def abandon(self) -> None:
        """In a forked child: leave the requests and their answers to the parent."""
        self._long = None
        self._answers.clear()

    def take_troubles(self) -> list[tuple[str, str]]:
        """Return (kind, text) of warnings for the host, each once."""
        troubles, self._troubles = self._troubles, []
        return troubles

    def _handle(self, directory: str, recorder: object) -> None:
        run_fd = os.open(directory, DIRECTORY)
        try:
            names = sorted(os.listdir(run_fd))
            names = [name for name in names if FILE_PATTERN.fullmatch(name)]
            requests = [name for name in names if _is_visible(name, ".request")]
            for name in requests[:_AT_ONCE]:
                try:
                    self._handle_one(name, run_fd, recorder)
                except OSError:  # noqa: PERF203 - each request succeeds or fails for itself
                    self._seen_ns = 0  # look again: it may be possible in a moment
            if len(requests) > _AT_ONCE:
                self._seen_ns = 0
            self._cancel_as_asked(names, run_fd)
            self._follow_long_action(run_fd)
            self._write_answers(run_fd)
            _tidy(names, run_fd, "" if self._long is None else self._long.stem)
        finally:
            close_descriptor(run_fd)

    def _handle_one(self, name: str, run_fd: int, recorder: object) -> None:
        stem = name.partition(".")[0]
        try:
            action, arguments = parse_request(read_request(name, run_fd), self._actions)
        except PermissionError as error:
            self._refuse("owner", name, str(error), run_fd)
            return
        except ValueError as error:
            self._refuse("form", name, str(error), run_fd)
            return
        # before it is carried out: one that cannot be removed would be carried out again and again
        os.unlink(name, dir_fd=run_fd)
        try:
            done, text = self._carry_out(stem, action, arguments, recorder)
        except ValueError as error:
            done, text = False, str(error)
        except Exception as error:  # noqa: BLE001 - one bad request must not affect the others
            done, text = False, f"it failed: {describe(error)}"
            self._note_failure(action, text)
        if text:
            self._answers.append(_Answer(stem, text, done=done))

    def _carry_out(
        self, stem: str, action: Action, arguments: dict[str, Any], recorder: object
    ) -> tuple[bool, str]:
        """Do what was asked, or begin it; return (done, text), no text if the answer comes later.

        Raises ValueError if it is refused.
        """
        if action.own_process_only and not self._own_process:
            raise ValueError("the process is recorded from outside: only its own collector can")
        arguments = action.check(arguments)
        if not action.long:
            return True, action.handler(recorder, arguments)
        busy = self._long
        if busy is not None:
            raise ValueError(
                f"{busy.action.name} is at work, and one long action runs at a time:"
                " try again when it has ended"
            )
        from pprofplus.control import long_actions  # noqa: PLC0415 - most services never need it

        long = long_actions.LongAction(stem, action, arguments, recorder, self._wake)
        try:
            long.start()
        except (RuntimeError, MemoryError) as error:
            raise ValueError(f"no thread can be started: {error}") from error
        self._long = long
        return True, ""

    def _refuse(self, kind: str, name: str, why: str, run_fd: int) -> None:
        """Put a request aside, answer its sender, and warn the host."""
        stem = name.partition(".")[0]
        os.rename(name, f"{stem}.bad", src_dir_fd=run_fd, dst_dir_fd=run_fd)
        self._troubles.append((kind, f"a request was refused, it is kept as {stem}.bad: {why}"))
        self._answers.append(_Answer(stem, why, done=False))

    def _note_failure(self, action: Action, text: str) -> None:
        self._troubles.append(("failed", f"a request to {action.name} failed: {text}"))

    def _cancel_as_asked(self, names: list[str], run_fd: int) -> None:
        """Cancel the long action if that was asked for. Raises OSError."""
        for name in names:
            if not _is_visible(name, ".cancel"):
                continue
            try:
                found = os.stat(name, dir_fd=run_fd, follow_symlinks=False)
                os.unlink(name, dir_fd=run_fd)
            except FileNotFoundError:  # the one who asked has removed it
                continue
            except OSError:  # a directory is tidied no further
                continue
            try:
                check_owner(found, "a cancellation")
            except PermissionError as error:
                self._troubles.append(("owner", f"a request was refused: {error}"))
                continue
            long = self._long
            if long is not None and long.stem == name.partition(".")[0]:
                long.cancel("cancelled by request")

    def _follow_long_action(self, run_fd: int) -> None:
        """Write the progress of the long action, or have its result answered. Raises OSError."""
        long = self._long
        if long is None:
            return
        if long.result is None:
            progress = long.take_progress()
            if progress is not None:
                share, text = progress
                _write(long.stem, "progress", {"share": share}, text, run_fd)
            return
        self._long = None
        done, text = long.result
        if long.failed:
            self._note_failure(long.action, text)
        self._answers.append(_Answer(long.stem, text, done=done))

    def _write_answers(self, run_fd: int) -> None:
        """Write the answers that wait; those that fail wait for the next time. Raises OSError."""
        now_s = monotonic()
        self._answers = [answer for answer in self._answers if answer.until_s > now_s]
        while self._answers:
            answer = self._answers[0]
            _write(answer.stem, "answer", {"done": answer.done}, answer.text, run_fd)
            self._answers.pop(0)
            for suffix in ("progress", "cancel"):
                _remove(f"{answer.stem}.{suffix}", run_fd)


def _is_visible(name: str, suffix: str) -> bool:
    return name[0] != "." and name.endswith(suffix)


def _pack(content: dict[str, object], text: str) -> bytes:
    """Return the JSON of an answer or of progress, with as much of `text` as its reader reads."""
    while True:
        raw = json.dumps({**content, "text": text}).encode("ascii")
        if len(raw) <= MAX_REQUEST_BYTES:
            return raw
        text = text[: len(text) // 2]


def _write(stem: str, suffix: str, content: dict[str, object], text: str, run_fd: int) -> None:
    """Write a small file of JSON, which gets its name when it is complete. Raises OSError."""
    hidden = f".{stem}.new"
    try:
        fd = os.open(hidden, NEW, 0o644, dir_fd=run_fd)
    except FileExistsError:
        # left by a write of ours that failed
        os.unlink(hidden, dir_fd=run_fd)
        fd = os.open(hidden, NEW, 0o644, dir_fd=run_fd)
    try:
        os.fchmod(fd, 0o644)  # whatever the umask left of it
        os.write(fd, _pack(content, text))
    finally:
        close_descriptor(fd)
    os.rename(hidden, f"{stem}.{suffix}", src_dir_fd=run_fd, dst_dir_fd=run_fd)


def _remove(name: str, run_fd: int) -> None:
    try:  # noqa: SIM105 - contextlib costs each service 1 ms
        os.unlink(name, dir_fd=run_fd)
    except OSError:
        # it was not there
        pass


def _tidy(names: list[str], run_fd: int, at_work: str) -> None:
    """Remove files that nobody takes any more, but not those of the request `at_work`."""
    for name in names:
        stem, _, suffix = name.removeprefix(".").partition(".")
        if suffix == "request" or stem == at_work:
            continue
        try:
            if time() - os.stat(name, dir_fd=run_fd, follow_symlinks=False).st_mtime > _LEFT_S:
                os.unlink(name, dir_fd=run_fd)
        except OSError:
            # another process removed it
            continue
