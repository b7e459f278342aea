"""A service that embeds the collector and never takes a profile, as JSON on standard output.

    python unused_child.py DIRECTORY STACKS

STACKS is 1 if the collector stores the stacks of all threads, else 0. Before the collector, only
`threading`, `socket` and `json` are imported, which any service has loaded.
"""

import json
import socket  # noqa: F401 - a service has loaded it
import sys
import threading
import time

from candidates import memory_bytes

_SAMPLES_S = 2.3  # the collector loads some modules after its first sample


def measure(directory, *, stacks):
    """Return import (ms, CPU ms), start (ms), memory (bytes), and the loaded modules."""
    held = memory_bytes()
    began_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    import pprofplus

    imported_ns, imported_cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    at_import = sorted(name for name in sys.modules if name.startswith("pprofplus"))
    try:
        pprofplus.start("bench", directory=directory, stacks=stacks)
    except TypeError:  # an earlier version stores none
        pprofplus.start("bench", directory=directory)
    started_ns = time.perf_counter_ns()
    threading.Event().wait(_SAMPLES_S)
    after = memory_bytes()
    own = sorted(name for name in sys.modules if name.startswith("pprofplus"))
    found = {
        "import_ms": (imported_ns - began_ns) / 1e6,
        "import_cpu_ms": (imported_cpu_ns - cpu_ns) / 1e6,
        "start_ms": (started_ns - imported_ns) / 1e6,
        "modules": len(own),
        "profile_modules": [name for name in own if ".profiles" in name],
        "at_import": at_import,
        "rss": after[0] - held[0],
        "uss": after[1] - held[1],
    }
    pprofplus.stop()
    return found


if __name__ == "__main__":
    json.dump(measure(sys.argv[1], stacks=sys.argv[2] == "1"), sys.stdout)
