"""How many runs are charged to one cgroup, as far as their logs show it."""

from collections.abc import Iterable
from dataclasses import dataclass

# Runs of one cgroup read the same figure, but not at the same instant.
_ALIKE_SHARE = 0.01  # of the limit
_ALIKE_BYTES = 4 << 20
_TOGETHER_MS = 10_000  # figures that lie farther apart in time say nothing about each other


@dataclass(frozen=True)
class Charge:
    """What a run's last sample says of its cgroup.

    Attributes:
        machine: the kernel it ran on and the host's name there; "" if the log does not say.
        limit_bytes: the cgroup's limit.
        used_bytes: what is charged to the cgroup.
        t_ms: when, unix milliseconds.
    """

    machine: str
    limit_bytes: int
    used_bytes: int
    t_ms: int


def sharers(mine: Charge, others: Iterable[Charge]) -> int | None:
    """Return how many runs are charged to the cgroup of `mine`, itself included.

    A log does not name its cgroup. Live runs of one kernel and one host name that have the same
    limit and read nearly the same use at nearly the same time are taken for one cgroup's; None
    if the log does not tell where it was written.
    """
    if not mine.machine:
        return None
    wide = max(_ALIKE_BYTES, _ALIKE_SHARE * mine.limit_bytes)
    return 1 + sum(
        other.machine == mine.machine
        and other.limit_bytes == mine.limit_bytes
        and abs(other.used_bytes - mine.used_bytes) <= wide
        and abs(other.t_ms - mine.t_ms) <= _TOGETHER_MS
        for other in others
    )
