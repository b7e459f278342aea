"""Makes sources for commands: the only way to one, so that nothing else knows how runs are stored.

What a source needs is imported when it is made: a command line is read without numpy.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pprofplus_tui.sources.port import RunId, Source


def open_source(directories: Sequence[str]) -> "Source":
    """Return the source of the runs in these log directories; missing ones may appear later."""
    from pprofplus_tui.sources.local.local_source import LocalSource  # noqa: PLC0415 - see above

    return LocalSource(directories)


def log_directories(named: Sequence[str], *, all_users: bool) -> tuple[str, ...]:
    """Return the log directories to look in.

    Those that were `named`, or else what $PPROFPLUS_DIR names, are the only ones. Without either
    it is the user's own, and for root also those of all users; `all_users` always adds these.
    """
    from pprofplus_tui.sources.local.default_directories import homes_for  # noqa: PLC0415 - see above

    return homes_for(named, all_users=all_users)


@contextmanager
def unpacked(named: Sequence[str]) -> Iterator[list[str]]:
    """Provide log directories for the paths named: bundles are unpacked, and removed at the end.

    Raises BundleError if a file is no bundle.
    """
    if all(Path(path).is_dir() for path in named):
        yield list(named)
        return
    from pprofplus_tui.sources.local import bundle  # noqa: PLC0415 - see above

    with ExitStack() as kept:
        yield [
            path if Path(path).is_dir() else str(kept.enter_context(bundle.unpacked(path)))
            for path in named
        ]


def run_in_directory(path: str) -> "RunId":
    """Return what tells the run in a run directory of this machine from others."""
    from pprofplus_tui.sources.local.local_source import run_id  # noqa: PLC0415 - see above

    return run_id(path)
