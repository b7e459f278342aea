"""How many runs are charged to one cgroup, as far as their logs show it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pprofplus_tui.model.points import Points

NEAR_MS = 2000  # runs of one cgroup read the same figure, but at different instants
OLDEST_MS = 15_000  # a run whose last sample is older is ignored
_ALIKE_SHARE = 0.005  # of the limit, by which figures of one instant may differ
_ALIKE_BYTES = 1 << 20


@dataclass(frozen=True)
class Charge:
    """The cgroup's figures in a run's last sample.

    Attributes:
        machine: identifies the kernel and the host's name; "" if the log lacks them.
        limit_bytes: the cgroup's limit.
        used_bytes: what is charged to the cgroup.
        t_ms: when, unix milliseconds.
    """

    machine: str
    limit_bytes: int
    used_bytes: int
    t_ms: int


def sharers(mine: Charge, used: Points, others: Iterable[Charge]) -> int | None:
    """Return how many runs are charged to the cgroup of `mine`, itself included.

    A log does not name its cgroup. Live runs on one kernel and one host name are assumed to share a
    cgroup if they have the same limit, and their usage equals the usage here at about the same
    time. None if the log does not identify its machine.

    `used` has this run's recent samples: those of the last `OLDEST_MS`.
    """
    if not mine.machine:
        return None
    return 1 + sum(_is_alike(mine, used, other) for other in others)


def _is_alike(mine: Charge, used: Points, other: Charge) -> bool:
    if (other.machine, other.limit_bytes) != (mine.machine, mine.limit_bytes):
        return False
    near = np.abs(used.t_ms - other.t_ms) <= NEAR_MS
    if not near.any():
        return False
    wide = max(_ALIKE_BYTES, _ALIKE_SHARE * mine.limit_bytes)
    low, high = float(used.lo[near].min()) - wide, float(used.hi[near].max()) + wide
    return low <= other.used_bytes <= high
