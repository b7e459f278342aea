"""Names the modules that a run needs after its start, and loads them in time.

They are loaded when they are needed, except where that may be too late. A later release may replace
the files while the service runs: what every run may need is loaded by its thread after the start.
A server that starts as root may drop root, and may then not be able to read the files: root loads
what requests need at the import, and more after the start. If other users cannot reach the
directory of this package, it also loads at the import what long actions and artefacts need.
The modules of profiles take 20 to 40 ms and 2 MB, so no process loads them before its first
profile: `system.release` makes sure that they are of the same release, and a process that may not
read them any more refuses profiles.
"""

from __future__ import annotations

import os
import stat

from pprofplus.log.retention import load
from pprofplus.system.user import current_ids

_REQUESTS = ("pprofplus.control.request_handler", "pprofplus.recording.run_actions")
_ARTEFACTS = ("pprofplus.recording.artefact_queue",)
_LONG_ACTIONS = ("pprofplus.control.long_actions", "pprofplus.log.artefact_writer")
_GREENLETS = ("pprofplus.probes.greenlet_search",)
_OTHERS_REACH = stat.S_IXOTH


def load_at_import() -> None:
    """Load what root may not be able to load later. Raises OSError, ImportError."""
    if current_ids()[1] != 0:
        return
    _load(_REQUESTS)
    if not _others_reach(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))):
        load_after_start(as_root=True)


def load_after_start(*, as_root: bool) -> None:
    """Load what every run may need; no fork may happen meanwhile. Raises OSError, ImportError."""
    _load(_REQUESTS + _ARTEFACTS)
    if as_root:
        load()
        _load(_LONG_ACTIONS + _GREENLETS)


def _load(names: tuple[str, ...]) -> None:
    for name in names:
        __import__(name)


def _others_reach(directory: str) -> bool:
    """Return whether other users may search this directory and those above it."""
    while True:
        try:
            if not os.stat(directory).st_mode & _OTHERS_REACH:
                return False
        except OSError:
            return False
        parent = os.path.dirname(directory)
        if parent == directory:
            return True
        directory = parent
