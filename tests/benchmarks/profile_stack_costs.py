"""What the stacks cost that the collector stores all the time, and how accurate they are."""

import importlib.util
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import ModuleType

import profile_programs
from known_shares import Program
from profile_accuracy import Found, times_between, true_shares
from profile_cost_programs import PROGRAMS
from profile_costs import slice_of
from profile_readers import by_function, shares
from program_process import ProgramProcess, load, running, with_packages
from tables import Column, Row, Table
from timing import REPOSITORY, Effort

_BURSTS_S = 5.0  # a burst of ticks follows another after that time
_TIMES_FASTER = 10
_DEPTH_30 = "ten threads of depth 30"
_THREADS = 10
_LOST = {"one busy thread": 0.1, "four competing threads": 0.5}  # percent
_ACCURATE = {"web service": 8.0, "4 threads": 8.0}  # points; others are not promised
_COSTS = (
    Column("throughput lost", "%", compared=False),
    Column("95 % from", "%", compared=False),
    Column("to", "%", compared=False),
    Column("CPU of the collector's thread, added", "%", compared=False),
    Column("bytes a thread and second", "B", compared=False),
)
_ERRORS = (
    Column("wall, max", "points", compared=False),
    Column("wall, mean", "points", compared=False),
    Column("cpu, max", "points", compared=False),
    Column("cpu, mean", "points", compared=False),
    Column("ticks in bursts", compared=False),
    Column("other ticks", compared=False),
)
_DRAWS = 1000


def _reference() -> ModuleType:
    """Return the reference decoder of stack files, from the kit of the tests."""
    path = REPOSITORY / "tests" / "kit" / "stack_reference.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _slice(child: ProgramProcess, seconds: float, settle_s: float = 1.2, *, stacks: bool) -> dict:
    """Run with the collector, with or without stacks; return rate, CPU and bytes."""
    directory = child.ask("start_collector", stacks=stacks)["directory"]
    time.sleep(settle_s)  # the first sample, what is loaded after it, the names of all stacks
    before, cpu_s = child.ask("snapshot"), child.ask("collector_cpu")
    stored = _stored_bytes(directory)
    time.sleep(seconds)
    after = child.ask("snapshot")
    cpu_s = child.ask("collector_cpu") - cpu_s
    child.ask("stop_collector")
    one = slice_of("", before, after)
    return {
        "rate": one.rate,
        "cpu": 100 * cpu_s / (one.end_s - one.begin_s),
        "bytes": (_stored_bytes(directory) - stored) / seconds,
    }


def _stored_bytes(directory: str) -> int:
    """Return the size of the files of stacks without the zeros at their ends."""
    return sum(len(path.read_bytes().rstrip(b"\0")) for path in Path(directory).glob("*.ppstacks"))


def _measured_cost(python: str, program: Program, effort: Effort) -> dict:
    """Return the slices with stacks and without them, in pairs, in alternating order."""
    seconds, settle_s = effort.pick(_BURSTS_S, _BURSTS_S, 1.5), 1.2
    rounds = effort.count(7, 2, 1)
    if program.name == _DEPTH_30:
        seconds, settle_s, rounds = effort.pick(18, 8, 1.5), effort.pick(6, 6, 1), min(2, rounds)
    pairs = []
    with running(python, "profile_cost_programs", program.name) as child:
        time.sleep(1)
        for number in range(rounds):
            order = (False, True) if number % 2 else (True, False)
            found = {stacks: _slice(child, seconds, settle_s, stacks=stacks) for stacks in order}
            pairs.append((found[False], found[True]))
    return {"pairs": pairs}


