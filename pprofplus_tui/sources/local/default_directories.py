"""Where logs are looked for when nobody says where."""

import os
from collections.abc import Sequence

from pprofplus.log import log_directory

_SHARED_HOMES = "/var/tmp"  # noqa: S108 - where collectors write by default; only read here


def homes_for(named: Sequence[str], *, all_users: bool) -> tuple[str, ...]:
    """Return the directories to look in.

    Those that were `named`, or else what $PPROFPLUS_DIR names, are the only ones. Without either
    it is the user's own, and root sees those of all users, too; `all_users` adds them in any case.
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
