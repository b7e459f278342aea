"""The command as a separate process, on logs that the test writes."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def command(home):
    """Run `pprofplus-tui WORD… --dir <log directory>`; return the finished process."""

    def run(*words, directory=None, env=None, cwd=None):
        log_directory = ["--dir", str(directory or home.path)]
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        return subprocess.run(
            [sys.executable, "-m", "pprofplus_tui", *map(str, words), *log_directory],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**environment, "TZ": "UTC", "PYTHONUTF8": "1", **(env or {})},
            cwd=cwd,
            text=True,
            timeout=60,
        )

    return run
