"""The development set of histories: the limits of the verdict were chosen on it and `curves`."""

import numpy as np

from histories import CALM, DAY_H, LEAK, MIB, UNKNOWN, Draft, History, hours_for
from pprofplus_tui.model.points import Floats

SEED = 7
Rng = np.random.Generator


def _base(rng: Rng) -> float:
    return float(rng.choice([60, 120, 250, 500, 1000, 3000]) * rng.uniform(0.8, 1.2)) * MIB


def _span(rng: Rng, least_h: float, most_h: float) -> float:
    return float(least_h * (most_h / least_h) ** rng.random())


def _window(rng: Rng, span_h: float, least: float) -> tuple[float, float]:
    share = float(rng.choice([least, 2 * least, 0.5, 1.0]).clip(least, 1))
    end = span_h if rng.random() < 0.75 else span_h * rng.uniform(max(share, 0.5), 1)
    return (max(end - share * span_h, 0.0), end)


# -- noise


def coloured(rng: Rng, n: int, size: float, memory: float, steep: float = 2.0) -> Floats:
    """Return noise whose spectrum is flat up to 1/`memory` of the span and then falls."""
    wide = 2 * n
    rate = np.fft.rfftfreq(wide) * n * memory * 2 * np.pi
    part = rng.normal(size=len(rate)) + 1j * rng.normal(size=len(rate))
    noise = np.fft.irfft(part / (1 + rate**steep) ** 0.5, wide)[:n]
    return (
        size * noise / max(float(np.std(np.fft.irfft(part / (1 + rate**steep) ** 0.5, wide))), 1e-9)
    )


def telegraph(rng: Rng, n: int, size: float, switches: float) -> Floats:
    """Return a signal that switches between a few levels."""
    at = np.cumsum(rng.random(n) < switches / n)
    return size * rng.integers(0, 3, int(at[-1]) + 1)[at].astype(float)


def laplace(rng: Rng, n: int, size: float) -> Floats:
    """Return white noise with heavy tails."""
    return rng.laplace(0, size, n)


def some_noise(rng: Rng, n: int, size: float, memory: float) -> Floats:
    """Return noise of one of several families."""
    pick = rng.integers(0, 4)
    if pick == 0:
        return coloured(rng, n, size, memory)
    if pick == 1:
        return coloured(rng, n, 0.7 * size, memory) + laplace(rng, n, 0.5 * size)
    if pick == 2:
        return coloured(rng, n, size * 0.8, memory, 1.3) + 0.4 * size * np.sin(
            2 * np.pi * np.arange(n) / n / memory / 8 + rng.uniform(0, 6)
        )
    return telegraph(rng, n, 0.8 * size, 1 / memory) + laplace(rng, n, 0.2 * size)


# -- load


def bells(rng: Rng, hours: Floats, start_h: float, weekend: float = 1.0) -> Floats:
    """Return a daily load, 0 to about 1: one bell, two bells, or a sine."""
    clock = hours + start_h
    number = np.floor(clock / DAY_H).astype(int)
    days = int(number[-1]) + 1
    tall = rng.uniform(0.85, 1.15, days)
    tall[np.arange(days) % 7 >= 5] *= weekend
    hour = clock % DAY_H
    pick = rng.integers(0, 3)
    if pick == 0:
        shape = np.exp(-(((hour - rng.uniform(13, 16)) / rng.uniform(3, 4.5)) ** 2))
    elif pick == 1:
        shape = np.exp(-(((hour - 10.5) / 2.2) ** 2)) + 0.8 * np.exp(-(((hour - 18) / 2.5) ** 2))
    else:
        shape = 0.5 - 0.5 * np.cos((hour - rng.uniform(2, 4)) / DAY_H * 2 * np.pi)
    return tall[number] * shape


def teeth(rng: Rng, n: int, count: float, height: float) -> Floats:
    """Return a saw-tooth whose teeth differ in length and height."""
    load = np.exp(0.4 * coloured(rng, n, 1.0, 0.1))
    done = np.cumsum(load) / load.sum() * count + rng.random()
    tall = height * rng.uniform(0.75, 1.25, int(count) + 4)
    return (
        tall[done.astype(int)] * (done % 1)
        + height * 0.02 * rng.normal(size=int(count) + 4)[done.astype(int)]
    )


