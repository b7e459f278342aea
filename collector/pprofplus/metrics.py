"""The metric catalogue: one row a metric. Probes, log headers, help and README are made from it.

All values are signed 64-bit integers. A *gauge* is a level; a *counter* only grows, and charts show
its rate. A metric that a platform does not provide is left out of the log, never written as 0.
"""

GAUGE = "gauge"
COUNTER = "counter"

BYTES = "B"
COUNT = "count"
MICROSECONDS = "us"


class Metric:
    """One row of the catalogue.

    Attributes:
        name: as in the log and in exports.
        unit: "B", "count" or "us" (microseconds); user gauges may have other units.
        kind: "gauge" or "counter".
        source: the module of `probes` that reads it.
        meaning: one sentence for help and documentation.
        go: the name in Go's runtime, or "".
    """

    __slots__ = ("go", "kind", "meaning", "name", "source", "unit")

    def __init__(
        self, name: str, unit: str, kind: str, source: str, meaning: str, go: str = ""
    ) -> None:
        self.name = name
        self.unit = unit
        self.kind = kind
        self.source = source
        self.meaning = meaning
        self.go = go

    def __repr__(self) -> str:
        """Return the row's name, unit and kind."""
        return f"Metric({self.name!r}, {self.unit!r}, {self.kind!r})"


CATALOGUE: tuple[Metric, ...] = (
    Metric("rss", BYTES, GAUGE, "process", "resident set: memory of this process in RAM", "RSS"),
    Metric("vms", BYTES, GAUGE, "process", "virtual memory: all address space mapped", "VMS"),
    Metric("shared", BYTES, GAUGE, "process", "resident memory backed by files or shared"),
    Metric(
        "uss", BYTES, GAUGE, "smaps", "unique set: what would be freed if this process ended now"
    ),
    Metric("pss", BYTES, GAUGE, "smaps", "proportional set: shared pages divided by their users"),
    Metric("swap", BYTES, GAUGE, "smaps", "memory of this process swapped out"),
    Metric("cpu_user", MICROSECONDS, COUNTER, "usage", "CPU time spent in user code"),
    Metric("cpu_system", MICROSECONDS, COUNTER, "usage", "CPU time spent in the kernel"),
    Metric("threads", COUNT, GAUGE, "process", "threads of this process"),
    Metric("fds", COUNT, GAUGE, "process", "open file descriptors"),
    Metric("faults_minor", COUNT, COUNTER, "usage", "page faults served without disk"),
    Metric("faults_major", COUNT, COUNTER, "usage", "page faults that had to read from disk"),
    Metric(
        "heap_sys",
        BYTES,
        GAUGE,
        "pymalloc",
        "Python heap: arenas that pymalloc holds from the system",
        "HeapSys",
    ),
    Metric(
        "heap_used",
        BYTES,
        GAUGE,
        "pymalloc",
        "Python heap in use: bytes in allocated blocks",
        "HeapAlloc",
    ),
    Metric(
        "heap_idle",
        BYTES,
        GAUGE,
        "pymalloc",
        "Python heap in wholly unused pools, ready for reuse",
        "HeapIdle",
    ),
    Metric(
        "heap_released",
        BYTES,
        COUNTER,
        "pymalloc",
        "arenas that pymalloc has returned to the system so far",
        "HeapReleased",
    ),
    Metric(
        "heap_blocks", COUNT, GAUGE, "blocks", "memory blocks that Python has in use", "HeapObjects"
    ),
    Metric("traced", BYTES, GAUGE, "tracing", "memory traced by tracemalloc"),
    Metric("traced_peak", BYTES, GAUGE, "tracing", "peak of the memory traced"),
    Metric(
        "malloc_sys", BYTES, GAUGE, "malloc", "C heap: what glibc's malloc holds from the system"
    ),
    Metric("malloc_used", BYTES, GAUGE, "malloc", "C heap in use by C code, extensions, big bytes"),
    Metric("malloc_free", BYTES, GAUGE, "malloc", "C heap freed by the program but kept by malloc"),
    Metric(
        "malloc_trimmable", BYTES, GAUGE, "malloc", "top of the C heap that malloc could return"
    ),
    Metric(
        "gc_pending_0", COUNT, GAUGE, "garbage", "objects waiting for a collection of generation 0"
    ),
    Metric("gc_pending_1", COUNT, GAUGE, "garbage", "count towards a collection of generation 1"),
    Metric("gc_pending_2", COUNT, GAUGE, "garbage", "count towards a collection of generation 2"),
    Metric("gc_runs_0", COUNT, COUNTER, "garbage", "collections of generation 0", "NumGC"),
    Metric("gc_runs_1", COUNT, COUNTER, "garbage", "collections of generation 1", "NumGC"),
    Metric("gc_runs_2", COUNT, COUNTER, "garbage", "collections of generation 2", "NumGC"),
    Metric("gc_collected", COUNT, COUNTER, "garbage", "objects that the GC has freed"),
    Metric("gc_uncollectable", COUNT, COUNTER, "garbage", "objects found that cannot be freed"),
    Metric(
        "gc_pause",
        MICROSECONDS,
        COUNTER,
        "garbage",
        "time that the GC has stopped the program",
        "PauseTotalNs",
    ),
    Metric(
        "gc_pause_max",
        MICROSECONDS,
        GAUGE,
        "garbage",
        "longest GC pause since the last sample",
        "PauseNs",
    ),
    Metric("cgroup_used", BYTES, GAUGE, "cgroup", "memory charged to this process's cgroup"),
    Metric(
        "cgroup_limit",
        BYTES,
        GAUGE,
        "cgroup",
        "memory limit of the cgroup, enforced by the OOM killer",
    ),
    Metric(
        "cgroup_oom_kills",
        COUNT,
        COUNTER,
        "cgroup",
        "processes of the cgroup that the OOM killer has ended",
    ),
)

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in CATALOGUE}