def _interval(values: list[float]) -> tuple[float, float]:
    draw = random.Random(4711)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(_DRAWS))
    return means[_DRAWS // 40], means[-1 - _DRAWS // 40]


def _cost_row(version: str, program: Program, pairs: list[tuple[dict, dict]]) -> Row:
    added = statistics.fmean(on["cpu"] - off["cpu"] for off, on in pairs)
    lost: tuple[float | None, ...] = (None, None, None)
    most = {}
    threads = max(1, program.busy)
    if program.name in _LOST:
        values = [100 * (1 - on["rate"] / off["rate"]) for off, on in pairs]
        lost = statistics.fmean(values), *_interval(values)
        most["throughput lost"] = _LOST[program.name]
    if program.name == _DEPTH_30:
        threads = _THREADS
        most = {_COSTS[3].title: 0.03, _COSTS[4].title: 3.0}
    stored = statistics.fmean(on["bytes"] for _, on in pairs) / threads
    return Row(f"{version} {program.name}", (*lost, added, stored), at_most=most)


def _stacks(ticks: list) -> dict[str, Iterator[tuple[list[str], float]]]:
    """Return the stacks of the unbiased ticks for wall and cpu.

    The CPU time of each thread is spread over the ticks at which it ran.
    """
    wall, running_ticks, cpu_ms = [], {}, {}
    for tick in ticks:
        for thread, (frames, state, used_ms) in tick.threads.items():
            cpu_ms[thread] = cpu_ms.get(thread, 0) + used_ms
            if not tick.biased:
                names = [frame[0] for frame in reversed(frames)]
                wall.append((names, 1.0))
                if state == _RUNNING:
                    running_ticks.setdefault(thread, []).append(names)
    cpu = (
        (names, cpu_ms[thread] / len(found))
        for thread, found in running_ticks.items()
        for names in found
    )
    return {"wall": iter(wall), "cpu": cpu}


_RUNNING = 1  # of `STACK_STATES`


def _measured_errors(python: str, program: Program, effort: Effort) -> dict:
    found = Found()
    with running(python, "profile_programs", program.name) as child, ExitStack() as stack:
        if program.load:
            stack.enter_context(load(child, *program.load))
        time.sleep(1)
        truth_s = effort.pick(4, 2, 0.3)
        snapshots = [child.ask("snapshot")]
        time.sleep(truth_s)
        snapshots.append(child.ask("snapshot"))
        began = child.ask("start_collector", stacks=True, times_faster=_TIMES_FASTER)
        time.sleep(effort.pick(60, 20, 2))
        child.ask("stop_collector")
        ticks = _reference().read_run(began["directory"])
        snapshots.append(child.ask("snapshot"))
        time.sleep(truth_s)
        snapshots.append(child.ask("snapshot"))
    first = times_between(snapshots[0], snapshots[1], program)
    second = times_between(snapshots[2], snapshots[3], program)
    found.truth = true_shares([first, second], program)
    for kind, stacks in _stacks(ticks).items():
        weights = by_function(stacks, program)
        found.ours[kind] = shares(weights, program) or dict.fromkeys(weights, 0.0)
    found.requested = len(ticks)
    found.taken = sum(not tick.biased for tick in ticks)
    return asdict(found)


def _error_row(version: str, program: Program, found: Found) -> Row:
    figures: list[float | None] = []
    for kind in ("wall", "cpu"):
        errors = found.errors(kind)
        figures += [max(errors), statistics.fmean(errors)] if errors else [None, None]
    most = {"wall, max": _ACCURATE[program.name]} if program.name in _ACCURATE else {}
    ticks = found.taken, found.requested - found.taken
    return Row(f"{version} {program.name}", (*figures, *ticks), at_most=most)


def measure(effort: Effort) -> list[Table]:
    """Measure the cost with two programs and a resting one, and the errors with all."""
    costs, errors = [], []
    cost_programs = [one for one in PROGRAMS if one.name in (*_LOST, _DEPTH_30)]
    error_programs = [one for one in profile_programs.PROGRAMS if not one.needs]
    if effort.touch:
        cost_programs, error_programs = cost_programs[:1], error_programs[:1]
    with tempfile.TemporaryDirectory() as scratch:
        for path in effort.pythons:
            python = with_packages(path, effort.keep or Path(scratch))
            version = effort.version(python)
            for program in cost_programs:
                name = f"stacks cost {version} {program.name}"
                sys.stderr.write(f"  {name}\n")
                kept = effort.kept.result(name, partial(_measured_cost, python, program, effort))
                if kept is not None:
                    costs.append(_cost_row(version, program, kept["pairs"]))
            for program in error_programs:
                name = f"stacks errors {version} {program.name}"
                sys.stderr.write(f"  {name}\n")
                kept = effort.kept.result(name, partial(_measured_errors, python, program, effort))
                if kept is not None:
                    errors.append(_error_row(version, program, Found(**kept)))
    tables = []
    if costs:
        notes = ("Compared with the collector without them, in pairs of slices in turns.",)
        tables.append(
            Table("Stored stacks: what they cost", _COSTS, tuple(costs), notes, ours=len(costs))
        )
    if errors:
        notes = (
            f"Ticks and bursts follow each other {_TIMES_FASTER} times as fast as in a service:",
            "a minute here has as many as ten minutes there.",
        )
        tables.append(
            Table("Stored stacks: errors", _ERRORS, tuple(errors), notes, ours=len(errors))
        )
    return tables
