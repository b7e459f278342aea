"""The probe set: reads the probes that are due, isolates failures, and updates the schema."""

import pytest

from kit.units import SECOND_NS
from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.probes.probe_set import SOURCES, ProbeSet


class Steady(Probe):
    names = ("rss", "vms")
    reads = 0

    def read(self):
        self.reads += 1
        return self.reads, -self.reads


class Moody(Probe):
    """Returns or raises what the test has set."""

    names = ("uss",)
    says = (1,)

    def read(self):
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says


class Missing(Probe):
    names = ("pss",)

    def __init__(self):
        raise ProbeAbsentError("not here")


class Broken(Probe):
    names = ("swap",)

    def __init__(self):
        raise ZeroDivisionError


class Expensive(Probe):
    names = ("heap_blocks",)
    budgeted = True
    reads = 0

    def read(self):
        self.reads += 1
        sum(range(20_000))
        return (self.reads,)


@pytest.fixture
def make_probe_set():
    made = []

    def make(*sources, **options):
        made.append(ProbeSet(1.0, sources=tuple((kind,) for kind in sources), **options))
        made[-1].read(0)
        made[-1].rebuild_schema(0)
        return made[-1]

    yield make
    for one in made:
        one.close()


def probe_of(probe_set, kind):
    return next(slot.probe for slot in probe_set._slots if isinstance(slot.probe, kind))


def names(probe_set):
    return [name for name, _, _ in probe_set.metrics]


def test_every_source_of_this_platform_opens_and_fills_its_columns():
    probe_set = ProbeSet(1.0, sources=SOURCES)
    probe_set.read(0)
    values = probe_set.rebuild_schema(0)
    assert len(values) == len(probe_set.metrics) >= 25
    assert probe_set.failures == {}
    assert all(type(value) is int for value in values)
    probe_set.close()


def test_of_several_sources_the_first_that_exists_is_used():
    probe_set = ProbeSet(1.0, sources=((Missing, Steady, Moody), (Missing,)))
    probe_set.read(0)
    probe_set.rebuild_schema(0)
    assert names(probe_set) == ["rss", "vms"]
    assert probe_set.failures == {}


def test_a_source_that_cannot_be_opened_is_logged_and_left_out(make_probe_set):
    made = make_probe_set(Broken, Steady)
    assert names(made) == ["rss", "vms"]
    assert isinstance(made.failures["Broken"], ZeroDivisionError)


@pytest.mark.parametrize("trouble", [ValueError("no"), OSError(5, "EIO"), (1, 2), ()])
def test_a_failing_probe_keeps_its_last_value_and_is_logged_once(make_probe_set, trouble):
    made = make_probe_set(Steady, Moody)
    probe_of(made, Moody).says = (7,)
    assert made.read(1) == [2, -2, 7]
    probe_of(made, Moody).says = trouble
    assert made.read(2) == [3, -3, 7]
    assert list(made.failures) == ["Moody"]
    made.failures.clear()
    assert made.read(3) == [4, -4, 7]
    assert made.failures == {}
    probe_of(made, Moody).says = (8,)
    assert made.read(4) == [5, -5, 8]
    assert not made.outdated


def test_a_source_that_appears_later_is_in_the_next_schema(make_probe_set):
    made = make_probe_set(Steady, Moody)
    probe_of(made, Moody).says = None
    made.read(SECOND_NS)
    assert made.outdated
    assert made.rebuild_schema(SECOND_NS) == [2, -2]
    assert names(made) == ["rss", "vms"]
    probe_of(made, Moody).says = (9,)
    assert made.read(2 * SECOND_NS) == [3, -3]
    assert not made.outdated  # too early for another schema
    made.read(62 * SECOND_NS)
    assert made.outdated
    assert made.rebuild_schema(62 * SECOND_NS) == [4, -4, 9]
    assert names(made) == ["rss", "vms", "uss"]


def test_an_expensive_probe_runs_no_earlier_than_its_budget_allows(make_probe_set):
    made = make_probe_set(Expensive, budget=0.001)
    slot = made._slots[0]
    for now_ns in range(0, 20 * SECOND_NS, SECOND_NS // 100):
        due_ns, reads = slot.due_ns, slot.probe.reads
        values = made.read(now_ns)
        assert (slot.probe.reads > reads) == (now_ns >= due_ns)
        assert values == [slot.probe.reads]
        if slot.probe.reads > reads:
            assert slot.due_ns >= now_ns + int(slot.cost_s / 0.001 * SECOND_NS)
    assert 2 < slot.probe.reads < 2000


def test_an_expensive_probe_waits_at_most_five_minutes(make_probe_set):
    made = make_probe_set(Expensive, budget=1e-9)
    slot = made._slots[0]
    made.read(299 * SECOND_NS)
    assert slot.probe.reads == 1
    made.read(300 * SECOND_NS)
    assert slot.probe.reads == 2


def test_an_expensive_probe_waits_for_its_least_period_with_any_budget(make_probe_set):
    class Rare(Expensive):
        min_period_s = 4.5

        def read(self):
            self.reads += 1
            return (self.reads,)

    made = make_probe_set(Rare, budget=1.0)
    reads = probe_of(made, Rare).reads
    seen = [made.read(second * 10**9)[0] - reads for second in range(1, 16)]
    assert seen == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3]
