"""`pprofplus-tui list`: the runs, as a table or as JSON."""

import argparse
import gc
import heapq
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from pprofplus_tui.commands.common_arguments import add_run_options
from pprofplus_tui.model.options import Options

if TYPE_CHECKING:
    from pprofplus_tui.sources.port import RunId, RunInfo, Source

_MAX_EXAMINED = 50  # runs that are read in full


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which runs to list, and the format."""
    add_run_options(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(arguments: argparse.Namespace, options: Options) -> int:
    """Print the runs; return the exit code. Raises NothingFoundError."""
    # 100,000 run records have no reference cycles: to search for some takes a third of the time
    gc.disable()
    try:
        return list_runs(options, as_json=arguments.json, out=sys.stdout, err=sys.stderr)
    finally:
        gc.enable()


def list_runs(options: Options, *, as_json: bool, out: TextIO, err: TextIO) -> int:
    """Print the runs with their samples counted; return the exit code.

    What could not be read is reported on `err`. Raises NothingFoundError.
    """
    from pprofplus_tui.commands.run_choice import find_runs
    from pprofplus_tui.commands.run_table import table_lines
    from pprofplus_tui.commands.unread_runs import UnreadRuns, one_line
    from pprofplus_tui.sources.open import open_source

    unread = UnreadRuns()
    source = open_source(options.directories)
    found = find_runs(source, options, unread, counting=True)
    runs = [source.count(info) if info.samples is None else info for info in found]
    runs.sort(key=lambda info: (info.service, -info.begin_ms, info.pid))
    causes = _causes(source, runs)
    out.writelines(_json_lines(source, runs, causes) if as_json else table_lines(runs, causes))
    for info in runs:
        if info.problems:
            unread.note(one_line(source.name(info.id), info.problems))
    return unread.exit_code(err)


def _causes(source: "Source", runs: "Sequence[RunInfo]") -> "dict[RunId, str]":
    """Return why runs died.

    For the newest ones the whole run, other runs and the kernel's log are examined; for all others
    their summaries must be enough.
    """
    from pprofplus_tui.commands.run_choice import deaths_of
    from pprofplus_tui.model.runs import DIED

    died = [info for info in runs if info.state == DIED]
    causes = {info.id: info.cause for info in died}
    examined = heapq.nlargest(_MAX_EXAMINED, died, key=lambda info: info.end_ms)
    deaths = deaths_of(source, examined, runs)
    causes.update({run_id: death.cause.listed for run_id, death in deaths.items()})
    return {run_id: cause for run_id, cause in causes.items() if cause}


def _json_lines(
    source: "Source", runs: "Sequence[RunInfo]", causes: "Mapping[RunId, str]"
) -> Iterator[str]:
    """Yield a JSON array with one line for each run."""
    from pprofplus_tui.model.runs import RUNNING

    before = "[\n  "
    few = len(runs) <= _MAX_EXAMINED
    for info in runs:
        with_growth = few or info.state in RUNNING
        yield before + json.dumps(
            _as_json(source, info, causes.get(info.id), with_growth=with_growth)
        )
        before = ",\n  "
    yield "\n]\n"


def _as_json(
    source: "Source", info: "RunInfo", cause: str | None, *, with_growth: bool
) -> dict[str, object]:
    growth_kind, growth_bytes_per_h = _growth(source, info) if with_growth else (None, None)
    return {
        "service": info.service,
        "pid": info.pid,
        "state": info.state,
        "cause": cause,
        "host": info.host,
        "begin_ms": info.begin_ms,
        "end_ms": info.end_ms,
        "samples": info.samples,
        "rss_bytes": info.rss_bytes,
        "peak_bytes": info.peak_bytes,
        "growth_bytes": info.growth_bytes,
        "growth_bytes_per_h": growth_bytes_per_h,
        "growth_kind": growth_kind,
        "size_bytes": info.size_bytes,
        "damaged_pages": info.damaged_pages,
        "pinned": info.pinned,
        "path": source.location(info.id),
    }


def _growth(source: "Source", info: "RunInfo") -> tuple[str | None, float | None]:
    """Return (the kind of growth, bytes per hour) of the resident set over the whole run.

    It is the verdict that the monitor shows. It needs the whole run, so that a long list has it
    for running processes only.
    """
    if info.rss_bytes is None:
        return None, None
    from pprofplus_tui.analysis.verdict_tracker import window_verdicts
    from pprofplus_tui.model.verdict import TOO_LITTLE
    from pprofplus_tui.sources.port import NoRunError

    try:
        reader = source.open(info.id)
    except NoRunError:
        return None, None
    layers = window_verdicts(reader, reader.begin_ms, reader.end_ms + 1).layers
    verdict = next((layer.verdict for layer in layers if layer.kind.id == "rss"), None)
    if verdict is None:
        return None, None
    return verdict.kind, None if verdict.kind == TOO_LITTLE else verdict.per_hour
