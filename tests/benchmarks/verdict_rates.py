"""How often the verdict is right: precision and recall of "growing" over labelled curves."""

from dataclasses import dataclass

import numpy as np

import history_rates
from curves import CURVES, UNTOLD, Curve, bucketed, drawn
from pprofplus_tui.analysis.layer_verdicts import long_term_trends, verdicts
from pprofplus_tui.analysis.run_overview import RunOverview
from pprofplus_tui.model.verdict import GROWING, VERDICT_METRICS
from tables import Column, Row, Table
from timing import Effort, median_ms


@dataclass(frozen=True)
class Score:
    """How the verdicts on one curve came out.

    Attributes:
        curve: which.
        seeds: windows judged.
        growing: of these were called growing.
        right: of these had a right verdict, and a right layer where the curve has one.
        covered: share of the windows called growing of which the interval held the true rate;
            None where there is no one rate.
        error: median of how far the rate was off, as a share of the true one, or None.
    """

    curve: Curve
    seeds: int
    growing: int
    right: int
    covered: float | None
    error: float | None


def score(curve: Curve, seeds: int) -> Score:
    """Judge windows of a curve, each of its own seed."""
    growing = right = 0
    held, off = [], []
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
                held.append(verdict.low <= curve.rate <= verdict.high)
                off.append(abs(verdict.per_hour / curve.rate - 1))
    return Score(
        curve,
        seeds,
        growing,
        right,
        float(np.mean(held)) if held else None,
        float(np.median(off)) if off else None,
    )


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def _rates(scores: list[Score]) -> list[Table]:
    calm = [found for found in scores if not found.curve.leaks]
    leaks = [found for found in scores if found.curve.leaks]
    alarms = sum(found.growing for found in calm)
    caught = sum(found.growing for found in leaks)
    seeds = scores[0].seeds
    whole = (
        _percent(alarms, alarms + caught),
        _percent(sum(found.seeds - found.growing for found in leaks), seeds * len(leaks)),
    )
    harmless = Table(
        f"Verdict on what is harmless: {seeds:,} windows a curve",
        (
            Column("called growing", "%", at_most=1, compared=False),
            Column("another verdict than it should be", "%", compared=False),
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
        f"Verdict on what grows: {seeds:,} windows a curve",
        (
            Column("recall", "%", compared=False),
            Column("missed", "%", at_most=20, compared=False),
            Column("layer wrong or missed", "%", compared=False),
            Column("rate off by", "%", compared=False),
            Column("interval holds the rate", "%", compared=False),
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
            f"precision, of what both tables call growing: {100 - whole[0]:.2f} %",
            f"recall, of what grows: {100 - whole[1]:.1f} %",
        ),
        ours=len(leaks),
    )
    return [harmless, growing]


def _untold(seeds: int) -> Table:
    scores = [score(curve, seeds) for curve in UNTOLD]
    return Table(
        f"Verdict on what one window cannot tell from a leak: {seeds:,} windows a curve",
        (Column("called growing", "%", compared=False),),
        tuple(Row(found.curve.name, (_percent(found.growing, seeds),)) for found in scores),
        notes=("these do grow in the window shown; a longer window tells",),
    )


def _speed(effort: Effort) -> Table:
    """Return what six layers of 200 buckets cost, for the dearest of the curves."""
    rounds = effort.count(200, 40, 3)
    took, looked = [], []
    for curve in CURVES:
        table = bucketed(curve.make(np.random.default_rng(1), 3600))
        if len(table) == 1:
            table = dict.fromkeys(VERDICT_METRICS[:6], table["rss"])
        past = RunOverview(table, 0)
        known = long_term_trends(past)
        took.append(median_ms(lambda table=table, known=known: verdicts(table, past=known), rounds))
        looked.append(median_ms(lambda past=past: long_term_trends(past), rounds))
    return Table(
        "Verdict: time for six layers of 200 buckets",
        (Column("time", "ms", at_most=2),),
        (
            Row("median of the curves", (float(np.median(took)),)),
            Row("the dearest of them", (max(took),)),
            Row("the whole run, once in a while", (float(np.median(looked)),)),
        ),
    )


def measure(effort: Effort) -> list[Table]:
    """Judge every curve and every kind of run many times, and time it."""
    seeds = effort.count(1000, 200, 10)
    return [
        *_rates([score(curve, seeds) for curve in CURVES]),
        _untold(seeds),
        *history_rates.measure(effort),
        _speed(effort),
    ]
