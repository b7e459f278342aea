"""Plausible memory use of each demo service over a week, as arrays."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pprofplus.metrics import CATALOGUE
from pprofplus_tui.model.points import Floats, Ints

MIB = 1 << 20
DAY_S = 86_400.0
ARENA = 1 << 20  # CPython's arenas, 1 MiB since 3.10
INTERVAL_MS = 60_000

_SHARED = 14 * MIB  # text and libraries
_FULL_COLLECTIONS = 0.01  # share of the minutes with a full collection, which visits all objects
_OTHER = 9 * MIB  # stacks and maps outside of the heaps


@dataclass(frozen=True, eq=False)
class Layers:
    """The memory of a service over time, in bytes, each of shape (n,).

    Attributes:
        used: Python objects.
        held: what pymalloc holds for them; never less than `used`.
        c_used: the C heap in use.
        c_held: what malloc holds for it.
        load: requests in arbitrary units, about 0 to 1; drives CPU and collections.
    """

    used: Floats
    held: Floats
    c_used: Floats
    c_held: Floats
    load: Floats


def _day_wave(t_s: Floats) -> Floats:
    """Return the load of a service that people use by day: 0.15 at night, 1 at its peak."""
    hour = (t_s % DAY_S) / 3600
    return 0.15 + 0.85 * np.exp(-(((hour - 14.5) / 4.2) ** 2))


def _noise(rng: np.random.Generator, n: int, size: float) -> Floats:
    """Return autocorrelated noise, as caches and connections cause it."""
    steps = rng.normal(0, size / 6, n)
    out = np.empty(n)
    level = 0.0
    for i, step in enumerate(steps.tolist()):
        level = level * 0.96 + step
        out[i] = level
    return out


def _high_water(used: Floats) -> Floats:
    """Return the size of a heap that releases nothing: its highest use so far."""
    return np.maximum.accumulate(used)


def leaking(t_s: Floats, rng: np.random.Generator) -> Layers:
    """Grow with every request: fast by day, slowly at night, over the whole week."""
    load = _day_wave(t_s) * (1 + _noise(rng, len(t_s), 0.1))
    served = np.cumsum(load) / max(float(load.sum()), 1e-9)
    used = 96 * MIB + 690 * MIB * served + 14 * MIB * load + _noise(rng, len(t_s), 3 * MIB)
    c_used = 41 * MIB + 6 * MIB * load + _noise(rng, len(t_s), MIB)
    return Layers(used, used * 1.045, c_used, c_used * 1.12, load)


def saw_toothed(t_s: Floats, rng: np.random.Generator) -> Layers:
    """Rise and fall with the garbage collector, without growth."""
    load = _day_wave(t_s) * (1 + _noise(rng, len(t_s), 0.2))
    done = np.cumsum(0.4 + load) / 260.0
    used = 88 * MIB + 64 * MIB * (done % 1.0) + _noise(rng, len(t_s), 2 * MIB)
    c_used = np.full(len(t_s), 33.0 * MIB) + _noise(rng, len(t_s), MIB)
    held = np.maximum(used * 1.05, 0.35 * _high_water(used) + 0.65 * used)
    return Layers(used, held, c_used, c_used * 1.1, load)


def c_leaking(t_s: Floats, rng: np.random.Generator) -> Layers:
    """Keep image buffers: only the C heap grows, in steps, as batches arrive."""
    load = np.clip(_day_wave(t_s) + _noise(rng, len(t_s), 0.2), 0, None)
    batches = np.cumsum(rng.random(len(t_s)) < 0.008 * load).astype(np.float64)
    used = 61 * MIB + 5 * MIB * load + _noise(rng, len(t_s), MIB)
    c_used = 70 * MIB + 6.5 * MIB * batches + 10 * MIB * load
    return Layers(used, used * 1.06, c_used, _high_water(c_used) * 1.08, load)


def fragmenting(t_s: Floats, rng: np.random.Generator) -> Layers:
    """Build a report each night: objects come and go, the heap that held them stays."""
    hour = (t_s % DAY_S) / 3600
    building = np.exp(-(((hour - 2.5) / 0.35) ** 2))
    size = 150 + 55 * np.floor((t_s - t_s[0]) / DAY_S) if len(t_s) else t_s
    used = 58 * MIB + size * MIB * building + _noise(rng, len(t_s), MIB)
    c_used = 36 * MIB + 20 * MIB * building
    held = np.maximum(used * 1.04, _high_water(used) * 0.97)
    return Layers(used, held, c_used, _high_water(c_used) * 1.05, 0.08 + building)


def racing(t_s: Floats, rng: np.random.Generator) -> Layers:
    """Grow within minutes until the OOM killer ends it: a batch job."""
    age = t_s - t_s[0] if len(t_s) else t_s
    load = np.ones(len(t_s))
    used = 45 * MIB + 0.28 * MIB * age + _noise(rng, len(t_s), 3 * MIB)
    c_used = 30 * MIB + 0.02 * MIB * age
    return Layers(used, used * 1.05, c_used, c_used * 1.1, load)


Shape = Callable[[Floats, np.random.Generator], Layers]


def columns(
    t_s: Floats, shape: Shape, rng: np.random.Generator, limit_bytes: int
) -> dict[str, Ints]:
    """Return metric -> values at local times `t_s` (seconds), all of the catalogue's shape (n,).

    Metrics that only tracing gives are left out, as in a service that does not trace.
    """
    layers = shape(t_s, rng)
    n = len(t_s)
    step_s = INTERVAL_MS / 1000
    used = np.maximum(layers.used, MIB)
    heap_sys = np.ceil(np.maximum(layers.held, used) / ARENA) * ARENA
    idle = np.maximum(heap_sys - used, 0) * 0.7
    malloc_sys = np.maximum(layers.c_held, layers.c_used)
    rss = heap_sys + malloc_sys * 0.97 + _OTHER + _SHARED
    load = np.clip(layers.load, 0, None)
    runs = np.cumsum(load * step_s * 3.1)
    pause = np.where(rng.random(n) < 0.4 * load, rng.gamma(2.0, 900.0, n), 180.0)
    pause += np.where(rng.random(n) < _FULL_COLLECTIONS, used / MIB * 110, 0)
    released = np.cumsum(np.maximum(-np.diff(heap_sys, prepend=heap_sys[:1]), 0))
    found = {
        "rss": rss,
        "vms": rss + 310 * MIB,
        "shared": np.full(n, _SHARED),
        "uss": rss - _SHARED * 0.8,
        "pss": rss - _SHARED * 0.6,
        "swap": np.zeros(n),
        "cpu_user": np.cumsum(load * step_s * 1e6 * 0.22),
        "cpu_system": np.cumsum(load * step_s * 1e6 * 0.05),
        "threads": 9 + np.round(4 * load),
        "fds": 22 + np.round(60 * load),
        "faults_minor": np.cumsum(load * step_s * 40),
        "faults_major": np.floor(np.arange(n) / 4500),
        "heap_sys": heap_sys,
        "heap_used": np.minimum(used, heap_sys),
        "heap_idle": idle,
        "heap_released": released,
        "heap_blocks": used / 92,
        "malloc_sys": malloc_sys,
        "malloc_used": layers.c_used,
        "malloc_free": malloc_sys - layers.c_used,
        "malloc_trimmable": (malloc_sys - layers.c_used) * 0.3,
        "gc_pending_0": rng.integers(0, 700, n).astype(np.float64),
        "gc_pending_1": rng.integers(0, 10, n).astype(np.float64),
        "gc_pending_2": rng.integers(0, 10, n).astype(np.float64),
        "gc_runs_0": runs,
        "gc_runs_1": runs / 11,
        "gc_runs_2": runs / 140,
        "gc_collected": runs * 35,
        "gc_uncollectable": np.zeros(n),
        "gc_pause": np.cumsum(pause * load * 4),
        "gc_pause_max": pause,
        "cgroup_used": rss + 60 * MIB,
        "cgroup_limit": np.full(n, float(limit_bytes)),
    }
    known = {metric.name for metric in CATALOGUE}
    return {name: values.astype(np.int64) for name, values in found.items() if name in known}
