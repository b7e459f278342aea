"""Opens sources for commands, so that no other module depends on how runs are stored.

Functions import a source when they are called: a command line is parsed without numpy.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pprofplus_tui.sources.port import RunId, Source


def open_source(directories: Sequence[str]) -> "Source":
    """Return the source of the runs in these log directories; missing ones may appear later."""
    from pprofplus_tui.sources.local.local_source import LocalSource  # see above

    return LocalSource(directories)


def log_directories(named: Sequence[str], *, all_users: bool) -> tuple[str, ...]:
    """Return the log directories to search.

    These are the `named` ones, or else the one in $PPROFPLUS_DIR, or else the user's own, and for
    root also those of all users. `all_users` always adds those of all users.
    """
    from pprofplus_tui.sources.local import default_directories  # see above

    return default_directories.log_directories(named, all_users=all_users)


@contextmanager
def unpacked_bundle(path: str) -> Iterator[str]:
    """Provide a temporary log directory with the runs of a bundle. Raises BundleError."""
    from pprofplus_tui.sources.local import bundle  # see above

    with bundle.unpacked(path) as directory:
        yield str(directory)


def run_in_directory(path: str) -> "RunId":
    """Return the id of the run in a run directory of this machine."""
    from pprofplus_tui.sources.local.local_source import run_id  # see above

    return run_id(path)
