"""Held-out histories: never used to choose a limit of the verdict, and rarely evaluated.

They were written before the verdict used data outside its window. Their noise, days and warm-ups
are of other families than those of `curves` and `develop`. `histories` defines what a leak is.
Do not tune on this set: a change that is based on it makes its figures worthless.
"""

import numpy as np

from histories import CALM, DAY_H, LEAK, MIB, UNKNOWN, Draft, History, hours_for
from pprofplus_tui.model.points import Floats

SEED = 20_261_127
Rng = np.random.Generator


def _base(rng: Rng) -> float:
    return float(np.exp(rng.uniform(np.log(80), np.log(2000)))) * MIB


# -- noise


def reverting(rng: Rng, hours: Floats, size: float, memory_h: float) -> Floats:
    """Return a mean-reverting random walk with the correlation time `memory_h`."""
    step_h = hours[1] - hours[0]
    keep = float(np.exp(-step_h / memory_h))
    steps = rng.normal(0, size * np.sqrt(1 - keep * keep), len(hours)).tolist()
    out, level = np.empty(len(hours)), float(rng.normal(0, size))
    for i, step in enumerate(steps):
        level = keep * level + step
        out[i] = level
    return out


def heavy(rng: Rng, hours: Floats, size: float) -> Floats:
    """Return noise with heavy tails, and bursts that decay."""
    noise = size * rng.standard_t(2.5, len(hours))
    step_h = hours[1] - hours[0]
    decay = np.exp(-np.arange(200) * step_h / (hours[-1] * rng.uniform(0.001, 0.01)))
    for at in rng.integers(0, len(hours), int(rng.integers(1, 12))).tolist():
        burst = size * 6 * (rng.pareto(2.0) + 1)
        end = min(at + 200, len(hours))
        noise[at:end] += burst * decay[: end - at]
    return noise


def quantised(values: Floats, grain: float) -> Floats:
    """Return values rounded up to grains, like arenas and pools."""
    return np.ceil(values / grain) * grain


def batches(rng: Rng, hours: Floats, rate_h: float, held_h: float, size: float) -> Floats:
    """Return jobs that arrive at random, use memory for some time and free it."""
    span = float(hours[-1])
    begins = rng.uniform(-5 * held_h, span, rng.poisson(rate_h * (span + 5 * held_h)))
    ends = begins + rng.exponential(held_h, len(begins))
    sizes = size * rng.gamma(2.0, 0.5, len(begins))
    out = np.zeros(len(hours) + 1)
    np.add.at(out, np.searchsorted(hours, begins), sizes)
    np.add.at(out, np.searchsorted(hours, ends), -sizes)
    return np.cumsum(out)[:-1]


# -- load


def plateau(hour: Floats, rise: float, fall: float, width: float) -> Floats:
    """Return a working day: a rise in the morning, a dip at noon, a fall in the evening."""
    up = 1 / (1 + np.exp(-(hour - rise) / width))
    down = 1 / (1 + np.exp((hour - fall) / width))
    return up * down * (1 - 0.15 * np.exp(-(((hour - 13) / 0.8) ** 2)))


def lagged(values: Floats, hours: Floats, lag_h: float) -> Floats:
    """Return values that follow a load with a delay, like caches, pools and sessions."""
    keep = float(np.exp(-(hours[1] - hours[0]) / lag_h))
    out, level = np.empty(len(values)), float(values[0])
    for i, value in enumerate(values.tolist()):
        level = keep * level + (1 - keep) * value
        out[i] = level
    return out


def loads(rng: Rng, hours: Floats, start_h: float, weekend: float = 1.0) -> Floats:
    """Return a daily load, 0 to about 1; the run starts `start_h` hours after Monday 00:00."""
    clock = hours + start_h
    number = np.floor(clock / DAY_H).astype(int)
    days = int(number[-1]) + 1
    tall = rng.normal(1, 0.07, days).clip(0.7, 1.3)
    tall[np.arange(days) % 7 >= 5] *= weekend
    rise, fall, width = rng.uniform(6.5, 9), rng.uniform(17, 21), rng.uniform(0.8, 2)
    shape = plateau(clock % DAY_H, rise, fall, width)
    lag_h = rng.uniform(0, 3)
    load = tall[number] * shape
    return lagged(load, hours, lag_h) if lag_h > 0.3 else load


