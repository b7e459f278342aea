"""What the stacks cost that the collector stores all the time, and how accurate they are."""

import importlib.util
import random
import statistics
import sys
import tempfile
import time
from bisect import bisect
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import ModuleType

import profile_programs
from known_shares import Program
from pprofplus_tui.sources.open import open_source
from pprofplus_tui.sources.port import StackWindow
from profile_cost_programs import PROGRAMS
from profile_readers import by_function, shares
from profile_truth import Found, times_between, true_shares
from program_process import ProgramProcess, load, running, with_packages
from tables import Column, Row, Table
from timing import REPOSITORY, Effort

_SETTLE_S = 3.0
# a burst of ticks costs work from before its first tick, which waits, until after its last one
_BEFORE_MS, _AFTER_MS = 40.0, 20.0
_GAP_MS = 100.0  # between two bursts, at least
_TIMES_FASTER = 10
_DEPTH_30 = "ten threads of depth 30"
_OTHER_THREADS = 2  # the main thread, and that of the benchmark's commands
_LOST = {"one busy thread": 0.1, "four competing threads": 0.5}  # percent
_ACCURATE = {"web service": 8.0, "4 threads": 8.0}  # points; others are not promised
_COSTS = (
    Column("throughput lost in bursts", "%", compared=False),
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


def _slice(child: ProgramProcess, seconds: float, *, stacks: bool) -> dict:
    """Run with the collector, with or without stacks; return what it used, wrote and cost."""
    directory = child.ask("start_collector", stacks=stacks)["directory"]
    time.sleep(_SETTLE_S)  # the first sample, what is loaded after it, the names of all stacks
    child.ask("unit_ends")
    began_s, cpu_s = time.monotonic(), child.ask("collector_cpu")
    stored = _stored_bytes(directory)
    time.sleep(seconds)
    cpu_s = child.ask("collector_cpu") - cpu_s
    took_s = time.monotonic() - began_s
    ends_ms = child.ask("unit_ends")
    child.ask("stop_collector")
    ticks = _reference().read_run(directory) if stacks else []
    inside = [tick for tick in ticks if tick.mono_ms >= 1000 * began_s]
    return {
        "seconds": took_s,
        "cpu": 100 * cpu_s / took_s,
        "bytes": (_stored_bytes(directory) - stored) / took_s,
        "lost_ms": lost_in_bursts_ms(ends_ms, [(one.mono_ms, one.biased) for one in inside]),
    }


def lost_in_bursts_ms(ends_ms: Sequence[float], ticks: Sequence[tuple[float, bool]]) -> list[float]:
    """Return the time that each burst of ticks costs, in milliseconds of work.

    The work around a burst is compared with that before and after it. `ends_ms` are the sorted
    times at which units of work were done, `ticks` (time in ms, whether it is outside of bursts).
    """
    bursts: list[list[float]] = []
    for at_ms, biased in ticks:
        if not biased:
            if not bursts or at_ms - bursts[-1][-1] > _GAP_MS:
                bursts.append([])
            bursts[-1].append(at_ms)
    found = []
    for burst in bursts:
        begin, end = burst[0] - _BEFORE_MS, burst[-1] + _AFTER_MS
        length = end - begin
        inside, before, after = (
            bisect(ends_ms, begin + shift + length) - bisect(ends_ms, begin + shift)
            for shift in (0, -length, length)
        )
        known = ends_ms and ends_ms[0] < begin - length and end + length < ends_ms[-1]
        if known and before + after:
            found.append(length * (1 - 2 * inside / (before + after)))
    return found


def _stored_bytes(directory: str) -> int:
    """Return the size of the files of stacks without the zeros at their ends."""
    return sum(len(path.read_bytes().rstrip(b"\0")) for path in Path(directory).glob("*.ppstacks"))


def _measured_cost(python: str, program: Program, effort: Effort) -> dict:
    with running(python, "profile_cost_programs", program.name) as child:
        time.sleep(1)
        without = _slice(child, effort.pick(15, 6, 1.5), stacks=False)
        return {"without": without, "with": _slice(child, effort.pick(60, 20, 3), stacks=True)}


def _interval(values: list[float]) -> tuple[float, float]:
    draw = random.Random(4711)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(_DRAWS))
    return means[_DRAWS // 40], means[-1 - _DRAWS // 40]


def _cost_row(version: str, program: Program, found: dict) -> Row:
    without, stored = found["without"], found["with"]
    lost: tuple[float | None, ...] = (None, None, None)
    most = {}
    if stored["lost_ms"]:
        values = [ms * len(stored["lost_ms"]) / stored["seconds"] / 10 for ms in stored["lost_ms"]]
        lost = statistics.fmean(values), *_interval(values)
        most[_COSTS[0].title] = _LOST[program.name]
    threads = _OTHER_THREADS + (program.busy or 10)
    if program.name == _DEPTH_30:
        most = {_COSTS[3].title: 0.03, _COSTS[4].title: 3.0}
    figures = (*lost, stored["cpu"] - without["cpu"], stored["bytes"] / threads)
    return Row(f"{version} {program.name}", figures, at_most=most)


def _stored_stacks(log_directory: str, pid: int, begin_ms: int, end_ms: int) -> StackWindow:
    """Return what the monitor finds in a window of the newest run of a process, unix ms."""
    source = open_source([log_directory])
    runs, _ = source.find_by_name(f"bench/{pid}")
    newest = max(runs, key=lambda run: run.begin_ms)
    return source.open(newest.id).stacks(begin_ms, end_ms)


def _weights(window: StackWindow, program: Program) -> dict[str, dict[str, float]]:
    """Return for wall and cpu the milliseconds of each listed function."""
    names = {
        stack: [frame.name for frame in reversed(window.frames_of(stack))]
        for stack in {int(one) for one in window.stack}
    }
    return {
        kind: by_function(
            [(names[int(stack)], float(ms)) for stack, ms in zip(window.stack, of, strict=True)],
            program,
        )
        for kind, of in (("wall", window.wall_ms), ("cpu", window.cpu_ms))
    }


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
        began_ms = round(1000 * time.time())
        began = child.ask("start_collector", stacks=True, times_faster=_TIMES_FASTER)
        time.sleep(effort.pick(40, 20, 2))
        child.ask("stop_collector")
        ended_ms = round(1000 * time.time())
        window = _stored_stacks(began["log_directory"], child.pid, began_ms, ended_ms)
        snapshots.append(child.ask("snapshot"))
        time.sleep(truth_s)
        snapshots.append(child.ask("snapshot"))
    first = times_between(snapshots[0], snapshots[1], program)
    second = times_between(snapshots[2], snapshots[3], program)
    found.truth = true_shares([first, second], program)
    for kind, weights in _weights(window, program).items():
        found.ours[kind] = shares(weights, program) or dict.fromkeys(weights, 0.0)
    found.requested = window.total_ticks + window.total_biased_ticks
    found.taken = window.total_ticks
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
                    costs.append(_cost_row(version, program, kept))
            for program in error_programs:
                name = f"stacks errors {version} {program.name}"
                sys.stderr.write(f"  {name}\n")
                kept = effort.kept.result(name, partial(_measured_errors, python, program, effort))
                if kept is not None:
                    errors.append(_error_row(version, program, Found(**kept)))
    tables = []
    if costs:
        notes = (
            "Lost: the work around each burst, compared with that before and after it. Outside of",
            "bursts, a tick costs its CPU time. CPU: compared with the collector without stacks.",
        )
        tables.append(
            Table("Stored stacks: what they cost", _COSTS, tuple(costs), notes, ours=len(costs))
        )
    if errors:
        notes = (
            f"Ticks and bursts follow each other {_TIMES_FASTER} times as fast as in a service:",
            "40 seconds here have as many as seven minutes there.",
        )
        tables.append(
            Table("Stored stacks: errors", _ERRORS, tuple(errors), notes, ours=len(errors))
        )
    return tables
