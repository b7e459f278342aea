"""Fixtures of the monitor's tests: logs that a test writes, the application and the command."""

import csv
import io
import os
import subprocess
import sys

import pytest

from kit.written_logs import WrittenLogs
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.cli import main
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.options import Options


@pytest.fixture
def home(tmp_path):
    """A log directory that the test writes runs into."""
    made = WrittenLogs(tmp_path / "logs")
    yield made
    made.close()


@pytest.fixture
def monitor(home):
    """Return a function that makes the application on the test's logs."""

    def make(**options):
        return MonitorApp(
            Options(directories=(str(home.path),), **options), local_backend([str(home.path)])
        )

    return make


@pytest.fixture
def logs(tmp_path):
    """The path of a log directory that does not exist yet."""
    return tmp_path / "logs"


@pytest.fixture
def run_main(capfd):
    """Return a function that runs `main()` and returns exit code, standard output and error."""

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        written = capfd.readouterr()
        return code, written.out, written.err

    return run


@pytest.fixture
def run_process():
    """Return a function that runs the command in a separate process."""

    def run(*words, env=None, **options):
        return subprocess.run(
            [sys.executable, "-m", "pprofplus_tui", *map(str, words)],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            timeout=60,
            **options,
        )

    return run


@pytest.fixture
def rows_of():
    """Return a function that parses CSV text into one dictionary per row."""
    return lambda text: list(csv.DictReader(io.StringIO(text, newline="")))