def warm_up(rng: Rng, x: Floats) -> Floats:
    """Return a warm-up that levels off; x is the time in units of its time constant."""
    pick = rng.integers(0, 3)
    if pick == 0:
        return 1 - np.exp(-x)
    if pick == 1:
        return np.tanh(x)
    return x / (1 + x)


def _total(rng: Rng, size: float, memory: float, base: float) -> float:
    return float(max(4 * size, 6 * size * np.sqrt(24 * memory), 0.01 * base) * rng.uniform(1, 2.5))


# -- calm


def _noise(rng: Rng) -> Draft:
    span, base = _span(rng, 1, 800), _base(rng)
    window = _window(rng, span, 0.1)
    hours = hours_for(span, window[1] - window[0])
    noise = some_noise(rng, len(hours), base * rng.uniform(0.003, 0.05), rng.uniform(0.002, 0.04))
    return Draft(hours, base, noise, None, CALM, window)


def _long_noise(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 800), _base(rng)
    window = _window(rng, span, 0.1)
    hours = hours_for(span, window[1] - window[0])
    noise = coloured(rng, len(hours), base * rng.uniform(0.003, 0.05), rng.uniform(0.04, 0.12))
    return Draft(hours, base, noise, None, CALM, window)


def _edge(rng: Rng) -> Draft:
    base, start = _base(rng), rng.uniform(0, 168)
    end = np.floor((start + DAY_H * rng.uniform(3, 28)) / DAY_H) * DAY_H + rng.uniform(9, 15)
    window = (end - start - rng.uniform(2, 6), end - start)
    hours = hours_for(end - start, window[1] - window[0])
    size = base * rng.uniform(0.05, 0.5)
    noise = size * bells(rng, hours, start, rng.uniform(0.3, 1))
    noise += some_noise(rng, len(hours), size * 0.02, 0.002)
    return Draft(hours, base, noise, None, CALM, window)


def _days(rng: Rng) -> Draft:
    base, start = _base(rng), rng.uniform(0, 168)
    span = DAY_H * rng.uniform(2.5, 28)
    window = (max(span - _span(rng, 8, 168), 0), span)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.05, 0.5)
    noise = size * bells(rng, hours, start, rng.uniform(0.1, 1))
    noise += some_noise(rng, len(hours), size * 0.03, 0.002)
    return Draft(hours, base, noise, None, CALM, window)


def _warm(rng: Rng) -> Draft:
    span, base = _span(rng, 1, 300), _base(rng)
    window = _window(rng, span, 0.2)
    hours = hours_for(span, window[1] - window[0])
    rise = base * rng.uniform(0.1, 0.8)
    noise = rise * warm_up(rng, hours / span / rng.uniform(0.01, 0.14))
    noise += coloured(rng, len(hours), rise * 0.02, 0.01)
    return Draft(hours, base, noise, None, CALM, window)


def _root_warm(rng: Rng) -> Draft:
    """A warm-up without a time constant: about the 0.2nd power of time."""
    span, base = _span(rng, 3, 300), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    rise = base * rng.uniform(0.1, 0.6)
    noise = rise * (hours / span) ** rng.uniform(0.1, 0.25)
    noise += coloured(rng, len(hours), rise * 0.02, 0.01)
    return Draft(hours, base, noise, None, CALM, window)


def _steps(rng: Rng) -> Draft:
    span, base = _span(rng, 3, 800), _base(rng)
    window = _window(rng, span, 0.2)
    hours = hours_for(span, window[1] - window[0])
    noise = some_noise(rng, len(hours), base * 0.005, 0.01)
    for _ in range(int(rng.integers(1, 4))):
        width = span * rng.choice([0.001, 0.01])
        noise += (
            base
            * rng.uniform(0.03, 0.2)
            / (1 + np.exp(-((hours - rng.uniform(0.03, 0.97) * span) / width).clip(-50, 50)))
        )
    return Draft(hours, base, noise, None, CALM, window)


