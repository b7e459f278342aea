"""What a profile costs its service while it is taken: throughput, latency, ticks."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import profile_cost_programs
import profile_programs
from known_shares import Program
from other_load import OtherLoad
from profile_peers import HZ, PEERS, Peer, find, missing, record
from profile_readers import read_pprof
from profile_truth import ticks
from program_process import ProgramProcess, load, running, with_packages
from tables import Column, Row, Table
from timing import Effort, quantile

_OURS, _NONE, _CPROFILE = "pprofplus", "without", "cProfile"
_TOOLS = ("py-spy", "Austin")  # as they are used for CPU profiles
_SETTLE_S = 0.3
_WEB = "web service"
_THREADS = ("one busy thread", "four competing threads")


@dataclass
class Slice:
    """One slice of time under one arm: its begin and end (CLOCK_MONOTONIC), and the work done."""

    arm: str
    begin_s: float
    end_s: float
    work: int
    cpu_s: float

    @property
    def rate(self) -> float:
        """Work per second."""
        return self.work / (self.end_s - self.begin_s)


@dataclass
class Costs:
    """What was measured of one program.

    Attributes:
        lost: percent of the throughput, of each slice, by arm.
        late_ms: latencies in the slices, by arm.
        requested: ticks of our profiles.
        taken: of these.
        encoding_ms: from the end of the window to the file, of our profiles.
        missing: by arm, why it was not measured.
        other_cores: cores that other programs used meanwhile, on average.
    """

    lost: dict[str, list[float]] = field(default_factory=dict)
    late_ms: dict[str, list[float]] = field(default_factory=dict)
    requested: int = 0
    taken: int = 0
    encoding_ms: list[float] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    other_cores: float = 0.0


def slice_of(arm: str, before: dict, after: dict) -> Slice:
    """Return what lies between two snapshots."""
    return Slice(
        arm,
        before["at"],
        after["at"],
        after["work"] - before["work"],
        (after["cpu_ns"] - before["cpu_ns"]) / 1e9,
    )


def lost_percent(slices: list[Slice]) -> dict[str, list[float]]:
    """Return by arm what each slice lost, compared with its neighbours without a profiler."""
    found: dict[str, list[float]] = {}
    for before, one, after in zip(slices, slices[1:], slices[2:], strict=False):
        if one.arm != _NONE and before.arm == after.arm == _NONE:
            without = (before.rate + after.rate) / 2
            found.setdefault(one.arm, []).append(100 * (1 - one.rate / without))
    quiet = [one for one in slices if one.arm == _NONE]
    for one, after in pairwise(quiet):
        found.setdefault(_NONE, []).append(100 * (1 - after.rate / one.rate))
    return found


def _idle(child: ProgramProcess, seconds: float) -> Slice:
    before = child.ask("snapshot")
    time.sleep(seconds)
    return slice_of(_NONE, before, child.ask("snapshot"))


def _ours(child: ProgramProcess, seconds: float, found: Costs) -> Slice:
    with tempfile.TemporaryDirectory() as directory:
        answer = child.ask(
            "take", kinds=["cpu", "wall"], seconds=seconds, hz=HZ, directory=directory
        )
        requested, taken = ticks(read_pprof(answer["files"]["wall"]).comments)
    found.requested += requested
    found.taken += taken
    found.encoding_ms.append(1000 * (answer["stored_at"] - answer["before"]["at"] - seconds))
    return slice_of(_OURS, answer["before"], answer["inside"])


def _peer(child: ProgramProcess, peer: Peer, seconds: float, found: Costs) -> Slice | None:
    path = find(peer.tool)
    if path is None:
        found.missing[peer.name] = missing(peer.tool)
        return None
    inside: list[dict] = []

    def during() -> None:
        before = child.ask("snapshot")
        time.sleep(seconds)
        inside.extend((before, child.ask("snapshot")))

    outcome = record(peer, path, child.pid, seconds + 1.5, during)
    if isinstance(outcome, str):
        found.missing[peer.name] = outcome
        return None
    return slice_of(peer.name, *inside)


def _cprofile(child: ProgramProcess, seconds: float) -> Slice:
    child.ask("profile_by", clock="wall")
    time.sleep(_SETTLE_S)
    before = child.ask("snapshot")
    time.sleep(seconds)
    after = child.ask("snapshot")
    child.ask("end_profiles")
    return slice_of(_CPROFILE, before, after)


def _arms(
    child: ProgramProcess, seconds: float, found: Costs, *, cprofile: bool
) -> list[Callable[[], Slice | None]]:
    peers = [peer for peer in PEERS if peer.name in _TOOLS]
    arms: list[Callable[[], Slice | None]] = [partial(_ours, child, seconds, found)]
    arms += [partial(_peer, child, peer, seconds, found) for peer in peers]
    if cprofile:
        arms.append(partial(_cprofile, child, seconds))
    return arms


def _measured(python: str, module: str, program: Program, effort: Effort) -> dict:
    found = Costs()
    seconds = effort.pick(2.5, 1.5, 0.5)
    with running(python, module, program.name) as child, ExitStack() as stack:
        late: list[tuple[float, float]] = []
        if program.load:
            inner = stack.enter_context(ExitStack())
            late = inner.enter_context(load(child, *program.load))
        time.sleep(1)
        _ours(child, 0.3, Costs())  # loads the modules
        arms = _arms(child, seconds, found, cprofile=program.busy == 1)
        load_of_others = OtherLoad()
        slices = [_idle(child, seconds)]
        for number in range(effort.count(3, 2, 1)):
            for arm in arms if number % 2 == 0 else arms[::-1]:
                one = arm()
                if one is not None:
                    time.sleep(_SETTLE_S)
                    slices += [one, _idle(child, seconds)]
        found.other_cores = load_of_others.cores()
        if program.load:
            inner.close()
            for one in slices:
                found.late_ms.setdefault(one.arm, []).extend(
                    1000 * latency for at, latency in late if one.begin_s <= at <= one.end_s
                )
        else:
            found.lost = lost_percent(slices)
    return vars(found)


_COLUMNS = (
    Column("lost, one busy thread", "%", at_most=3, compared=False),
    Column("lost, four competing", "%", at_most=7, compared=False),
    Column("latency, p50", "ms", compared=False),
    Column("p99", "ms", compared=False),
    Column("p99, added", "ms", at_most=1, compared=False),
    Column("ticks lost, one busy thread", "%", at_most=2, compared=False),
    Column("four competing", "%", compared=False),
    Column("web service", "%", compared=False),
    Column("from the window's end to the file", "ms", compared=False),
)
_NOTES = (
    f"At {HZ} Hz. In one run, each slice between two without a profiler; medians. `without`: the",
    "size of the differences between two slices without one, which is the noise.",
)


def _row(arm: str, found: dict[str, Costs]) -> Row:
    reason = next((one.missing[arm] for one in found.values() if arm in one.missing), "")
    if reason:
        return Row(arm, note=reason)
    lost = [
        statistics.median(map(abs, values) if arm == _NONE else values) if values else None
        for values in (found[name].lost.get(arm) if name in found else None for name in _THREADS)
    ]
    web = found.get(_WEB, Costs()).late_ms
    p50, p99, added = None, None, None
    if web.get(arm):
        p50, p99 = quantile(web[arm], 0.5), quantile(web[arm], 0.99)
        added = p99 - quantile(web[_NONE], 0.99) if arm != _NONE else None
    ticks_lost: list[float | None] = [None] * 3
    encoding = None
    if arm == _OURS:
        ticks_lost = [
            100 * (1 - found[name].taken / found[name].requested)
            if name in found and found[name].requested
            else None
            for name in (*_THREADS, _WEB)
        ]
        encoding = statistics.median([ms for one in found.values() for ms in one.encoding_ms])
    return Row(arm, (*lost, p50, p99, added, *ticks_lost, encoding), detail=arm == _NONE)


def measure(effort: Effort) -> list[Table]:
    """Measure busy threads and a web service, without a profiler and with each in turns."""
    programs = [
        ("profile_cost_programs", program)
        for program in profile_cost_programs.PROGRAMS
        if program.name in _THREADS
    ]
    programs += [("profile_programs", one) for one in profile_programs.PROGRAMS if one.load]
    tables = []
    with tempfile.TemporaryDirectory() as scratch:
        for path in effort.pythons:
            python = with_packages(path, effort.keep or Path(scratch))
            version = effort.version(python)
            found = {}
            for module, program in programs[:1] if effort.touch else programs:
                name = f"cost {version} {program.name}"
                sys.stderr.write(f"  {name}\n")
                one = effort.kept.result(name, partial(_measured, python, module, program, effort))
                if one is not None:
                    found[program.name] = Costs(**one)
            if found:
                arms = (_OURS, *_TOOLS, _CPROFILE, _NONE)
                rows = tuple(_row(arm, found) for arm in arms)
                title = f"Profiles: cost while one is taken, CPython {version}"
                others = max(one.other_cores for one in found.values())
                note = f"Other programs used up to {others:.2f} cores meanwhile."
                tables.append(Table(title, _COLUMNS, rows, (*_NOTES, note)))
    return tables
