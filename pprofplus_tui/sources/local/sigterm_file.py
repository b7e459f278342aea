"""The file in which the collector records that a SIGTERM ended the process."""

import stat
from pathlib import Path

from pprofplus.log.log_directory import TERMINATED_NAME


def terminated_ms(path: str) -> int | None:
    """Return when a SIGTERM ended the process of the run at `path`, unix ms; None if none did.

    Meaningful only for a run that is not live and has no stop event. Raises nothing.
    """
    try:
        found = Path(path, TERMINATED_NAME).lstat()
    except OSError:
        return None
    marked = stat.S_ISREG(found.st_mode) and found.st_size > 0
    return found.st_mtime_ns // 1_000_000 if marked else None
