"""`pprofplus-tui pack`: runs in one bundle file."""

import argparse
import sys

from pprofplus_tui.commands.common_arguments import RUN, add_directory_options
from pprofplus_tui.commands.errors import NothingFoundError, UsageError
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the runs and the file."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUN)
    add_directory_options(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="write to this new file, e.g. run.pplogs",
    )


def run(arguments: argparse.Namespace, options: Options) -> int:
    """Write the runs to a new bundle; return the exit code.

    Raises NothingFoundError and UsageError.
    """
    from pprofplus_tui.atomic_file import OutputError
    from pprofplus_tui.commands.run_choice import deaths_of, named_runs
    from pprofplus_tui.model.units import format_bytes
    from pprofplus_tui.sources.open import open_source
    from pprofplus_tui.sources.port import BUNDLE_SUFFIX, BundleError, RunToPack

    output: str = arguments.output
    source = open_source(options.directories)
    found = named_runs(source, arguments.runs)
    deaths = deaths_of(source, found)
    runs = [
        RunToPack(
            info.id,
            info.service,
            info.pid,
            info.state,
            info.begin_ms,
            info.end_ms,
            deaths[info.id].cause if info.id in deaths else None,
        )
        for info in found
    ]
    try:
        size_bytes = source.pack(runs, output)
    except FileExistsError as error:
        raise UsageError(clean(str(error))) from error
    except (BundleError, OutputError) as error:
        raise NothingFoundError(clean(str(error))) from error
    names = ", ".join(f"{info.service} {info.pid}" for info in found)
    sys.stderr.write(f"{clean(output)}: {names}, {format_bytes(size_bytes)}\n")
    if not output.endswith(BUNDLE_SUFFIX):
        sys.stderr.write(f"pprofplus-tui: open it with  pprofplus-tui --dir {clean(output)}\n")
    return 0
