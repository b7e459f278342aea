"""Each value is that of its name, and a missing source has no value."""

import ctypes
import gc
import json
import mmap
import os
import resource
import shutil
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import psutil
import pytest

from kit.units import MIB
from pprofplus.errors import ProbeAbsentError
from pprofplus.metrics import BY_NAME, CATALOGUE
from pprofplus.probes import blocks, cgroup, malloc, process, pymalloc, smaps, tracing, usage
from pprofplus.probes.budget import MAX_PERIOD_S, periods_s
from pprofplus.probes.garbage import CollectionsProbe
from pprofplus.probes.probe_set import SOURCES

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a source that Linux has")


@pytest.fixture
def opened():
    """Open probes, and close them at the end."""
    probes = []

    def start(kind):
        probes.append(kind())
        return probes[-1]

    yield start
    for probe in probes:
        probe.close()


def figures(probe):
    return dict(zip(probe.names, probe.read(), strict=True))


def test_probes_and_catalogue_have_the_same_names():
    named = {name for row in SOURCES for kind in row for name in kind.names}
    assert named == set(BY_NAME) == {metric.name for metric in CATALOGUE}


def test_each_metric_is_read_by_the_module_that_the_catalogue_names():
    for row in SOURCES:
        for kind in row:
            for name in kind.names:
                assert kind.__module__ == f"pprofplus.probes.{BY_NAME[name].source}"


@linux_only
def test_memory_equals_that_of_psutil(opened):
    found, truth = figures(opened(process.StatmProbe)), psutil.Process().memory_info()
    assert found["vms"] == truth.vms
    assert abs(found["rss"] - truth.rss) < MIB
    assert abs(found["shared"] - truth.shared) < MIB


@linux_only
def test_memory_grows_with_mapped_and_touched_pages(opened):
    probe = opened(process.StatmProbe)
    before = figures(probe)
    with mmap.mmap(-1, 64 * MIB) as area:
        mapped = figures(probe)
        area.write(b"x" * (64 * MIB))
        touched = figures(probe)
    assert mapped["vms"] - before["vms"] == 64 * MIB
    assert touched["rss"] - before["rss"] > 60 * MIB


def test_the_portable_probe_gives_the_same_memory(opened):
    found, truth = figures(opened(process.PortableProbe)), psutil.Process().memory_info()
    assert found["vms"] == truth.vms
    assert abs(found["rss"] - truth.rss) < MIB


@pytest.mark.parametrize("kind", [process.ThreadsProbe, process.PortableThreadsProbe])
def test_threads_are_counted(opened, kind):
    probe = opened(kind)
    ending = threading.Event()
    others = [threading.Thread(target=ending.wait) for _ in range(5)]
    for thread in others:
        thread.start()
    try:
        # the kernel counts a joined thread until it is gone completely
        counts = {figures(probe)["threads"] - psutil.Process().num_threads() for _ in range(100)}
        assert 0 in counts
        assert figures(probe)["threads"] >= 6
    finally:
        ending.set()
        for thread in others:
            thread.join()


@pytest.mark.parametrize("kind", [process.DescriptorsProbe, process.ListedDescriptorsProbe])
def test_open_descriptors_are_counted(opened, kind):
    try:
        probe = opened(kind)
    except ProbeAbsentError:
        pytest.skip("a kernel before 6.2")
    before = figures(probe)["fds"]
    # psutil also counts the descriptor of its listing
    assert before == psutil.Process().num_fds() - 1
    ends = [os.pipe() for _ in range(10)]
    assert figures(probe)["fds"] == before + 20
    for number in (number for pair in ends for number in pair):
        os.close(number)
    assert figures(probe)["fds"] == before


@linux_only
@pytest.mark.parametrize("kind", [smaps.RollupProbe, smaps.PortableFullProbe])
def test_the_processs_own_memory_equals_that_of_psutil(opened, kind):
    found, truth = figures(opened(kind)), psutil.Process().memory_full_info()
    assert abs(found["uss"] - truth.uss) < MIB
    assert abs(found["pss"] - truth.pss) < MIB
    assert found["swap"] == truth.swap
    assert found["uss"] <= found["pss"] <= truth.rss


