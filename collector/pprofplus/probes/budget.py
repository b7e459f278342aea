"""How often a probe may run if its cost grows with the process."""

from __future__ import annotations

MAX_PERIOD_S = 300.0


def periods_s(costs_s: list[float], interval_s: float, budget: float) -> list[float]:
    """Return, per probe, the minimum seconds from one run to the next.

    All probes together use `budget` of one core (0.001 is 0.1 %), except that none waits longer
    than MAX_PERIOD_S. The share that cheap probes do not use goes to the expensive ones.
    """
    total_s = sum(costs_s)
    if total_s <= budget * interval_s / 2:
        # a small process: all may run at each sample, even if one is late and the next on time
        return [total_s / budget] * len(costs_s)
    periods = [0.0] * len(costs_s)
    left = budget
    waiting = len(costs_s)
    for cost_s, index in sorted((cost_s, index) for index, cost_s in enumerate(costs_s)):
        share = left / waiting
        waiting -= 1
        left -= min(share, cost_s / interval_s)  # it runs at most once a sample
        periods[index] = min(cost_s / share, MAX_PERIOD_S)
    return periods