def evictions(rng: Rng, hours: Floats, count: float, height: float) -> tuple[Floats, Floats]:
    """Return (a cache that fills and is emptied, the times of that); its floor is almost level."""
    lengths = rng.gamma(10, 0.1, int(count) + 8)
    ends = np.cumsum(lengths) / count * hours[-1]
    ends -= rng.random() * ends[0]
    number = np.searchsorted(ends, hours, side="right")
    begin = np.concatenate(([ends[0] - ends[1] + ends[0] - 1e-9], ends))[number]
    done = ((hours - begin) / (ends[number] - begin)).clip(0, 1)
    tall = height * rng.uniform(0.8, 1.2, len(ends) + 1)
    left = height * rng.normal(0, 0.03, len(ends) + 1)
    return tall[number] * done ** rng.uniform(0.7, 1.3) + left[number], ends[ends < hours[-1]]


def _window(rng: Rng, span_h: float, least: float, most: float = 1.0) -> tuple[float, float]:
    """Return a window that mostly ends at the end of the run."""
    share = float(np.exp(rng.uniform(np.log(least), np.log(most))))
    end = 1.0 if rng.random() < 0.8 else rng.uniform(max(share, 0.6), 1.0)
    return (max(end - share, 0.0) * span_h, end * span_h)


def _span(rng: Rng, least_h: float, most_h: float) -> float:
    return float(np.exp(rng.uniform(np.log(least_h), np.log(most_h))))


def _detectable(rng: Rng, size: float, memory: float, base: float) -> float:
    """Return the growth of a leak: one to three times the minimum that `histories` defines."""
    error = size * np.sqrt(24 * memory)
    return float(max(4 * size, 6 * error, 0.01 * base) * rng.uniform(1, 3))


# -- calm


def _near(rng: Rng) -> Draft:
    span, base = _span(rng, 1, 700), _base(rng)
    window = _window(rng, span, 0.1)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.005, 0.06)
    noise = reverting(rng, hours, size, span * rng.uniform(0.003, 0.04))
    return Draft(hours, base, noise, None, CALM, window)


def _far(rng: Rng) -> Draft:
    span, base = _span(rng, 48, 700), _base(rng)
    window = _window(rng, span, 0.12)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.005, 0.06)
    noise = reverting(rng, hours, size, span * rng.uniform(0.04, 0.12))
    return Draft(hours, base, noise, None, CALM, window)


def _heavy(rng: Rng) -> Draft:
    span, base = _span(rng, 1, 700), _base(rng)
    window = _window(rng, span, 0.05)
    hours = hours_for(span, window[1] - window[0])
    return Draft(
        hours, base, heavy(rng, hours, base * rng.uniform(0.002, 0.02)), None, CALM, window
    )


def _quantised(rng: Rng) -> Draft:
    span, base = _span(rng, 1, 700), _base(rng)
    window = _window(rng, span, 0.08)
    hours = hours_for(span, window[1] - window[0])
    grain = base * rng.uniform(0.01, 0.05)
    size = grain * rng.uniform(0.2, 1.2)
    noise = quantised(reverting(rng, hours, size, span * rng.uniform(0.005, 0.06)), grain)
    return Draft(hours, base, noise, None, CALM, window)


def _jobs(rng: Rng) -> Draft:
    span, base = _span(rng, 2, 700), _base(rng)
    window = _window(rng, span, 0.1)
    hours = hours_for(span, window[1] - window[0])
    held = span * rng.uniform(0.003, 0.03)
    at_once = rng.uniform(0.5, 8)
    noise = batches(rng, hours, at_once / held, held, base * rng.uniform(0.01, 0.08))
    return Draft(hours, base, noise, None, CALM, window)


