"""The outcome file in a run directory: how the process ended, as its parent saw it.

The parent is `pprofplus run` or the service manager. OUTCOME_NAME in log_directory.py specifies the
JSON.
"""

from __future__ import annotations

import json
import os
from time import time_ns

from pprofplus.log.log_directory import (
    OUTCOME_NAME,
    parse_run_name,
    parse_segment_name,
    valid_service,
)
from pprofplus.system.descriptor import DIRECTORY, EXISTING, NEW

# a run begins after the process starts, but the wall clock may be set in between
_CLOCK_SLACK_MS = 5_000


class OutcomeFile:
    """How a process ended.

    Attributes:
        by: the observer: "pprofplus run" or "systemd".
        exit_code: its exit code, or None if a signal ended it.
        signal: the number of that signal, or None.
        oom_killed: whether the OOM killer ended it; None if unknown.
        text: the same in words, one line.
        unix_ms: when it was observed.
    """

    __slots__ = ("by", "exit_code", "oom_killed", "signal", "text", "unix_ms")

    def __init__(
        self,
        by: str,
        text: str,
        *,
        exit_code: int | None = None,
        signal: int | None = None,
        oom_killed: bool | None = None,
    ) -> None:
        self.by = by
        self.text = text
        self.exit_code = exit_code
        self.signal = signal
        self.oom_killed = oom_killed
        self.unix_ms = time_ns() // 1_000_000

    def pack(self) -> bytes:
        """Return the file's content."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(found).encode("ascii") + b"\n"


def signal_name(number: int) -> str:
    """Return the name of a signal, as "SIGTERM"."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def find_run(
    log_directories: list[str], pid: int, since_ms: int, service: str | None = None
) -> str | None:
    """Return the directory of the newest run of a pid that began at unix `since_ms` or later.

    None if there is none, or if this user may not read its log directory.
    """
    found: list[tuple[int, str]] = []
    for log_directory in log_directories:
        for name in [service] if service else _listed(log_directory):
            if not valid_service(name):
                continue
            for run in _listed(f"{log_directory}/{name}"):
                parsed = parse_run_name(run)
                if parsed and parsed[0] == pid and parsed[1] >= since_ms - _CLOCK_SLACK_MS:
                    found.append((parsed[1], f"{log_directory}/{name}/{run}"))
    return max(found)[1] if found else None


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def write_outcome(directory: str, outcome: OutcomeFile) -> None:
    """Write the file to a run directory atomically, with the permissions of its segments.

    Raises OSError.
    """
    run_fd = os.open(directory, DIRECTORY)
    try:
        hidden = f".{OUTCOME_NAME}.new"
        try:
            os.unlink(hidden, dir_fd=run_fd)
        except FileNotFoundError:
            pass
        fd = os.open(hidden, NEW, 0o600, dir_fd=run_fd)
        try:
            _permit(fd, run_fd)
            os.write(fd, outcome.pack())
        finally:
            os.close(fd)
        os.rename(hidden, OUTCOME_NAME, src_dir_fd=run_fd, dst_dir_fd=run_fd)
    finally:
        os.close(run_fd)


def _permit(fd: int, run_fd: int) -> None:
    """Give a new file the owner and mode of the run's segments: root may write it for a user."""
    segments = [name for name in os.listdir(run_fd) if parse_segment_name(name) is not None]
    if not segments:
        return
    segment = os.open(max(segments), EXISTING, dir_fd=run_fd)
    try:
        found = os.fstat(segment)
    finally:
        os.close(segment)
    if os.geteuid() == 0:
        os.fchown(fd, found.st_uid, found.st_gid)
    os.fchmod(fd, found.st_mode & 0o640)
