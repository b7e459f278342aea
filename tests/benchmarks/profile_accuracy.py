"""How far the shares in profiles are from the true ones, for pprofplus and other profilers.

A program of known shares runs and accounts for its time itself. It is measured in turns without a
profiler, with ours or with the others, and without one again. The truth is what the program says of
the turns without a profiler. The error of a function is the difference between its share in the
profile and its true share, in percentage points.
"""

import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from known_shares import KINDS, Program
from other_load import OtherLoad, wait_for_calm
from profile_error_tables import CPROFILE, NAIVE, error_tables
from profile_peers import HZ, PEERS, find, missing, record
from profile_readers import by_calls, by_function, read_pprof, shares
from profile_truth import Found, Weights, ticks, times_between, true_shares, true_weights
from program_process import ProgramProcess, has_package, load, running, with_packages
from tables import Table
from timing import Effort

_SETS = {"development": "profile_programs", "held-out": "held_out_programs"}
_CALM_CORES = 0.3
_VALUES = {"wall": "wall", "cpu": "cpu", "block": "delay", "lock": "delay"}


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
    found.peers[NAIVE] = shares(naive, program) or "found no sample"
    for kind in ("wall", "cpu"):
        weights = _cprofile(child, program, kind, min(2, seconds))
        name = f"{CPROFILE} {kind}"
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
    truth_s = effort.pick(2, 1, 0.3)
    with running(python, module, program.name) as child, ExitStack() as stack:
        if program.load:
            stack.enter_context(load(child, *program.load))
        time.sleep(effort.pick(1, 0.7, 0.4))
        found.python = child.ask("version")["python"]

        def truth() -> dict[str, list[float]]:
            before = child.ask("snapshot")
            time.sleep(truth_s)
            return times_between(before, child.ask("snapshot"), program)

        load_of_others = OtherLoad()
        first = truth()
        if peers:
            _peers(child, program, effort.pick(3, 2, 1), found)
        else:
            during = _ours(child, program, effort.pick(7, 3, 0.6), found)
        second = truth()
        found.other_cores = load_of_others.cores()
    found.truth = true_shares((first, second), program)
    found.before, found.after = true_shares((first,), program), true_shares((second,), program)
    found.during = true_shares((during,), program) if during else {}
    return asdict(found)


def _calmest(measure: Callable[[], dict], effort: Effort) -> dict:
    """Measure until no other program uses much of the machine, but at most a few times."""
    found = None
    for _ in range(effort.count(3, 1)):
        wait_for_calm(effort.pick(20, 0))
        one = measure()
        if found is None or one["other_cores"] < found["other_cores"]:
            found = one
        if found["other_cores"] < _CALM_CORES:
            break
    assert found
    return found


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
                ours = effort.kept.result(
                    name, partial(_calmest, partial(measure, peers=False), effort)
                )
                if ours is not None:
                    by_version.setdefault(version, []).append((program, Found(**ours)))
                theirs = not number and effort.kept.result(
                    f"{name} peers", partial(_calmest, partial(measure, peers=True), effort)
                )
                if theirs:
                    of_peers[program.name] = Found(**theirs)
    return error_tables(which, by_version, of_peers) if by_version else []


def measure_development(effort: Effort) -> list[Table]:
    """Measure the programs with which the samplers are developed."""
    return _measure("development", effort)


def measure_held_out(effort: Effort) -> list[Table]:
    """Measure the programs that no sampler was tuned with."""
    return _measure("held-out", effort)
