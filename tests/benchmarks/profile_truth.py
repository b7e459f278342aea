"""What a program of known shares says of its time, compared with what a profile says of it."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from known_shares import KINDS, Program
from profile_readers import shares

_MIN_SHARE = 0.05  # of the time of all threads: a kind that has less of it is not judged
_MAX_DELAY = 0.1  # of the waits may be waits for a core
_DELAY = ""
_TICKS = re.compile(r"(\d+) taken of (\d+) requested")
Weights = Mapping[str, float]


@dataclass
class Found:
    """What was found of one program with one Python; shares in percent, by kind and function.

    Attributes:
        python: version.
        truth: without a profiler.
        before: without a profiler, before ours.
        after: ditto, after it; the difference is the noise of the truth.
        during: what the program says of the time of our profile.
        ours: our profile.
        peers: by name of the peer, for its kind; or one line that says why not.
        totals: seconds (true, in our profile) by kind.
        requested: ticks in our profile.
        taken: of these.
        window_s: of our profile.
        samples: of its kind wall, in functions that are not idle.
        other_cores: cores that other programs used meanwhile, on average.
        skipped: why nothing was measured, or "".
        notes: what our profile says about itself.
    """

    python: str = ""
    truth: dict[str, dict[str, float]] = field(default_factory=dict)
    before: dict[str, dict[str, float]] = field(default_factory=dict)
    after: dict[str, dict[str, float]] = field(default_factory=dict)
    during: dict[str, dict[str, float]] = field(default_factory=dict)
    ours: dict[str, dict[str, float]] = field(default_factory=dict)
    peers: dict[str, dict[str, float] | str] = field(default_factory=dict)
    totals: dict[str, tuple[float, float]] = field(default_factory=dict)
    requested: int = 0
    taken: int = 0
    window_s: float = 0.0
    samples: float = 0.0
    other_cores: float = 0.0
    skipped: str = ""
    notes: list[str] = field(default_factory=list)

    def errors(self, kind: str, found: Weights | None = None) -> list[float]:
        """Return the errors of our profile, or of other shares; empty if it is not judged."""
        found = self.ours.get(kind) if found is None else found
        truth = self.truth.get(kind)
        return [abs(found[name] - truth[name]) for name in truth] if found and truth else []

    def errors_during(self, kind: str) -> list[float]:
        """Return the errors compared with what the program says of the time of our profile."""
        found, truth = self.ours.get(kind), self.during.get(kind)
        judged = found and truth and kind in self.truth
        return [abs(found[name] - truth[name]) for name in truth] if judged else []

    def sampling_noise(self) -> float | None:
        """Return the standard deviation of the share nearest to a half, were samples independent.

        It is of the kind wall, in points; None without samples.
        """
        if not self.samples:
            return None
        parts = [share / 100 for share in self.truth["wall"].values()]
        return 100 * math.sqrt(max(part * (1 - part) for part in parts) / self.samples)

    def noise(self, kind: str) -> float:
        """Return the largest difference between the truth before and after our profile."""
        one, other = self.before.get(kind, {}), self.after.get(kind, {})
        return max((abs(one[name] - other[name]) for name in one if name in other), default=0.0)


def times_between(before: dict, after: dict, program: Program) -> dict[str, list[float]]:
    """Return by function [wall s, CPU s, s in acquire, calls] between two snapshots.

    The name "" has the seconds in which threads could run and had no core.
    """
    none = [0, 0, 0, 0]
    found = {
        name: [
            (then - since) / 1e9
            for since, then in zip(
                before["times"].get(name, none), after["times"].get(name, none), strict=True
            )
        ]
        for name in program.functions
    }
    found[_DELAY] = [max(0, after["run_delay_ns"] - before["run_delay_ns"]) / 1e9, 0, 0, 0]
    return found


def _sum(times: Iterable[dict[str, list[float]]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in times:
        for name, values in one.items():
            known = found.setdefault(name, [0.0] * 4)
            found[name] = [a + b for a, b in zip(known, values, strict=True)]
    return found


def true_weights(times: Mapping[str, list[float]], program: Program) -> dict[str, Weights]:
    """Return by kind the seconds of each function."""

    def lock(name: str, wall: float, cpu: float, in_acquire: float) -> float:
        return in_acquire if name in program.other_waits else max(0.0, wall - cpu)

    of = {name: values for name, values in times.items() if name != _DELAY}
    return {
        "wall": {name: values[0] for name, values in of.items()},
        "cpu": {name: values[1] for name, values in of.items()},
        "block": {name: max(0.0, values[0] - values[1]) for name, values in of.items()},
        "lock": {name: lock(name, *values[:3]) for name, values in of.items()},
    }


def true_shares(
    slices: Iterable[dict[str, list[float]]], program: Program
) -> dict[str, dict[str, float]]:
    """Return the shares in percent, by kind and function, over all slices of time.

    A kind of which the program has too little is left out. Waits are what is not CPU time, so they
    are left out, too, if waits for a core could be a larger part of them.
    """
    times = _sum(slices)
    weights = true_weights(times, program)
    delay_s = times[_DELAY][0]

    def busy(kind: str) -> float:
        return sum(value for name, value in weights[kind].items() if name not in program.idle)

    found = {}
    for kind in KINDS:
        total = busy(kind)
        waits = kind in ("block", "lock")
        if total < _MIN_SHARE * busy("wall") or (waits and delay_s > _MAX_DELAY * total):
            continue
        of_kind = shares(weights[kind], program)
        if of_kind:
            found[kind] = of_kind
    return found


def ticks(notes: Iterable[str]) -> tuple[int, int]:
    """Return (requested, taken), as the profile says in its comments; zeros if it does not."""
    for note in notes:
        found = _TICKS.search(note)
        if found:
            return int(found[2]), int(found[1])
    return 0, 0
