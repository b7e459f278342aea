"""A real memory cgroup for tests of the OOM killer; not imported by the collector."""

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
    """Create a cgroup below ours with a memory limit; skip the test where that is not allowed."""
    try:
        found = Cgroup()
    except ProbeAbsentError as error:
        pytest.skip(f"no memory cgroup here: {error}")
    place = Path(found.directory) / f"{name}-{os.getpid()}"
    try:
        place.mkdir()
    except OSError as error:
        pytest.skip(f"a cgroup cannot be made here: {error}")
    try:
        try:
            (place / found.limit).write_text(str(limit_bytes))
            for swap in ("memory.swap.max", "memory.memsw.limit_in_bytes"):
                if (place / swap).exists():
                    (place / swap).write_text("0" if "swap.max" in swap else str(limit_bytes))
        except OSError as error:
            pytest.skip(f"the cgroup's memory cannot be limited here: {error}")
        yield place
    finally:
        wait_at_most(lambda: _is_removed(place), 20, pause_s=0.02)


def _is_removed(place):
    with contextlib.suppress(OSError):  # the last process may still be ending
        place.rmdir()
    return not place.exists()
