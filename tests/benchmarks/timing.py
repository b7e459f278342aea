"""Functions of all benchmarks: amounts of work, clocks, quantiles, interpreters."""

import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SUPPORTED = ("3.10", "3.11", "3.12", "3.13")


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        quick: seconds instead of minutes; rough.
        touch: as short as possible, to test that the benchmark works.
        python: the interpreter for the collector and the compared tools.
        pythons: interpreters to compare with each other.
    """

    quick: bool = False
    touch: bool = False
    python: str = sys.executable
    pythons: tuple[str, ...] = (sys.executable,)

    def pick(self, full: float, quick: float, touch: float | None = None) -> float:
        """Return the amount for this effort."""
        if self.touch:
            return quick if touch is None else touch
        return quick if self.quick else full

    def count(self, full: int, quick: int, touch: int | None = None) -> int:
        """Return the count for this effort."""
        return int(self.pick(full, quick, touch))


@contextmanager
def compiled_modules() -> Iterator[None]:
    """Let Python programs started in the block use compiled modules, like installed programs.

    If the environment forbids writing them, every start would compile the source again.
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


def run_script(python: str, script: str, *words: object) -> dict:
    """Run a script of this directory with another interpreter; return the JSON that it prints.

    It imports pprofplus from this tree: the interpreter may not have it installed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PPROFPLUS_")}
    paths = [str(REPOSITORY / "collector"), *filter(None, [kept.get("PYTHONPATH")])]
    environment = {**kept, "PYTHONPATH": os.pathsep.join(paths)}
    command = [python, str(Path(__file__).with_name(script)), *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{script} {words} failed: {done.stderr.strip().splitlines()[-1:]}")
    found: dict = json.loads(done.stdout)
    return found


def pythons() -> tuple[str, ...]:
    """Return an interpreter of each supported version that is found, the oldest first."""
    found: dict[str, str] = {}
    for version in SUPPORTED:
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
        path = shutil.which(f"python{version}")
        for candidate in (*map(str, reversed(kept)), *filter(None, [path])):
            words = [candidate, "-c", "import ctypes, sys; print('%d.%d' % sys.version_info[:2])"]
            done = subprocess.run(words, check=False, capture_output=True, text=True)
            if done.returncode == 0 and done.stdout.strip() == version:
                found[version] = candidate
                break
    ours = "{}.{}".format(*sys.version_info)
    if ours in SUPPORTED:
        found[ours] = sys.executable
    return tuple(found[version] for version in SUPPORTED if version in found)


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
    """Return the median milliseconds of `rounds` calls, after a warm-up call."""
    action()
    gc.collect()
    return statistics.median(timed(action) for _ in range(rounds))
