"""Runs the programs that write heap profiles, and reads the profiles with `go tool pprof`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit.processes import IMPORT_PATH

PROGRAMS = Path(__file__).parent / "programs"
GO = Path(sys.executable).parent / "go"


def run_program(*arguments, within_s=100):
    """Run a program of the kit to its end, and return its output."""
    script, *rest = map(str, arguments)
    path = os.pathsep.join([str(PROGRAMS), IMPORT_PATH])
    done = subprocess.run(
        [sys.executable, PROGRAMS / script, *rest],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pprof(flag, path):
    """Return what `go tool pprof` prints about a profile; skip the test where there is none."""
    go = GO if GO.exists() else shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    command = [go, "tool", "pprof", flag, path]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def first_row(top):
    """Return the name in the first row of `-top`."""
    lines = top.splitlines()
    head = next(i for i, line in enumerate(lines) if "flat%" in line)
    return lines[head + 1].split(None, 5)[5]


def first_trace(traces):
    """Return the stack of the first sample of `-traces`, the leaf first."""
    block = traces.split("-----------+---")[1].splitlines()[1:]
    return [
        line.split(None, 1)[1].strip() if i == 0 else line.strip() for i, line in enumerate(block)
    ]
