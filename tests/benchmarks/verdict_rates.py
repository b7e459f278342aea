"""How often the verdict is right: precision and recall of "growing" over labelled curves."""

from dataclasses import dataclass

import numpy as np

import history_rates
from curves import AMBIGUOUS, CURVES, Curve, bucketed, drawn
from pprofplus_tui.analysis.layer_verdicts import long_term_trends, verdicts
from pprofplus_tui.analysis.run_overview import RunOverview
from pprofplus_tui.model.verdict import GROWING, VERDICT_METRICS
from tables import Column, Row, Table
from timing import Effort, median_ms


@dataclass(frozen=True)
class Score:
    """The results of the verdicts on one curve.

    Attributes:
        curve: the curve.
        seeds: number of windows judged.
        growing: of these, verdicts "growing".
        right: of these, right verdicts, with the right layer if the curve has one.
        covered: share of the growing windows whose interval contains the true rate; None if there
            is no single rate.
        error: median error of the rate, as a share of the true one, or None.
    """

    curve: Curve
    seeds: int
    growing: int
    right: int
    covered: float | None
    error: float | None


def score(curve: Curve, seeds: int) -> Score:
    """Judge windows of a curve, each with its own seed."""
    growing = right = 0
    covered, errors = [], []
    for seed in range(seeds):
        found = verdicts(drawn(curve, seed))
        verdict = found.rss.verdict if found.rss is not None else None
        if verdict is None:
            continue
        layer = found.responsible.kind.id if found.responsible is not None else ""
        right += verdict.kind in curve.kinds and (not curve.layer or layer == curve.layer)
        if verdict.kind == GROWING:
            growing += 1
            if curve.rate:
                covered.append(verdict.low <= curve.rate <= verdict.high)
                errors.append(abs(verdict.per_hour / curve.rate - 1))
    return Score(
        curve,
        seeds,
        growing,
        right,
        float(np.mean(covered)) if covered else None,
        float(np.median(errors)) if errors else None,
    )


def _percent(part: float, total: float) -> float:
    return 100 * part / total if total else 0.0


def _rates(scores: list[Score]) -> list[Table]:
    calm = [found for found in scores if not found.curve.leaks]
    leaks = [found for found in scores if found.curve.leaks]
    alarms = sum(found.growing for found in calm)
    caught = sum(found.growing for found in leaks)
    seeds = scores[0].seeds
    false_missed = (
        _percent(alarms, alarms + caught),
        _percent(sum(found.seeds - found.growing for found in leaks), seeds * len(leaks)),
    )
    harmless = Table(
        f"Verdict on harmless curves: {seeds:,} windows each",
        (
            Column("called growing", "%", at_most=1, compared=False),
            Column("wrong verdict", "%", compared=False),
        ),
        tuple(
            Row(
                found.curve.name,
                (
                    _percent(found.growing, found.seeds),
                    _percent(found.seeds - found.right, found.seeds),
                ),
            )
            for found in calm
        ),
        ours=len(calm),
    )
    growing = Table(
        f"Verdict on growth: {seeds:,} windows of each curve",
        (
            Column("recall", "%", compared=False),
            Column("missed", "%", at_most=20, compared=False),
            Column("layer wrong or missed", "%", compared=False),
            Column("rate off by", "%", compared=False),
            Column("interval contains the rate", "%", compared=False),
        ),
        tuple(
            Row(
                found.curve.name,
                (
                    _percent(found.growing, found.seeds),
                    _percent(found.seeds - found.growing, found.seeds),
                    _percent(found.seeds - found.right, found.seeds) if found.curve.layer else None,
                    None if found.error is None else 100 * found.error,
                    None if found.covered is None else 100 * found.covered,
                ),
            )
            for found in leaks
        ),
        notes=(
            f"precision, of all verdicts of growth in both tables: {100 - false_missed[0]:.2f} %",
            f"recall, of all growth: {100 - false_missed[1]:.1f} %",
        ),
        ours=len(leaks),
    )
    return [harmless, growing]


def _ambiguous(seeds: int) -> Table:
    scores = [score(curve, seeds) for curve in AMBIGUOUS]
    return Table(
        f"Verdict on curves that look like a leak in one window: {seeds:,} windows each",
        (Column("called growing", "%", compared=False),),
        tuple(Row(found.curve.name, (_percent(found.growing, seeds),)) for found in scores),
        notes=("these grow in the window shown; a longer window distinguishes them",),
    )


def _speed(effort: Effort) -> Table:
    """Return the time for six layers of 200 buckets, for the median and the slowest curve."""
    rounds = effort.count(200, 40, 3)
    window_ms, run_ms = [], []
    for curve in CURVES:
        table = bucketed(curve.make(np.random.default_rng(1), 3600))
        if len(table) == 1:
            table = dict.fromkeys(VERDICT_METRICS[:6], table["rss"])
        past = RunOverview(table, 0)
        known = long_term_trends(past)
        window_ms.append(
            median_ms(lambda table=table, known=known: verdicts(table, past=known), rounds)
        )
        run_ms.append(median_ms(lambda past=past: long_term_trends(past), rounds))
    return Table(
        "Verdict: time for six layers of 200 buckets",
        (Column("time", "ms", at_most=2),),
        (
            Row("median of the curves", (float(np.median(window_ms)),)),
            Row("the slowest curve", (max(window_ms),)),
            Row("the complete run, computed rarely", (float(np.median(run_ms)),)),
        ),
    )


def measure(effort: Effort) -> list[Table]:
    """Judge every curve and every kind of run many times, and measure the time."""
    seeds = effort.count(1000, 200, 10)
    return [
        *_rates([score(curve, seeds) for curve in CURVES]),
        _ambiguous(seeds),
        *history_rates.measure(effort),
        _speed(effort),
    ]
