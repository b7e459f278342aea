"""The side that asks: puts requests into a run's directory, and takes answers from there."""

# pathlib costs each command 5 ms, and has no openat
# ruff: noqa: PTH108

from __future__ import annotations

import json
import os

from pprofplus.control.requests import MAX_REQUEST_BYTES
from pprofplus.system.descriptor import DIRECTORY, EXISTING, NEW, close_descriptor

TYPE_CHECKING = False  # typing costs each command 3 ms
if TYPE_CHECKING:
    from pprofplus.control.requests import Request


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


def read_progress(directory: str, stem: str) -> tuple[float, str] | None:
    """Return (share from 0 to 1, text) of a long action that is at work; None if it is not."""
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
        return 0.0, ""  # it is there, whatever it says
    finally:
        close_descriptor(run_fd)
    return (share if 0.0 <= share <= 1.0 else 0.0), text


def withdraw(directory: str, stem: str) -> bool:
    """Take a request back; False if it is not there any more."""
    try:
        os.unlink(f"{directory}/{stem}.request")
    except OSError:
        return False
    return True


def cancel(directory: str, stem: str) -> bool:
    """Ask the collector to end a long action that it has begun; False if that failed."""
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
