"""Handles the requests in one run directory: carries them out or refuses them, and answers."""

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

# files that no sender has removed are removed after this time
_LEFTOVER_S = 600.0
# writing an answer is tried again for this long
_RETRY_S = 60.0

_MAX_PER_CALL = 64
# A file system's clock is coarse: a change within one tick of the last check may not change the
# time of the directory.
_TICK_NS = 40_000_000


class _Answer:
    """An answer to be written."""

    __slots__ = ("done", "stem", "text", "until_s")

    def __init__(self, stem: str, text: str, *, done: bool) -> None:
        self.stem = stem
        self.text = text
        self.done = done
        self.until_s = monotonic() + _RETRY_S


class RequestHandler:
    """Carries out the requests of one run; one long action at a time.

    Only the collector's thread calls the methods, except `cancel`, which any thread may call, and
    `end` and `abandon`.
    """

    __slots__ = (
        "_actions",
        "_answers",
        "_checked_ns",
        "_long",
        "_own_process",
        "_seen_ns",
        "_settled",
        "_wake",
        "_warnings",
    )

    def __init__(
        self,
        actions: ActionRegistry,
        wake: Callable[[], None] | None = None,
        *,
        own_process: bool = True,
    ) -> None:
        """Prepare to carry out `actions`; `wake` makes the collector's thread call `due` soon.

        `own_process`: the run is that of this process, not of a process recorded from outside.
        """
        self._actions = actions
        self._wake = wake
        self._own_process = own_process
        self._seen_ns = 0
        self._checked_ns = 0
        self._settled = False
        self._warnings: list[tuple[str, str]] = []
        self._answers: list[_Answer] = []
        self._long: LongAction | None = None

    def due(self, directory: str) -> bool:
        """Return whether there is something to do; costs one `stat` of the run directory."""
        if self._answers or (self._long is not None and self._long.has_news):
            return True
        try:
            changed_ns = os.stat(directory).st_mtime_ns
        except OSError:
            return False
        if changed_ns != self._seen_ns:
            self._seen_ns, self._checked_ns, self._settled = changed_ns, monotonic_ns(), False
            return True
        if self._settled:
            return False
        self._settled = monotonic_ns() - self._checked_ns > _TICK_NS
        return True

    def handle(self, directory: str, recorder: object) -> None:
        """Carry out the requests in the directory, and write answers. Never raises OSError.

        `recorder` is passed to the handlers of the actions.
        """
        try:
            self._handle(directory, recorder)
        except OSError:
            # no descriptor is left, or the directory was removed: check again the next time
            self._seen_ns = 0

    def cancel(self, why: str) -> None:
        """Cancel the running long action, if any. Does not wait, and uses no file."""
        long = self._long
        if long is not None:
            long.cancel(why)

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the running long action, at most `timeout_s`."""
        long = self._long
        if long is not None:
            long.join(timeout_s)

    def end(self, directory: str, why: str) -> None:
        """Write the missing answers at the end of the run. Never raises OSError.

        A long action that still runs is cancelled, and its result is discarded.
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
            # the sender finds out that the run has ended
            pass
        self._answers.clear()

    def abandon(self) -> None:
        """In a forked child: leave the requests and their answers to the parent."""
        self._long = None
        self._answers.clear()

    def take_warnings(self) -> list[tuple[str, str]]:
        """Return (kind, text) of warnings for the host, each once."""
        troubles, self._warnings = self._warnings, []
        return troubles

    def _handle(self, directory: str, recorder: object) -> None:
        run_fd = os.open(directory, DIRECTORY)
        try:
            names = sorted(os.listdir(run_fd))
            names = [name for name in names if FILE_PATTERN.fullmatch(name)]
            requests = [name for name in names if _is_visible(name, ".request")]
            for name in requests[:_MAX_PER_CALL]:
                try:
                    self._handle_one(name, run_fd, recorder)
                except OSError:
                    self._seen_ns = 0  # try again: it may succeed soon
            if len(requests) > _MAX_PER_CALL:
                self._seen_ns = 0
            self._cancel_if_requested(names, run_fd)
            self._report_long_action(run_fd)
            self._write_answers(run_fd)
            _remove_leftovers(names, run_fd, "" if self._long is None else self._long.stem)
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
        # first: a request that cannot be removed would be carried out repeatedly
        os.unlink(name, dir_fd=run_fd)
        try:
            done, text = self._carry_out(stem, action, arguments, recorder)
        except ValueError as error:
            done, text = False, str(error)
        except Exception as error:  # noqa: BLE001 - a failed request must not affect the others
            done, text = False, f"it failed: {describe(error)}"
            self._note_failure(action, text)
        if text:
            self._answers.append(_Answer(stem, text, done=done))

    def _carry_out(
        self, stem: str, action: Action, arguments: dict[str, Any], recorder: object
    ) -> tuple[bool, str]:
        """Carry out an action, or begin it; return (done, text), no text if it has only begun.

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
                f"{busy.action.name} is running, and one long action runs at a time:"
                " try again when it has ended"
            )
        from pprofplus.control import long_actions

        long = long_actions.LongAction(stem, action, arguments, recorder, self._wake)
        try:
            long.start()
        except (RuntimeError, MemoryError) as error:
            raise ValueError(f"no thread can be started: {error}") from error
        self._long = long
        return True, ""

    def _refuse(self, kind: str, name: str, why: str, run_fd: int) -> None:
        """Rename a request to `.bad`, answer its sender, and warn the host."""
        stem = name.partition(".")[0]
        os.rename(name, f"{stem}.bad", src_dir_fd=run_fd, dst_dir_fd=run_fd)
        self._warnings.append((kind, f"a request was refused, it is kept as {stem}.bad: {why}"))
        self._answers.append(_Answer(stem, why, done=False))

    def _note_failure(self, action: Action, text: str) -> None:
        self._warnings.append(("failed", f"a request to {action.name} failed: {text}"))

    def _cancel_if_requested(self, names: list[str], run_fd: int) -> None:
        """Cancel the long action if there is a request for it. Raises OSError."""
        for name in names:
            if not _is_visible(name, ".cancel"):
                continue
            try:
                found = os.stat(name, dir_fd=run_fd, follow_symlinks=False)
                os.unlink(name, dir_fd=run_fd)
            except FileNotFoundError:  # its sender has removed it
                continue
            except OSError:  # it cannot be removed, as a directory: ignore it
                continue
            try:
                check_owner(found, "a cancellation")
            except PermissionError as error:
                self._warnings.append(("owner", f"a request was refused: {error}"))
                continue
            long = self._long
            if long is not None and long.stem == name.partition(".")[0]:
                long.cancel("cancelled by request")

    def _report_long_action(self, run_fd: int) -> None:
        """Write the progress of the long action, or queue its result. Raises OSError."""
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
        """Write the queued answers; after an error, the rest stays queued. Raises OSError."""
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
    """Return the JSON of an answer or of progress; cut `text` so that it is not too long."""
    while True:
        raw = json.dumps({**content, "text": text}).encode("ascii")
        if len(raw) <= MAX_REQUEST_BYTES:
            return raw
        text = text[: len(text) // 2]


def _write(stem: str, suffix: str, content: dict[str, object], text: str, run_fd: int) -> None:
    """Write a small JSON file, and rename it when it is complete. Raises OSError."""
    hidden = f".{stem}.new"
    try:
        fd = os.open(hidden, NEW, 0o644, dir_fd=run_fd)
    except FileExistsError:
        # left by an earlier write that failed
        os.unlink(hidden, dir_fd=run_fd)
        fd = os.open(hidden, NEW, 0o644, dir_fd=run_fd)
    try:
        os.fchmod(fd, 0o644)  # the umask may have removed bits
        os.write(fd, _pack(content, text))
    finally:
        close_descriptor(fd)
    os.rename(hidden, f"{stem}.{suffix}", src_dir_fd=run_fd, dst_dir_fd=run_fd)


def _remove(name: str, run_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=run_fd)
    except OSError:
        # it was not there
        pass


def _remove_leftovers(names: list[str], run_fd: int, running: str) -> None:
    """Remove old files that no process uses, but not those of the request `running`."""
    for name in names:
        stem, _, suffix = name.removeprefix(".").partition(".")
        if suffix == "request" or stem == running:
            continue
        try:
            if time() - os.stat(name, dir_fd=run_fd, follow_symlinks=False).st_mtime > _LEFTOVER_S:
                os.unlink(name, dir_fd=run_fd)
        except OSError:
            # another process removed it
            continue