def _edge(rng: Rng) -> Draft:
    base = _base(rng)
    start = rng.uniform(0, 168)
    end = start + DAY_H * rng.uniform(3, 28)
    end = np.floor(end / DAY_H) * DAY_H + rng.uniform(9.5, 14)
    if (end // DAY_H) % 7 >= 5:
        end += 2 * DAY_H
    window = (end - start - rng.uniform(2, 7), end - start)
    hours = hours_for(end - start, window[1] - window[0])
    load = loads(rng, hours, start, rng.uniform(0.3, 1))
    size = base * rng.uniform(0.08, 0.45)
    noise = size * load + reverting(rng, hours, size * 0.02, 0.3)
    return Draft(hours, base, noise, None, CALM, window)


def _weekend(rng: Rng) -> Draft:
    base = _base(rng)
    start = rng.uniform(0, 168)
    weeks = int(rng.integers(1, 4))
    end = 168 * (np.floor(start / 168) + weeks + 1) + rng.uniform(10, 40)  # Monday, Tuesday
    span = end - start
    window = (span - rng.uniform(20, 60), span)
    hours = hours_for(span, window[1] - window[0])
    load = loads(rng, hours, start, rng.uniform(0.1, 0.5))
    size = base * rng.uniform(0.08, 0.45)
    noise = size * load + reverting(rng, hours, size * 0.03, 1)
    return Draft(hours, base, noise, None, CALM, window)


def _log_warm(rng: Rng) -> Draft:
    span, base = _span(rng, 3, 300), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    tau = span * rng.uniform(0.005, 0.03)
    rise = base * rng.uniform(0.1, 0.6)
    noise = rise * np.log1p(hours / tau) / np.log1p(span / tau)
    noise += reverting(rng, hours, rise * 0.02, span * 0.01)
    return Draft(hours, base, noise, None, CALM, window)


def _two_stages(rng: Rng) -> Draft:
    span, base = _span(rng, 1, 300), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    fast, slow = span * rng.uniform(0.005, 0.03), span * rng.uniform(0.06, 0.2)
    rise = base * rng.uniform(0.1, 0.6)
    noise = rise * (1 - 0.5 * np.exp(-hours / fast) - 0.5 * np.exp(-hours / slow))
    noise += reverting(rng, hours, rise * 0.02, span * 0.01)
    return Draft(hours, base, noise, None, CALM, window)


def _steps(rng: Rng) -> Draft:
    span, base = _span(rng, 3, 700), _base(rng)
    window = _window(rng, span, 0.2)
    hours = hours_for(span, window[1] - window[0])
    noise = reverting(rng, hours, base * 0.005, span * 0.01)
    for at in rng.uniform(0.05, 0.95, int(rng.integers(1, 4))).tolist():
        noise += base * rng.uniform(0.03, 0.2) * (hours > at * span)
    return Draft(hours, base, noise, None, CALM, window)


def _evicted(rng: Rng) -> Draft:
    span, base = _span(rng, 6, 700), _base(rng)
    count = rng.uniform(3, 12)
    share = rng.uniform(0.4, 3) / count
    window = ((1 - min(share, 1)) * span, span)
    hours = hours_for(span, window[1] - window[0])
    height = base * rng.uniform(0.1, 0.8)
    noise, _ = evictions(rng, hours, count, height)
    noise += reverting(rng, hours, height * 0.02, span * 0.005)
    return Draft(hours, base, noise, None, CALM, window)


def _teeth_by_day(rng: Rng) -> Draft:
    base, start = _base(rng), rng.uniform(0, 168)
    span = DAY_H * rng.uniform(2, 14)
    window = _window(rng, span, 0.05)
    hours = hours_for(span, window[1] - window[0])
    load = loads(rng, hours, start, rng.uniform(0.3, 1))
    done = np.cumsum(0.1 + load)
    size = base * rng.uniform(0.05, 0.3)
    noise = size * ((done / done[-1] * rng.uniform(20, 200)) % 1) + 0.5 * size * load
    return Draft(hours, base, noise, None, CALM, window)


def _fixed(rng: Rng) -> Draft:
    span, base = _span(rng, 6, 700), _base(rng)
    stop = rng.uniform(0.2, 0.6)
    hours = hours_for(span, span * 0.3)
    total = base * rng.uniform(0.05, 0.5)
    noise = total * np.minimum(hours / span / stop, 1)
    noise += reverting(rng, hours, total * rng.uniform(0.01, 0.08), span * rng.uniform(0.002, 0.02))
    share = rng.uniform(0.15, 0.95) * (1 - stop)
    return Draft(hours, base, noise, None, CALM, (span * (1 - share), span))


# -- unknown


def _first_edge(rng: Rng) -> Draft:
    base = _base(rng)
    start = rng.uniform(1, 9)
    end = max(start + rng.uniform(2, 10), rng.uniform(9.5, 14))
    end = min(end, 16)
    span = end - start
    window = (0.0, span) if rng.random() < 0.6 else (span * rng.uniform(0.2, 0.7), span)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.08, 0.4)
    noise = size * loads(rng, hours, start) + reverting(rng, hours, size * 0.02, 0.2)
    return Draft(hours, base, noise, None, UNKNOWN, window)


def _slow_start(rng: Rng) -> Draft:
    base, span = _base(rng), rng.uniform(1.5, 11)
    window = (0.0, span) if rng.random() < 0.6 else (span * rng.uniform(0.2, 0.7), span)
    hours = hours_for(span, window[1] - window[0])
    total = base * rng.uniform(0.01, 0.045) * span
    noise = total * (hours / span) ** rng.uniform(0.8, 1.1)
    noise += reverting(rng, hours, total * rng.uniform(0.01, 0.05), span * 0.01)
    return Draft(hours, base, noise, None, UNKNOWN, window)


