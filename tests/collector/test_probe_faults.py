"""Probes that raise, hang or return invalid results: isolated, logged once, others unaffected."""

import itertools
import math
import threading
from itertools import pairwise

import pytest

from kit.units import SECOND_NS
from pprofplus.log.format import INT64_MAX, INT64_MIN
from pprofplus.probes import Probe
from pprofplus.probes.probe_set import ProbeSet


class Steady(Probe):
    names = ("rss",)

    def read(self):
        return (1,)


class Faulty(Probe):
    """Does what the test has set; it has two values."""

    names = ("uss", "pss")
    says = (7, 8)

    def read(self):
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says


class Expensive(Faulty):
    budgeted = True
    reads = 0

    def read(self):
        self.reads += 1
        sum(range(20_000))
        raise ValueError


class Zero:
    """Like numpy's integers: not an int, but convertible to one."""

    def __index__(self):
        return 0


class Sly:
    def __index__(self):
        raise ZeroDivisionError


@pytest.fixture
def probe_set():
    """A probe set with a good probe and a faulty one."""
    made = ProbeSet(1.0, sources=((Steady,), (Faulty,)))
    made.read(0)
    made.rebuild_schema(0)
    yield made
    made.close()


@pytest.fixture
def faulty(probe_set):
    return probe_set._slots[1].probe


