"""What profiles of the other kinds cost: time, gaps in the program's own, throughput."""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import profile_cost_programs
from profile_costs import slice_of
from program_process import ProgramProcess, running, with_packages
from tables import Column, Row, Table
from timing import Effort


@dataclass(frozen=True)
class Case:
    """A kind of profile, and the program in which it is taken.

    Attributes:
        kind: name of the kind.
        program: of `profile_cost_programs`.
        window: whether it has a window; then the throughput in it is measured.
        gap_ms: the longest gap that is allowed, or None.
    """

    kind: str
    program: str
    window: bool = False
    gap_ms: float | None = None


CASES = (
    Case("heap", "a million objects", gap_ms=90),
    Case("threads", "a small process"),
    Case("threads", "ten threads of depth 30"),
    Case("maps", "a small process"),
    Case("allocs", "a thread that allocates", window=True),
    Case("native", "a thread that allocates", window=True),
    Case("threadcreate", "a program that starts threads", window=True),
    Case("trace", "one busy thread", window=True),
)
_COLUMNS = (
    Column("takes", "ms", compared=False),
    Column("longest gap of the program", "ms", compared=False),
    Column("without a profile", "ms", compared=False),
    Column("throughput in the window", "x", compared=False),
    Column("file", "kB", compared=False),
)
_NOTES = (
    "Takes: in addition to the window. Gap: of a thread that does nothing but read the clock;",
    "`without a profile`: in the same time before it. Medians; gaps are the longest of all.",
)


def _once(child: ProgramProcess, case: Case, seconds: float) -> dict[str, float]:
    child.ask("longest_gap")
    before = child.ask("snapshot")
    time.sleep(seconds)
    without = slice_of("without", before, child.ask("snapshot"))
    gap_without = child.ask("longest_gap")
    with tempfile.TemporaryDirectory() as directory:
        answer = child.ask(
            "take",
            kinds=[case.kind],
            seconds=seconds if case.window else 0.0,
            hz=100,
            directory=directory,
            force=True,
        )
        size = sum(Path(path).stat().st_size for path in answer["files"].values())
    window_s = seconds if case.window else 0.0
    found = {
        "takes_ms": 1000 * (answer["stored_at"] - answer["before"]["at"] - window_s),
        "gap_ms": child.ask("longest_gap"),
        "gap_without_ms": gap_without,
        "file_kb": size / 1000,
    }
    if case.window and without.rate:
        found["throughput"] = slice_of("", answer["before"], answer["inside"]).rate / without.rate
    return found


def _measured(python: str, case: Case, effort: Effort) -> dict:
    seconds = effort.pick(3, 1.5, 0.4) if case.window else effort.pick(1, 0.5, 0.2)
    with running(python, "profile_cost_programs", case.program) as child:
        time.sleep(effort.pick(2, 2, 0.5))
        try:
            _once(child, case, 0.3)  # loads the modules
            rounds = [_once(child, case, seconds) for _ in range(effort.count(3, 2, 1))]
        except RuntimeError as error:
            return {"error": str(error).strip().splitlines()[-1]}
    return {name: [one[name] for one in rounds] for name in rounds[0]}


def _row(case: Case, found: dict) -> Row:
    name = f"{case.kind}: {case.program}"
    if "error" in found:
        return Row(name, note=found["error"])
    spins = max(found["gap_ms"]) > 0
    figures = (
        statistics.median(found["takes_ms"]),
        max(found["gap_ms"]) if spins else None,
        max(found["gap_without_ms"]) if spins else None,
        statistics.median(found["throughput"]) if "throughput" in found else None,
        statistics.median(found["file_kb"]),
    )
    most = {} if case.gap_ms is None else {_COLUMNS[1].title: case.gap_ms}
    return Row(name, figures, at_most=most)


def measure(effort: Effort) -> list[Table]:
    """Measure each kind with each interpreter."""
    known = {program.name for program in profile_cost_programs.PROGRAMS}
    assert known >= {case.program for case in CASES}
    tables = []
    with tempfile.TemporaryDirectory() as scratch:
        for path in effort.pythons:
            python = with_packages(path, effort.keep or Path(scratch))
            version = effort.version(python)
            rows = []
            for case in CASES[1:2] if effort.touch else CASES:
                name = f"kind {version} {case.kind} {case.program}"
                sys.stderr.write(f"  {name}\n")
                found = effort.kept.result(name, partial(_measured, python, case, effort))
                if found is not None:
                    rows.append(_row(case, found))
            if rows:
                title = f"Profiles: cost of the other kinds, CPython {version}"
                tables.append(Table(title, _COLUMNS, tuple(rows), _NOTES, ours=len(rows)))
    return tables
