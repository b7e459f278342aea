"""The cost of a collection in processes with large heaps, on each supported Python."""

import statistics
import tempfile
from pathlib import Path

import psutil

from log_size import size_of
from tables import Column, Row, Table
from timing import Effort, quantile, run_script

_MB = 10**6
_SIZES = (50 * _MB, 1000 * _MB, 8000 * _MB)
_FREE = 1.5  # times the heap size must be free: Python needs some itself
_COLUMNS = (
    Column("metrics"),
    Column("CPU a collection, median", "us"),
    Column("p99", "us"),
    Column("of a core at 1 Hz", "%", at_most=0.2),
    Column("a sample on disk", "B"),
    Column("import", "ms", at_most=15),
    Column("memory (RSS)", "MB", at_most=3),
)
_NOTES = (
    "CPU time of the collector's thread, with all probes as often as their budget allows:",
    "a thousandth of a core together, but at least every five minutes.",
    "The process works on its heap between the samples, so caches are cold, unlike in `collector`.",
    "The heap: small objects, and a tenth as much from malloc in pieces, every other one freed.",
)


def _name(size_bytes: int) -> str:
    return f"{size_bytes // _MB} MB" if size_bytes < 1000 * _MB else f"{size_bytes / 1e9:.0f} GB"


def _row(name: str, found: list[dict], bytes_a_sample: float) -> Row:
    def median(values: list[float]) -> float:
        return statistics.median(values)

    memory = [one["rss"] / _MB for one in found if "rss" in one]
    return Row(
        name,
        (
            found[0]["metrics"],
            median([median(one["costs_us"]) for one in found]),
            median([quantile(one["costs_us"], 0.99) for one in found]),
            median([statistics.fmean(one["costs_us"]) for one in found]) / 1e4,
            bytes_a_sample,
            median([one["import_ms"] for one in found]),
            median(memory) if memory else None,
        ),
    )


def _measured(python: str, size_bytes: int, steps: int, rounds: int) -> Row:
    with tempfile.TemporaryDirectory() as log_directory:
        run_script(
            python, "heap_child.py", _MB, 1, log_directory
        )  # compiles modules that are not compiled yet
        found = [
            run_script(python, "heap_child.py", size_bytes, steps, log_directory)
            for _ in range(rounds)
        ]
        sizes = [size_of(Path(one["log"])).ours for one in found]
    version = found[0]["python"]
    return _row(f"CPython {version}, {_name(size_bytes)}", found, statistics.median(sizes))


def measure(effort: Effort) -> list[Table]:
    """Measure each interpreter at each size that fits into this machine."""
    sizes = (5 * _MB,) if effort.touch else _SIZES[:2] if effort.quick else _SIZES
    steps = effort.count(1800, 600, 30)
    rows, missing = [], []
    for size_bytes in sizes:
        free = psutil.virtual_memory().available
        if free < _FREE * size_bytes:
            needed = f"needs {_FREE * size_bytes / 1e9:.0f} GB free, has {free / 1e9:.0f}"
            missing.append(Row(_name(size_bytes), note=needed))
            continue
        # a larger heap takes longer to create, and noise matters less
        rounds = effort.count(max(1, min(5, 4000 * _MB // size_bytes)), 1)
        rows += [_measured(python, size_bytes, steps, rounds) for python in effort.pythons]
    return [
        Table(
            "Heap: cost by the size of the process", _COLUMNS, (*rows, *missing), _NOTES, len(rows)
        )
    ]
