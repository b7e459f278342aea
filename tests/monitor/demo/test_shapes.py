"""Each service of the demo has the shape that it is there to show, within half a minute."""

import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pprofplus.metrics import BY_NAME, CATALOGUE
from pprofplus_tui.demo import shapes
from pprofplus_tui.demo.processes import demo_directory, running_services
from pprofplus_tui.logs.catalog import Catalog
from pprofplus_tui.logs.history import query
from pprofplus_tui.logs.run import RunLog

MIB = 1 << 20
WATCHED_S = 34
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
def test_every_shape_gives_possible_figures(shape, n, seed):
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


@pytest.fixture(scope="module")
def watched():
    """Every service recorded for half a minute, and what that cost."""
    with demo_directory() as directory:
        with running_services(directory) as started:
            running = [psutil.Process(process.pid) for process in started]
            cpu_s = rss_bytes = 0
            deadline = time.monotonic() + WATCHED_S
            while time.monotonic() < deadline:
                time.sleep(0.5)
                there = [process for process in running if process.status() != "zombie"]
                rss_bytes = max(rss_bytes, sum(p.memory_info().rss for p in there))
                cpu_s = max(cpu_s, sum(sum(p.cpu_times()[:2]) for p in there))
            catalog = Catalog([str(directory)])
            catalog.refresh()
            states = {run.service: run.state for run in catalog.runs}
            # while they run: the last sample of one that ends shows it having let go
            logs = {}
            for run in catalog.runs:
                log = RunLog(run.path)
                log.refresh()
                names = ("rss", "heap_used", "heap_sys", "malloc_used", "gc_runs_0", "gc_runs_1")
                wanted = tuple((name, False) for name in names)
                # a bucket a sample: nothing is put together
                buckets = 8 * max(8, log.samples)
                found = query(log, log.begin_ms, log.begin_ms + WATCHED_S * 1000, buckets, wanted)
                logs.setdefault(run.service, []).append(
                    SimpleNamespace(
                        **{name: found[name, False].hi / MIB for name in names}, log=log
                    )
                )
        yield SimpleNamespace(logs=logs, states=states, cpu_s=cpu_s, rss_bytes=rss_bytes)


slow = pytest.mark.slow


@slow
def test_a_leak_of_python_objects_grows_in_the_python_heap_alone(watched):
    (api,) = watched.logs["api"]
    grown = api.heap_used[-1] - api.heap_used[0]
    assert grown > 8
    assert api.malloc_used[-1] - api.malloc_used[0] < 0.25 * grown
    assert api.rss[-1] - api.rss[0] > 0.8 * grown
    assert (np.diff(api.heap_used) > 0).mean() > 0.9


@slow
def test_a_worker_climbs_falls_with_the_collector_and_does_not_grow(watched):
    assert len(watched.logs["worker"]) == 2
    for worker in watched.logs["worker"]:
        used = worker.heap_used
        falls = np.flatnonzero(np.diff(used) < -0.3 * used.max())
        assert len(falls) >= 2
        collections = (worker.gc_runs_0 + worker.gc_runs_1) * MIB
        assert all(collections[at + 1] > collections[at] for at in falls)
        peaks = used[falls]
        assert peaks.max() < 1.35 * peaks.min()


@slow
def test_a_leak_in_c_grows_in_the_c_heap_alone(watched):
    (imaging,) = watched.logs["imaging"]
    grown = imaging.malloc_used[-1] - imaging.malloc_used[0]
    assert grown > 5
    assert abs(imaging.heap_used[-1] - imaging.heap_used[0]) < 0.1 * grown


@slow
def test_a_fragmented_heap_stays_though_its_objects_are_gone(watched):
    (reports,) = watched.logs["reports"]
    used, held = reports.heap_used, reports.heap_sys
    fall = int(np.argmin(np.diff(used)))
    assert used[fall + 1] < 0.4 * used[fall]
    assert held[fall + 1] > 0.9 * held[fall]
    assert reports.rss[fall + 1] > 0.9 * reports.rss[fall]


@slow
def test_the_doomed_one_grows_and_dies_without_a_word(watched):
    (batch,) = watched.logs["batch"]
    assert watched.states["batch"] == "died"
    assert batch.rss[-1] > 5 * batch.rss[0]
    assert "stop" not in {event.kind for event in batch.log.events()}


@slow
def test_the_others_live_on(watched):
    assert {name for name, state in watched.states.items() if state == "live"} == {
        "api",
        "worker",
        "imaging",
        "reports",
    }


@slow
def test_all_together_cost_less_than_a_quarter_of_a_core_and_400_mib(watched):
    assert watched.cpu_s / WATCHED_S < 0.25
    assert watched.rss_bytes < 400 * MIB
