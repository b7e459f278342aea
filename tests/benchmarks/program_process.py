"""Starts programs of known shares in a chosen interpreter, and sends them commands."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from timing import REPOSITORY, Effort

_HERE = Path(__file__).parent
_PACKAGES = ("psutil", "gevent")
_CHECK = "import importlib.util as u, sys; sys.exit(u.find_spec(sys.argv[1]) is None)"


def has_package(python: str, package: str) -> bool:
    """Return whether an interpreter has a package."""
    return subprocess.run([python, "-c", _CHECK, package], check=False).returncode == 0


def with_packages(python: str, directory: Path) -> str:
    """Return an interpreter of this version with psutil and gevent: itself, or a new venv's.

    Without gevent its programs are skipped. Raises CalledProcessError without psutil.
    """
    if all(has_package(python, package) for package in _PACKAGES):
        return python
    place = directory / f"venv-{Effort.version(python)}"
    own = str(place / "bin" / "python")
    if not Path(own).exists():
        subprocess.run([python, "-m", "venv", str(place)], check=True)
        pip = [own, "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "psutil"], check=True, capture_output=True)
        subprocess.run([*pip, "gevent"], check=False, capture_output=True)
    return own


class ProgramProcess:
    """A running program of known shares."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, command: str, **words: object) -> dict:
        """Carry out a command there and return the answer. Raises RuntimeError if it fails."""
        line = json.dumps({"do": command, **words})
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the program ended at {line}: code {self._process.wait()}")
        found: dict = json.loads(answer)
        if isinstance(found, dict) and "error" in found:
            raise RuntimeError(found["error"])
        return found


@contextmanager
def running(python: str, module: str, name: str) -> Iterator[ProgramProcess]:
    """Run a program while the block runs. Raises RuntimeError if it fails."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PPROFPLUS_")}
    environment = {**kept, "PYTHONPATH": f"{REPOSITORY / 'collector'}{os.pathsep}{_HERE}"}
    with tempfile.TemporaryDirectory() as directory:
        environment["PPROFPLUS_DIR"] = directory
        process = subprocess.Popen(
            [python, str(_HERE / "profile_child.py"), module, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            yield ProgramProcess(process)
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout
            process.stdout.close()


@contextmanager
def load(program: ProgramProcess, *words: object) -> Iterator[list[tuple[float, float]]]:
    """Send requests to a service while the block runs; the list has the latencies after it."""
    found: list[tuple[float, float]] = []
    port = program.ask("port")
    process = subprocess.Popen(
        [sys.executable, str(_HERE / "load_generator.py"), *map(str, (port, *words))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield found
    finally:
        out, _ = process.communicate("", timeout=60)
        found += [tuple(one) for one in json.loads(out)]
