"""Clocks that step and processes that stall: the log stays ordered, and stalls are gaps."""

from itertools import pairwise

import pytest

from kit.programs import SHIFTED_CLOCK
from kit.units import HOUR_MS

# The wall clock cannot be set for one process, and no test may set it for all. So the process under
# test has its own: the functions with which Python reads it are replaced before anything is
# imported.
CLOCK = SHIFTED_CLOCK + "HOUR_NS = 3_600 * 10**9\n"

STEPPING = """
pprofplus.start("api", interval_s=0.002)
steps = []
for shift in {shifts}:
    samples(60)
    before = len(history)
    shift_ns[0] = shift
    steps.append((before, len(history)))
samples(60)
report(steps=steps)
"""


def stepped(run_service, shifts, before=CLOCK):
    report, run = run_service(STEPPING.format(shifts=shifts), before=before)
    assert report["warnings"] == []
    assert run.bad == 0
    assert [row["rss"] for _, _, row in run.samples] == list(range(report["taken"]))
    monotonic = [mono for mono, _, _ in run.samples]
    assert monotonic == sorted(monotonic)
    return report, run


def wall_steps(run, least_ms):
    """The samples before which the wall clock stepped, and the steps in ms."""
    offsets = [unix - mono for mono, unix, _ in run.samples]
    return [
        (i + 1, later - earlier)
        for i, (earlier, later) in enumerate(pairwise(offsets))
        if abs(later - earlier) >= least_ms
    ]


def test_a_wall_clock_set_forward_and_back_by_an_hour_costs_no_sample_and_no_order(run_service):
    report, run = stepped(run_service, "[HOUR_NS, 0, -HOUR_NS, 0]")
    found = wall_steps(run, HOUR_MS // 2)
    signs = [round(step / HOUR_MS) for _, step in found]
    assert signs == [1, -1, -1, 1]
    # the sample that was being taken may have read the clock earlier
    for (number, _), (first, last) in zip(found, report["steps"], strict=True):
        assert first <= number <= last + 1


def test_a_wall_clock_that_steps_before_every_sample_costs_no_sample(run_service):
    stepped(run_service, "[n % 2 * HOUR_NS for n in range(8)]")


def test_a_clock_that_begins_in_1970_and_is_set_later_is_recorded_unchanged(run_service):
    before = CLOCK + "shift_ns[0] = -true_ns()\n"
    _, run = stepped(run_service, "[0]", before)
    assert run.header.start_ms < HOUR_MS
    (step,) = wall_steps(run, HOUR_MS)
    assert step[1] > 50 * 365 * 24 * HOUR_MS


def test_a_slewed_clock_is_never_off_by_a_second(run_service):
    _, run = stepped(run_service, "[n * 10**8 for n in range(1, 16)]")
    assert run.samples[-1][1] - run.samples[0][1] - (run.samples[-1][0] - run.samples[0][0]) >= 500
    # each page has the time of its first sample, and the next one begins before they differ by more
    starts = [page.head.first_unix_ms - page.head.first_mono_ms for page in run.pages]
    assert len(starts) > 1
    assert all(abs(later - earlier) < 1500 for earlier, later in pairwise(starts))


def test_a_c_extension_that_holds_the_gil_leaves_a_gap_and_no_burst_after_it(run_service):
    report, run = run_service(
        """
import ctypes
collector = pprofplus.start("api", interval_s=0.05)
samples(5)
ctypes.PyDLL(None).sleep(2)  # as a C extension that computes without releasing it
samples(10)
report()
"""
    )
    assert len(run.samples) == report["taken"]
    times = [mono for mono, _, _ in run.samples]
    steps = [later - earlier for earlier, later in pairwise(times)]
    gap = steps.index(max(steps))
    assert steps[gap] >= 1900
    # missed points of the grid are skipped: the next ones are a whole interval later
    assert sum(steps[gap + 1 : gap + 9]) >= 6 * 50
    assert (times[-2] - times[0]) // 50 >= len(times) - 2


def test_a_busy_host_thread_stops_no_sample(run_service):
    report, run = run_service(
        """
collector = pprofplus.start("api", interval_s=0.05)
busy = threading.Event()
def work():
    while not busy.is_set():
        sum(range(1000))
worker = threading.Thread(target=work)
worker.start()
samples(10)
busy.set()
worker.join()
report()
"""
    )
    assert len(run.samples) == report["taken"] >= 10


@pytest.mark.slow
def test_a_day_uses_no_more_memory_than_its_second_hour(run):
    samples, grown = map(
        int,
        run(
            """
import gc, os, random, time, tracemalloc
import pprofplus
from pprofplus import settings
from pprofplus.recording import run_recorder
from pprofplus.recording import sampler

class Clock:
    def __init__(self, now):
        self.now_ns = now()
    def __call__(self):
        self.now_ns += 20_000_000_000
        return self.now_ns

run_recorder.monotonic_ns = sampler.monotonic_ns = Clock(time.monotonic_ns)
run_recorder.time_ns = sampler.time_ns = Clock(time.time_ns)
own = tracemalloc.Filter(True, os.path.dirname(pprofplus.__file__) + "/*")
tracemalloc.start()
collector = sampler.Collector(settings.Settings("day", interval_s=20, max_bytes=1 << 18))
collector._open()
record = collector._recorder
kept, samples, held = [b""] * 1000, 0, []
for until in (360, 4_320):
    # a page in the making takes what it takes: each look is at one that has just begun
    while samples < until or record.writer._page.samples > 1:
        kept[random.randrange(1000)] = bytes(random.randrange(20_000))
        record.emit_warnings()
        record.handle_requests()
        record.sample()
        samples += 1
        if samples % 180 == 0:
            collector._request_expiry()
    gc.collect()
    found = tracemalloc.take_snapshot().filter_traces([own])
    held.append(sum(trace.size for trace in found.traces))
print(samples, held[1] - held[0])
"""
        ),
    )
    assert samples >= 4_320
    # Python 3.10 gives each function a cache at its 1,024th call, 15 KB in all; an object kept per
    # sample would take 100 KB
    assert grown < 32_768
