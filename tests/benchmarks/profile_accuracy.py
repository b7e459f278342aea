"""How far the shares in profiles are from the true ones, for pprofplus and other profilers.

A program of known shares runs and accounts for its time itself. It is measured in turns without a
profiler, with ours, without one again, and with each other profiler. The truth is what the program
says of the turns without a profiler. The error of a function is the difference between its share in
the profile and its true share, in percentage points.
"""

import importlib
import math
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from known_shares import KINDS, Program
from profile_peers import CPYTHON, HZ, PEERS, find, missing, record
from profile_readers import by_calls, by_function, read_pprof, shares
from program_process import ProgramProcess, has_package, load, running, with_packages
from tables import Column, Row, Table
from timing import Effort

_SETS = {"development": "profile_programs", "held-out": "held_out_programs"}
_VALUES = {"wall": "wall", "cpu": "cpu", "block": "delay", "lock": "delay"}
_MIN_SHARE = 0.05  # of the time of all threads: a kind that has less of it is not judged
_MAX_DELAY = 0.1  # of the waits may be waits for a core
_DELAY = ""
_TICKS = re.compile(r"(\d+) taken of (\d+) requested")
_CPROFILE = "cProfile"
_NAIVE = "a naive thread"
_MOST_CPU = {"fine": 15.0}  # percentage points by group of programs; others: 5
_MOST = {"wall": 6.0, "cpu": 5.0, "lock": 3.0}
Weights = Mapping[str, float]


@dataclass
class Found:
    """What was found of one program with one Python; shares in percent, by kind and function.

    Attributes:
        python: version.
        truth: without a profiler.
        before: without a profiler, before ours.
        after: ditto, after it; the difference is the noise of the truth.
        during: what the program says of the time of our profile.
        ours: our profile.
        peers: by name of the peer, for its kind; or one line that says why not.
        totals: seconds (true, in our profile) by kind.
        requested: ticks in our profile.
        taken: of these.
        window_s: of our profile.
        samples: of its kind wall, in functions that are not idle.
        skipped: why nothing was measured, or "".
        notes: what our profile says about itself.
    """

    python: str = ""
    truth: dict[str, dict[str, float]] = field(default_factory=dict)
    before: dict[str, dict[str, float]] = field(default_factory=dict)
    after: dict[str, dict[str, float]] = field(default_factory=dict)
    during: dict[str, dict[str, float]] = field(default_factory=dict)
    ours: dict[str, dict[str, float]] = field(default_factory=dict)
    peers: dict[str, dict[str, float] | str] = field(default_factory=dict)
    totals: dict[str, tuple[float, float]] = field(default_factory=dict)
    requested: int = 0
    taken: int = 0
    window_s: float = 0.0
    samples: float = 0.0
    skipped: str = ""
    notes: list[str] = field(default_factory=list)

    def errors(self, kind: str, found: Weights | None = None) -> list[float]:
        """Return the errors of our profile, or of other shares; empty if it is not judged."""
        found = self.ours.get(kind) if found is None else found
        truth = self.truth.get(kind)
        return [abs(found[name] - truth[name]) for name in truth] if found and truth else []

    def errors_during(self, kind: str) -> list[float]:
        """Return the errors compared with what the program says of the time of our profile."""
        found, truth = self.ours.get(kind), self.during.get(kind)
        judged = found and truth and kind in self.truth
        return [abs(found[name] - truth[name]) for name in truth] if judged else []

    def noise(self, kind: str) -> float:
        """Return the largest difference between the truth before and after our profile."""
        one, other = self.before.get(kind, {}), self.after.get(kind, {})
        return max((abs(one[name] - other[name]) for name in one if name in other), default=0.0)


def times_between(before: dict, after: dict, program: Program) -> dict[str, list[float]]:
    """Return by function [wall s, CPU s, s in acquire, calls] between two snapshots.

    The name "" has the seconds in which threads could run and had no core.
    """
    none = [0, 0, 0, 0]
    found = {
        name: [
            (then - since) / 1e9
            for since, then in zip(
                before["times"].get(name, none), after["times"].get(name, none), strict=True
            )
        ]
        for name in program.functions
    }
    found[_DELAY] = [max(0, after["run_delay_ns"] - before["run_delay_ns"]) / 1e9, 0, 0, 0]
    return found


