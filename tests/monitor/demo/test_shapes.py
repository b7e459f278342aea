"""Each service of the demo has the shape that it demonstrates."""

import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.run_logs import open_run
from kit.units import MIB
from kit.waiting import wait_at_most, wait_until
from pprofplus.metrics import BY_NAME, CATALOGUE
from pprofplus_tui.demo import shapes
from pprofplus_tui.demo.processes import demo_directory, running_services
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.window_query import query

TIMEOUT_S = 120
COLUMNS = ("rss", "heap_used", "heap_sys", "malloc_used", "gc_runs_0", "gc_runs_1")
SHAPES = (
    shapes.leaking,
    shapes.saw_toothed,
    shapes.c_leaking,
    shapes.fragmenting,
    shapes.racing,
)


# -- the shapes of the past


@given(st.sampled_from(SHAPES), st.integers(0, 400), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_every_shape_has_possible_values(shape, n, seed):
    t_s = 1_700_000_000 + 60.0 * np.arange(n)
    found = shapes.columns(t_s, shape, np.random.default_rng(seed), 1024 * MIB)
    assert set(found) <= {metric.name for metric in CATALOGUE}
    for name, values in found.items():
        assert values.shape == (n,)
        assert (values >= 0).all(), name
        if BY_NAME[name].kind == "counter":
            assert (np.diff(values) >= 0).all(), name
    assert (found["heap_used"] <= found["heap_sys"]).all()
    assert (found["malloc_used"] <= found["malloc_sys"]).all()
    assert (found["uss"] <= found["rss"]).all()
    assert (found["rss"] <= found["vms"]).all()


# -- the shapes of the services, recorded live at one sample a second


class Watched:
    """The demo's services while they run.

    On a busy machine they need longer to show their shape, so `shows()` waits for it.
    """

    def __init__(self, directory, processes):
        self.processes = processes
        self.catalog = Catalog([str(directory)])
        self.until = time.monotonic() + TIMEOUT_S

    def look(self):
        """Return the columns of each service's runs as they are on disk now."""
        self.catalog.refresh()
        logs = {}
        for run in self.catalog.runs:
            log = open_run(run.id)
            wanted = tuple((name, False) for name in COLUMNS)
            # at least one bucket per sample: no samples are merged
            buckets = 8 * max(8, log.samples)
            found = query(log, log.begin_ms, log.end_ms + 1, buckets, wanted)
            columns = {name: found[name, False].hi / MIB for name in COLUMNS}
            logs.setdefault(run.service, []).append(SimpleNamespace(**columns, log=log))
        return logs

    def shows(self, service, runs, shape):
        """Wait until `shape(run)` is true of each run of a service; return whether it is."""

        def has_shape():
            found = self.look().get(service, [])
            return len(found) == runs and all(map(shape, found))

        return wait_at_most(has_shape, self.left_s, pause_s=1)

    @property
    def left_s(self):
        return self.until - time.monotonic()

    def states(self):
        self.catalog.refresh()
        return {run.service: run.state for run in self.catalog.runs}


@pytest.fixture(scope="module")
def watched():
    with demo_directory() as directory, running_services(directory) as started:
        yield Watched(directory, [psutil.Process(process.pid) for process in started])


slow = pytest.mark.slow
long_timeout = pytest.mark.timeout(TIMEOUT_S + 60)


@slow
@long_timeout
def test_a_leak_of_python_objects_grows_only_in_the_python_heap(watched):
    def leaks(api):
        grown = api.heap_used[-1] - api.heap_used[0]
        return (
            grown > 8
            and api.malloc_used[-1] - api.malloc_used[0] < 0.25 * grown
            and api.rss[-1] - api.rss[0] > 0.8 * grown
            and (np.diff(api.heap_used) >= -0.02 * grown).all()
        )

    assert watched.shows("api", 1, leaks)


@slow
@long_timeout
def test_a_worker_rises_falls_at_collections_and_does_not_grow(watched):
    def saw_tooths(worker):
        used = worker.heap_used
        falls = np.flatnonzero(np.diff(used) < -0.3 * used.max())
        if len(falls) < 2:
            return False
        collections = (worker.gc_runs_0 + worker.gc_runs_1) * MIB
        peaks = used[falls]
        return (collections[falls + 1] > collections[falls]).all() and (
            peaks.max() < 1.5 * peaks.min()
        )

    assert watched.shows("worker", 2, saw_tooths)


@slow
@long_timeout
def test_a_leak_in_c_grows_only_in_the_c_heap(watched):
    def leaks(imaging):
        grown = imaging.malloc_used[-1] - imaging.malloc_used[0]
        return grown > 5 and abs(imaging.heap_used[-1] - imaging.heap_used[0]) < 0.1 * grown

    assert watched.shows("imaging", 1, leaks)


@slow
@long_timeout
def test_a_fragmented_heap_keeps_its_size_after_its_objects_are_freed(watched):
    def fragments(reports):
        used, held = reports.heap_used, reports.heap_sys
        if len(used) < 2:
            return False
        fall = int(np.argmin(np.diff(used)))
        return (
            used[fall + 1] < 0.4 * used[fall]
            and held[fall + 1] > 0.9 * held[fall]
            and reports.rss[fall + 1] > 0.9 * reports.rss[fall]
        )

    assert watched.shows("reports", 1, fragments)


@slow
@long_timeout
def test_batch_grows_and_dies_without_a_stop_event_and_the_others_stay_live(watched):
    expected = dict.fromkeys(("api", "imaging", "reports", "worker"), "live")
    expected["batch"] = "died"
    wait_until(lambda: watched.states() == expected, watched.left_s, pause_s=1)
    (batch,) = watched.look()["batch"]
    assert batch.rss[-1] > 5 * batch.rss[0]
    assert "stop" not in {event.kind for event in batch.log.events()}


@slow
def test_all_services_together_use_less_than_400_mib(watched):
    running = [process for process in watched.processes if process.status() != "zombie"]
    assert sum(process.memory_info().rss for process in running) < 400 * MIB
