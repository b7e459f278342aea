"""Labelled curves: memory over a window, with the right verdict."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pprofplus_tui.model.points import Floats, Points
from pprofplus_tui.model.verdict import GROWING, SAW_TOOTH, STEADY

MIB = float(1 << 20)
HOUR_MS = 3_600_000
BEGIN_MS = 1_700_000_000_000
BUCKETS = 200
LEVEL = 400 * MIB

Table = dict[str, Floats]


@dataclass(frozen=True)
class Curve:
    """One kind of curve.

    Attributes:
        name: of the kind.
        make: (generator, number of samples) -> metric -> bytes, shape (n,), over one window.
        kinds: the right verdicts on RSS.
        layer: id of the layer that causes the growth, or "".
        rate: the true growth of RSS over the window in bytes; 0 for none.
        breaks: positions of gaps, as shares of the window.
    """

    name: str
    make: Callable[[np.random.Generator, int], Table]
    kinds: tuple[str, ...]
    layer: str = ""
    rate: float = 0.0
    breaks: tuple[float, ...] = ()

    @property
    def leaks(self) -> bool:
        """Whether the growth is permanent."""
        return GROWING in self.kinds


def white(rng: np.random.Generator, n: int, size: float = MIB) -> Floats:
    """Return white noise."""
    return rng.normal(0, size, n)


def wandering(rng: np.random.Generator, n: int, memory: float, size: float = MIB) -> Floats:
    """Return noise with a correlation time of the share `memory` of the window."""
    keep = float(np.exp(-1 / (memory * n)))
    steps = rng.normal(0, size * np.sqrt(1 - keep * keep), n).tolist()
    out, level = np.empty(n), float(rng.normal(0, size))
    for i, step in enumerate(steps):
        level = keep * level + step
        out[i] = level
    return out


def line(n: int, total: float) -> Floats:
    """Return a line from 0 to `total`."""
    return np.linspace(0, total, n)


def teeth(rng: np.random.Generator, n: int, count: float, height: float) -> Floats:
    """Return a saw-tooth; the load determines the length and height of each tooth."""
    load = 1 + 0.35 * wandering(rng, n, 0.05, 1.0).clip(-2, 2)
    done = np.cumsum(load) / load.sum() * count + rng.random()
    tall = height * rng.uniform(0.8, 1.2, int(count) + 4)
    return tall[done.astype(int)] * (done % 1)


def days(rng: np.random.Generator, n: int, count: float, height: float) -> Floats:
    """Return the load of a service that is used by day, over `count` days."""
    hour = ((np.linspace(0, count, n) + rng.random()) % 1) * 24
    return height * np.exp(-(((hour - 14.5) / 4.2) ** 2)) * (1 + wandering(rng, n, 0.02, 0.05))


def _rss(curve: Callable[[np.random.Generator, int], Floats]) -> Callable[..., Table]:
    return lambda rng, n: {"rss": LEVEL + curve(rng, n)}


def _stepped(rng: np.random.Generator, n: int) -> Floats:
    at = np.linspace(0, 1, n)
    return 20 * MIB * (at > rng.uniform(0.05, 0.95)) + white(rng, n)


def _warming(rng: np.random.Generator, n: int) -> Floats:
    at = np.linspace(0, 1, n)
    return 40 * MIB * (1 - np.exp(-at / rng.uniform(0.03, 0.25))) + wandering(rng, n, 0.01)


def _batches(rng: np.random.Generator, n: int) -> Floats:
    return 6 * MIB * np.cumsum(rng.random(n) < 24 / n) + white(rng, n)


def _begun(rng: np.random.Generator, n: int) -> Floats:
    at = np.linspace(0, 1, n)
    return 60 * MIB * (at - rng.uniform(0.3, 0.5)).clip(0) + white(rng, n)


def _restarted(rng: np.random.Generator, n: int) -> Floats:
    return 20 * MIB * (np.linspace(0, 4, n, endpoint=False) % 1) + white(rng, n)


def _heaps(used: Floats, held: Floats, c_used: Floats, rng: np.random.Generator) -> Table:
    """Return the metrics of a process with these heaps."""
    n = len(used)
    heap_sys = np.ceil(np.maximum(held, used) / MIB) * MIB
    c_sys = np.maximum.accumulate(c_used) * 1.05
    return {
        "rss": heap_sys + c_sys + 23 * MIB + white(rng, n, MIB / 4),
        "heap_sys": heap_sys,
        "heap_used": used,
        "malloc_sys": c_sys,
        "malloc_used": c_used,
        "malloc_free": c_sys - c_used,
    }


def _collected(rng: np.random.Generator, n: int) -> Table:
    used = 88 * MIB + teeth(rng, n, rng.uniform(4, 40), 40 * MIB) + white(rng, n)
    return _heaps(used, used * 1.04, 33 * MIB + wandering(rng, n, 0.02), rng)


def _kept(rng: np.random.Generator, n: int) -> Table:
    used = 88 * MIB + line(n, 30 * MIB) + wandering(rng, n, 0.01)
    return _heaps(used, used * 1.04, 33 * MIB + wandering(rng, n, 0.02), rng)


def _fragmented(rng: np.random.Generator, n: int) -> Table:
    used = 160 * MIB - line(n, 30 * MIB) + white(rng, n)
    return _heaps(used, 170 * MIB + line(n, 24 * MIB), 33 * MIB + white(rng, n, MIB / 8), rng)


def _c_kept(rng: np.random.Generator, n: int) -> Table:
    used = 61 * MIB + wandering(rng, n, 0.02)
    return _heaps(used, used * 1.04, 70 * MIB + line(n, 24 * MIB) + white(rng, n), rng)


def _mapped(rng: np.random.Generator, n: int) -> Table:
    used = 61 * MIB + wandering(rng, n, 0.02)
    table = _heaps(used, used * 1.04, 70 * MIB + white(rng, n), rng)
    table["rss"] += line(n, 24 * MIB)
    return table


CALM = (STEADY, SAW_TOOTH)
CURVES: tuple[Curve, ...] = (
    Curve("steady, noise", _rss(white), CALM),
    Curve("steady, wanders a little", _rss(lambda r, n: wandering(r, n, 0.02)), CALM),
    Curve("steady, wanders far", _rss(lambda r, n: wandering(r, n, 0.08, 3 * MIB)), CALM),
    Curve("warm-up, then flat", _rss(_warming), CALM),
    Curve("one step", _rss(_stepped), CALM),
    Curve(
        "saw-tooth of the GC",
        _rss(lambda r, n: teeth(r, n, r.uniform(3, 40), 40 * MIB) + white(r, n)),
        CALM,
    ),
    Curve("the same, all layers", _collected, CALM),
    Curve(
        "whole days",
        _rss(lambda r, n: days(r, n, float(r.integers(1, 8)), 60 * MIB) + white(r, n)),
        CALM,
    ),
    Curve(
        "one and a half days",
        _rss(lambda r, n: days(r, n, 1.5, 60 * MIB) + white(r, n)),
        CALM,
    ),
    Curve(
        "leak of 4 x noise",
        _rss(lambda r, n: line(n, 4 * MIB) + white(r, n)),
        (GROWING,),
        "",
        4 * MIB,
    ),
    Curve(
        "leak of 10 x noise, wandering",
        _rss(lambda r, n: line(n, 20 * MIB) + wandering(r, n, 0.03, 2 * MIB)),
        (GROWING,),
        "",
        20 * MIB,
    ),
    Curve(
        "leak as large as a tooth under a saw-tooth",
        _rss(
            lambda r, n: line(n, 40 * MIB) + teeth(r, n, r.uniform(8, 40), 40 * MIB) + white(r, n)
        ),
        (GROWING,),
        "",
        40 * MIB,
    ),
    Curve(
        "leak under a week of days",
        _rss(lambda r, n: line(n, 120 * MIB) + days(r, n, 7, 60 * MIB) + white(r, n)),
        (GROWING,),
        "",
        120 * MIB,
    ),
    Curve("leak in batches", _rss(_batches), (GROWING,)),
    Curve("leak that began in the window", _rss(_begun), (GROWING,)),
    Curve(
        "leak with three restarts", _rss(_restarted), (GROWING,), "", 80 * MIB, (0.25, 0.5, 0.75)
    ),
    Curve("Python objects kept", _kept, (GROWING,), "objects"),
    Curve("fragmentation", _fragmented, (GROWING,), "fragmentation"),
    Curve("C leak", _c_kept, (GROWING,), "c_heap"),
    Curve("maps kept", _mapped, (GROWING,), "other"),
)

# Curves that grow within the window like a leak: no test can distinguish them there. They show the
# limits of the verdict; a longer window distinguishes them.
AMBIGUOUS: tuple[Curve, ...] = (
    Curve(
        "any quarter of a day",
        _rss(lambda r, n: days(r, n, 0.25, 60 * MIB) + white(r, n)),
        CALM,
    ),
    Curve(
        "half a tooth",
        _rss(lambda r, n: line(n, 20 * MIB) + white(r, n)),
        CALM,
    ),
    Curve(
        "a random walk without end",
        _rss(lambda r, n: np.cumsum(r.normal(0, 20 * MIB / np.sqrt(n), n))),
        CALM,
    ),
    Curve(
        "a warm-up of half the window",
        _rss(
            lambda r, n: (
                40 * MIB * (1 - np.exp(-np.linspace(0, 1, n) / 0.45)) + wandering(r, n, 0.01)
            )
        ),
        CALM,
    ),
)


def bucketed(
    table: Table, span_ms: int = HOUR_MS, breaks: tuple[float, ...] = ()
) -> dict[str, Points]:
    """Return the result of a window query: the samples if they are few, otherwise buckets."""
    n = len(next(iter(table.values())))
    t_ms = BEGIN_MS + np.linspace(0, span_ms, n, endpoint=False).astype(np.int64)
    gaps = np.zeros(n, np.bool_)
    gaps[[int(np.ceil(share * n)) for share in breaks]] = True
    if n <= BUCKETS:
        return {name: Points(t_ms, values, values, gaps) for name, values in table.items()}
    starts = np.linspace(0, n, BUCKETS, endpoint=False).astype(np.int64)
    middle = t_ms[starts] + span_ms // (2 * BUCKETS)
    broken = np.logical_or.reduceat(gaps, starts)
    return {
        name: Points(
            middle,
            np.minimum.reduceat(values, starts),
            np.maximum.reduceat(values, starts),
            broken,
        )
        for name, values in table.items()
    }


def drawn(curve: Curve, seed: int) -> dict[str, Points]:
    """Return one window of a curve; the seed determines the number of samples."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([120, 200, 900, 3600]))
    return bucketed(curve.make(rng, n), breaks=curve.breaks)
