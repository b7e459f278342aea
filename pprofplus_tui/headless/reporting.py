"""`pprofplus-tui report`: a window of runs as one page of HTML."""

import time
from collections.abc import Sequence
from typing import TextIO

from pprofplus import __version__
from pprofplus_tui.atomic_file import OutputError, new_file
from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.headless.choice import chosen_runs, deaths_of, of_several, window_of
from pprofplus_tui.headless.unread import Unread
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import RUNNING
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes
from pprofplus_tui.reports.collect import report_run, samples_within
from pprofplus_tui.reports.content import Report, RunReport
from pprofplus_tui.reports.html_page import write_page
from pprofplus_tui.sources.local.catalog import RunInfo
from pprofplus_tui.sources.local.run_log import RunLog

_MOST_RUNS = 40  # a page of more is read by nobody


def report(
    options: Options, names: Sequence[str], output: str | None, out: TextIO, told: TextIO
) -> int:
    """Write the page to a new file, or to `out` if `output` is None or "-"; return the exit code.

    Raises NothingFoundError and UsageError.
    """
    unread = Unread()
    found, others = chosen_runs(options, names, unread)
    begin_ms, end_ms = window_of(options, found, lambda: map(_extent_of, found))
    if others:
        told.write(of_several(found[0], others))
    # those that go on first, then the newest
    found = sorted(found, key=lambda info: (info.state not in RUNNING, -info.begin_ms))
    deaths = deaths_of(options, found)
    runs: list[RunReport] = []
    left_out = 0
    for info in found:
        log = RunLog(info.path)
        log.refresh()
        within = samples_within(log, begin_ms, end_ms)
        unread.note_run(log)
        if not within:
            continue
        if len(runs) < _MOST_RUNS:
            death = deaths.get(info.path)
            runs.append(report_run(info, log, (begin_ms, end_ms), options.zone, death))
            unread.note_run(log)  # decoding may have found more
        else:
            left_out += 1
    code = unread.exit_code(told)
    if not runs:
        raise NothingFoundError("no samples in this window")
    page = write_page(
        Report(
            _title(runs),
            begin_ms,
            end_ms,
            time.time_ns() // 1_000_000,
            tuple(runs),
            left_out,
            __version__,
        ),
        options.zone,
    )
    if output is None or output == "-":
        out.write(page)
        return code
    data = page.encode()
    try:
        with new_file(output) as file:
            file.write(data)
    except FileExistsError as error:
        raise UsageError(clean(str(error))) from error
    except OutputError as error:
        raise NothingFoundError(clean(str(error))) from error
    count = f"{len(runs)} runs" if len(runs) > 1 else f"{runs[0].service} {runs[0].pid}"
    told.write(f"{clean(output)}: {count}, {format_bytes(len(data))}\n")
    return code


def _extent_of(info: RunInfo) -> tuple[int, int]:
    """Return the unix ms of a run's first and last sample, and keep nothing: they may be many."""
    log = RunLog(info.path, in_blocks=True)
    log.refresh()
    return log.extent_ms


def _title(runs: Sequence[RunReport]) -> str:
    services = list(dict.fromkeys(run.service for run in runs))
    if len(runs) == 1:
        return f"Memory of {runs[0].service} {runs[0].pid}"
    return f"Memory of {', '.join(services[:5])}{', …' if len(services) > 5 else ''}"  # noqa: PLR2004 - a title
