"""The cost of the collector to its service, compared with other in-process monitors."""

import statistics

from tables import Column, Row, Table
from timing import Effort, quantile, run_script

_PACKAGES = {
    "pprofplus": "pprofplus",
    "pprofplus_spared": "pprofplus",
    "prometheus_client": "prometheus_client",
    "opentelemetry": "opentelemetry-instrumentation-system-metrics opentelemetry-sdk",
    "ddtrace": "ddtrace",
    "memory_profiler": "memory_profiler",
}
_NAMES = {
    "pprofplus": "pprofplus, at 1 Hz with default settings",
    "pprofplus_spared": "pprofplus, a sample without budgeted probes",
    "prometheus_client": "prometheus_client (process, platform, gc)",
    "opentelemetry": "OpenTelemetry process and gc metrics",
    "ddtrace": "ddtrace runtime metrics",
    "memory_profiler": "memory_profiler (RSS alone)",
}
_COLUMNS = (
    Column("metrics", compared=False),
    Column("one collection", "us", at_most=60),
    Column("p99", "us"),
    Column("after 20 ms idle", "us"),
    Column("import", "ms", at_most=15),
    Column("memory (RSS)", "MB", at_most=3),
    Column("unique (USS)", "MB"),
)
_NOTES = (
    "One collection of pprofplus includes writing it to disk; the others keep theirs in memory.",
    "Budgeted probes: the heaps every second in a small process, rarely in a large one;",
    "USS and PSS at most every fifth second.",
    "Import and memory: in addition to threading, socket and json; started, one collection.",
)


def _run(python: str, name: str, steps: int, spaced: int) -> dict[str, object]:
    """Measure a candidate in a new interpreter."""
    return run_script(python, "candidates.py", name, steps, spaced)


def _row(name: str, starts: list[dict], loops: list[dict]) -> Row:
    def median(key: str, scale: float = 1.0) -> float | None:
        found = [start[key] / scale for start in starts if key in start]
        return statistics.median(found) if found else None

    shown = _NAMES.get(name, name)
    if "missing" in starts[0]:
        return Row(shown, note=f"not installed: pip install {_PACKAGES[name]}")
    tight = [statistics.median(loop["tight_us"]) for loop in loops]
    return Row(
        shown,
        (
            loops[0]["metrics"],
            statistics.median(tight),
            statistics.median(quantile(loop["tight_us"], 0.99) for loop in loops),
            statistics.median(statistics.median(loop["spaced_us"]) for loop in loops),
            median("import_ms"),
            median("rss", 1e6),
            median("uss", 1e6),
        ),
    )


def measure(effort: Effort) -> list[Table]:
    """Run the candidates in turns, so that other load of the machine affects all of them."""
    starts: dict[str, list[dict]] = {name: [] for name in _PACKAGES}
    loops: dict[str, list[dict]] = {name: [] for name in _PACKAGES}
    for name in _PACKAGES:
        _run(effort.python, name, 0, 0)  # compiles modules that are not compiled yet
    for _ in range(effort.count(15, 5, 1)):
        for name, found in starts.items():
            found.append(_run(effort.python, name, 0, 0))
    steps = effort.count(3000, 1000, 100), effort.count(100, 50, 5)
    for _ in range(effort.count(5, 3, 1)):
        for name, found in loops.items():
            if "missing" not in starts[name][0]:
                found.append(_run(effort.python, name, *steps))
    version = starts["pprofplus"][0]["python"]
    return [
        Table(
            f"Collector: cost to the service, CPython {version}",
            _COLUMNS,
            tuple(_row(name, starts[name], loops[name]) for name in _PACKAGES),
            _NOTES,
            ours=2,
        )
    ]
