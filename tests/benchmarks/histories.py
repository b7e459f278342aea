"""Labelled histories: a run from its start, a window of it, and the truth about its memory.

A history leaks if retained memory grows permanently, in the window or across it, by a relevant and
detectable amount: at least 1 % of the level, four standard deviations of the noise of the floor,
and six standard errors of a growth fitted to this correlated noise. The data of a leak and of
harmless behaviour may be the same, for example in a run of a few hours that rises like a daily
wave. Such a history is UNKNOWN: the right verdict is "not sure", and a verdict of growth is as
wrong as for a calm history.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pprofplus_tui.analysis.run_overview import RunOverview, past_grid
from pprofplus_tui.model.points import Floats, Points
from pprofplus_tui.model.verdict import GROWING, NOT_SURE, VERDICT_BUCKETS, Verdicts

MIB = float(1 << 20)
HOUR_MS = 3_600_000
MINUTE_H = 1 / 60
DAY_H, WEEK_H = 24.0, 168.0
BEGIN_MS = 1_700_000_000_000
CALM, LEAK, UNKNOWN = "calm", "leak", "unknown"
MAX_SAMPLES = 24_000

Table = dict[str, Floats]
LEAK_LAYERS = ("objects", "fragmentation", "c_heap", "other")


@dataclass(frozen=True, eq=False)
class Draft:
    """The output of a generator: the noise and the leak of a run, in bytes.

    Attributes:
        hours: times of the samples since the start of the run, shape (n,), evenly spaced.
        base: level, bytes.
        noise: memory that is not retained, shape (n,).
        leak: memory that is retained, shape (n,), or None.
        truth: CALM, LEAK or UNKNOWN.
        window: (begin, end) in hours.
        layered: whether the layers are recorded; None for a random choice.
    """

    hours: Floats
    base: float
    noise: Floats
    leak: Floats | None
    truth: str
    window: tuple[float, float]
    layered: bool | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A labelled history.

    Attributes:
        t_ms: times of the samples.
        table: metric -> bytes.
        truth: see `Draft`.
        layer: id of the layer that leaks, "" if none leaks or no layers are recorded.
        begin_ms, end_ms: the window.
    """

    t_ms: np.ndarray
    table: Table
    truth: str
    layer: str
    begin_ms: int
    end_ms: int


@dataclass(frozen=True)
class History:
    """A kind of history; `make` generates one."""

    name: str
    make: Callable[[np.random.Generator], Draft]


def hours_for(span_h: float, window_h: float) -> Floats:
    """Return evenly spaced times over a run, about 240 of them in a window."""
    n = int(np.clip(240 * span_h / window_h, 1500, MAX_SAMPLES))
    return np.linspace(0, span_h, n, endpoint=False)


def assembled(rng: np.random.Generator, draft: Draft) -> Case:
    """Return the metrics of a process with this draft."""
    n = len(draft.hours)
    leak = np.zeros(n) if draft.leak is None else draft.leak
    base, layer = draft.base, ""
    layered = rng.random() < 0.6 if draft.layered is None else draft.layered
    if layered:
        layer = str(rng.choice(LEAK_LAYERS)) if draft.truth == LEAK else ""
        table = _layers(rng, base, draft.noise, leak, layer or "objects")
    else:
        table = {"rss": np.maximum(base + draft.noise + leak, MIB)}
    begin_ms = BEGIN_MS + int(rng.integers(0, 7 * 24 * HOUR_MS))
    t_ms = begin_ms + np.round(draft.hours * HOUR_MS).astype(np.int64)
    first, last = (begin_ms + int(at * HOUR_MS) for at in draft.window)
    return Case(t_ms, table, draft.truth, layer, first, last)


def _layers(
    rng: np.random.Generator, base: float, noise: Floats, leak: Floats, layer: str
) -> Table:
    n = len(noise)
    shares = dict.fromkeys(("objects", "c_heap", "other"), 0.0)
    places = rng.permutation(list(shares))
    shares[places[0]], shares[places[1]] = (1.0, 0.0) if rng.random() < 0.5 else (0.7, 0.3)
    hum = base * 0.0005

    def part(name: str, share: float) -> Floats:
        size = share * base + shares[name] * noise + rng.normal(0, hum, n)
        return np.maximum(size + (leak if layer == name else 0), MIB)

    used, c_used, other = part("objects", 0.45), part("c_heap", 0.25), part("other", 0.25)
    held = used * 1.03 + (leak if layer == "fragmentation" else 0)
    if layer != "fragmentation" and rng.random() < 0.3:  # arenas are never freed
        held = np.maximum.accumulate(held)
    c_sys = c_used * 1.05
    if rng.random() < 0.3:  # no memory is returned
        c_sys = np.maximum.accumulate(c_sys)
    heap_sys = np.ceil(held / MIB) * MIB
    return {
        "rss": heap_sys + c_sys + other,
        "heap_sys": heap_sys,
        "heap_used": used,
        "malloc_sys": c_sys,
        "malloc_used": c_used,
        "malloc_free": c_sys - c_used,
    }


