"""Measure pprofplus and comparable tools, and print tables.

python tests/benchmarks/run.py [--quick] [--only NAME ...] [--markdown] [--python PATH ...]
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
import runs
import soak
import terminal
import verdict_rates
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
    "runs": runs.measure,
    "soak": soak.measure,
    "terminal": terminal.measure,
    "verdict": verdict_rates.measure,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the selected benchmarks; return 0, also if targets are missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="take seconds instead of minutes; rough"
    )
    parser.add_argument(
        "--only", nargs="+", choices=tuple(BENCHMARKS), metavar="NAME", help=", ".join(BENCHMARKS)
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
    words = parser.parse_args(argv)
    if words.install_peers:
        requirements = str(Path(__file__).with_name("requirements.txt"))
        python = words.python[0] if words.python else sys.executable
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", requirements], check=True)
    effort = Effort(
        quick=words.quick,
        python=words.python[0] if words.python else sys.executable,
        pythons=tuple(words.python) or pythons(),
    )
    with compiled_modules():
        missed = _run(words.only or tuple(BENCHMARKS), effort, markdown=words.markdown)
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
