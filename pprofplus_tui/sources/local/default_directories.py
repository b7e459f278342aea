"""The log directories that the monitor reads by default."""

import os
from collections.abc import Sequence

from pprofplus.log import discovery, log_directory


def log_directories(named: Sequence[str], *, all_users: bool) -> tuple[str, ...]:
    """Return the log directories to read; see `sources.open`."""
    found = list(named) or [log_directory.default_log_directory()]
    chosen = bool(named) or bool(os.environ.get("PPROFPLUS_DIR"))
    if all_users or (not chosen and os.getuid() == 0):
        found += [
            path
            for path in discovery.shared_log_directories()
            if os.access(path, os.R_OK | os.X_OK)
        ]
    return tuple(dict.fromkeys(found))
