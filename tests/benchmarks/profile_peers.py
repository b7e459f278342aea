"""Other profilers, run on a program of known shares in the same benchmark."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from profile_readers import Stacks, read_collapsed

HZ = 100
_MARGIN_S = 30
_ATTACHES_S = 0.6  # a profiler reads the process for that long before it samples


@dataclass(frozen=True)
class Peer:
    """One way to run another profiler.

    Attributes:
        name: with the option that matters.
        kind: of our profiles that it corresponds to.
        tool: the program.
        options: in addition to those for pid, seconds, rate and file.
    """

    name: str
    kind: str
    tool: str
    options: tuple[str, ...] = ()

    def command(self, path: str, pid: int, seconds: float, file: str) -> list[str]:
        """Return the words that start it."""
        time_s = str(max(1, round(seconds)))
        if self.tool == "py-spy":
            words = ["record", "--pid", str(pid), "--duration", time_s, "--rate", str(HZ)]
            return [path, *words, "--format", "raw", "--output", file, *self.options]
        words = ["--interval", f"{1000 // HZ}ms", "--exposure", time_s, "--output", file]
        return [path, *words, "--pid", str(pid), *self.options]


PEERS = (
    Peer("py-spy --idle", "wall", "py-spy", ("--idle",)),
    Peer("py-spy", "cpu", "py-spy"),
    Peer("py-spy --gil", "cpu", "py-spy", ("--gil",)),
    Peer("Austin", "wall", "austin"),
    Peer("Austin --sleepless", "cpu", "austin", ("--sleepless",)),
)
CPYTHON = "profiling.sampling needs CPython 3.15, of which none is installed here"


def find(tool: str) -> str | None:
    """Return the path of a tool that runs on this machine, or None."""
    beside = Path(sys.executable).with_name(tool)
    for path in (str(beside), shutil.which(tool)):
        if path and Path(path).exists():
            done = subprocess.run([path, "--version"], check=False, capture_output=True)
            if done.returncode == 0:
                return path
    return None


def missing(tool: str) -> str:
    """Return one line that says why a tool does not run, and what to install."""
    hint = "py-spy" if tool == "py-spy" else "'austin-dist<4' (4 needs glibc 2.38)"
    return f"does not run here: pip install {hint}"


def record(
    peer: Peer,
    path: str,
    pid: int,
    seconds: float,
    during: Callable[[], None] | None = None,
) -> Stacks | str:
    """Return the stacks that a profiler finds in a process, or one line that says why not.

    `during` is called as soon as it attaches; it should take less than `seconds`.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = str(Path(directory) / "stacks")
        process = subprocess.Popen(
            peer.command(path, pid, seconds, file),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            if during is not None:
                time.sleep(_ATTACHES_S)
                during()
            out, _ = process.communicate(timeout=seconds + _MARGIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return "did not end"
        # Austin says with its exit code that a process could not be read at the end
        if not Path(file).exists():
            lines = out.strip().splitlines()
            return f"failed: {lines[-1][:80] if lines else process.returncode}"
        return list(read_collapsed(Path(file).read_text(errors="replace")))
