"""`pprofplus-tui pin` and `unpin`: whether retention may remove a run."""

import argparse
import sys

from pprofplus_tui.commands.common_arguments import RUN, add_directory_options
from pprofplus_tui.commands.errors import NothingFoundError
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run."""
    add_directory_options(parser)
    parser.add_argument("run", metavar="RUN", help=RUN)


def run(arguments: argparse.Namespace, options: Options) -> int:
    """Pin or unpin the run; return the exit code.

    Raises UsageError if several runs have this name, NothingFoundError if there is none or this
    user may not change it.
    """
    from pprofplus_tui.commands.run_choice import named_run
    from pprofplus_tui.sources.open import open_source
    from pprofplus_tui.sources.port import PinError

    pinned = arguments.command == "pin"
    source = open_source(options.directories)
    found = named_run(source, arguments.run).id
    try:
        source.set_pinned(found, pinned=pinned)
    except PinError as error:
        raise NothingFoundError(clean(str(error))) from error
    sys.stdout.write(
        clean(f"{source.location(found)}: {'pinned' if pinned else 'not pinned'}") + "\n"
    )
    return 0
