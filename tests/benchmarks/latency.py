"""What a busy service notices of the collector: how late it is, and how much less it does."""

import statistics
import tempfile

from tables import Column, Row, Table
from timing import Effort, interval95, told_by

_REFERENCE, _AGAIN = "without", "without, again"
_MOST_LOST = {"1 Hz": 0.1, "10 Hz": 0.5}  # percent
_LATE = (
    Column("p50", "us"),
    Column("p99", "us"),
    Column("p99.9", "us"),
    Column("samples meanwhile", compared=False),
)
_TITLES = {
    "loop": "Latency: how late a busy asyncio loop wakes its tasks",
    "thread": "Latency: how long a CPU-bound thread takes for a millisecond of work",
}


def _late(kind: str, found: dict[str, dict], slice_s: float) -> Table:
    rows = [
        Row(
            arm,
            (
                one["p50"],
                one["p99"],
                one["p99.9"],
                sum(samples for _, _, samples in one["slices"]),
            ),
        )
        for arm, one in found.items()
    ]
    rounds = len(found[_REFERENCE]["slices"])
    note = f"{rounds} slices of {slice_s:g} s each, by turns in one process; without: the noise."
    return Table(_TITLES[kind], _LATE, tuple(rows), (note,))


def _lost(found: dict[str, dict], arm: str, which: int) -> list[float]:
    """Return by round what share of its throughput a slice lost, in percent; 0 is wall, 1 CPU.

    Each is compared with the two slices without the collector of the same round.
    """
    rounds = zip(*(found[name]["slices"] for name in (arm, _REFERENCE, _AGAIN)), strict=True)
    if arm == _AGAIN:
        return [100 * (1 - before[which] / one[which]) for one, before, _ in rounds]
    return [
        100 * (1 - (before[which] + after[which]) / 2 / one[which]) for one, before, after in rounds
    ]


def _throughput(found: dict[str, dict], arm: str) -> Table:
    rows = []
    for name, of, which in (
        (f"at {arm}, CPU time", arm, 1),
        (f"at {arm}, wall clock", arm, 0),
        ("noise: without against without, CPU time", _AGAIN, 1),
        ("noise: without against without, wall clock", _AGAIN, 0),
    ):
        lost = _lost(found, of, which)
        low, high = interval95(lost)
        rows.append(Row(name, (statistics.median(lost), low, high), detail=of == _AGAIN))
    return Table(
        f"Throughput: what a CPU-bound service loses with the collector at {arm}",
        (
            Column("lost, median", "%", at_most=_MOST_LOST[arm], compared=False),
            Column("from", "%", compared=False),
            Column("to", "%", compared=False),
        ),
        tuple(rows),
        ("From and to: the interval that holds the median with 95 %.",),
        ours=2,
    )


def measure(effort: Effort) -> list[Table]:
    """Have a loop and a thread work by turns with and without the collector."""
    rounds, slice_s = effort.count(60, 8, 1), effort.pick(1.0, 1.0, 0.05)
    tables = []
    for kind in _TITLES:
        with tempfile.TemporaryDirectory() as home:
            found = told_by(effort.python, "latency_child.py", kind, rounds, slice_s, home)
        tables.append(_late(kind, found, slice_s))
        if kind == "thread":
            tables += [_throughput(found, arm) for arm in _MOST_LOST]
    return tables