NONSENSE = {
    "texts": ("a", "b"),
    "a float": (1.5, 8),
    "not a number": (math.nan, 8),
    "infinity": (7, math.inf),
    "None": (None, 8),
    "too large": (1 << 63, 8),
    "far too large": (1 << 10_000, 8),
    "too small": (-(1 << 63) - 1, 8),
    "one too few": (7,),
    "one too many": (7, 8, 9),
    "none at all": (),
    "a number": 7,
    "a text": "ab",
    "bytes": b"ab",
    "a list": [7, 8],
    "a set": {7, 8},
    "without end": itertools.count(),
    "a trap": (Sly(), 8),
    "false": False,
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_an_invalid_result_is_refused_logged_once_and_the_last_values_are_kept(
    probe_set, faulty, nonsense
):
    faulty.says = nonsense
    assert probe_set.read(1) == [1, 7, 8]
    assert list(probe_set.failures) == ["Faulty"]
    probe_set.failures.clear()
    assert probe_set.read(2) == [1, 7, 8]
    assert probe_set.failures == {}
    faulty.says = (9, 10)
    assert probe_set.read(3) == [1, 9, 10]


def test_true_counts_as_one_and_other_integer_types_by_their_value(probe_set, faulty):
    faulty.says = (True, Zero())
    values = probe_set.read(1)
    assert values == [1, 1, 0]
    assert all(type(value) is int for value in values)
    assert probe_set.failures == {}


def test_the_full_range_of_64_bits_is_accepted(probe_set, faulty):
    faulty.says = (INT64_MIN, INT64_MAX)
    assert probe_set.read(1) == [1, INT64_MIN, INT64_MAX]


def test_a_probe_that_fails_again_is_logged_again(probe_set, faulty):
    for now_ns in range(1, 7, 2):
        faulty.says = ValueError("no")
        probe_set.read(now_ns)
        assert list(probe_set.failures) == ["Faulty"]
        probe_set.failures.clear()
        faulty.says = (7, 8)
        probe_set.read(now_ns + 1)
        assert probe_set.failures == {}


def test_values_of_a_probe_that_fails_for_a_minute_are_left_out_until_it_works(probe_set, faulty):
    faulty.says = OSError(5, "EIO")
    for second in range(1, 61):
        assert probe_set.read(second * SECOND_NS) == [1, 7, 8]
        assert not probe_set.outdated
    probe_set.read(61 * SECOND_NS)
    assert probe_set.outdated
    assert probe_set.rebuild_schema(61 * SECOND_NS) == [1]
    assert [name for name, _, _ in probe_set.metrics] == ["rss"]
    faulty.says = (9, 10)
    probe_set.read(122 * SECOND_NS)
    assert probe_set.outdated
    assert probe_set.rebuild_schema(122 * SECOND_NS) == [1, 9, 10]


def test_an_expensive_probe_that_fails_stays_within_its_budget():
    probe_set = ProbeSet(1.0, budget=0.001, sources=((Expensive,),))
    for now_ns in range(0, 20 * SECOND_NS, SECOND_NS // 100):
        probe_set.read(now_ns)
    # it was due 2000 times; at 0.1 ms or more a read, the budget allows one read in 0.1 s
    assert probe_set._slots[0].probe.reads < 1000


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_probe_cannot_end_the_collectors_thread(probe_set, faulty, kind):
    faulty.says = kind()
    found = []
    thread = threading.Thread(target=lambda: found.append(probe_set.read(1)))
    thread.start()
    thread.join()
    assert found == [[1, 7, 8]]
    assert list(probe_set.failures) == ["Faulty"]


def test_a_keyboard_interrupt_in_the_hosts_thread_is_not_swallowed(probe_set, faulty):
    faulty.says = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        probe_set.read(1)


# a probe in a real service: the program sets `act`, which each reading calls
SERVICE = """
from pprofplus.probes.usage import UsageProbe
read, acts = UsageProbe.read, []
def faulty(self):
    return acts[0](self) if acts else read(self)
UsageProbe.read = faulty
def fail(self):
    raise error
"""


def test_a_probe_that_raises_at_every_sample_is_logged_in_one_line(run_service):
    report, run = run_service(
        SERVICE
        + """
pprofplus.start("api", interval_s=0.002)
samples(5)
error = RuntimeError("no such\\ncounter")
acts.append(fail)
samples(100)
acts.clear()
samples(5)
report()
"""
    )
    assert len(run.samples) == report["taken"]
    (line,) = report["warnings"]
    assert line.startswith("UsageProbe fails, its values may be old")
    assert "RuntimeError('no such" in line
    assert "\n" not in line


def test_a_probe_that_raises_from_the_start_leaves_out_only_its_own_values(run_service):
    _, run = run_service(
        SERVICE
        + """
error = RuntimeError("no")
acts.append(fail)
pprofplus.start("api", interval_s=0.05)
samples(3)
report()
"""
    )
    names = run.samples[-1][2].keys()
    assert "cpu_user" not in names
    assert {"rss", "heap_used", "threads", "gc_pause"} <= names


def test_an_error_whose_repr_raises_is_logged_by_its_class(run_service):
    report, run = run_service(
        SERVICE
        + """
class Hostile(Exception):
    def __repr__(self):
        raise self
    __str__ = __repr__
error = Hostile()
pprofplus.start("api", interval_s=0.002)
acts.append(fail)
samples(20)
report()
"""
    )
    assert len(run.samples) == report["taken"]
    (line,) = report["warnings"]
    assert line.endswith("Hostile")


def test_an_error_text_of_a_megabyte_or_with_escape_sequences_is_logged_as_one_short_printable_line(
    run_service,
):
    report, _ = run_service(
        SERVICE
        + """
class Loud(Exception):
    def __repr__(self):
        return "\\x1b[2J\\n\\udcff" + "x" * 10**6
error = Loud()
pprofplus.start("api", interval_s=0.002)
acts.append(fail)
samples(20)
report()
"""
    )
    (line,) = report["warnings"]
    assert line.isprintable()
    assert len(line) <= 500


def test_a_probe_that_exits_ends_neither_the_recording_nor_the_host(run_service):
    report, run = run_service(
        SERVICE
        + """
collector = pprofplus.start("api", interval_s=0.002)
error = SystemExit(3)
acts.append(fail)
samples(20)
assert collector.running
report()
"""
    )
    assert len(run.samples) == report["taken"]
    assert run.kinds == ["start", "stop"]


def test_a_probe_that_hangs_once_is_logged_and_leaves_a_gap(run_service):
    report, run = run_service(
        SERVICE
        + """
collector = pprofplus.start("api", interval_s=0.05)
samples(3)
def hang(self):
    acts.clear()
    probe_set._SLOW_NS = 2 * 10**9
    time.sleep(2.1)
    return read(self)
acts.append(hang)
samples(10)
report()
"""
    )
    assert len(run.samples) == report["taken"]
    times = [mono for mono, _, _ in run.samples]
    assert max(later - earlier for earlier, later in pairwise(times)) >= 2000
    line = next(line for line in report["warnings"] if line.startswith("UsageProbe (slow)"))
    assert "other probes waited" in line
    assert report["warnings"].count(line) == 1


def test_a_failing_log_handler_of_the_host_stops_nothing(run_service):
    report, run = run_service(
        SERVICE
        + """
class Failing(logging.Handler):
    def emit(self, record):
        raise RuntimeError("of the host")
logging.getLogger("pprofplus").handlers.insert(0, Failing())
error = ValueError("no")
acts.append(fail)
collector = pprofplus.start("api", interval_s=0.002)
samples(20)
assert collector.running
report()
"""
    )
    assert len(run.samples) == report["taken"]


def test_starting_tracemalloc_logs_nothing_about_pymalloc(run_service):
    report, run = run_service(
        """
import tracemalloc
pprofplus.start("api", interval_s=0.002)
samples(5)
tracemalloc.start()
samples(400)  # pymalloc, being dear, is not asked at each
report()
"""
    )
    assert report["warnings"] == []
    assert "traced" in run.samples[-1][2]


def test_two_threads_that_warn_at_the_same_time_log_one_line(run_service):
    report, _ = run_service(
        SERVICE
        + """
error = ValueError("no")
acts.append(fail)
for _ in range(30):
    collector = pprofplus.start("api", interval_s=0.002)
    speakers = [threading.Thread(target=collector.emit_warnings) for _ in range(4)]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join()
    samples(1)
pprofplus.stop()
report()
"""
    )
    assert len(report["warnings"]) == 1
