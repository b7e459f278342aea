"""Fixtures of the collector's tests: real processes, and a log directory for each test."""

import itertools
import json
import subprocess
import sys

import pytest

from kit import reference
from kit.environment import isolate_logs
from kit.processes import started_processes
from kit.programs import COUNTING_SERVICE


@pytest.fixture
def log_directory(tmp_path, monkeypatch):
    """A log directory for this test only."""
    return isolate_logs(tmp_path, monkeypatch)


@pytest.fixture
def reachable_by_others(tmp_path):
    """Let other users reach this test's directory."""
    for path in (tmp_path, *tmp_path.parents):
        if path.name.startswith(("pytest-", "popen-", "test_")):
            path.chmod(0o755)


@pytest.fixture
def spawn(log_directory, tmp_path):
    """Start Python programs, given as text; those that still run at the end are killed."""
    numbers = itertools.count()
    with started_processes() as start_process:

        def start(program, *arguments, prefix=(), **options):
            script = tmp_path / f"service{next(numbers)}.py"
            script.write_text(program)
            # no DeprecationWarning for a fork in a threaded process (3.12): stderr must be empty
            python = [sys.executable, "-W", "ignore::DeprecationWarning"]
            return start_process(
                [*prefix, *python, str(script), *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                **options,
            )

        yield start


@pytest.fixture
def run(spawn):
    """Run a Python program, which must exit 0 without stderr; return the words that it prints."""

    def finish(program, *arguments, **options):
        process = spawn(program, *arguments, **options)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        return out.split()

    return finish


@pytest.fixture
def run_service(spawn, log_directory):
    """Run a counting service and a program, which must exit 0; return its report and its log."""

    def run(program, *arguments, before="", logs=None, **options):
        process = spawn(before + COUNTING_SERVICE + program, *map(str, arguments), **options)
        out, err = process.communicate(timeout=110)
        assert (process.returncode, err) == (0, "")
        (directory,) = reference.runs(logs or log_directory)
        return json.loads(out), reference.Run(directory)

    return run
