"""Tables of the errors of profiles, by Python, by program, and next to other profilers."""

import statistics

from known_shares import KINDS, Program
from profile_peers import CPYTHON, HZ, PEERS
from profile_truth import Found
from tables import Column, Row, Table

CPROFILE = "cProfile"
NAIVE = "a naive thread"
_MOST_CPU = {"fine": 15.0}  # percentage points by group of programs; others: 5
_MOST = {"wall": 6.0, "cpu": 5.0, "lock": 3.0}


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
    Column("other programs", "cores"),
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
        found.sampling_noise(),
        *(max(found.errors_during(kind), default=None) for kind in KINDS),
        found.noise("wall"),
        found.noise("cpu"),
        found.other_cores,
    )


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
            found.append((f"{kind}: {NAIVE}", kind, NAIVE))
        found.append((f"{kind}: {CPROFILE}", kind, f"{CPROFILE} {kind}"))
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


def error_tables(
    which: str,
    by_version: dict[str, list[tuple[Program, Found]]],
    of_peers: dict[str, Found],
) -> list[Table]:
    """Return the tables by Python, by program, and with the other profilers."""
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
                "may be waits for a core, are not judged. Other programs: what they used of the",
                "machine meanwhile.",
            ),
            ours=len(of_program),
        ),
        _peer_table(
            f"Profiles: errors on {which} programs, CPython {first_version}", first, of_peers
        ),
    ]
