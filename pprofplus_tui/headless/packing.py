"""`pprofplus-tui pack`: runs in one file."""

from typing import TextIO

from pprofplus_tui.atomic_file import OutputError
from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.headless.choice import deaths_of, named_runs
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes
from pprofplus_tui.sources.local.bundle import SUFFIX, BundleError, PackedRun, pack


def pack_runs(options: Options, names: list[str], output: str, told: TextIO) -> int:
    """Pack the runs of these names into a new file; return the exit code.

    Raises NothingFoundError and UsageError.
    """
    found = named_runs(options, names)
    deaths = deaths_of(options, found)
    runs = [
        PackedRun(
            info.path,
            info.service,
            info.pid,
            info.state,
            info.begin_ms,
            info.end_ms,
            deaths[info.path].cause if info.path in deaths else None,
        )
        for info in found
    ]
    try:
        size_bytes = pack(runs, output)
    except FileExistsError as error:
        raise UsageError(clean(str(error))) from error
    except (BundleError, OutputError) as error:
        raise NothingFoundError(clean(str(error))) from error
    who = ", ".join(f"{run.service} {run.pid}" for run in runs)
    told.write(f"{clean(output)}: {who}, {format_bytes(size_bytes)}\n")
    if not output.endswith(SUFFIX):
        told.write(f"pprofplus-tui: look with  pprofplus-tui --dir {clean(output)}\n")
    return 0
