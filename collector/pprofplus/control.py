"""Requests from outside: small files in the run's directory, and their answers.

`ctl-<id>.request` is JSON: {"do": "pause" | "resume" | "interval" | "mark"}, with "interval_s" or
"text". It gets its name when it is whole. The run removes it before it carries it out, so at most
once, and then writes `ctl-<id>.answer`: {"done": true or false, "text": what was done, or why not}.
Anyone who may write to the directory may ask; a request of anyone but the service's user or root is
refused, and one that cannot be read is renamed to `ctl-<id>.bad`.
"""

# pathlib costs each service 5 ms, and has no openat
# ruff: noqa: PTH116, PTH208

from __future__ import annotations

import errno
import json
import os
import re
import stat
from time import monotonic_ns, time

from pprofplus.system.descriptor import DIRECTORY, EXISTING, NEW, close_descriptor
from pprofplus.warn import describe

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

ACTIONS = ("pause", "resume", "interval", "mark")
REQUEST_PATTERN = re.compile(r"(ctl-[0-9a-f]{1,32})\.request")
# what is left of those who did not wait for their answer
_LEFT_PATTERN = re.compile(r"\.?ctl-[0-9a-f]{1,32}\.(answer|bad|new)")
_LEFT_S = 600.0

MAX_REQUEST_BYTES = 4096
_AT_ONCE = 64
# A file system's clock ticks coarsely: what came in the same tick as our look has left no trace.
_TICK_NS = 40_000_000


class Request:
    """What is asked for.

    Attributes:
        action: one of ACTIONS.
        interval_s: of "interval".
        text: of "mark".
    """

    __slots__ = ("action", "interval_s", "text")

    def __init__(self, action: str, interval_s: float = 0.0, text: str = "") -> None:
        self.action = action
        self.interval_s = interval_s
        self.text = text

    def pack(self) -> bytes:
        """Return it as the file says it."""
        found: dict[str, object] = {"do": self.action}
        if self.action == "interval":
            found["interval_s"] = self.interval_s
        if self.action == "mark":
            found["text"] = self.text
        return json.dumps(found).encode("ascii")


def parse_request(raw: bytes) -> Request:
    """Return the request that a file holds. Raises ValueError."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("do") not in ACTIONS:
        raise ValueError("no request that this release knows")
    interval_s, text = found.get("interval_s", 0.0), found.get("text", "")
    if type(interval_s) not in {int, float} or not isinstance(text, str):
        raise ValueError("a request whose figures or text are none")
    return Request(found["do"], interval_s, text)


class Control:
    """The requests of one run."""

    __slots__ = ("_looked_ns", "_seen_ns", "_settled", "_troubles")

    def __init__(self) -> None:
        self._seen_ns = 0
        self._looked_ns = 0
        self._settled = False
        self._troubles: list[tuple[str, str]] = []

    def due(self, directory: str) -> bool:
        """Tell whether something came into the directory since the last look; one `stat`."""
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

    def serve(self, directory: str, carry_out: Callable[[Request], str]) -> None:
        """Carry out the requests that are there, and answer each. Never raises OSError."""
        try:
            self._serve(directory, carry_out)
        except OSError:
            # no descriptor left, or the directory went: look again the next time
            self._seen_ns = 0

    def take_troubles(self) -> list[tuple[str, str]]:
        """Return (kind, text) of what the host should hear of, once."""
        troubles, self._troubles = self._troubles, []
        return troubles

    def _serve(self, directory: str, carry_out: Callable[[Request], str]) -> None:
        run_fd = os.open(directory, DIRECTORY)
        try:
            names = sorted(os.listdir(run_fd))
            requests = [name for name in names if REQUEST_PATTERN.fullmatch(name)]
            for name in requests[:_AT_ONCE]:
                try:
                    self._serve_one(name, run_fd, carry_out)
                except OSError:  # noqa: PERF203 - each request succeeds or fails for itself
                    self._seen_ns = 0  # look again: it may be possible in a moment
            if len(requests) > _AT_ONCE:
                self._seen_ns = 0
            _tidy(names, run_fd)
        finally:
            close_descriptor(run_fd)

    def _serve_one(self, name: str, run_fd: int, carry_out: Callable[[Request], str]) -> None:
        stem = name.partition(".")[0]
        try:
            raw = _read_request(name, run_fd)
            request = parse_request(raw)
        except PermissionError as error:
            self._refuse("owner", name, str(error), run_fd)
            return
        except ValueError as error:
            self._refuse("form", name, str(error), run_fd)
            return
        # before it is carried out: one that cannot be removed would be carried out again and again
        os.unlink(name, dir_fd=run_fd)
        try:
            done, text = True, carry_out(request)
        except ValueError as error:
            done, text = False, str(error)
        except Exception as error:  # noqa: BLE001 - one bad request must not affect the others
            done, text = False, f"it failed: {describe(error)}"
            self._troubles.append(("failed", f"a request to {request.action} failed: {text}"))
        _answer(stem, run_fd, done=done, text=text)

    def _refuse(self, kind: str, name: str, why: str, run_fd: int) -> None:
        """Put a request aside, tell its sender, and note it for the host's log."""
        stem = name.partition(".")[0]
        os.rename(name, f"{stem}.bad", src_dir_fd=run_fd, dst_dir_fd=run_fd)
        self._troubles.append((kind, f"a request was refused, it is kept as {stem}.bad: {why}"))
        _answer(stem, run_fd, done=False, text=why)


