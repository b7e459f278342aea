"""Measure pprofplus and comparable tools, and print tables.

python tests/benchmarks/run.py [--quick] [--only NAME ...] [--markdown] [--python PATH ...]
    [--keep DIRECTORY [--stop-after SECONDS]]
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import collector_cost
import day
import decode_rates
import heap_cost
import latency
import log_size
import month
import profile_accuracy
import profile_costs
import profile_kind_costs
import profile_stack_costs
import runs
import soak
import terminal
import unused_cost
import verdict_rates
from kept_results import KeptResults
from tables import Table, render
from timing import Effort, compiled_modules, pythons

BENCHMARKS: dict[str, Callable[[Effort], list[Table]]] = {
    "collector": collector_cost.measure,
    "heap": heap_cost.measure,
    "latency": latency.measure,
    "day": day.measure,
    "size": log_size.measure,
    "decode": decode_rates.measure,
    "month": month.measure,
    "profiles-accuracy": profile_accuracy.measure_development,
    "profiles-held-out": profile_accuracy.measure_held_out,
    "profiles-cost": profile_costs.measure,
    "profiles-kinds": profile_kind_costs.measure,
    "profiles-stacks": profile_stack_costs.measure,
    "profiles-unused": unused_cost.measure,
    "runs": runs.measure,
    "soak": soak.measure,
    "terminal": terminal.measure,
    "verdict": verdict_rates.measure,
}
_GROUPS = {"profiles": tuple(name for name in BENCHMARKS if name.startswith("profiles-"))}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the selected benchmarks; return 0, also if targets are missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="take seconds instead of minutes; rough"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(*BENCHMARKS, *_GROUPS),
        metavar="NAME",
        help=", ".join(BENCHMARKS),
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PATH",
        help="interpreter for the collector's figures; `heap` compares several, by default one of"
        " each version that it finds",
    )
    parser.add_argument(
        "--install-peers",
        action="store_true",
        help="first install the tools that the collector is compared with",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIRECTORY",
        help="keep what is measured of profiles there, and do not measure it again",
    )
    parser.add_argument(
        "--stop-after",
        type=float,
        metavar="SECONDS",
        help="begin to measure nothing more after this time; of use with --keep",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="DIRECTORY",
        help="the directory `collector` of another version, for profiles-unused",
    )
    words = parser.parse_args(argv)
    if words.install_peers:
        requirements = str(Path(__file__).with_name("requirements.txt"))
        python = words.python[0] if words.python else sys.executable
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", requirements], check=True)
    effort = Effort(
        quick=words.quick,
        python=words.python[0] if words.python else sys.executable,
        pythons=tuple(words.python) or pythons(),
        keep=words.keep,
        baseline=words.baseline,
        kept=KeptResults(words.keep, words.stop_after),
    )
    names = [one for name in words.only or BENCHMARKS for one in _GROUPS.get(name, (name,))]
    with compiled_modules():
        missed = _run(names, effort, markdown=words.markdown)
    if effort.kept.left_out:
        sys.stdout.write(f"Not measured, time is over: {', '.join(effort.kept.left_out)}\n")
    sys.stdout.write("\n".join(["Missed:", *missed] if missed else ["All targets reached."]) + "\n")
    return 0


def _run(names: Sequence[str], effort: Effort, *, markdown: bool) -> list[str]:
    """Run the benchmarks and print their tables; return the missed targets."""
    missed: list[str] = []
    for name in names:
        began = time.monotonic()
        sys.stderr.write(f"{name} ...\n")
        for table in BENCHMARKS[name](effort):
            sys.stdout.write(render(table, markdown=markdown) + "\n\n")
            sys.stdout.flush()
            missed += table.missed()
        sys.stderr.write(f"{name} took {time.monotonic() - began:.0f} s\n")
    return missed


if __name__ == "__main__":
    sys.exit(main())