def _teeth(rng: Rng) -> Draft:
    span, base = _span(rng, 4, 800), _base(rng)
    count = float(rng.uniform(3, 14) if rng.random() < 0.7 else rng.uniform(14, 100))
    share = min(rng.uniform(0.4, 4) / count, 1)
    window = ((1 - share) * span, span)
    hours = hours_for(span, window[1] - window[0])
    height = base * rng.uniform(0.1, 0.8)
    noise = teeth(rng, len(hours), count, height) + coloured(rng, len(hours), height * 0.02, 0.004)
    return Draft(hours, base, noise, None, CALM, window)


def _stopped(rng: Rng) -> Draft:
    span, base = _span(rng, 5, 800), _base(rng)
    stop = rng.uniform(0.15, 0.6)
    share = rng.uniform(0.15, 0.95) * (1 - stop)
    hours = hours_for(span, 0.3 * span)
    total = base * rng.uniform(0.05, 0.6)
    noise = total * (hours / span / stop).clip(0, 1) + some_noise(
        rng, len(hours), total * 0.04, 0.01
    )
    return Draft(hours, base, noise, None, CALM, (span * (1 - share), span))


# -- unknown


def _first_day(rng: Rng) -> Draft:
    base, start = _base(rng), rng.uniform(1, 9)
    end = min(max(start + rng.uniform(2, 10), rng.uniform(10, 14)), 15)
    span = end - start
    window = (0.0, span) if rng.random() < 0.6 else (span / 2, span)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.06, 0.45)
    noise = size * bells(rng, hours, start) + coloured(rng, len(hours), size * 0.02, 0.02)
    return Draft(hours, base, noise, None, UNKNOWN, window)


def _slow(rng: Rng) -> Draft:
    base, span = _base(rng), rng.uniform(1, 12)
    hours = hours_for(span, span)
    total = base * rng.uniform(0.008, 0.05) * span
    noise = total * hours / span + some_noise(rng, len(hours), total * 0.03, 0.01)
    return Draft(hours, base, noise, None, UNKNOWN, (0.0, span))


def _warming(rng: Rng) -> Draft:
    base, span = _base(rng), _span(rng, 0.08, 8)
    hours = hours_for(span, span)
    rise = base * rng.uniform(0.2, 1.5)
    noise = rise * warm_up(rng, hours / span * rng.uniform(1.2, 3))
    noise += coloured(rng, len(hours), rise * 0.01, 0.01)
    return Draft(hours, base, noise, None, UNKNOWN, (0.0, span))


# -- leaks


def _leak(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 800), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    size, memory = base * rng.uniform(0.003, 0.03), rng.uniform(0.005, 0.05)
    noise = some_noise(rng, len(hours), size, memory)
    return Draft(hours, base, noise, _total(rng, size, memory, base) * hours / span, LEAK, window)


def _teeth_leak(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 800), _base(rng)
    count = rng.uniform(4, 12)
    share = min(rng.uniform(1, 4) / count, 1) if rng.random() < 0.5 else 1.0
    window = ((1 - share) * span, span)
    hours = hours_for(span, window[1] - window[0])
    height = base * rng.uniform(0.1, 0.8)
    noise = teeth(rng, len(hours), count, height) + coloured(rng, len(hours), height * 0.02, 0.004)
    return Draft(hours, base, noise, height * rng.uniform(0.25, 1.5) * hours / span, LEAK, window)


def _nightly(rng: Rng) -> Draft:
    """A job at some hours leaks; nothing grows at other times."""
    base, start, days = _base(rng), rng.uniform(0, 24), rng.uniform(3, 25)
    span = days * DAY_H
    window = (span - min(_span(rng, 24, 300), span), span)
    hours = hours_for(span, window[1] - window[0])
    at, lasts = rng.uniform(0, 24), rng.uniform(0.5, 9)
    busy = ((hours + start - at) % DAY_H < lasts).astype(float)
    total = base * rng.uniform(0.05, 0.6)
    noise = some_noise(rng, len(hours), total * rng.uniform(0.005, 0.04), 0.003)
    noise += total / days * rng.uniform(0, 1) * bells(rng, hours, start)
    return Draft(hours, base, noise, total * np.cumsum(busy) / busy.sum(), LEAK, window)