def test_cpu_time_and_faults_grow_with_use_and_equal_the_kernels(opened):
    probe = opened(usage.UsageProbe)
    before = figures(probe)
    with mmap.mmap(-1, 32 * MIB) as area:
        for at in range(0, len(area), mmap.PAGESIZE):
            area[at] = 1
    after = figures(probe)
    truth = psutil.Process().cpu_times()
    assert after["cpu_user"] + after["cpu_system"] > before["cpu_user"] + before["cpu_system"]
    assert after["cpu_user"] / 1e6 == pytest.approx(truth.user, abs=0.2)
    assert after["cpu_system"] / 1e6 == pytest.approx(truth.system, abs=0.2)
    assert after["faults_minor"] > before["faults_minor"]
    assert after["faults_minor"] <= resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_pymallocs_values_follow_the_heap(opened):
    try:
        probe = opened(pymalloc.PymallocProbe)
    except ProbeAbsentError:
        pytest.skip("no pymalloc, or no stream in memory")
    gc.collect()
    before = figures(probe)
    kept = [bytes(200) for _ in range(200_000)]
    filled = figures(probe)
    grown = filled["heap_used"] - before["heap_used"]
    # malloc allocates the list itself
    assert 200_000 * sys.getsizeof(kept[0]) <= grown < 200_000 * 272
    assert filled["heap_sys"] - before["heap_sys"] > 30 * MIB
    del kept
    freed = figures(probe)
    assert freed["heap_used"] - before["heap_used"] < 2 * MIB
    assert freed["heap_released"] - filled["heap_released"] > 20 * MIB
    for found in (before, filled, freed):
        assert found["heap_sys"] >= found["heap_used"] + found["heap_idle"]


def test_blocks_are_counted(opened):
    probe = opened(blocks.BlocksProbe)
    before = figures(probe)["heap_blocks"]
    kept = [object() for _ in range(50_000)]
    assert 50_000 <= figures(probe)["heap_blocks"] - before < 51_000
    del kept


def test_pymalloc_has_no_values_while_tracemalloc_traces(opened):
    try:
        opened(pymalloc.PymallocProbe)
    except ProbeAbsentError:
        pytest.skip("no pymalloc, or no stream in memory")
    tracemalloc.start()
    try:
        probe = opened(pymalloc.PymallocProbe)
        assert probe.read() is None
    finally:
        tracemalloc.stop()
    assert len(probe.read()) == len(probe.names)


def test_tracemalloc_has_no_values_until_it_traces(opened):
    probe = opened(tracing.TracingProbe)
    assert probe.read() is None
    tracemalloc.start()
    try:
        kept = bytearray(10 * MIB)
        found = figures(probe)
        traced, peak = tracemalloc.get_traced_memory()
        assert abs(found["traced"] - traced) < MIB
        assert abs(found["traced_peak"] - peak) < MIB
        assert found["traced"] >= len(kept)
    finally:
        tracemalloc.stop()
    assert probe.read() is None


def glibc_malloc():
    try:
        return malloc.MallocProbe()
    except ProbeAbsentError:
        pytest.skip("not glibc 2.33 or later")


ANOTHER_MALLOC = """
#include <stddef.h>
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void __libc_free(void *);
void *malloc(size_t n) { return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { return __libc_realloc(p, n); }
void free(void *p) { __libc_free(p); }
"""


def test_another_malloc_is_not_taken_for_glibcs(run, tmp_path):
    glibc_malloc()
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "other.c").write_text(ANOTHER_MALLOC)
    library = tmp_path / "other.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, tmp_path / "other.c"], check=True, timeout=60
    )
    program = """
from pprofplus.errors import ProbeAbsentError
from pprofplus.probes.malloc import MallocProbe
try:
    MallocProbe()
except ProbeAbsentError as error:
    print(error)
"""
    words = run(program, env={**os.environ, "LD_PRELOAD": str(library)})
    assert words[:2] == ["another", "malloc"]


