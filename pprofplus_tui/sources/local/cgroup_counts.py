"""The current count of OOM kills in a cgroup."""

from contextlib import suppress

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes.cgroup import Cgroup

OOM_KILLS = "cgroup_oom_kills"  # the metric of the same count
_COUNTERS = {"memory.current": "memory.events", "memory.usage_in_bytes": "memory.oom_control"}


def oom_kills_now(process: str = "self") -> tuple[int, int | None] | None:
    """Return (OOM kills, limit in bytes or None) in the cgroup of `process`, a pid or "self".

    None if it cannot be read.
    """
    with suppress(OSError, ValueError, ProbeAbsentError):
        cgroup = Cgroup(process)
        path = f"{cgroup.directory}/{_COUNTERS[cgroup.used]}"
        with open(path, encoding="ascii") as file:
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count), cgroup.limit_bytes()
    return None
