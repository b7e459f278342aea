"""Where logs are looked for when nobody says where."""

import os
from collections.abc import Sequence

from pprofplus.log import discovery, log_directory


def homes_for(named: Sequence[str], *, all_users: bool) -> tuple[str, ...]:
    """Return the directories to look in.

    Those that were `named`, or else what $PPROFPLUS_DIR names, are the only ones. Without either
    it is the user's own, and root sees those of all users, too; `all_users` adds them in any case.
    """
    homes = list(named) or [log_directory.default_home()]
    chosen = bool(named) or bool(os.environ.get("PPROFPLUS_DIR"))
    if all_users or (not chosen and os.getuid() == 0):
        homes += [path for path in discovery.shared_homes() if os.access(path, os.R_OK | os.X_OK)]
    return tuple(dict.fromkeys(homes))
