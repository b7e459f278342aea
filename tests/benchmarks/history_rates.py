"""How often the verdict is right with the complete run, and with the window alone."""

from collections.abc import Sequence

from develop import DEVELOP, SERVICES
from develop import SEED as DEVELOP_SEED
from held_out import HELD_OUT
from held_out import SEED as HELD_OUT_SEED
from histories import CALM, LEAK, UNKNOWN, Case, History, Tally, past_of, summary, tally, window_of
from pprofplus_tui.analysis.layer_verdicts import long_term_trends, verdicts
from pprofplus_tui.model.verdict import Verdicts
from tables import Column, Row, Table
from timing import Effort

# the targets, in percent
PRECISION, RECALL, LAYER = 98, 92, 95


def whole_run(case: Case) -> Verdicts:
    """Return the verdicts on a window, with the complete run."""
    return verdicts(window_of(case), past=long_term_trends(past_of(case)))


def window_alone(case: Case) -> Verdicts:
    """Return the verdicts on a window, without other data."""
    return verdicts(window_of(case))


def _share(part: int, total: int) -> float | None:
    return 100 * part / total if total else None


def _harmless(name: str, truth: str, pairs: Sequence[list[Tally]]) -> Table:
    what = "harmless runs" if truth == CALM else "runs whose truth is unknown"
    return Table(
        f"{name}, verdict on {what}: {pairs[0][0].count:,} runs of each kind",
        (
            Column("called growing", "%", compared=False),
            Column("not sure", "%", compared=False),
            Column("called growing by the window alone", "%", compared=False),
        ),
        tuple(
            Row(
                ours.name,
                (
                    _share(ours.growing, ours.count),
                    _share(ours.unsure, ours.count),
                    _share(alone.growing, alone.count),
                ),
            )
            for ours, alone in pairs
            if ours.truth == truth
        ),
    )


def _leaks(name: str, pairs: Sequence[list[Tally]]) -> Table:
    return Table(
        f"{name}, verdict on leaks: {pairs[0][0].count:,} runs of each kind",
        (
            Column("recall", "%", compared=False),
            Column("missed", "%", compared=False),
            Column("right layer, of the leaks found", "%", compared=False),
            Column("recall of the window alone", "%", compared=False),
        ),
        tuple(
            Row(
                ours.name,
                (
                    _share(ours.growing, ours.count),
                    _share(ours.count - ours.growing, ours.count),
                    _share(ours.right, ours.layers),
                    _share(other.growing, other.count),
                ),
            )
            for ours, other in pairs
            if ours.truth == LEAK
        ),
    )


def _totals(name: str, pairs: Sequence[list[Tally]], *, goals: bool) -> Table:
    """Return the figures of all kinds together, with the targets if `goals`."""
    rows = []
    most = [100 - goal if goals else None for goal in (PRECISION, RECALL, LAYER)]
    for how, tallies in zip(
        ("with the complete run", "with the window alone"), zip(*pairs, strict=True), strict=True
    ):
        found = summary(tallies)
        figures = (found.precision, found.recall, found.layer)
        missed = tuple(100 - figure for figure in figures)
        rows.append(Row(how, (*figures, *missed)))
    return Table(
        f"{name}, verdict on all kinds: {pairs[0][0].count * len(pairs):,} runs",
        (
            Column("precision", "%", compared=False),
            Column("recall", "%", compared=False),
            Column("right layer", "%", compared=False),
            Column("false growth", "%", at_most=most[0], compared=False),
            Column("leaks missed", "%", at_most=most[1], compared=False),
            Column("layer wrong", "%", at_most=most[2], compared=False),
        ),
        tuple(rows),
        notes=(
            "Precision: share of leaks among verdicts of growth. Recall: share of leaks found.",
        ),
    )


def _has(pairs: Sequence[list[Tally]], truth: str) -> bool:
    return any(ours.truth == truth for ours, _ in pairs)


def _of_set(
    name: str, histories: Sequence[History], count: int, seed: int, *, goals: bool = True
) -> list[Table]:
    judges = (whole_run, window_alone)
    pairs = [tally(history, judges, count, seed) for history in histories]
    return [
        _harmless(name, CALM, pairs),
        *([_harmless(name, UNKNOWN, pairs)] if _has(pairs, UNKNOWN) else []),
        _leaks(name, pairs),
        _totals(name, pairs, goals=goals),
    ]


def measure(effort: Effort) -> list[Table]:
    """Judge runs of the development set, of simulated services, and of the held-out set."""
    count = effort.count(300, 60, 2)
    return [
        *_of_set("Development set", DEVELOP, count, DEVELOP_SEED),
        *_of_set("Simulated services", SERVICES, count, DEVELOP_SEED, goals=False),
        *_of_set("Held-out set", HELD_OUT, count, HELD_OUT_SEED),
    ]
