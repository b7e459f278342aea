"""`pprofplus-tui list`: the runs found, as a table or as JSON."""

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TextIO

from pprofplus.errors import PprofplusError
from pprofplus_tui.headless.choice import deaths_of, find_runs
from pprofplus_tui.headless.unread import Unread, one_line
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import DIED, RUNNING
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_axis import local, zone_name
from pprofplus_tui.model.units import format_bytes, format_span_ms
from pprofplus_tui.model.verdict import TOO_LITTLE
from pprofplus_tui.sources.local.catalog import Catalog, RunInfo

_BEGIN = "BEGIN"
_HEADINGS = (
    "SERVICE",
    "PID",
    "STATE",
    "RSS",
    _BEGIN,
    "LASTED",
    "SAMPLES",
    "LOG",
    "DAMAGED",
    "PINNED",
    "CAUSE",
)
_RIGHT = {"PID", "RSS", "LASTED", "SAMPLES", "LOG", "DAMAGED"}
_CAUSE_CELLS = 60
_MOST_LOOKED_AT = 50
_SIZE_CELLS, _SPAN_CELLS, _TIME_CELLS = 8, 6, 19
_QUARTER_MS = 900_000


def list_runs(options: Options, *, as_json: bool, out: TextIO, told: TextIO) -> int:
    """Print the runs with their samples counted; return the exit code.

    What could not be read is named on `told`.
    """
    unread = Unread()
    found = find_runs(options, unread, counting=True)
    runs = [Catalog.scan(info) if info.samples is None else info for info in found]
    runs.sort(key=lambda info: (info.service, -info.begin_ms, info.pid))
    causes = _causes(options, runs)
    out.writelines(_json_lines(runs, causes) if as_json else _lines(runs, causes))
    for info in runs:
        if info.problems:
            unread.note(one_line(f"{info.service}/{Path(info.path).name}", info.problems))
    return unread.exit_code(told)


def _causes(options: Options, runs: Sequence[RunInfo]) -> dict[str, str]:
    """Return by path why runs died.

    Of the newest also their logs, other runs and the kernel's log are looked at; of all others the
    directory and the last page say it.
    """
    died = [info for info in runs if info.state == DIED]
    causes = {info.path: info.cause for info in died}
    looked_at = heapq.nlargest(_MOST_LOOKED_AT, died, key=lambda info: info.end_ms)
    deaths = deaths_of(options, looked_at, runs)
    causes.update({path: death.cause.listed for path, death in deaths.items()})
    return {path: cause for path, cause in causes.items() if cause}


def _json_lines(runs: Sequence[RunInfo], causes: Mapping[str, str]) -> Iterator[str]:
    """Yield an array with a line for each run."""
    before = "[\n  "
    few = len(runs) <= _MOST_LOOKED_AT
    for info in runs:
        judging = few or info.state in RUNNING
        yield before + json.dumps(_as_json(info, causes.get(info.path), judging=judging))
        before = ",\n  "
    yield "\n]\n"


def _as_json(info: RunInfo, cause: str | None, *, judging: bool) -> dict[str, object]:
    growth_kind, growth_bytes_per_h = _growth(info) if judging else (None, None)
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
        "path": info.path,
    }


def _growth(info: RunInfo) -> tuple[str | None, float | None]:
    """Return (what the resident set does, bytes an hour) as the monitor judges the whole run.

    That takes its log, so in a long list it is known of running ones only.
    """
    if info.rss_bytes is None:
        return None, None
    from pprofplus_tui.analysis.verdict_tracker import judged  # noqa: PLC0415 - a table does not judge

    try:
        log = Catalog.open(info.path)
    except PprofplusError:
        return None, None
    layers = judged(log, log.begin_ms, log.end_ms + 1).layers
    verdict = next((layer.verdict for layer in layers if layer.kind.id == "rss"), None)
    if verdict is None:
        return None, None
    return verdict.kind, None if verdict.kind == TOO_LITTLE else verdict.per_hour


def _lines(runs: Sequence[RunInfo], causes: Mapping[str, str]) -> Iterator[str]:
    """Yield the table, a line a run; no more of it is kept than the runs."""
    zones = {_zone_of(info.begin_ms // _QUARTER_MS) for info in runs}
    zone = zones.pop() if len(zones) == 1 else ""  # the same in all lines: it is in the heading
    headings = tuple(f"{name} {zone}" if name == _BEGIN and zone else name for name in _HEADINGS)
    widths = _widths(runs, zone)
    used = {
        "DAMAGED": any(info.damaged_pages for info in runs),
        "PINNED": any(info.pinned for info in runs),
        "CAUSE": bool(causes),
    }
    cells = [
        f"{{{i}:{'>' if name in _RIGHT else '<'}{max(len(headings[i]), widths.get(name, 0))}}}"
        for i, name in enumerate(_HEADINGS)
        if used.get(name, True)
    ]
    line = "  ".join(cells).format
    rows = (_as_row(info, causes.get(info.path), zoned=not zone) for info in runs)
    for row in chain([headings], rows):
        yield line(*row).rstrip() + "\n"


def _widths(runs: Sequence[RunInfo], zone: str) -> dict[str, int]:
    """Return how wide columns are; a size and a span have at most so many characters."""
    return {
        "SERVICE": max(len(info.service) for info in runs),
        "PID": len(str(max(info.pid for info in runs))),
        "STATE": max(map(len, {info.state for info in runs})),
        "RSS": _SIZE_CELLS,
        _BEGIN: _TIME_CELLS if zone else 0,
        "LASTED": _SPAN_CELLS,
        "SAMPLES": len(str(max(info.samples or 0 for info in runs))),
        "LOG": _SIZE_CELLS,
        "PINNED": len("pinned"),
    }


@lru_cache(1000)
def _zone_of(quarter: int) -> str:
    """Return the name of the zone in a quarter of an hour: clocks change between two of them."""
    return zone_name(quarter * _QUARTER_MS, None)


def _as_row(info: RunInfo, cause: str | None, *, zoned: bool) -> tuple[str, ...]:
    begin = local(info.begin_ms, None)
    return (
        info.service,
        str(info.pid),
        info.state,
        "" if info.rss_bytes is None else format_bytes(info.rss_bytes),
        begin.isoformat(" ")[:_TIME_CELLS] + (f" {begin:%Z}" if zoned else ""),
        format_span_ms(info.end_ms - info.begin_ms),
        str(info.samples),
        format_bytes(info.size_bytes),
        str(info.damaged_pages) if info.damaged_pages else "",
        "pinned" if info.pinned else "",
        clean(cause, _CAUSE_CELLS) if cause else "",
    )