def _sum(times: Iterable[dict[str, list[float]]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in times:
        for name, values in one.items():
            known = found.setdefault(name, [0.0] * 4)
            found[name] = [a + b for a, b in zip(known, values, strict=True)]
    return found


def true_weights(times: Mapping[str, list[float]], program: Program) -> dict[str, Weights]:
    """Return by kind the seconds of each function."""

    def lock(name: str, wall: float, cpu: float, in_acquire: float) -> float:
        return in_acquire if name in program.other_waits else max(0.0, wall - cpu)

    of = {name: values for name, values in times.items() if name != _DELAY}
    return {
        "wall": {name: values[0] for name, values in of.items()},
        "cpu": {name: values[1] for name, values in of.items()},
        "block": {name: max(0.0, values[0] - values[1]) for name, values in of.items()},
        "lock": {name: lock(name, *values[:3]) for name, values in of.items()},
    }


def true_shares(
    slices: Iterable[dict[str, list[float]]], program: Program
) -> dict[str, dict[str, float]]:
    """Return the shares in percent, by kind and function, over all slices of time.

    A kind of which the program has too little is left out. Waits are what is not CPU time, so they
    are left out, too, if waits for a core could be a larger part of them.
    """
    times = _sum(slices)
    weights = true_weights(times, program)
    delay_s = times[_DELAY][0]

    def busy(kind: str) -> float:
        return sum(value for name, value in weights[kind].items() if name not in program.idle)

    found = {}
    for kind in KINDS:
        total = busy(kind)
        waits = kind in ("block", "lock")
        if total < _MIN_SHARE * busy("wall") or (waits and delay_s > _MAX_DELAY * total):
            continue
        of_kind = shares(weights[kind], program)
        if of_kind:
            found[kind] = of_kind
    return found


def _ours(
    child: ProgramProcess, program: Program, seconds: float, found: Found
) -> dict[str, list[float]]:
    """Take our profiles; return the true times meanwhile."""
    with tempfile.TemporaryDirectory() as directory:
        answer = child.ask("take", kinds=KINDS, seconds=seconds, hz=HZ, directory=directory)
        profiles = {kind: read_pprof(path) for kind, path in answer["files"].items()}
    times = times_between(answer["before"], answer["inside"], program)
    weights = true_weights(times, program)
    for kind, profile in profiles.items():
        measured = by_function(profile.stacks(_VALUES[kind]), program)
        # the profile covers all of the window, the figures a part of it
        part = (answer["inside"]["at"] - answer["before"]["at"]) / profile.duration_s
        found.totals[kind] = sum(weights[kind].values()) / part, sum(measured.values()) / 1e9
        found.ours[kind] = shares(measured, program) or dict.fromkeys(measured, 0.0)
    found.notes = list(profiles["wall"].comments)
    found.window_s = profiles["wall"].duration_s
    counts = by_function(profiles["wall"].stacks("samples"), program)
    found.samples = sum(count for name, count in counts.items() if name not in program.idle)
    found.requested, found.taken = ticks(found.notes)
    return times


def ticks(notes: Iterable[str]) -> tuple[int, int]:
    """Return (requested, taken), as the profile says in its comments; zeros if it does not."""
    for note in notes:
        found = _TICKS.search(note)
        if found:
            return int(found[2]), int(found[1])
    return 0, 0


def _cprofile(child: ProgramProcess, program: Program, kind: str, seconds: float) -> Weights | str:
    if not program.one_thread:
        return "profiles one thread"
    if program.needs == "gevent":
        return "does not follow greenlets"
    child.ask("profile_by", clock=kind)
    time.sleep(seconds)
    by_name, total = child.ask("end_profiles")["found"]
    return by_calls(by_name, total, program)


def _peers(child: ProgramProcess, program: Program, seconds: float, found: Found) -> None:
    tools = {peer.tool: find(peer.tool) for peer in PEERS}
    for peer in PEERS:
        path = tools[peer.tool]
        stacks = record(peer, path, child.pid, seconds) if path else missing(peer.tool)
        if isinstance(stacks, str):
            found.peers[peer.name] = stacks
        else:
            weights = by_function(stacks, program)
            found.peers[peer.name] = shares(weights, program) or "found no sample"
    naive = by_function(child.ask("take_naive", seconds=seconds, hz=HZ)["stacks"], program)
    found.peers[_NAIVE] = shares(naive, program) or "found no sample"
    for kind in ("wall", "cpu"):
        weights = _cprofile(child, program, kind, min(2, seconds))
        name = f"{_CPROFILE} {kind}"
        if isinstance(weights, str):
            found.peers[name] = weights
        else:
            found.peers[name] = shares(weights, program) or "found no call"


def _measure_program(
    python: str, module: str, program: Program, effort: Effort, *, peers: bool
) -> dict:
    """Measure our profile, or those of the peers, between two slices of time without a profiler.

    Returns a Found as a dictionary.
    """
    if program.needs and not has_package(python, program.needs):
        return asdict(Found(skipped=f"{program.needs} is not installed"))
    found, during = Found(), None
    truth_s = effort.pick(2.5, 1, 0.3)
    with running(python, module, program.name) as child, ExitStack() as stack:
        if program.load:
            stack.enter_context(load(child, *program.load))
        time.sleep(effort.pick(1, 0.7, 0.4))
        found.python = child.ask("version")["python"]

        def truth() -> dict[str, list[float]]:
            before = child.ask("snapshot")
            time.sleep(truth_s)
            return times_between(before, child.ask("snapshot"), program)

        first = truth()
        if peers:
            _peers(child, program, effort.pick(3, 2, 1), found)
        else:
            during = _ours(child, program, effort.pick(8, 3, 0.6), found)
        second = truth()
    found.truth = true_shares((first, second), program)
    found.before, found.after = true_shares((first,), program), true_shares((second,), program)
    found.during = true_shares((during,), program) if during else {}
    return asdict(found)


def _limit(kind: str, program: Program) -> float:
    return _MOST_CPU.get(program.group, _MOST[kind]) if kind == "cpu" else _MOST[kind]


_COLUMNS = (
    *(Column(f"{kind}, {what}", "points") for kind in ("wall", "cpu") for what in ("max", "mean")),
    *(Column(f"{kind}, max", "points") for kind in ("block", "lock")),
    Column("lock, of the true waits", "%"),
    Column("ticks lost", "%"),
    Column("ticks a second"),
    Column("sampling noise, wall", "points"),
    *(Column(f"{kind}, from the figures of the same time", "points") for kind in KINDS),
    Column("truth changed by, wall", "points"),
    Column("cpu", "points"),
)


def _figures(found: Found) -> tuple[float | None, ...]:
    errors = {kind: found.errors(kind) for kind in KINDS}
    true_s, ours_s = found.totals.get("lock", (0.0, 0.0))
    return (
        *(
            of(errors[kind]) if errors[kind] else None
            for kind in ("wall", "cpu")
            for of in (max, statistics.fmean)
        ),
        *(max(errors[kind]) if errors[kind] else None for kind in ("block", "lock")),
        100 * ours_s / true_s if errors["lock"] and true_s else None,
        100 * (1 - found.taken / found.requested) if found.requested else None,
        found.taken / found.window_s if found.window_s else None,
        _sampling_noise(found),
        *(max(found.errors_during(kind), default=None) for kind in KINDS),
        found.noise("wall"),
        found.noise("cpu"),
    )


def _sampling_noise(found: Found) -> float | None:
    """Return the standard deviation of the share nearest to a half, for independent samples."""
    if not found.samples:
        return None
    parts = [share / 100 for share in found.truth["wall"].values()]
    return 100 * math.sqrt(max(part * (1 - part) for part in parts) / found.samples)


def _ticks_are_judged(program: Program) -> bool:
    return program.busy == 1 and program.one_thread and not program.holds_gil


def _program_row(version: str, program: Program, found: Found) -> Row:
    name = f"{version} {program.name}"
    if found.skipped:
        return Row(name, note=found.skipped)
    most = {f"{kind}, max": _limit(kind, program) for kind in ("wall", "cpu")}
    if program.group == "locks":
        most["lock, max"] = _MOST["lock"]
    if _ticks_are_judged(program):
        most["ticks lost"] = 2.0
    return Row(name, _figures(found), at_most=most)


_BY_PYTHON = (
    Column("wall, max", "points", at_most=6),
    Column("wall, mean", "points"),
    Column("cpu, coarse and web, max", "points", at_most=5),
    Column("cpu, fine, max", "points", at_most=15),
    Column("cpu, mean", "points"),
    Column("block, max", "points"),
    Column("lock, programs with locks, max", "points", at_most=3),
    Column("ticks lost, one busy thread", "%", at_most=2),
)


def _python_row(version: str, of_programs: list[tuple[Program, Found]]) -> Row:
    def errors(kind: str, *groups: str) -> list[float]:
        return [
            error
            for program, found in of_programs
            if not groups or program.group in groups
            for error in found.errors(kind)
        ]

    def most(values: list[float]) -> float | None:
        return max(values, default=None)

    def mean(values: list[float]) -> float | None:
        return statistics.fmean(values) if values else None

    lost = [
        100 * (1 - found.taken / found.requested)
        for program, found in of_programs
        if found.requested and _ticks_are_judged(program)
    ]
    figures = (
        most(errors("wall")),
        mean(errors("wall")),
        most(errors("cpu", "coarse", "web", "locks")),
        most(errors("cpu", "fine")),
        mean(errors("cpu")),
        most(errors("block")),
        most(errors("lock", "locks")),
        most(lost),
    )
    return Row(f"CPython {version}", figures)


def _peer_columns() -> list[tuple[str, str, str]]:
    """Return (title, kind, peer or "") of each column of the table with peers."""
    found = []
    for kind in ("wall", "cpu"):
        found.append((f"{kind}: ours", kind, ""))
        found += [(f"{kind}: {peer.name}", kind, peer.name) for peer in PEERS if peer.kind == kind]
        if kind == "wall":
            found.append((f"{kind}: {_NAIVE}", kind, _NAIVE))
        found.append((f"{kind}: {_CPROFILE}", kind, f"{_CPROFILE} {kind}"))
    return found


def _peer_row(program: Program, ours: Found, theirs: Found) -> Row:
    figures: list[float | None] = []
    for _, kind, peer in _peer_columns():
        weights = theirs.peers.get(peer, "")
        if not peer:
            errors = ours.errors(kind)
        else:
            errors = [] if isinstance(weights, str) else theirs.errors(kind, weights)
        figures.append(max(errors, default=None))
    return Row(program.name, tuple(figures))


def _peer_table(
    title: str, of_programs: list[tuple[Program, Found]], of_peers: dict[str, Found]
) -> Table:
    columns = tuple(Column(one, "points", compared=False) for one, _, _ in _peer_columns())
    rows = tuple(
        _peer_row(program, found, of_peers.get(program.name, Found()))
        for program, found in of_programs
        if not found.skipped
    )
    reasons = {
        f"{name}: {weights}."
        for found in of_peers.values()
        for name, weights in found.peers.items()
        if isinstance(weights, str)
    }
    notes = ("Largest error of a function.", *sorted(reasons), f"CPython's own: {CPYTHON}.")
    return Table(title, columns, rows, notes, ours=0)


def _tables(
    which: str,
    by_version: dict[str, list[tuple[Program, Found]]],
    of_peers: dict[str, Found],
) -> list[Table]:
    of_python = tuple(_python_row(*item) for item in by_version.items())
    of_program = tuple(
        _program_row(version, program, found)
        for version, of_programs in by_version.items()
        for program, found in of_programs
    )
    first_version, first = next(iter(by_version.items()))
    return [
        Table(
            f"Profiles: errors on {which} programs, by Python",
            _BY_PYTHON,
            of_python,
            (f"Over all functions of all programs, at {HZ} Hz.",),
            ours=len(of_python),
        ),
        Table(
            f"Profiles: errors on {which} programs, by program",
            _COLUMNS,
            of_program,
            (
                "Largest errors. Sampling noise: a standard deviation, were samples independent.",
                "Figures of the same time: what the program says of the window of the profile, not",
                "of the time without a profiler: the difference is what the profile changes. Truth",
                "changed by: the largest difference between the program's figures before and after",
                "it. A kind of which a program has less than 5 %, or waits of which more than 10 %",
                "may be waits for a core, are not judged.",
            ),
            ours=len(of_program),
        ),
        _peer_table(
            f"Profiles: errors on {which} programs, CPython {first_version}", first, of_peers
        ),
    ]


def _measure(which: str, effort: Effort) -> list[Table]:
    module = _SETS[which]
    programs: tuple[Program, ...] = importlib.import_module(module).PROGRAMS
    if effort.touch:
        programs = programs[:1]
    by_version: dict[str, list[tuple[Program, Found]]] = {}
    of_peers: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in enumerate(effort.pythons):
            python = with_packages(path, effort.keep or Path(scratch))
            version = effort.version(python)
            for program in programs:
                name = f"{which} {version} {program.name}"
                sys.stderr.write(f"  {name}\n")
                measure = partial(_measure_program, python, module, program, effort)
                ours = effort.kept.result(name, partial(measure, peers=False))
                if ours is not None:
                    by_version.setdefault(version, []).append((program, Found(**ours)))
                theirs = not number and effort.kept.result(
                    f"{name} peers", partial(measure, peers=True)
                )
                if theirs:
                    of_peers[program.name] = Found(**theirs)
    return _tables(which, by_version, of_peers) if by_version else []


def measure_development(effort: Effort) -> list[Table]:
    """Measure the programs with which the samplers are developed."""
    return _measure("development", effort)


def measure_held_out(effort: Effort) -> list[Table]:
    """Measure the programs that no sampler was tuned with."""
    return _measure("held-out", effort)
