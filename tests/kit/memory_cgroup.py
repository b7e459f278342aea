"""A real memory cgroup for tests of the OOM killer; the collector does not import it."""

import contextlib
import os
from pathlib import Path

import pytest

from kit.waiting import wait_at_most
from pprofplus.errors import ProbeAbsentError
from pprofplus.probes.cgroup import Cgroup

# a shell that moves itself into the cgroup and executes the program
ENTER = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"')
# ends only by the OOM killer
HOG = "held = []\nwhile True:\n    held.append(b'x' * (1 << 20))\n"


@contextlib.contextmanager
def small_cgroup(name, limit_bytes):
    """Create a cgroup below ours with a memory limit; skip the test if that is not allowed."""
    try:
        found = Cgroup()
    except ProbeAbsentError as error:
        pytest.skip(f"there is no memory cgroup: {error}")
    directory = Path(found.directory) / f"{name}-{os.getpid()}"
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"a cgroup cannot be created: {error}")
    try:
        try:
            (directory / found.limit).write_text(str(limit_bytes))
            for swap in ("memory.swap.max", "memory.memsw.limit_in_bytes"):
                if (directory / swap).exists():
                    (directory / swap).write_text("0" if "swap.max" in swap else str(limit_bytes))
        except OSError as error:
            pytest.skip(f"the memory of the cgroup cannot be limited: {error}")
        yield directory
    finally:
        wait_at_most(lambda: _is_removed(directory), 20, pause_s=0.02)


def _is_removed(directory):
    with contextlib.suppress(OSError):  # the last process may still be ending
        directory.rmdir()
    return not directory.exists()
