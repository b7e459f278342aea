"""Platforms without features of Linux: import and start never fail there."""

import pytest

from kit import reference

# removes what a platform lacks, before anything is imported
WITHOUT = """
import os, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {modules!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
for name in {modules!r}:
    sys.modules.pop(name, None)
for name in {functions!r}:
    delattr(os, name)
import pprofplus
from pprofplus.log.log_directory import default_log_directory
assert default_log_directory()
collector = pprofplus.start("api", interval_s=0.05)
pprofplus.stop()
print(collector.samples)
"""


def test_without_file_locks_as_on_windows_there_is_one_warning_and_nothing_is_recorded(
    spawn, log_directory
):
    program = WITHOUT.format(
        modules=["fcntl", "resource", "_tracemalloc"],
        functions=["getuid", "geteuid", "register_at_fork", "uname", "sysconf"],
    )
    out, err = spawn(program).communicate(timeout=60)
    assert out == "0\n"
    assert err == "nothing is recorded: this platform has no file locks\n"
    assert not log_directory.exists()


@pytest.mark.parametrize(
    ("modules", "functions"),
    [
        (["resource", "_tracemalloc", "ctypes"], []),
        (["psutil"], []),
        ([], ["register_at_fork"]),
        ([], ["uname"]),
    ],
)
def test_without_a_source_the_rest_is_recorded(run, log_directory, modules, functions):
    (samples,) = run(WITHOUT.format(modules=modules, functions=functions))
    assert int(samples) >= 2
    (directory,) = reference.runs(log_directory)
    found = reference.Run(directory)
    assert found.kinds == ["start", "stop"]
    names = {name for name, _, _ in found.header.metrics}
    assert "gc_pause" in names
    assert ("cpu_user" in names) == ("resource" not in modules)
    assert ("malloc_used" in names) <= ("ctypes" not in modules)


def test_without_proc_the_rest_is_recorded(run, log_directory):
    program = WITHOUT.format(modules=["psutil"], functions=[]).replace(
        "import pprofplus\n",
        """
def no_proc(function):
    def refuse(path, *arguments, **options):
        if str(path).startswith(("/proc", "/dev/fd", "/sys")):
            raise FileNotFoundError(path)
        return function(path, *arguments, **options)
    return refuse
for name in ("open", "stat", "listdir"):
    setattr(os, name, no_proc(getattr(os, name)))
import pprofplus
""",
        1,
    )
    (samples,) = run(program)
    assert int(samples) >= 2
    (directory,) = reference.runs(log_directory)
    found = reference.Run(directory)
    names = {name for name, _, _ in found.header.metrics}
    assert not names & {"rss", "vms", "shared", "uss", "threads", "fds", "cgroup_used"}
    assert {"cpu_user", "gc_pause"} <= names
    assert found.header.boot_id == ""