def put_request(directory: str, request: Request) -> str:
    """Put a request into a run's directory; return its name without suffix. Raises OSError."""
    stem = f"ctl-{os.urandom(8).hex()}"
    run_fd = os.open(directory, DIRECTORY)
    try:
        hidden = f".{stem}.new"
        fd = os.open(hidden, NEW, 0o600, dir_fd=run_fd)
        try:
            os.fchmod(fd, 0o644)  # root asks, and the service's user has to read it
            os.write(fd, request.pack())
        finally:
            close_descriptor(fd)
        os.rename(hidden, f"{stem}.request", src_dir_fd=run_fd, dst_dir_fd=run_fd)
    finally:
        close_descriptor(run_fd)
    return stem


def take_answer(directory: str, stem: str) -> tuple[bool, str] | None:
    """Return (done, text) of a request's answer and remove it; None if there is none yet."""
    try:
        run_fd = os.open(directory, DIRECTORY)
    except OSError:
        return False, "its directory is gone"
    try:
        name = f"{stem}.answer"
        raw = _read_small(name, run_fd)
        os.unlink(name, dir_fd=run_fd)
        found = json.loads(raw)
        return bool(found["done"]), str(found["text"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False, "an answer that cannot be read"
    finally:
        close_descriptor(run_fd)


def withdraw(directory: str, stem: str) -> bool:
    """Take a request back; False if it is not there any more."""
    try:
        os.unlink(f"{directory}/{stem}.request")  # noqa: PTH108 - as above
    except OSError:
        return False
    return True


def _read_small(name: str, run_fd: int) -> bytes:
    fd = os.open(name, EXISTING, dir_fd=run_fd)
    try:
        return os.read(fd, MAX_REQUEST_BYTES)
    finally:
        close_descriptor(fd)


def _read_request(name: str, run_fd: int) -> bytes:
    """Return what a request's file holds. Raises PermissionError, ValueError, OSError."""
    try:
        fd = os.open(name, EXISTING, dir_fd=run_fd)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise ValueError("a request that is no regular file") from error
        if error.errno == errno.EACCES:
            raise PermissionError("a request that this user may not read") from error
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("a request that is no regular file")
        if found.st_uid not in {0, os.geteuid()}:
            raise PermissionError(
                f"a request of uid {found.st_uid}: only its own user and root may"
            )
        if found.st_size > MAX_REQUEST_BYTES:
            raise ValueError("a request that is too long")
        return os.read(fd, MAX_REQUEST_BYTES)
    finally:
        close_descriptor(fd)


def _answer(stem: str, run_fd: int, *, done: bool, text: str) -> None:
    hidden = f".{stem}.new"
    fd = os.open(hidden, NEW, 0o644, dir_fd=run_fd)
    try:
        os.fchmod(fd, 0o644)  # whatever the umask left of it
        os.write(fd, json.dumps({"done": done, "text": text}).encode("ascii"))
    finally:
        close_descriptor(fd)
    os.rename(hidden, f"{stem}.answer", src_dir_fd=run_fd, dst_dir_fd=run_fd)


def _tidy(names: list[str], run_fd: int) -> None:
    """Remove answers that nobody took."""
    for name in filter(_LEFT_PATTERN.fullmatch, names):
        try:
            if time() - os.stat(name, dir_fd=run_fd, follow_symlinks=False).st_mtime > _LEFT_S:
                os.unlink(name, dir_fd=run_fd)
        except OSError:  # noqa: PERF203 - each goes, or is gone, for itself
            continue
