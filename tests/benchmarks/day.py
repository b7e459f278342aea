"""Whether a day leaves the collector as it was: its own memory, and its hours."""

import tempfile

from tables import Column, Row, Table
from timing import Effort, told_by


def measure(effort: Effort) -> list[Table]:
    """Simulate a day with the real collector, and run its thread for some seconds."""
    samples = effort.count(86_400, 20_000, 240)
    seconds = effort.pick(60, 10, 1)
    found = {}
    for kind, amount in (("traced", samples), ("plain", samples), ("grid", seconds)):
        with tempfile.TemporaryDirectory() as home:
            found[kind] = told_by(effort.python, "day_child.py", amount, home, kind)
    traced, plain, grid = found["traced"], found["plain"], found["grid"]
    rss = plain.get("rss")
    return [
        Table(
            f"A day: {samples:,} samples at 1 Hz, from the second hour to the last",
            (
                Column("samples", compared=False),
                Column("segments", compared=False),
                Column("held by its own files, more", "B", at_most=32_768, compared=False),
                Column("blocks of the process, more", at_most=500, compared=False),
                Column("RSS, more", "KB", at_most=500, compared=False),
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
            ("With rotation: segments are dropped as new ones come.",),
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
            ("Moved: how late the last quarter was, less how late the first was.",),
            ours=2,
        ),
    ]
