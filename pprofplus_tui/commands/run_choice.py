"""Which runs and which time window the options choose."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from pprofplus_tui.commands.errors import NothingFoundError, UsageError
from pprofplus_tui.commands.unread_runs import UnreadRuns
from pprofplus_tui.model.death import Death
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import RUNNING
from pprofplus_tui.model.text import clean
from pprofplus_tui.sources.port import NoRunError, RunId, RunInfo, Selection, Source


def find_runs(
    source: Source, options: Options, unread: UnreadRuns | None = None, *, counting: bool = False
) -> list[RunInfo]:
    """Return the runs that match the options: running ones first, then the newest.

    For an ended run only the summary is read, and its samples are counted if `counting`.
    Directories that cannot be listed are noted in `unread`: matching runs may be in them.
    Raises NothingFoundError with a line that names the services that exist.
    """
    pids = options.all_pids
    catalog = source.catalog(Selection(options.service, pids), counting=counting)
    catalog.refresh(())
    if catalog.runs:
        if unread is not None:
            unread.note(catalog.hiding_problems(options.service))
        return sorted(catalog.runs, key=lambda info: (info.state not in RUNNING, -info.begin_ms))
    wanted = [f"service {options.service}"] if options.service is not None else []
    wanted += [f"pid {', '.join(map(str, pids))}"] if pids else []
    line = f"no run of {' '.join(wanted)}" if wanted else "no run"
    services = catalog.services if wanted else ()
    hint = "; give the log directory with --dir, or try --all-users"
    if services:
        hint = f"; there are {', '.join(services)}"
    problem = f"; {catalog.problems[0]}" if catalog.problems else ""
    raise NothingFoundError(clean(f"{line} in {source.where}{hint}{problem}"))


def deaths_of(
    source: Source, found: Sequence[RunInfo], others: Sequence[RunInfo] | None = None
) -> dict[RunId, Death]:
    """Return how each ended run ended.

    `others` are all runs of the source, by default searched here: they are evidence, because
    one of them may have recorded the OOM killer.
    """
    ended = [info for info in found if info.state not in RUNNING]
    if not ended:
        return {}
    if others is None:
        catalog = source.catalog()
        catalog.refresh(())
        others = catalog.runs
    deaths = {}
    for info in ended:
        with suppress(NoRunError):
            death = source.open(info.id).death(info.state, others)
            if death is not None:
                deaths[info.id] = death
    return deaths


def named_run(source: Source, name: str) -> RunInfo:
    """Return the run with the name `name`: SERVICE/PID or SERVICE/PID-START.

    Raises UsageError if several runs have it, NothingFoundError if none has.
    """
    found, problems = source.find_by_name(name)
    if not found:
        hidden = "".join(f"; {line}" for line in problems[:1])
        raise NothingFoundError(
            clean(
                f"no run {name} in {source.where}; "
                f"give it as SERVICE/PID (see  pprofplus-tui list ){hidden}"
            )
        )
    if len(found) > 1:
        names = ", ".join(source.name(info.id) for info in found)
        raise UsageError(clean(f"{len(found)} runs match {name}: give one of {names}"))
    return found[0]


def named_runs(source: Source, names: Sequence[str]) -> list[RunInfo]:
    """Return the runs of these names, each once, in the order given; see `named_run`."""
    found = [named_run(source, name) for name in names]
    return list({info.id: info for info in found}.values())


def chosen_runs(
    source: Source, options: Options, names: Sequence[str], unread: UnreadRuns | None = None
) -> tuple[list[RunInfo], int]:
    """Return (the chosen runs, how many other runs match).

    The runs in `names`; without names, all that match --service and --pid, by service and age;
    without these either, only the newest. For `unread` see `find_runs`. Raises UsageError,
    NothingFoundError.
    """
    if names:
        return named_runs(source, names), 0
    found = find_runs(source, options, unread)
    if options.service is None and not options.all_pids:
        return found[:1], len(found) - 1
    return sorted(found, key=lambda info: (info.service, info.begin_ms, info.pid)), 0


def chosen_run(
    source: Source, options: Options, name: str | None, unread: UnreadRuns | None = None
) -> tuple[RunInfo, int]:
    """Return (the chosen run, how many other runs match); see `chosen_runs`."""
    if name:
        return named_run(source, name), 0
    found = find_runs(source, options, unread)
    return found[0], len(found) - 1


def newest_of(info: RunInfo, others: int) -> str:
    """Return the line on which run was chosen, and of how many."""
    return (
        f"pprofplus-tui: {info.service} {info.pid}, the newest of {others + 1} runs; "
        "choose another one with --service and --pid\n"
    )


def window_of(
    options: Options, runs: Sequence[RunInfo], extents: Callable[[], Iterable[tuple[int, int]]]
) -> tuple[int, int]:
    """Return [begin_ms, end_ms) that the options choose; by default, all of the runs.

    `extents` returns the unix ms of the first and last sample of each run that was opened; it is
    called only when needed. The catalogue cannot give them: it reads only the two ends of a run,
    which may be unreadable, and do not give the begin of a run whose clock was set.
    `--last` counts from now if one of the runs is running, else from the end of the last run.
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
        raise UsageError("the time window ends before it begins: check --begin, --end and --last")
    return begin_ms, end_ms