def _days_leak(rng: Rng) -> Draft:
    base, start, span = _base(rng), rng.uniform(0, 168), DAY_H * rng.uniform(3, 28)
    window_h = min(_span(rng, 6, 500), span)
    hours = hours_for(span, window_h)
    size = base * rng.uniform(0.05, 0.5)
    noise = size * bells(rng, hours, start, rng.uniform(0.2, 1))
    noise += some_noise(rng, len(hours), size * 0.03, 0.002)
    leak = size * rng.uniform(0.3, 2) * hours / span
    return Draft(hours, base, noise, leak, LEAK, (span - window_h, span))


def _batched(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 800), _base(rng)
    window = _window(rng, span, 0.35)
    hours = hours_for(span, window[1] - window[0])
    count = int(rng.integers(14, 90))
    total = base * rng.uniform(0.05, 0.5)
    done = np.floor(hours / span * count + 0.5 * coloured(rng, len(hours), 1.0, 0.05)).clip(0)
    leak = total / count * np.maximum.accumulate(done)
    noise = some_noise(rng, len(hours), total * rng.uniform(0.01, 0.08), 0.01)
    return Draft(hours, base, noise, leak, LEAK, window)


def _warm_leak(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 800), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    rise = base * rng.uniform(0.1, 0.5)
    noise = rise * warm_up(rng, hours / span / rng.uniform(0.005, 0.04))
    noise += coloured(rng, len(hours), rise * 0.02, 0.01)
    return Draft(hours, base, noise, rise * rng.uniform(0.25, 1.5) * hours / span, LEAK, window)


def _turn(rng: Rng) -> Draft:
    span, base = _span(rng, 48, 800), _base(rng)
    begin = rng.uniform(0.45, 0.75)
    share = (1 - begin) * rng.uniform(0.6, 1.8)
    window = ((1 - share) * span, span)
    hours = hours_for(span, window[1] - window[0])
    size, memory = base * rng.uniform(0.002, 0.02), rng.uniform(0.002, 0.02)
    total = max(_total(rng, size, memory / (1 - begin), base), 10 * size)
    leak = total * (hours / span - begin).clip(0) / (1 - begin)
    return Draft(hours, base, some_noise(rng, len(hours), size, memory), leak, LEAK, window)


def _young(rng: Rng) -> Draft:
    base, span = _base(rng), _span(rng, 0.07, 5)
    window = (0.0, span) if rng.random() < 0.6 else (span * rng.uniform(0.2, 0.7), span)
    hours = hours_for(span, window[1] - window[0])
    total = max(base * rng.uniform(0.16, 3) * span, 0.02 * base)
    noise = some_noise(rng, len(hours), total * rng.uniform(0.01, 0.05), 0.01)
    return Draft(hours, base, noise, total * hours / span, LEAK, window)


def _two_days(rng: Rng) -> Draft:
    base, span = _base(rng), rng.uniform(40, 72)
    window = (0.0, span) if rng.random() < 0.5 else (rng.uniform(0, 0.6) * span, span)
    hours = hours_for(span, window[1] - window[0])
    total = base * rng.uniform(0.1, 0.6)
    noise = some_noise(rng, len(hours), total * rng.uniform(0.02, 0.09), rng.uniform(0.002, 0.02))
    noise += total * rng.uniform(0.05, 0.25) * bells(rng, hours, rng.uniform(0, 24))
    return Draft(hours, base, noise, total * hours / span, LEAK, window)


