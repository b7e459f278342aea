"""The verdict over many seeds: harmless curves raise no alarm, leaks are found."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curves
from kit.units import MIB
from pprofplus_tui.analysis.layer_verdicts import verdicts
from pprofplus_tui.analysis.trend import MIN_POINTS, classify
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.verdict import (
    GROWING,
    HOUR_MS,
    KINDS,
    SAW_TOOTH,
    SHRINKING,
    STEADY,
    STEP,
    TEETH,
    TOO_LITTLE,
    TURN,
    WARM_UP,
    Layer,
    Verdict,
    Verdicts,
)

SEEDS = 200

calm = pytest.mark.parametrize(
    "curve", [curve for curve in curves.CURVES if not curve.leaks], ids=lambda curve: curve.name
)
leaks = pytest.mark.parametrize(
    "curve", [curve for curve in curves.CURVES if curve.leaks], ids=lambda curve: curve.name
)


def series(values, span_ms=HOUR_MS, hi=None, breaks=()):
    level = np.asarray(values, float)
    gaps = np.zeros(len(level), bool)
    gaps[list(breaks)] = True
    t_ms = curves.BEGIN_MS + np.linspace(0, span_ms, len(level)).astype(np.int64)
    return Points(t_ms, level, level if hi is None else np.asarray(hi, float), gaps)


def noisy(total_mib=0.0, n=200, seed=1, noise_mib=1.0):
    noise = np.random.default_rng(seed).normal(0, noise_mib, n)
    return 400 * MIB + MIB * (np.linspace(0, total_mib, n) + noise)


# -- labelled curves


@calm
def test_a_harmless_curve_is_growing_in_at_most_one_of_a_hundred_windows(curve):
    kinds = Counter(verdicts(curves.drawn(curve, s)).rss.verdict.kind for s in range(SEEDS))
    assert kinds[GROWING] <= SEEDS // 100, kinds


@leaks
def test_a_visible_leak_is_found(curve):
    kinds = Counter(verdicts(curves.drawn(curve, s)).rss.verdict.kind for s in range(SEEDS))
    assert kinds[GROWING] >= 0.85 * SEEDS, kinds


@pytest.mark.parametrize(
    "curve", [curve for curve in curves.CURVES if curve.layer], ids=lambda curve: curve.name
)
def test_the_layer_that_causes_the_growth_is_named(curve):
    for seed in range(40):
        found = verdicts(curves.drawn(curve, seed))
        if found.rss.verdict.kind == GROWING:
            assert found.responsible.kind.id == curve.layer


@pytest.mark.parametrize(
    "curve", [curve for curve in curves.CURVES if curve.rate], ids=lambda curve: curve.name
)
def test_the_interval_holds_the_true_rate_in_nine_cases_of_ten(curve):
    found = [verdicts(curves.drawn(curve, seed)).rss.verdict for seed in range(100)]
    grown = [verdict for verdict in found if verdict.kind == GROWING]
    held = sum(verdict.low <= curve.rate <= verdict.high for verdict in grown)
    assert held >= 0.9 * len(grown)


@pytest.mark.slow
@calm
def test_few_false_alarms_are_raised_over_a_thousand_unseen_seeds(curve):
    seeds = range(100_000, 101_000)
    kinds = Counter(verdicts(curves.drawn(curve, s)).rss.verdict.kind for s in seeds)
    assert kinds[GROWING] <= 10, kinds


@pytest.mark.slow
@leaks
def test_leaks_are_found_over_unseen_seeds(curve):
    seeds = range(100_000, 100_500)
    kinds = Counter(verdicts(curves.drawn(curve, s)).rss.verdict.kind for s in seeds)
    assert kinds[GROWING] >= 0.85 * len(seeds), kinds


# -- hysteresis


def sliding_kinds(level, hysteresis):
    """Return the verdicts on a window of 200 points that slides along a curve."""
    kinds, before = [], Verdicts()
    for begin in range(len(level) - 200):
        before = verdicts(
            {"rss": series(level[begin : begin + 200])}, before if hysteresis else Verdicts()
        )
        kinds.append(before.rss.verdict.kind)
    return kinds


def changes(kinds):
    return sum(a != b for a, b in itertools.pairwise(kinds))


def test_with_hysteresis_the_verdict_changes_less_often():
    without = used = 0
    for seed in range(10):
        level = noisy(10, n=600, seed=seed)  # a leak at the limit of detection
        without += changes(sliding_kinds(level, hysteresis=False))
        used += changes(sliding_kinds(level, hysteresis=True))
    assert used < without / 2


def test_a_growing_verdict_ends_soon_after_the_growth():
    level = np.concatenate((noisy(40, n=300), noisy(0, n=400) + 40 * MIB))
    kinds = sliding_kinds(level, hysteresis=True)
    assert kinds[0] == GROWING
    assert set(kinds[300:]) == {STEADY}


@calm
def test_few_harmless_curves_keep_a_growing_verdict(curve):
    kept = 0
    for seed in range(SEEDS):
        points = curves.drawn(curve, seed)["rss"]
        kept += classify(points, before=GROWING).kind == GROWING
    assert kept <= SEEDS // 20


# -- shapes


def test_a_line_grows_by_its_slope():
    verdict = classify(series(np.linspace(400, 410, 200) * MIB, 2 * HOUR_MS))
    assert verdict.kind == GROWING
    assert verdict.per_hour == pytest.approx(5 * MIB)
    assert verdict.change == pytest.approx(10 * MIB, rel=0.1)


def test_a_falling_line_shrinks():
    verdict = classify(series(noisy(-10)))
    assert verdict.kind == SHRINKING
    assert verdict.low <= verdict.per_hour <= verdict.high < 0


@pytest.mark.parametrize("n", [0, 1, 2, MIN_POINTS - 1])
def test_few_points_are_too_little_data(n):
    assert classify(series(np.linspace(1, 9, n) * MIB)).kind == TOO_LITTLE


def test_less_than_a_minute_is_too_little_data():
    assert classify(series(noisy(100), span_ms=59_000)).kind == TOO_LITTLE


def test_a_constant_curve_is_steady():
    assert classify(series(np.full(200, 400.0 * MIB))) == Verdict(STEADY)


def test_certain_but_negligible_growth_is_steady():
    assert classify(series(np.linspace(400 * MIB, 400 * MIB + 100_000, 200))).kind == STEADY


def test_spikes_in_buckets_are_no_growth():
    lo = noisy()
    hi = lo + np.linspace(0, 200, 200) * MIB
    assert classify(series(lo, hi=hi)).kind == STEADY


def test_a_single_outlier_does_not_change_the_verdict():
    level = noisy(10)
    before = classify(series(level))
    level[100] = 40_000 * MIB
    after = classify(series(level))
    assert after.kind == GROWING
    assert after.per_hour == pytest.approx(before.per_hour, rel=0.2)


def test_a_step_is_detected_with_its_height():
    level = noisy()
    level[120:] += 30 * MIB
    verdict = classify(series(level))
    assert (verdict.kind, verdict.shape) == (STEADY, STEP)
    assert verdict.change == pytest.approx(30 * MIB, rel=0.1)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_a_warm_up_is_detected(share):
    at = np.linspace(0, 1, 200)
    level = noisy(noise_mib=0.3) + 40 * MIB * (1 - np.exp(-at / share))
    verdict = classify(series(level))
    assert (verdict.kind, verdict.shape) == (STEADY, WARM_UP)


def test_growth_that_begins_in_the_window_is_found():
    level = noisy() + 40 * MIB * (np.linspace(0, 1, 200) - 0.5).clip(0)
    verdict = classify(series(level))
    assert (verdict.kind, verdict.shape) == (GROWING, TURN)


@pytest.mark.parametrize("count", [3, 8, 30])
def test_teeth_are_a_saw_tooth_with_their_height(count):
    level = 400 * MIB + 40 * MIB * ((np.linspace(0, count, 200) + 0.3) % 1)
    verdict = classify(series(level))
    assert (verdict.kind, verdict.shape) == (SAW_TOOTH, TEETH)
    assert verdict.change == pytest.approx(40 * MIB, rel=0.2)


def test_teeth_on_a_rising_floor_grow_by_the_floor():
    at = np.linspace(0, 1, 200)
    level = 400 * MIB + 40 * MIB * ((at * 12 + 0.3) % 1) + 20 * MIB * at
    verdict = classify(series(level))
    assert (verdict.kind, verdict.shape) == (GROWING, TEETH)
    assert verdict.per_hour == pytest.approx(20 * MIB, rel=0.1)


def test_a_wave_is_no_saw_tooth():
    level = 400 * MIB + 40 * MIB * np.sin(np.linspace(0, 30, 200))
    assert classify(series(level)).kind == STEADY


def test_a_pause_in_a_leak_does_not_hide_it():
    level = np.delete(noisy(20), slice(80, 120))
    t_ms = np.delete(series(noisy()).t_ms, slice(80, 120))
    gaps = np.zeros(len(level), bool)
    gaps[80] = True
    verdict = classify(Points(t_ms, level, level, gaps))
    assert verdict.kind == GROWING
    assert verdict.per_hour == pytest.approx(20 * MIB, rel=0.2)


def test_successive_runs_of_a_service_are_analysed_separately():
    level = np.concatenate([noisy(20, 60, seed) for seed in range(3)])
    verdict = classify(series(level, 3 * HOUR_MS, breaks=(60, 120)))
    assert verdict.kind == GROWING
    assert verdict.per_hour == pytest.approx(20 * MIB, rel=0.2)


def test_restarts_of_a_service_without_a_leak_are_no_leak():
    warm = np.minimum(np.linspace(0, 300, 60), 30) * MIB
    level = np.concatenate([noisy(0, 60, seed) + warm for seed in range(3)])
    assert classify(series(level, 3 * HOUR_MS, breaks=(60, 120))).kind == STEADY


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-(1 << 62), 1 << 62), min_size=0, max_size=250),
    st.lists(st.booleans(), min_size=250, max_size=250),
    st.integers(1, 10**12),
)
def test_every_log_has_a_verdict_with_finite_figures(values, gaps, step_ms):
    count = len(values)
    t_ms = np.arange(count, dtype=np.int64) * step_ms
    level = np.array(values, float)
    verdict = classify(Points(t_ms, level, level, np.array(gaps[:count], bool)))
    assert verdict.kind in KINDS
    assert np.isfinite([verdict.per_hour, verdict.low, verdict.high, verdict.change]).all()


# -- layers


def test_layers_add_up_to_the_resident_set():
    found = verdicts(
        {
            "rss": series([400 * MIB] * 30),
            "heap_sys": series([200 * MIB] * 30),
            "heap_used": series([150 * MIB] * 30),
            "malloc_sys": series([100 * MIB] * 30),
            "malloc_used": series([70 * MIB] * 30),
            "malloc_free": series([30 * MIB] * 30),
        }
    )
    whole, *parts = (layer.now_bytes for layer in found.layers)
    assert sum(parts) == whole
    assert found.span_ms == HOUR_MS


def test_a_layer_that_the_log_lacks_is_left_out():
    found = verdicts({"rss": series(noisy()), "malloc_used": Points.empty()})
    assert [layer.kind.id for layer in found.layers] == ["rss"]


def test_a_metric_that_begins_later_is_compared_where_both_exist():
    later = series(noisy())
    early = Points(*(column[50:] for column in (later.t_ms, later.lo, later.hi, later.breaks)))
    found = verdicts({"heap_sys": later, "heap_used": early})
    assert found.layer("fragmentation").now_bytes == 0


def test_no_points_give_no_layers():
    assert verdicts({"rss": Points.empty()}) == Verdicts()


def test_the_time_to_the_limit_is_the_remaining_memory_divided_by_the_rate():
    found = verdicts(
        {
            "rss": series(np.linspace(400, 410, 200) * MIB),
            "cgroup_used": series([500 * MIB] * 200),
            "cgroup_limit": series([600 * MIB] * 200),
        }
    )
    assert found.limit_in_ms == pytest.approx(10 * HOUR_MS, rel=0.01)


def test_without_growth_or_limit_there_is_no_time_to_the_limit():
    used = {"cgroup_used": series([1] * 200), "cgroup_limit": series([2] * 200)}
    assert verdicts({"rss": series(noisy()), **used}).limit_in_ms is None
    assert verdicts({"rss": series(noisy(20))}).limit_in_ms is None


def test_no_layer_is_responsible_if_the_resident_set_does_not_grow():
    found = verdicts({"rss": series(noisy()), "heap_used": series(noisy(20))})
    assert found.layer("objects").verdict.kind == GROWING
    assert found.responsible is None


def test_a_layer_with_a_small_part_of_the_growth_is_not_responsible():
    rss, part = Verdict(GROWING, 100.0), Verdict(GROWING, 20.0)
    kinds = [layer.kind for layer in verdicts({"rss": series([1] * 9)}).layers]
    found = verdicts({"rss": series([1] * 9), "heap_used": series([1] * 9)})
    layers = (Layer(kinds[0], 1, rss), Layer(found.layers[1].kind, 1, part))
    assert Verdicts(layers).responsible is None
