"""The table that `pprofplus-tui list` prints, a line for each run."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_axis import local, zone_name
from pprofplus_tui.model.units import format_bytes, format_span_ms
from pprofplus_tui.sources.port import RunId, RunInfo

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
_SIZE_CELLS, _SPAN_CELLS, _TIME_CELLS = 8, 6, 19
_QUARTER_MS = 900_000


def table_lines(runs: Sequence[RunInfo], causes: Mapping[RunId, str]) -> Iterator[str]:
    """Yield the headings and a line for each run; `causes` of deaths are by path."""
    zones = {_zone_of(info.begin_ms // _QUARTER_MS) for info in runs}
    zone = zones.pop() if len(zones) == 1 else ""  # one zone for all lines is in the heading
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
    rows = (_as_row(info, causes.get(info.id), zoned=not zone) for info in runs)
    for row in chain([headings], rows):
        yield line(*row).rstrip() + "\n"


def _widths(runs: Sequence[RunInfo], zone: str) -> dict[str, int]:
    """Return the widths of columns; those of sizes and spans are the longest possible."""
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
    """Return the zone's name in a quarter of an hour; it changes only between two of them."""
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
