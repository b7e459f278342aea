"""The cost of the import for a service."""

import json

from kit.environment import needs_root

HEAVY = {
    "argparse",
    "asyncio",
    "ctypes",
    "dataclasses",
    "inspect",
    "logging",
    "multiprocessing",
    "pathlib",
    "pickle",
    "platform",
    "psutil",
    "subprocess",
    "tempfile",
    "tracemalloc",
    "typing",
}
FOREIGN = {"numpy", "plotext", "pprofplus_tui", "rich", "textual"}

PROGRAM = """
import json, socket, sys, threading
before = set(sys.modules)
import pprofplus
imported = set(sys.modules) - before
collector = pprofplus.start("api", interval_s=0.05)
assert collector.running
pprofplus.stop()
print(json.dumps([sorted(imported), sorted(set(sys.modules) - before)]))
"""


def test_the_import_loads_no_heavy_module_and_recording_loads_only_psutil(run):
    imported, at_the_end = map(set, json.loads(" ".join(run(PROGRAM))))
    assert not imported & (HEAVY | FOREIGN)
    assert not at_the_end & (HEAVY - {"ctypes"} | FOREIGN)


def test_the_import_alone_starts_nothing(run, log_directory):
    program = """
import threading, gc, pprofplus
print(threading.active_count(), len(gc.callbacks))
"""
    assert run(program) == ["1", "0"]
    assert not log_directory.exists()


@needs_root("root loads more than other users")
def test_root_loads_at_import_what_requests_need_because_it_may_drop_root_before_the_start(run):
    program = "import sys, pprofplus; print('pprofplus.control.request_handler' in sys.modules)"
    assert run(program) == ["True"]
