"""The effect of the collector on a busy service: latency and throughput."""

import random
import statistics
import tempfile

from tables import Column, Row, Table
from timing import Effort, run_script

_WINDOWS_A_SECOND = 10
_MAX_LOST = {1: 0.1, 10: 0.5}  # percent, by samples a second
_DRAWS = 400
_NOISE = "noise, the same without the collector: "
_LATE = (
    Column("p50", "us"),
    Column("p99", "us"),
    Column("p99.9", "us"),
    Column("samples in that time", compared=False),
)
_TITLES = {
    "loop": "Latency: delay of the tasks of a busy asyncio loop",
    "thread": "Latency: time of a CPU-bound thread for a millisecond of work",
}


def _late(kind: str, found: dict[str, dict], rounds: int, slice_s: float) -> Table:
    rows = [
        Row(arm, (one["p50"], one["p99"], one["p99.9"], one["samples"]))
        for arm, one in found.items()
    ]
    note = f"{rounds} slices of {slice_s:g} s each, in turns in one process; without: the noise."
    return Table(_TITLES[kind], _LATE, tuple(rows), (note,))


def _lost(slices: list[list], which: int) -> list[float]:
    """Return the loss of throughput of each window with a sample, in percent.

    Each is compared with the mean of its neighbours, which have no sample; `which` is 0 for the
    wall clock and 1 for CPU time.
    """
    lost = []
    for windows in slices:
        for at in range(2, len(windows) - 1, 2):
            before, one, after = windows[at - 1 : at + 2]
            if before and one and after:
                lost.append(100 * (1 - (before[which] + after[which]) / 2 / one[which]))
    return lost


def _trimmed(values: list[float]) -> float:
    """Return the mean without a twentieth at each end, which is mostly other load."""
    ordered = sorted(values)
    cut = len(ordered) // 20
    return statistics.fmean(ordered[cut : len(ordered) - cut])


def _interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the trimmed mean, by the bootstrap."""
    draw = random.Random(4711)
    means = sorted(_trimmed(draw.choices(values, k=len(values))) for _ in range(_DRAWS))
    return means[_DRAWS // 40], means[-1 - _DRAWS // 40]


def _throughput(found: dict[str, list]) -> list[Table]:
    # percent of a second for each sample
    lost = {
        f"{name}{clock}": [value / _WINDOWS_A_SECOND for value in _lost(found[windows], which)]
        for name, windows in (("", "with"), (_NOISE, "without"))
        for clock, which in (("CPU time", 1), ("wall clock", 0))
    }
    lost["CPU time of the collector's thread"] = [own_us / 1e4 for own_us in found["own_us"]]
    figures = {
        name: (_trimmed(values), *_interval(values)) for name, values in lost.items() if values
    }
    rows = {
        hertz: sorted(
            (
                Row(name, tuple(value * hertz for value in of_one), detail=name.startswith(_NOISE))
                for name, of_one in figures.items()
            ),
            key=lambda row: row.detail,
        )
        for hertz in _MAX_LOST
    }
    return [
        Table(
            f"Throughput: what a CPU-bound service loses with the collector at {hertz} Hz",
            (
                Column("lost", "%", at_most=most, compared=False),
                Column("from", "%", compared=False),
                Column("to", "%", compared=False),
            ),
            tuple(rows[hertz]),
            (
                f"{len(found['own_us'])} samples, each in a tenth of a second that is compared",
                "with its two neighbours without a sample: the extra time of a piece of work.",
                "Mean without a twentieth at each end; from and to: 95 % confidence interval.",
            ),
            ours=3,
        )
        for hertz, most in _MAX_LOST.items()
    ]


def measure(effort: Effort) -> list[Table]:
    """Run a loop and a thread in turns with and without the collector."""
    rounds, slice_s = effort.count(60, 8, 1), effort.pick(1.0, 1.0, 0.05)
    tables = []
    with tempfile.TemporaryDirectory() as log_directory:
        for kind in _TITLES:
            found = run_script(
                effort.python, "latency_child.py", kind, rounds, slice_s, log_directory
            )
            tables.append(_late(kind, found, rounds, slice_s))
        rounds, slice_s = effort.count(20, 3, 1), effort.pick(10.0, 5.0, 1.0)
        found = run_script(
            effort.python, "latency_child.py", "throughput", rounds, slice_s, log_directory
        )
    return [*tables, *_throughput(found)]
