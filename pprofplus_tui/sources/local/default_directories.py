"""The log directories that the monitor reads by default."""

import os
from collections.abc import Sequence

from pprofplus.log import log_directory

_SHARED_HOMES = "/var/tmp"  # noqa: S108 - where collectors write by default; only read here


def homes_for(named: Sequence[str], *, all_users: bool) -> tuple[str, ...]:
    """Return the log directories to read.

    These are only those `named`, or else $PPROFPLUS_DIR. Without either it is the directory of
    this user, and for root also those of all users; `all_users` adds these in any case.
    """
    homes = list(named) or [log_directory.default_log_directory()]
    chosen = bool(named) or bool(os.environ.get("PPROFPLUS_DIR"))
    if all_users or (not chosen and os.getuid() == 0):
        homes += _of_all_users()
    return tuple(dict.fromkeys(homes))


def _of_all_users() -> list[str]:
    """Return the users' directories that may be read."""
    try:
        with os.scandir(_SHARED_HOMES) as entries:
            return sorted(
                entry.path
                for entry in entries
                if entry.name.startswith("pprofplus-")
                and entry.is_dir(follow_symlinks=False)
                and os.access(entry.path, os.R_OK | os.X_OK)
            )
    except OSError:
        return []
