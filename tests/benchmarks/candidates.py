"""The cost of one way to monitor a process, in a new interpreter, as JSON on standard output.

    python candidates.py NAME STEPS SPACED

Before the candidate it imports only `threading`, `socket` and `json`, which any service has
loaded. The result for a candidate that is not installed is {"missing": ...}.
"""

import json
import socket  # noqa: F401 - a service has loaded it
import sys
import tempfile
import threading
import time
from functools import partial

_SPACE_S = 0.02
_WARM_UP = 50


def memory_bytes():
    """Return (resident, unique) bytes of this process, or None if the kernel has no such file."""
    fields = {}
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file.read().splitlines()[1:]:
                name, size = line.split()[:2]
                fields[name] = int(size) * 1024
    except OSError:
        return None
    return fields[b"Rss:"], fields[b"Private_Clean:"] + fields[b"Private_Dirty:"]


def _pprofplus(directory, *, without_budgeted=False):
    import pprofplus

    def start():
        pprofplus.start("bench", directory=directory)

    def prepare():
        from simulated import open_collector

        pprofplus.stop()  # on the simulated clocks its thread would sample without pause
        collector = open_collector("loop", directory)
        if without_budgeted:
            for slot in collector._recorder.probe_set._budgeted:
                slot.due_ns = 1 << 62
        return collector._recorder.sample, lambda: len(collector._recorder.probe_set.metrics)

    return start, prepare


def _prometheus(_):
    from prometheus_client import REGISTRY, generate_latest

    # the default registry has the process, platform and gc collectors
    def count():
        return sum(len(metric.samples) for metric in REGISTRY.collect())

    return generate_latest, lambda: (generate_latest, count)


def _opentelemetry(_):
    from opentelemetry.instrumentation import system_metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    chosen = {
        name: rows
        for name, rows in system_metrics._DEFAULT_CONFIG.items()
        if name.startswith(("process.", "cpython.")) and "runtime" not in name
    }
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    system_metrics.SystemMetricsInstrumentor(config=chosen).instrument(meter_provider=provider)

    def count():
        return sum(
            len(metric.data.data_points)
            for resource in reader.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )

    return reader.get_metrics_data, lambda: (reader.get_metrics_data, count)


def _ddtrace(_):
    from ddtrace.internal.runtime.runtime_metrics import RuntimeMetrics

    metrics = RuntimeMetrics()
    return lambda: list(metrics), lambda: (lambda: list(metrics), lambda: len(list(metrics)))


def _memory_profiler(_):
    from memory_profiler import memory_usage

    def collect():
        return memory_usage(-1, interval=0, max_usage=True)

    return collect, lambda: (collect, lambda: 1)


CANDIDATES = {
    "pprofplus": _pprofplus,
    "pprofplus_spared": partial(_pprofplus, without_budgeted=True),
    "prometheus_client": _prometheus,
    "opentelemetry": _opentelemetry,
    "ddtrace": _ddtrace,
    "memory_profiler": _memory_profiler,
}


def _timed_us(action, steps, pause=None):
    costs = []
    for _ in range(steps):
        if pause is not None:
            pause(_SPACE_S)
        began_ns = time.perf_counter_ns()
        action()
        costs.append((time.perf_counter_ns() - began_ns) / 1000)
    return costs


def measure(name, steps, spaced, directory):
    """Return the candidate's figures: import (ms), memory (bytes), collections (us)."""
    before = memory_bytes()
    began_ns = time.perf_counter_ns()
    try:
        start, prepare = CANDIDATES[name](directory)
    except ImportError as error:
        return {"missing": str(error)}
    import_ms = (time.perf_counter_ns() - began_ns) / 1e6
    start()
    after = memory_bytes()
    found = {"import_ms": import_ms, "python": sys.version.split()[0]}
    if before is not None and after is not None:
        found["rss"], found["uss"] = after[0] - before[0], after[1] - before[1]
    if steps:
        collect, count = prepare()
        _timed_us(collect, _WARM_UP)
        found["tight_us"] = _timed_us(collect, steps)
        found["spaced_us"] = _timed_us(collect, spaced, threading.Event().wait)
        found["metrics"] = count()
    return found


if __name__ == "__main__":
    # the collector may still write while the directory is removed
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as log_directory:
        result = measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), log_directory)
    sys.stdout.write(json.dumps(result))
