"""The columns of an export: the metrics and their headings."""

import re
from collections.abc import Sequence

from pprofplus.errors import PprofplusError
from pprofplus.metrics import BYTES, COUNT, MICROSECONDS
from pprofplus_tui.model.metric_names import unknown
from pprofplus_tui.model.units import true_unit
from pprofplus_tui.sources.port import MetricRow, RunReader

FIXED = ("time", "unix_ms", "service", "pid")
_UNIT_SUFFIXES = {BYTES: "bytes", MICROSECONDS: "us", COUNT: ""}
_MAX_CHARS = 100  # of a name or a unit in a heading

MetricKey = tuple[str, str]  # name, true unit


class UnknownMetricError(PprofplusError):
    """A metric is in none of the runs; the text is one line that suggests similar names."""


def unknown_metrics(runs: Sequence[RunReader], metrics: Sequence[str]) -> str:
    """Return one line about the first of these metrics that no run has, else ""."""
    return unknown(metrics, list(dict.fromkeys(name for run in runs for name, _, _ in run.metrics)))


def keys(metrics: Sequence[MetricRow]) -> dict[MetricKey, int]:
    """Return (name, unit) of each metric of a schema, and its column."""
    return {(name, true_unit(unit)[0]): column for column, (name, unit, _) in enumerate(metrics)}


def labels(runs: Sequence[RunReader], metrics: Sequence[str] | None = None) -> dict[MetricKey, str]:
    """Return a unique heading for each metric of the runs.

    `metrics` selects exact names, in this order; None selects all. Raises UnknownMetricError.
    """
    found: list[MetricKey] = []
    for run in runs:
        for schema in run.schemas:
            found += keys(schema)
    if metrics is not None:
        problem = unknown_metrics(runs, metrics)
        if problem:
            raise UnknownMetricError(problem)
        found = [key for name in metrics for key in found if key[0] == name]
    named: dict[MetricKey, str] = {}
    taken = dict.fromkeys(FIXED, 1)
    for key in found:
        if key not in named:
            named[key] = _label(*key, taken)
    return named


def _label(name: str, unit: str, taken: dict[str, int]) -> str:
    """Return a heading that is not in `taken`, which counts how often each heading occurred."""
    # Names are untrusted: keep only characters that need no quoting and cannot begin a formula.
    stem = re.sub(r"[^A-Za-z0-9_.]+", "_", name[:_MAX_CHARS]).strip("_") or "metric"
    suffix = re.sub(r"[^A-Za-z0-9_]+", "_", _UNIT_SUFFIXES.get(unit, unit)[:_MAX_CHARS])
    suffix = suffix.strip("_")
    has_unit = not suffix or stem == suffix or stem.endswith(f"_{suffix}")
    label = stem if has_unit else f"{stem}_{suffix}"
    free, count = label, taken.get(label, 1)
    while free in taken:
        count += 1
        free = f"{label}_{count}"
    taken[label] = count
    taken[free] = taken.get(free, 1)
    return free