def _unfinished(rng: Rng) -> Draft:
    base, span = _base(rng), _span(rng, 0.1, 6)
    hours = hours_for(span, span)
    tau = span / rng.uniform(1, 3)
    rise = base * rng.uniform(0.2, 1.5)
    noise = rise * (1 - np.exp(-hours / tau))
    noise += reverting(rng, hours, rise * 0.01, span * 0.01)
    return Draft(hours, base, noise, None, UNKNOWN, (0.0, span))


# -- leaks


def _in_memory(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 700), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    size, memory = base * rng.uniform(0.003, 0.03), rng.uniform(0.01, 0.05)
    noise = reverting(rng, hours, size, span * memory)
    leak = _detectable(rng, size, memory, base) * hours / span
    return Draft(hours, base, noise, leak, LEAK, window)


def _under_evictions(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 700), _base(rng)
    count = rng.uniform(4, 9)
    share = min(rng.uniform(1.2, 3) / count, 1) if rng.random() < 0.5 else 1
    window = ((1 - share) * span, span)
    hours = hours_for(span, window[1] - window[0])
    height = base * rng.uniform(0.1, 0.8)
    noise, _ = evictions(rng, hours, count, height)
    noise += reverting(rng, hours, height * 0.02, span * 0.005)
    return Draft(hours, base, noise, height * rng.uniform(0.25, 1.5) * hours / span, LEAK, window)


def _by_day_only(rng: Rng) -> Draft:
    base, start = _base(rng), rng.uniform(0, 168)
    days = rng.uniform(3, 21)
    end = start + DAY_H * days
    if rng.random() < 0.5:  # the window ends while the leak grows
        end = np.floor(end / DAY_H) * DAY_H + rng.uniform(12, 18)
        if (end // DAY_H) % 7 >= 5:
            end += 2 * DAY_H
        window_h = rng.uniform(4, 30)
    else:
        window_h = rng.uniform(24, DAY_H * days)
    span = end - start
    window = (max(span - window_h, 0), span)
    hours = hours_for(span, window[1] - window[0])
    load = loads(rng, hours, start, rng.uniform(0.3, 1))
    done = np.cumsum(load)
    total = base * rng.uniform(0.05, 0.6)
    noise = total / days * rng.uniform(0, 1) * load
    noise += reverting(rng, hours, total * rng.uniform(0.005, 0.04), rng.uniform(0.3, 4))
    return Draft(hours, base, noise, total * done / done[-1], LEAK, window)


def _under_days(rng: Rng) -> Draft:
    base, start = _base(rng), rng.uniform(0, 168)
    days = rng.uniform(3, 28)
    span = DAY_H * days
    window_h = float(np.exp(rng.uniform(np.log(6), np.log(span))))
    window = (span - window_h, span)
    hours = hours_for(span, window_h)
    size = base * rng.uniform(0.08, 0.45)
    noise = size * loads(rng, hours, start, rng.uniform(0.3, 1))
    noise += reverting(rng, hours, size * 0.03, rng.uniform(0.3, 3))
    return Draft(hours, base, noise, size * rng.uniform(0.3, 2) * hours / span, LEAK, window)


def _heavy_leak(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 700), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.002, 0.02)
    leak = max(size * rng.uniform(5, 15), 0.01 * base) * hours / span
    return Draft(hours, base, heavy(rng, hours, size), leak, LEAK, window)


def _quantised_leak(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 700), _base(rng)
    window = _window(rng, span, 0.3)
    hours = hours_for(span, window[1] - window[0])
    grain = base * rng.uniform(0.004, 0.02)
    size, memory = grain * rng.uniform(0.2, 1), rng.uniform(0.003, 0.02)
    total = max(_detectable(rng, size, memory, base), grain * rng.uniform(6, 12))
    noise = reverting(rng, hours, size, span * memory)
    both = quantised(noise + total * hours / span, grain)
    return Draft(hours, base, noise, both - noise, LEAK, window)


def _kept_jobs(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 700), _base(rng)
    window = _window(rng, span, 0.35)
    hours = hours_for(span, window[1] - window[0])
    count = int(rng.integers(15, 80))
    at = np.sort(rng.uniform(0, span, count))
    sizes = rng.gamma(2.0, 0.5, count)
    total = base * rng.uniform(0.05, 0.5)
    leak = (
        total * np.concatenate(([0.0], np.cumsum(sizes) / sizes.sum()))[np.searchsorted(at, hours)]
    )
    noise = reverting(rng, hours, total * rng.uniform(0.01, 0.08), span * rng.uniform(0.002, 0.02))
    return Draft(hours, base, noise, leak, LEAK, window)


