"""The sender's side: puts requests into a run directory, and takes answers from it."""

from __future__ import annotations

import json
import os

from pprofplus.control.requests import MAX_REQUEST_BYTES
from pprofplus.system.descriptor import DIRECTORY, EXISTING, NEW, close_descriptor

TYPE_CHECKING = False  # typing costs each command 3 ms
if TYPE_CHECKING:
    from pprofplus.control.requests import Request


def put_request(directory: str, request: Request) -> str:
    """Put a request into a run directory; return its name without suffix. Raises OSError."""
    stem = f"ctl-{os.urandom(8).hex()}"
    run_fd = os.open(directory, DIRECTORY)
    try:
        hidden = f".{stem}.new"
        fd = os.open(hidden, NEW, 0o600, dir_fd=run_fd)
        try:
            os.fchmod(fd, 0o644)  # if root sends it, the service's user must be able to read it
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


def read_progress(directory: str, stem: str) -> tuple[float, str] | None:
    """Return (share from 0 to 1, text) of a running long action; None if it is not running."""
    try:
        run_fd = os.open(directory, DIRECTORY)
    except OSError:
        return None
    try:
        found = json.loads(_read_small(f"{stem}.progress", run_fd))
        share, text = float(found["share"]), str(found["text"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0.0, ""  # the file exists, so the action runs, even if its content is invalid
    finally:
        close_descriptor(run_fd)
    return (share if 0.0 <= share <= 1.0 else 0.0), text


def withdraw(directory: str, stem: str) -> bool:
    """Remove a request; False if it is not there any more."""
    try:
        os.unlink(f"{directory}/{stem}.request")
    except OSError:
        return False
    return True


def cancel(directory: str, stem: str) -> bool:
    """Request the end of a running long action; False if that failed."""
    try:
        run_fd = os.open(directory, DIRECTORY)
    except OSError:
        return False
    try:
        close_descriptor(os.open(f"{stem}.cancel", NEW, 0o644, dir_fd=run_fd))
    except OSError:
        return False
    finally:
        close_descriptor(run_fd)
    return True


def _read_small(name: str, run_fd: int) -> bytes:
    fd = os.open(name, EXISTING, dir_fd=run_fd)
    try:
        return os.read(fd, MAX_REQUEST_BYTES)
    finally:
        close_descriptor(fd)
