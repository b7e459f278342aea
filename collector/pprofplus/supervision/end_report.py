"""Report how the command of `pprofplus run --wait` has ended."""

from __future__ import annotations

import os
import sys

from pprofplus.log.discovery import log_directories
from pprofplus.log.outcome_file import OutcomeFile, find_run, signal_name, write_outcome
from pprofplus.system.printable import printable

BY = "pprofplus run"


def report(
    log_directory: str,
    shown: str,
    began_ms: int,
    *,
    child: int,
    status: int,
    oom_killed: bool | None,
) -> None:
    """Print a line if a signal ended the command, and write the outcome file to its run directory.

    `status` is that of waitpid(2). Raises OSError.
    """
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal_name(-code)
        text = "killed by the OOM killer (SIGKILL)" if oom_killed else f"killed by {name}"
        if os.WCOREDUMP(status):
            text += ", core dumped"
        sys.stderr.write(f"pprofplus: {printable(shown)} (pid {child}) was {text}\n")
        outcome = OutcomeFile(BY, text, signal=-code, oom_killed=oom_killed)
    else:
        outcome = OutcomeFile(BY, f"exit code {code}", exit_code=code, oom_killed=oom_killed)
    directory = find_run(log_directories(log_directory or None), child, began_ms)
    if directory is not None:  # otherwise it is not Python, or was not recorded
        write_outcome(directory, outcome)
