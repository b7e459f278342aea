"""Whether the memory and the schedule of the collector stay the same over a day."""

import tempfile

from tables import Column, Row, Table
from timing import Effort, run_script


def measure(effort: Effort) -> list[Table]:
    """Simulate a day with the real collector, and run its thread for a few seconds."""
    samples = effort.count(86_400, 20_000, 240)
    seconds = effort.pick(60, 10, 1)
    found = {}
    for kind, amount in (("traced", samples), ("plain", samples), ("grid", seconds)):
        with tempfile.TemporaryDirectory() as log_directory:
            found[kind] = run_script(effort.python, "day_child.py", amount, log_directory, kind)
    traced, plain, grid = found["traced"], found["plain"], found["grid"]
    rss = plain.get("rss")
    return [
        Table(
            f"A day: {samples:,} samples at 1 Hz, from the second hour to the last",
            (
                Column("samples", compared=False),
                Column("segments", compared=False),
                Column("more allocated by its own files", "B", at_most=32_768, compared=False),
                Column("more blocks in the process", at_most=500, compared=False),
                Column("more RSS", "KB", at_most=500, compared=False),
            ),
            (
                Row(
                    "pprofplus",
                    (
                        samples,
                        plain["segments"],
                        traced["held"],
                        plain["blocks"],
                        None if rss is None else rss / 1000,
                    ),
                ),
            ),
            ("With rotation: new segments replace old ones.",),
        ),
        Table(
            "A day: the grid",
            (
                Column("points", compared=False),
                Column("moved", "us", at_most=1000, compared=False),
                Column("late, median", "us"),
            ),
            (
                Row(
                    "simulated, each up to three intervals late",
                    (86_400, grid["simulated"] / 1000, None),
                ),
                Row(
                    f"the real thread at 0.05 s for {seconds:.0f} s",
                    (grid["samples"], grid["real"], grid["late"]),
                ),
            ),
            ("Moved: delay of the last quarter minus delay of the first quarter.",),
            ours=2,
        ),
    ]
