"""What all benchmarks share: how much to do, clocks, quantiles."""

import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        quick: seconds instead of minutes, for a first look.
        touch: hardly at all, to see whether it works.
        python: the interpreter for the collector and its rivals.
    """

    quick: bool = False
    touch: bool = False
    python: str = sys.executable

    def pick(self, full: float, quick: float, touch: float | None = None) -> float:
        """Return the one of these amounts that suits."""
        if self.touch:
            return quick if touch is None else touch
        return quick if self.quick else full

    def count(self, full: int, quick: int, touch: int | None = None) -> int:
        """Return the one of these counts that suits."""
        return int(self.pick(full, quick, touch))


@contextmanager
def compiled_modules() -> Iterator[None]:
    """Have the Python programs started meanwhile find compiled modules, as installed ones do.

    An environment that forbids writing them would have every start compile the source anew.
    """
    with tempfile.TemporaryDirectory() as cache:
        before = dict(os.environ)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = cache
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie; values may not be empty."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def timed(action: Callable[[], object]) -> float:
    """Return the milliseconds that one call takes."""
    began_ns = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - began_ns) / 1e6


def median_ms(action: Callable[[], object], rounds: int) -> float:
    """Return the median milliseconds of `rounds` calls, after one that does not count."""
    action()
    gc.collect()
    return statistics.median(timed(action) for _ in range(rounds))
