"""The log directories that --dir names; bundles are unpacked for the time of the command."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pprofplus_tui.commands.errors import NothingFoundError, UsageError


@contextmanager
def named_directories(paths: Sequence[str]) -> Iterator[list[str]]:
    """Provide a directory for each path; one of a bundle is temporary.

    Raises UsageError if there is no such path, NothingFoundError if a bundle cannot be read.
    """
    named = [os.path.abspath(path) for path in paths]
    for path in named:
        if not os.path.isdir(path) and not os.path.isfile(path):
            raise UsageError(f"--dir {path}: no such directory")
    if all(map(os.path.isdir, named)):
        yield named
        return
    # these are slow to load, and most commands read directories
    from pprofplus_tui.signals import ended_by_signals
    from pprofplus_tui.sources.open import unpacked_bundle
    from pprofplus_tui.sources.port import BundleError

    with ended_by_signals() as ignore, ExitStack() as unpacking:
        try:
            directories = [
                path if os.path.isdir(path) else unpacking.enter_context(unpacked_bundle(path))
                for path in named
            ]
        except BundleError as error:
            raise NothingFoundError(str(error)) from error
        unpacking.callback(ignore)  # the monitor has reset the handlers of the signals
        yield directories