def points_of(
    t_ms: np.ndarray, table: Table, begin_ms: int, end_ms: int, buckets: int
) -> dict[str, Points]:
    """Return the result of a query of [begin_ms, end_ms): samples if they are few, else buckets."""
    first, last = np.searchsorted(t_ms, (begin_ms, end_ms)).tolist()
    t_ms = t_ms[first:last]
    n = len(t_ms)
    none = np.zeros(n, np.bool_)
    if n <= buckets:
        return {
            name: Points(t_ms, values[first:last], values[first:last], none)
            for name, values in table.items()
        }
    width = (end_ms - begin_ms) / buckets
    number = ((t_ms - begin_ms) / width).astype(np.int64)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    middle = (begin_ms + (number[starts] + 0.5) * width).astype(np.int64)
    return {
        name: Points(
            middle,
            np.minimum.reduceat(values[first:last], starts),
            np.maximum.reduceat(values[first:last], starts),
            none[: len(starts)],
        )
        for name, values in table.items()
    }


def window_of(case: Case) -> dict[str, Points]:
    """Return the window of a history, as the monitor queries it."""
    return points_of(case.t_ms, case.table, case.begin_ms, case.end_ms, VERDICT_BUCKETS)


def past_of(case: Case) -> RunOverview:
    """Return the complete history, as the monitor queries it."""
    run_begin_ms, end_ms = int(case.t_ms[0]), int(case.t_ms[-1]) + 1
    begin_ms, grid_end_ms, count = past_grid(run_begin_ms, end_ms)
    table = points_of(case.t_ms, case.table, begin_ms, grid_end_ms, count)
    return RunOverview(table, run_begin_ms)


Judge = Callable[[Case], Verdicts]


@dataclass(frozen=True)
class Tally:
    """The counts of verdicts on one kind of history.

    Attributes:
        name: of the kind.
        truth: of the kind.
        count: histories judged.
        growing: of these, verdicts "growing".
        unsure: of these, verdicts "not sure".
        layers: of the growing ones, those with one layer that leaks.
        right: of these, verdicts that name this layer.
    """

    name: str
    truth: str
    count: int
    growing: int
    unsure: int
    layers: int
    right: int


def tally(history: History, judges: Sequence[Judge], count: int, seed: int) -> list[Tally]:
    """Judge `count` histories of a kind with each judge; return one tally per judge."""
    found = [dict.fromkeys(("growing", "unsure", "layers", "right"), 0) for _ in judges]
    truth = ""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        case = assembled(rng, history.make(rng))
        truth = case.truth
        for judge, sums in zip(judges, found, strict=True):
            verdicts = judge(case)
            kind = verdicts.rss.verdict.kind if verdicts.rss is not None else ""
            sums["unsure"] += kind == NOT_SURE
            if kind != GROWING:
                continue
            sums["growing"] += 1
            if case.layer:
                blamed = verdicts.responsible
                sums["layers"] += 1
                sums["right"] += blamed is not None and blamed.kind.id == case.layer
    return [Tally(history.name, truth, count, **sums) for sums in found]


@dataclass(frozen=True)
class Summary:
    """Precision, recall and right layers, in percent."""

    precision: float
    recall: float
    layer: float


def summary(tallies: Sequence[Tally]) -> Summary:
    """Return the figures of a set; each kind has the same number of histories."""
    leaks = [one for one in tallies if one.truth == LEAK]
    caught = sum(one.growing for one in leaks)
    called = sum(one.growing for one in tallies)
    layers = sum(one.layers for one in leaks)
    return Summary(
        100 * caught / max(called, 1),
        100 * caught / max(sum(one.count for one in leaks), 1),
        100 * sum(one.right for one in leaks) / max(layers, 1),
    )
