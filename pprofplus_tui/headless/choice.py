"""Which runs and which window a command without a screen was asked for."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pprofplus.errors import PprofplusError
from pprofplus.log import log_directory
from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.headless.unread import Unread
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import RUNNING
from pprofplus_tui.model.text import clean
from pprofplus_tui.sources.local.catalog import Catalog, RunInfo
from pprofplus_tui.sources.local.death_evidence import CauseFinder
from pprofplus_tui.sources.local.siblings import Sibling


def find_runs(
    options: Options, unread: Unread | None = None, *, counting: bool = False
) -> list[RunInfo]:
    """Return the runs that the options ask for, running ones first, then the newest.

    Of those that have ended only the records are read, with their samples if `counting`.
    Directories that cannot be listed are noted in `unread`: there may be such runs in them.
    Raises NothingFoundError with a line that says what there is instead.
    """
    pids = options.all_pids
    catalog = Catalog(
        list(options.directories), service=options.service, pids=pids, counting=counting
    )
    catalog.refresh(())
    if catalog.runs:
        if unread is not None:
            unread.note(catalog.unlisted(options.service))
        return sorted(catalog.runs, key=lambda info: (info.state not in RUNNING, -info.begin_ms))
    where = ", ".join(options.directories)
    asked = [f"service {options.service}"] if options.service is not None else []
    asked += [f"pid {', '.join(map(str, pids))}"] if pids else []
    line = f"no run of {' '.join(asked)} in {where}" if asked else f"no run in {where}"
    services = catalog.services if asked else ()
    hint = "; name the directory with --dir, or try --all-users"
    if services:
        hint = f"; there are {', '.join(services)}"
    problem = f"; {catalog.problems[0]}" if catalog.problems else ""
    raise NothingFoundError(clean(line + hint + problem))


def deaths_of(
    options: Options, found: Sequence[RunInfo], others: Sequence[RunInfo] | None = None
) -> dict[str, Death]:
    """Return by path how those of the runs ended that do not go on.

    Other runs of the directories are evidence, too: they may have seen the OOM killer. They are
    looked for unless they are given as `others`.
    """
    ended = [info for info in found if info.state not in RUNNING]
    if not ended:
        return {}
    causes = CauseFinder()
    if others is None:
        catalog = Catalog(list(options.directories))
        catalog.refresh(())
        others = catalog.runs
    deaths = {}
    for info in ended:
        with suppress(PprofplusError):
            log = Catalog.open(info.path)
            death = causes.death_of(log, info.state, map(Sibling.of, others))
            if death is not None:
                deaths[info.path] = death
    return deaths


def named_run(options: Options, name: str) -> RunInfo:
    """Return the run called `name`: SERVICE/PID or SERVICE/PID-START.

    Raises UsageError if several are called so, NothingFoundError if none is.
    """
    service, _, rest = name.strip("/").rpartition("/")
    # of others, the names are enough
    known = log_directory.parse_run_name(rest) or log_directory.parse_run_name(f"{rest}-0")
    pids = () if known is None else known[:1]
    catalog = Catalog(list(options.directories), service=service, pids=pids)
    catalog.refresh(())
    found = [info for info in catalog.runs if rest in {str(info.pid), Path(info.path).name}]
    if not found:
        where = ", ".join(options.directories)
        hidden = "".join(f"; {line}" for line in catalog.unlisted(service)[:1])
        raise NothingFoundError(
            clean(
                f"no run {name} in {where}; name it SERVICE/PID, as  pprofplus-tui list  does"
                + hidden
            )
        )
    if len(found) > 1:
        names = ", ".join(f"{service}/{Path(info.path).name}" for info in found)
        raise UsageError(clean(f"{len(found)} runs are called {name}: name one of {names}"))
    return found[0]


def named_runs(options: Options, names: Sequence[str]) -> list[RunInfo]:
    """Return the runs of these names, each once, in the order given; see `named_run`."""
    found = [named_run(options, name) for name in names]
    return list({info.path: info for info in found}.values())


def chosen_runs(
    options: Options, names: Sequence[str], unread: Unread | None = None
) -> tuple[list[RunInfo], int]:
    """Return (the runs asked for, how many others there were to choose from).

    Those named; else all of the service and the pids given, by service and age; else, if nothing
    was asked for, the newest alone. For `unread` see `find_runs`. Raises UsageError,
    NothingFoundError.
    """
    if names:
        return named_runs(options, names), 0
    found = find_runs(options, unread)
    if options.service is None and not options.all_pids:
        return found[:1], len(found) - 1
    return sorted(found, key=lambda info: (info.service, info.begin_ms, info.pid)), 0


def chosen_run(
    options: Options, name: str | None, unread: Unread | None = None
) -> tuple[RunInfo, int]:
    """Return (the run asked for, how many others would have done): see `chosen_runs`."""
    if name:
        return named_run(options, name), 0
    found = find_runs(options, unread)
    return found[0], len(found) - 1


def of_several(info: RunInfo, others: int) -> str:
    """Return one line that says which run was taken, of how many."""
    return (
        f"pprofplus-tui: {info.service} {info.pid}, the newest of {others + 1} runs; "
        "choose another with --service and --pid\n"
    )


def window_of(
    options: Options, runs: Sequence[RunInfo], extents: Callable[[], Iterable[tuple[int, int]]]
) -> tuple[int, int]:
    """Return [begin_ms, end_ms) that the options ask for; without any, all of the runs.

    `extents` returns the unix ms of the first and last sample of each, as their whole logs tell:
    the catalogue reads only the ends of a log, which do not tell where a run begins whose clock was
    set (see `PageTable`), and may be what cannot be read. It is asked only if that matters.
    `--last` counts from now if one of the runs goes on, else from the end of the last.
    """
    now_ms = time.time_ns() // 1_000_000
    begin_ms, end_ms, last_ms = options.begin_ms, options.end_ms, options.last_ms
    if begin_ms is not None and end_ms is None and last_ms is not None:
        end_ms = begin_ms + last_ms
    found = list(extents()) if end_ms is None or (begin_ms is None and last_ms is None) else []
    if end_ms is None:
        end_ms = max(*(info.end_ms for info in runs), *(end for _, end in found)) + 1
        if any(info.state in RUNNING for info in runs):
            end_ms = max(now_ms, end_ms)
    if begin_ms is None:
        begin_ms = end_ms - last_ms if last_ms is not None else min(begin for begin, _ in found)
    if end_ms <= begin_ms:
        raise UsageError("the window ends before it begins: check --begin, --end, --last")
    return begin_ms, end_ms