def test_a_program_that_is_not_a_pie_has_glibcs_malloc():
    system = Path("/usr/bin/python3")
    # the type in the ELF header: 2 is a program with fixed addresses, like Debian's
    if not system.exists() or system.read_bytes()[16] != 2:
        pytest.skip("the system's Python is a PIE")
    glibc_malloc()
    program = f"""
import sys
if sys.version_info < (3, 10):
    raise SystemExit(print(4))
sys.path.append({str(Path(malloc.__file__).parents[2])!r})
from pprofplus.probes.malloc import MallocProbe
print(len(MallocProbe().read()))
"""
    done = subprocess.run(
        [system, "-I", "-B", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("4\n", "")


def test_the_c_heap_follows_large_and_small_allocations():
    probe = glibc_malloc()
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    before = figures(probe)
    big = libc.malloc(64 * MIB)
    with_big = figures(probe)
    assert 64 * MIB <= with_big["malloc_used"] - before["malloc_used"] < 65 * MIB
    assert 64 * MIB <= with_big["malloc_sys"] - before["malloc_sys"] < 65 * MIB
    libc.free(big)
    small = [libc.malloc(1000) for _ in range(20_000)]
    with_small = figures(probe)
    assert 20_000_000 <= with_small["malloc_used"] - before["malloc_used"] < 22 * MIB
    for address in small[::2]:
        libc.free(address)
    assert figures(probe)["malloc_free"] - with_small["malloc_free"] > 9 * MIB
    for address in small[1::2]:
        libc.free(address)
    for found in (before, with_big, with_small):
        assert found["malloc_sys"] >= found["malloc_used"]


def test_collections_are_counted_as_gc_counts_them(opened):
    probe = opened(CollectionsProbe)
    before = figures(probe)
    loop = []
    loop.append(loop)
    del loop
    gc.collect()
    after = figures(probe)
    assert after["gc_runs_2"] == before["gc_runs_2"] + 1
    assert after["gc_collected"] > before["gc_collected"]
    assert after["gc_runs_2"] == gc.get_stats()[2]["collections"]
    assert after["gc_pending_1"] == 0


def test_pauses_are_timed_and_the_longest_is_returned_once(opened):
    probe = opened(CollectionsProbe)
    before = figures(probe)
    kept = [[] for _ in range(300_000)]
    probe.read()
    gc.collect()
    after = figures(probe)
    assert after["gc_pause"] - before["gc_pause"] >= after["gc_pause_max"] > 500
    gc.disable()
    try:
        assert figures(probe)["gc_pause_max"] == 0
    finally:
        gc.enable()
    del kept


def test_timing_pauses_creates_no_object_that_the_gc_tracks(opened):
    probe = opened(CollectionsProbe)
    pauses, info = probe.pauses, {"generation": 0}
    gc.collect()
    gc.disable()
    try:
        known = {id(one) for one in gc.get_objects()}
        count = gc.get_count()[0]
        for _ in range(1000):
            pauses("start", info)
            pauses("stop", info)
        grown = gc.get_count()[0] - count
        new = [one for one in gc.get_objects() if id(one) not in known]
    finally:
        gc.enable()
    assert grown < 20  # from the test itself
    assert not [one for one in new if "pprofplus" in str(type(one))]
    assert len(new) < 20


def test_closing_the_probe_removes_its_callback():
    before = list(gc.callbacks)
    probe = CollectionsProbe()
    assert len(gc.callbacks) == len(before) + 1
    probe.close()
    probe.close()
    assert gc.callbacks == before


def test_a_stop_without_a_start_is_not_a_pause(opened):
    probe = opened(CollectionsProbe)
    probe.pauses("stop", {})
    assert probe.pauses.longest_ns == 0


@linux_only
def test_the_cgroups_use_equals_the_kernels(opened):
    try:
        probe = opened(cgroup.CgroupUsedProbe)
    except ProbeAbsentError:
        pytest.skip("no memory cgroup here")
    found = cgroup.Cgroup()
    assert found.directory.startswith(found.top)
    with open(f"{found.directory}/{found.used}") as file:
        truth = int(file.read())
    assert figures(probe)["cgroup_used"] == pytest.approx(truth, rel=0.2)


@pytest.fixture
def cgroups(tmp_path):
    """A fake /proc/self and cgroup file system of plain files."""

    def make(version, path, limits, root="/"):
        mount = tmp_path / "cgroup mount"
        used, limit, kind = (
            ("memory.current", "memory.max", "cgroup2 cgroup rw,nsdelegate")
            if version == 2
            else ("memory.usage_in_bytes", "memory.limit_in_bytes", "cgroup cgroup rw,memory")
        )
        for group, value in limits.items():
            directory = mount / group
            directory.mkdir(parents=True, exist_ok=True)
            (directory / used).write_text("4096\n")
            if value is not None:
                (directory / limit).write_text(f"{value}\n")
        controllers = "0:" if version == 2 else "4:memory"
        (tmp_path / "self").mkdir(exist_ok=True)
        (tmp_path / "self" / "cgroup").write_text(f"9:cpu:/elsewhere\n{controllers}:{path}\n")
        point = str(mount).replace(" ", "\\040")
        (tmp_path / "self" / "mountinfo").write_text(
            f"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
            f"35 31 0:32 {root} {point} rw,relatime shared:9 - {kind}\n"
        )
        return cgroup.Cgroup(proc=str(tmp_path)), mount

    return make


NONE_OF_VERSION_1 = (1 << 63) - 4096


@pytest.mark.parametrize(
    ("version", "limits", "expected"),
    [
        (2, {"a/b": "max", "a": "max", "": None}, None),
        (2, {"a/b": 900, "a": "max", "": None}, 900),
        (2, {"a/b": 900, "a": 500, "": None}, 500),
        (2, {"a/b": "max", "a": 500, "": 400}, 400),
        (1, {"a/b": NONE_OF_VERSION_1, "a": NONE_OF_VERSION_1, "": NONE_OF_VERSION_1}, None),
        (1, {"a/b": NONE_OF_VERSION_1, "a": 700, "": NONE_OF_VERSION_1}, 700),
    ],
)
def test_the_limit_is_the_smallest_of_all_levels_or_none(cgroups, version, limits, expected):
    found, mount = cgroups(version, "/a/b", limits)
    assert found.directory == str(mount / "a" / "b")
    assert found.limit_bytes() == expected


@pytest.mark.parametrize(
    ("path", "root", "group"),
    [
        ("/docker/4e1f", "/", ""),  # the host's path, which does not exist under this mount
        ("/docker/4e1f/worker", "/docker/4e1f", "worker"),  # the mount begins at the container
        ("/docker/4e1f", "/docker/4e1f", ""),
        ("/../../outside", "/", ""),  # outside our cgroup namespace
        ("/", "/", ""),
        ("/docker/4e1f5", "/docker/4e1f", ""),  # another container's name has ours as its prefix
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_inside_a_container_the_cgroup_is_found_under_the_mount(
    cgroups, version, path, root, group
):
    found, mount = cgroups(version, path, {"": 800, "worker": 900}, root)
    assert found.directory == str(mount / group).rstrip("/")
    assert found.limit_bytes() == 800


def test_no_memory_file_or_no_mount_means_no_cgroup(cgroups, tmp_path):
    with pytest.raises(ProbeAbsentError):
        cgroups(2, "/a", {})
    (tmp_path / "self" / "mountinfo").write_text("")
    with pytest.raises(ProbeAbsentError):
        cgroup.Cgroup(proc=str(tmp_path))
    (tmp_path / "self" / "cgroup").unlink()
    with pytest.raises(ProbeAbsentError):
        cgroup.Cgroup(proc=str(tmp_path))


METRICS_OF_THIS_PROCESS = """
import json
from pprofplus.probes.probe_set import ProbeSet
probe_set = ProbeSet(1.0)
probe_set.read(0)
probe_set.rebuild_schema(0)
print(json.dumps([name for name, _, _ in probe_set.metrics]))
"""


def test_without_pymalloc_its_metrics_are_absent(run):
    words = run(METRICS_OF_THIS_PROCESS, env={**os.environ, "PYTHONMALLOC": "malloc"})
    names = json.loads(" ".join(words))
    assert not [name for name in names if name.startswith("heap_")]
    assert "rss" in names


def test_with_the_debug_hooks_pymallocs_metrics_exist(run):
    words = run(METRICS_OF_THIS_PROCESS, env={**os.environ, "PYTHONMALLOC": "debug"})
    assert "heap_used" in json.loads(" ".join(words))


def test_tracing_from_the_start_is_in_the_schema(run):
    words = run(METRICS_OF_THIS_PROCESS, env={**os.environ, "PYTHONTRACEMALLOC": "1"})
    assert "traced" in json.loads(" ".join(words))


@pytest.mark.parametrize(
    ("module", "constant", "kind", "gone"),
    [
        (process, "_STATM", process.StatmProbe, "/nowhere"),
        (process, "_TASKS", process.ThreadsProbe, "/nowhere"),
        (process, "_TASKS", process.ThreadsProbe, "/proc"),  # has another link count
        (process, "_DESCRIPTORS", process.DescriptorsProbe, "/nowhere"),
        (process, "_DESCRIPTORS", process.DescriptorsProbe, "/etc"),  # its size is not a count
        (smaps, "_ROLLUP", smaps.RollupProbe, "/nowhere"),
        (smaps, "_ROLLUP", smaps.RollupProbe, "/proc/self/statm"),  # has another format
    ],
)
def test_a_missing_source_is_absent(monkeypatch, module, constant, kind, gone):
    monkeypatch.setattr(module, constant, gone)
    with pytest.raises(ProbeAbsentError):
        kind()


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("ctypes", pymalloc.PymallocProbe),
        ("ctypes", malloc.MallocProbe),
        ("resource", usage.UsageProbe),
        ("_tracemalloc", tracing.TracingProbe),
        ("psutil", process.PortableProbe),
        ("psutil", smaps.PortableFullProbe),
    ],
)
def test_without_its_module_a_probe_is_absent(monkeypatch, module, kind):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ProbeAbsentError):
        kind()


def test_without_mallinfo2_the_c_heap_is_absent(monkeypatch):
    class OldLibrary:
        def __init__(self, name):
            pass

    monkeypatch.setattr(ctypes, "CDLL", OldLibrary)
    with pytest.raises(ProbeAbsentError):
        malloc.MallocProbe()


def test_a_kept_file_survives_the_host_closing_every_descriptor(opened, tmp_path):
    probe = opened(process.StatmProbe)
    number = probe._file._descriptor.number
    (tmp_path / "other").write_text("1 1 1 1")
    other = os.open(tmp_path / "other", os.O_RDONLY)
    os.dup2(other, number)
    assert figures(probe)["rss"] > MIB
    assert os.pread(number, 7, 0) == b"1 1 1 1"  # nor was it closed
    os.close(number)
    os.close(other)


def test_expensive_probes_share_the_budget_that_cheap_ones_do_not_use():
    assert periods_s([0.0001], 1.0, 0.001) == [pytest.approx(0.1)]
    small, large = periods_s([0.00001, 0.0009], 1.0, 0.001)
    assert small < 1.0
    assert large == pytest.approx(0.0009 / 0.00099)
    assert periods_s([0.012, 0.012, 0.012], 1.0, 0.001) == [pytest.approx(36.0)] * 3
    assert periods_s([5.0], 1.0, 0.001) == [MAX_PERIOD_S]
    assert periods_s([0.0, 0.0], 1.0, 0.001) == [0.0, 0.0]


@pytest.mark.parametrize(
    "costs", [[0.0001, 0.004, 0.02], [0.01] * 5, [0.0009, 0.0009], [1e-6, 0.05]]
)
@pytest.mark.parametrize("interval_s", [0.05, 1.0, 10.0])
def test_all_expensive_probes_together_stay_within_the_budget(costs, interval_s):
    periods = periods_s(costs, interval_s, 0.001)
    used = sum(
        cost / max(period, interval_s)
        for cost, period in zip(costs, periods, strict=True)
        if period < MAX_PERIOD_S
    )
    assert used <= 0.001 * 1.000001