def _requests(rng: Rng, n: int, at_once: float, held: float, size: float) -> Floats:
    """Return jobs of equal size and duration, whose rate varies."""
    rate = at_once / held * np.exp(0.3 * coloured(rng, n, 1.0, 0.1)) / n
    begun = np.cumsum(rng.poisson(rate))
    lasts = max(int(held * n), 1)
    before = np.concatenate((np.full(lasts, int(begun[0])), begun[:-lasts]))
    return size * (begun - before).astype(float)


def _jobs(rng: Rng) -> Draft:
    span, base = _span(rng, 2, 800), _base(rng)
    window = _window(rng, span, 0.1)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.01, 0.06)
    noise = _requests(rng, len(hours), rng.uniform(0.5, 8), rng.uniform(0.003, 0.03), size)
    return Draft(hours, base, noise, None, CALM, window)


def arenas(values: Floats, grain: float, slack: float) -> Floats:
    """Return values rounded up to grains; a grain is freed only when `slack` of it is unused."""
    out, held = np.empty(len(values)), 0.0
    for i, value in enumerate((values / grain).tolist()):
        if value > held:
            held = float(np.ceil(value))
        elif value < held - 1 - slack:
            held = float(np.ceil(value + slack))
        out[i] = held
    return out * grain


def _arenas(rng: Rng) -> Draft:
    span, base = _span(rng, 1, 800), _base(rng)
    window = _window(rng, span, 0.08)
    hours = hours_for(span, window[1] - window[0])
    grain = base * rng.uniform(0.01, 0.06)
    noise = some_noise(rng, len(hours), grain * rng.uniform(0.2, 1), rng.uniform(0.005, 0.05))
    return Draft(hours, base, arenas(noise, grain, rng.uniform(0, 0.5)), None, CALM, window)


def _arenas_leak(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 800), _base(rng)
    window = _window(rng, span, 0.3)
    hours = hours_for(span, window[1] - window[0])
    grain = base * rng.uniform(0.004, 0.03)
    size, memory = grain * rng.uniform(0.2, 1), rng.uniform(0.003, 0.02)
    noise = some_noise(rng, len(hours), size, memory)
    total = max(_total(rng, size, memory, base), grain * rng.uniform(6, 12))
    both = arenas(noise + total * hours / span, grain, rng.uniform(0, 0.5))
    return Draft(hours, base, noise, both - noise, LEAK, window)


def spikes(rng: Rng, n: int, size: float) -> Floats:
    """Return noise with outliers and periods of high values."""
    noise = size * rng.standard_cauchy(n).clip(-30, 60)
    for _ in range(int(rng.integers(0, 10))):
        at, lasts = int(rng.integers(0, n)), int(n * rng.uniform(0.001, 0.02))
        noise[at : at + lasts] += size * rng.uniform(5, 40)
    return noise


def _spikes(rng: Rng) -> Draft:
    span, base = _span(rng, 1, 800), _base(rng)
    window = _window(rng, span, 0.06)
    hours = hours_for(span, window[1] - window[0])
    return Draft(
        hours, base, spikes(rng, len(hours), base * rng.uniform(0.001, 0.01)), None, CALM, window
    )


def _spikes_leak(rng: Rng) -> Draft:
    span, base = _span(rng, 40, 800), _base(rng)
    window = _window(rng, span, 0.25)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.001, 0.01)
    leak = max(size * rng.uniform(8, 20), 0.01 * base) * hours / span
    return Draft(hours, base, spikes(rng, len(hours), size), leak, LEAK, window)


def _monday(rng: Rng) -> Draft:
    base, start = _base(rng), rng.uniform(0, 168)
    end = 168 * int(rng.integers(2, 5)) + rng.uniform(9, 60)
    span = end - start
    window = (span - rng.uniform(18, 70), span)
    hours = hours_for(span, window[1] - window[0])
    size = base * rng.uniform(0.08, 0.5)
    noise = size * bells(rng, hours, start, rng.uniform(0.1, 0.6))
    noise += some_noise(rng, len(hours), size * 0.03, 0.003)
    return Draft(hours, base, noise, None, CALM, window)