def _after_warm_up(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 700), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    rise = base * rng.uniform(0.1, 0.5)
    tau = span * rng.uniform(0.005, 0.05)
    noise = rise * (1 - np.exp(-hours / tau))
    noise += reverting(rng, hours, rise * 0.02, span * 0.01)
    return Draft(hours, base, noise, rise * rng.uniform(0.25, 1.5) * hours / span, LEAK, window)


def _begun(rng: Rng) -> Draft:
    span, base = _span(rng, 48, 700), _base(rng)
    begin = rng.uniform(0.5, 0.75)
    share = (1 - begin) * rng.uniform(0.6, 1.8)
    window = ((1 - share) * span, span)
    hours = hours_for(span, window[1] - window[0])
    size, memory = base * rng.uniform(0.002, 0.02), rng.uniform(0.002, 0.02)
    noise = reverting(rng, hours, size, span * memory)
    total = max(_detectable(rng, size, memory / (1 - begin), base), 10 * size)
    return Draft(
        hours, base, noise, total * (hours / span - begin).clip(0) / (1 - begin), LEAK, window
    )


def _young(rng: Rng) -> Draft:
    base, span = _base(rng), _span(rng, 0.08, 4)
    window = (0.0, span) if rng.random() < 0.6 else (span * rng.uniform(0.2, 0.7), span)
    hours = hours_for(span, window[1] - window[0])
    total = max(base * rng.uniform(0.15, 2) * span, 0.02 * base)
    noise = reverting(rng, hours, total * rng.uniform(0.01, 0.06), span * 0.01)
    return Draft(hours, base, noise, total * hours / span, LEAK, window)


def _slow_c(rng: Rng) -> Draft:
    base, span = 200 * MIB, 48.0
    window = (0.0, span) if rng.random() < 0.5 else (rng.uniform(0, 24), span)
    hours = hours_for(span, window[1] - window[0])
    noise = reverting(rng, hours, rng.uniform(2, 9) * MIB, rng.uniform(0.05, 1.5))
    noise += rng.uniform(5, 20) * MIB * loads(rng, hours, rng.uniform(0, 96))
    return Draft(hours, base, noise, 2 * MIB * hours, LEAK, window, layered=True)


def _evicted_by_night(rng: Rng) -> Draft:
    base, start = _base(rng), rng.uniform(0, 168)
    days = rng.uniform(4, 21)
    span = DAY_H * days
    window = (span - np.exp(rng.uniform(np.log(12), np.log(span))), span)
    hours = hours_for(span, window[1] - window[0])
    height = base * rng.uniform(0.08, 0.4)
    clock = (hours + start - 3) % DAY_H / DAY_H
    noise = height * clock + reverting(rng, hours, height * 0.03, rng.uniform(0.3, 3))
    return Draft(hours, base, noise, height * rng.uniform(0.3, 2) * hours / span, LEAK, window)


HELD_OUT: tuple[History, ...] = (
    History("noise with a short memory", _near),
    History("noise with a long memory", _far),
    History("heavy tails and bursts", _heavy),
    History("whole arenas", _quantised),
    History("jobs that start and end", _jobs),
    History("rising edge of a day after other days", _edge),
    History("Monday after a weekend", _weekend),
    History("logarithmic warm-up", _log_warm),
    History("warm-up in two stages", _two_stages),
    History("one to three steps", _steps),
    History("cache that is emptied", _evicted),
    History("saw-tooth by day", _teeth_by_day),
    History("leak that was stopped", _fixed),
    History("rising edge of the first day", _first_edge),
    History("slow rise of a young run", _slow_start),
    History("unfinished warm-up", _unfinished),
    History("leak in noise with memory", _in_memory),
    History("leak under a few large teeth", _under_evictions),
    History("leak by day only", _by_day_only),
    History("leak under days", _under_days),
    History("leak in heavy tails", _heavy_leak),
    History("leak in whole arenas", _quantised_leak),
    History("jobs that keep memory", _kept_jobs),
    History("leak after a warm-up", _after_warm_up),
    History("leak that began late", _begun),
    History("fast leak of a young run", _young),
    History("2 MiB/h on 200 MiB, 48 h", _slow_c),
    History("leak under a nightly eviction", _evicted_by_night),
)
