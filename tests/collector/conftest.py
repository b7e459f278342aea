"""What the collector's tests share: real processes, and logs of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_SERVICE = (_HERE / "service.py").read_text()
sys.path.insert(0, str(_HERE))  # the reference reader, under --import-mode=importlib


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A directory for logs, of this test alone."""
    for name in list(os.environ):
        if name.startswith("PPROFPLUS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"


@pytest.fixture
def open_to_all(tmp_path):
    """Let other users reach this test's directory."""
    for path in (tmp_path, *tmp_path.parents):
        if path.name.startswith(("pytest-", "popen-", "test_")):
            path.chmod(0o755)


@pytest.fixture
def spawn(home, tmp_path):  # noqa: ARG001 - the programs log there
    """Start Python programs, given as text; whatever still runs at the end is killed."""
    started = []

    def start(program, *arguments, prefix=(), **options):
        script = tmp_path / f"service{len(started)}.py"
        script.write_text(program)
        # a DeprecationWarning of fork in a threaded process (3.12) would be all over stderr
        python = [sys.executable, "-W", "ignore::DeprecationWarning"]
        command = [*prefix, *python, str(script), *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run(spawn):
    """Run a Python program to its end, which has to be a good and a quiet one; return its words."""

    def finish(program, *arguments, **options):
        process = spawn(program, *arguments, **options)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        return out.split()

    return finish


@pytest.fixture
def service_text():
    """The service that counts its samples, for a program to go on from."""
    return _SERVICE


@pytest.fixture
def tells(spawn, home):
    """Run a service (`service.py` and a program) to its good end; return what it tells, its log."""
    import reference  # noqa: PLC0415 - found by the path that is set above

    def run(program, *arguments, before="", logs=None, **options):
        process = spawn(before + _SERVICE + program, *map(str, arguments), **options)
        out, err = process.communicate(timeout=110)
        assert (process.returncode, err) == (0, "")
        told = json.loads(out)
        (directory,) = reference.runs(logs or home)
        return told, reference.Run(directory)

    return run