def _emptied_daily(rng: Rng) -> Draft:
    base, start, span = _base(rng), rng.uniform(0, 24), DAY_H * rng.uniform(4, 20)
    window_h = _span(rng, 12, span)
    hours = hours_for(span, window_h)
    height = base * rng.uniform(0.08, 0.4)
    day = (hours + start) % DAY_H / DAY_H
    noise = height * np.sqrt(day) + some_noise(rng, len(hours), height * 0.03, 0.005)
    leak = height * rng.uniform(0.3, 2) * hours / span
    return Draft(hours, base, noise, leak, LEAK, (span - window_h, span))


def _busy_teeth(rng: Rng) -> Draft:
    base, start, span = _base(rng), rng.uniform(0, 168), DAY_H * rng.uniform(2, 14)
    window = _window(rng, span, 0.05)
    hours = hours_for(span, window[1] - window[0])
    load = bells(rng, hours, start, rng.uniform(0.3, 1))
    done = np.cumsum(0.1 + load)
    size = base * rng.uniform(0.05, 0.3)
    noise = size * ((done / done[-1] * rng.uniform(20, 200)) % 1) + 0.5 * size * load
    return Draft(hours, base, noise, None, CALM, window)


def _office(rng: Rng) -> Draft:
    """A leak in proportion to the daily load; the window may be the rise of one day."""
    base, start, days = _base(rng), rng.uniform(0, 168), rng.uniform(3, 21)
    end = np.floor((start + days * DAY_H) / DAY_H) * DAY_H + rng.uniform(11, 19)
    if (end // DAY_H) % 7 >= 5:
        end += 2 * DAY_H
    span = end - start
    window = (max(span - _span(rng, 4, 200), 0), span)
    hours = hours_for(span, window[1] - window[0])
    load = bells(rng, hours, start, rng.uniform(0.1, 1))
    done = np.cumsum(load)
    total = base * rng.uniform(0.05, 0.6)
    noise = total / span * DAY_H * rng.uniform(0, 1) * load
    noise += some_noise(rng, len(hours), total * rng.uniform(0.005, 0.04), 0.004)
    return Draft(hours, base, noise, total * done / done[-1], LEAK, window)


# -- services: requests, a cache that fills, sessions, garbage, a nightly job, a lazy allocator


def _lazy(values: Floats, keeps: float) -> Floats:
    """Return the memory of an allocator that returns free memory slowly after a peak."""
    out, held = np.empty(len(values)), 0.0
    for i, value in enumerate(values.tolist()):
        held = value if value > held else value + (held - value) * keeps
        out[i] = held
    return out


def _filling(rng: Rng, done: Floats, share: float, *, slowly: bool) -> Floats:
    """Return the fill level of a cache, 0 to about 1; `done` is the share of the work that is done.

    The time constant is `share` of the work. If `slowly`: a logarithm, a root, or two stages.
    """
    pick = rng.integers(0, 4) if slowly else 4
    if pick == 0:
        return np.log1p(done / rng.uniform(0.003, 0.05)) / 4
    if pick == 1:
        return done ** rng.uniform(0.1, 0.25)
    if pick == 4:
        return warm_up(rng, done / share)
    late = 1 - np.exp(-done / rng.uniform(0.15, 0.35))
    return 0.5 * (1 - np.exp(-done / share)) + rng.uniform(0.3, 1) * late


def _service(rng: Rng, days: float, *, leaks: bool, slowly: bool = False) -> Draft:
    base, start, span = _base(rng), rng.uniform(0, 168), days * DAY_H
    window = _window(rng, span, 0.08)
    hours = hours_for(span, window[1] - window[0])
    n, step = len(hours), float(hours[1] - hours[0])
    load = rng.uniform(0.05, 0.3) + bells(rng, hours, start, rng.uniform(0.2, 1))
    peak = 10 ** rng.uniform(1.5, 4.5)  # requests in an hour
    requests = rng.poisson(peak * load * step).astype(float)
    size = base * rng.uniform(0.02, 0.15)  # of the memory used at the peak
    at_once = rng.uniform(3, 60)
    used = size * rng.poisson(at_once * load) / at_once
    lasts = rng.uniform(0.3, 8) / step
    kept = np.exp(-np.arange(min(int(6 * lasts) + 1, n)) / lasts)
    used += base * rng.uniform(0, 0.1) * np.convolve(requests, kept)[:n] / (peak * step * lasts)
    used += size * 0.5 * ((np.cumsum(0.2 + load) * step * rng.uniform(1, 10)) % 1)
    if rng.random() < 0.5:
        at = rng.uniform(1, 5)
        used += size * rng.uniform(0.5, 2) * ((hours + start - at) % DAY_H < rng.uniform(0.2, 1))
    if rng.random() < 0.6:
        used = _lazy(used, 1 - step / rng.uniform(0.5, 12))
    used += base * 0.0007 * rng.normal(size=n)
    # the noise of the nightly floors, without the cache and the leak
    nights = [float(np.quantile(part, 0.06)) for part in np.array_split(used, round(days))]
    noise = float(np.std(nights))
    done = np.cumsum(requests) / requests.sum()
    fills_h = np.exp(rng.uniform(np.log(1.5), np.log(min(0.2 * span, 30))))
    rise = base * rng.uniform(0.05, 0.5)
    used += rise * _filling(rng, done, fills_h / span, slowly=slowly)
    if not leaks:
        return Draft(hours, base, used, None, CALM, window)
    total = max(8 * noise, 0.01 * base) * np.exp(rng.uniform(0, 2))
    total = max(total, 0.25 * rise)
    events = (hours / span, done, np.cumsum(rng.poisson(60 * load / n)).astype(float))
    grown = events[int(rng.integers(0, 3))]
    return Draft(hours, base, used, total * grown / grown[-1], LEAK, window)


def _calm_service(rng: Rng) -> Draft:
    return _service(rng, rng.uniform(5, 16), leaks=False)


def _calm_service_of_few_days(rng: Rng) -> Draft:
    return _service(rng, rng.uniform(3, 5), leaks=False)


def _slow_cache(rng: Rng) -> Draft:
    return _service(rng, rng.uniform(3, 16), leaks=False, slowly=True)


def _leaking_service(rng: Rng) -> Draft:
    return _service(rng, rng.uniform(5, 16), leaks=True)


def _leaking_service_of_few_days(rng: Rng) -> Draft:
    return _service(rng, rng.uniform(3, 5), leaks=True)


DEVELOP: tuple[History, ...] = (
    History("noise", _noise),
    History("noise with a long memory", _long_noise),
    History("edge of a day", _edge),
    History("days", _days),
    History("warm-up", _warm),
    History("warm-up as a root", _root_warm),
    History("steps", _steps),
    History("teeth", _teeth),
    History("stopped", _stopped),
    History("jobs", _jobs),
    History("arenas", _arenas),
    History("spikes", _spikes),
    History("Monday", _monday),
    History("teeth of the busy hours", _busy_teeth),
    History("first day", _first_day),
    History("slow rise", _slow),
    History("warming", _warming),
    History("leak in noise", _leak),
    History("leak under teeth", _teeth_leak),
    History("leak at some hours", _nightly),
    History("leak under days", _days_leak),
    History("leak in batches", _batched),
    History("leak after warm-up", _warm_leak),
    History("leak that began", _turn),
    History("young leak", _young),
    History("leak of two days", _two_days),
    History("leak in arenas", _arenas_leak),
    History("leak in spikes", _spikes_leak),
    History("leak under a cache emptied daily", _emptied_daily),
    History("leak of office hours", _office),
)

# Combined mechanisms of a service: a warm-up of hours or days, with or without a leak. They are
# harder than the kinds above: a cache that fills logarithmically, with weekends, may look exactly
# like a full cache and a leak. They have no target.
SERVICES: tuple[History, ...] = (
    History("service", _calm_service),
    History("service of few days", _calm_service_of_few_days),
    History("service of a slow cache", _slow_cache),
    History("service that leaks", _leaking_service),
    History("service that leaks, of few days", _leaking_service_of_few_days),
)
