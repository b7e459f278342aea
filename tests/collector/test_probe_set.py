"""The panel: what is due is read, one probe's trouble is its own, and the table follows."""

import pytest

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.probes.probe_set import SOURCES, ProbeSet

SECOND_NS = 10**9


class Steady(Probe):
    names = ("rss", "vms")
    reads = 0

    def read(self):
        self.reads += 1
        return self.reads, -self.reads


class Moody(Probe):
    """Gives, raises or returns whatever it was told to."""

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


class Dear(Probe):
    names = ("heap_blocks",)
    budgeted = True
    reads = 0

    def read(self):
        self.reads += 1
        sum(range(20_000))
        return (self.reads,)


@pytest.fixture
def panel():
    made = []

    def make(*sources, **options):
        made.append(ProbeSet(1.0, sources=tuple((kind,) for kind in sources), **options))
        made[-1].read(0)
        made[-1].relist(0)
        return made[-1]

    yield make
    for one in made:
        one.close()


def probe_of(panel, kind):
    return next(slot.probe for slot in panel._slots if isinstance(slot.probe, kind))


def names(panel):
    return [name for name, _, _ in panel.metrics]


def test_every_source_of_this_platform_opens_and_fills_its_columns():
    panel = ProbeSet(1.0, sources=SOURCES)
    panel.read(0)
    values = panel.relist(0)
    assert len(values) == len(panel.metrics) >= 25
    assert panel.troubles == {}
    assert all(type(value) is int for value in values)
    panel.close()


def test_of_several_sources_the_first_that_exists_is_taken():
    panel = ProbeSet(1.0, sources=((Missing, Steady, Moody), (Missing,)))
    panel.read(0)
    panel.relist(0)
    assert names(panel) == ["rss", "vms"]
    assert panel.troubles == {}


def test_a_source_that_cannot_be_opened_is_reported_and_left_out(panel):
    made = panel(Broken, Steady)
    assert names(made) == ["rss", "vms"]
    assert isinstance(made.troubles["Broken"], ZeroDivisionError)


@pytest.mark.parametrize("trouble", [ValueError("no"), OSError(5, "EIO"), (1, 2), ()])
def test_a_probe_in_trouble_keeps_its_last_value_and_is_reported_once(panel, trouble):
    made = panel(Steady, Moody)
    probe_of(made, Moody).says = (7,)
    assert made.read(1) == [2, -2, 7]
    probe_of(made, Moody).says = trouble
    assert made.read(2) == [3, -3, 7]
    assert list(made.troubles) == ["Moody"]
    made.troubles.clear()
    assert made.read(3) == [4, -4, 7]
    assert made.troubles == {}
    probe_of(made, Moody).says = (8,)
    assert made.read(4) == [5, -5, 8]
    assert not made.outdated


def test_a_source_that_comes_later_is_taken_into_the_next_table(panel):
    made = panel(Steady, Moody)
    probe_of(made, Moody).says = None
    made.read(SECOND_NS)
    assert made.outdated
    assert made.relist(SECOND_NS) == [2, -2]
    assert names(made) == ["rss", "vms"]
    probe_of(made, Moody).says = (9,)
    assert made.read(2 * SECOND_NS) == [3, -3]
    assert not made.outdated  # not so soon again
    made.read(62 * SECOND_NS)
    assert made.outdated
    assert made.relist(62 * SECOND_NS) == [4, -4, 9]
    assert names(made) == ["rss", "vms", "uss"]


def test_a_dear_probe_runs_no_sooner_than_its_budget_allows(panel):
    made = panel(Dear, budget=0.001)
    slot = made._slots[0]
    for now_ns in range(0, 20 * SECOND_NS, SECOND_NS // 100):
        due_ns, reads = slot.due_ns, slot.probe.reads
        values = made.read(now_ns)
        assert (slot.probe.reads > reads) == (now_ns >= due_ns)
        assert values == [slot.probe.reads]
        if slot.probe.reads > reads:
            assert slot.due_ns >= now_ns + int(slot.cost_s / 0.001 * SECOND_NS)
    assert 2 < slot.probe.reads < 2000


def test_a_dear_probe_waits_five_minutes_at_the_most(panel):
    made = panel(Dear, budget=1e-9)
    slot = made._slots[0]
    made.read(299 * SECOND_NS)
    assert slot.probe.reads == 1
    made.read(300 * SECOND_NS)
    assert slot.probe.reads == 2


def test_a_dear_probe_with_a_least_period_waits_for_it_whatever_its_budget(panel):
    class Rare(Dear):
        least_period_s = 4.5

        def read(self):
            self.reads += 1
            return (self.reads,)

    made = panel(Rare, budget=1.0)
    reads = probe_of(made, Rare).reads
    seen = [made.read(second * 10**9)[0] - reads for second in range(1, 16)]
    assert seen == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3]
