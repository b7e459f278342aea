"""The watch for triggers: which memory it reads, of which cgroup, and when an expression fires."""

import os

import pytest

from kit.units import MIB
from pprofplus.probes.cgroup import Cgroup, CgroupLimitProbe
from pprofplus.probes.limited_cgroup import LimitedCgroup, reclaimable_bytes
from pprofplus.profiles.trigger_expression import TriggerExpression
from pprofplus.recording.limit_trigger import MAX_POLL_S, MOST_PER_HOUR
from pprofplus.recording.trigger_watch import TriggerWatch

NO_LIMIT = {1: (1 << 63) - 4096, 2: "max"}
FILES = {
    1: ("memory.usage_in_bytes", "memory.limit_in_bytes", "cgroup cgroup rw,memory", "4:memory"),
    2: ("memory.current", "memory.max", "cgroup2 cgroup rw", "0:"),
}


class FakeCgroups:
    """A tree of cgroups made of plain files: /, /pod, and /pod/app, which is this process's."""

    def __init__(self, path, version):
        self.path, self.version = path, version
        self.used_name, self.limit_name, kind, controllers = FILES[version]
        for group in ("", "pod", "pod/app"):
            self.set(group, used=MIB)
        (path / "self").mkdir()
        (path / "self" / "cgroup").write_text(f"{controllers}:/pod/app\n")
        (path / "self" / "mountinfo").write_text(
            f"35 31 0:32 / {path / 'tree'} rw shared:9 - {kind}\n"
        )

    def directory(self, group):
        return self.path / "tree" / group

    def set(self, group, used=None, limit=None, reclaimable=0):
        directory = self.directory(group)
        directory.mkdir(parents=True, exist_ok=True)
        if used is not None:
            (directory / self.used_name).write_text(f"{used}\n")
            prefix = "total_" if self.version == 1 else ""
            own = "active_file 7\ninactive_file 7\n" if self.version == 1 else ""
            (directory / "memory.stat").write_text(
                f"anon 1\n{own}{prefix}inactive_file {reclaimable}\n{prefix}active_file 0\n"
            )
        if limit is not None or not (directory / self.limit_name).exists():
            value = NO_LIMIT[self.version] if limit is None else limit
            (directory / self.limit_name).write_text(f"{value}\n")


class FakeProbeSet:
    """Has a limit probe of the fake cgroups, and values."""

    def __init__(self, cgroups, values=()):
        self.probe = CgroupLimitProbe.__new__(CgroupLimitProbe)
        self.cgroups, self.values, self.reads = cgroups, dict(values), 0
        self.probe.read = self.read
        self.read()

    def read(self):
        self.reads += 1
        self.probe.cgroup = Cgroup(proc=str(self.cgroups.path))
        self.probe.limits = self.probe.cgroup.limits()

    def source(self, kind):
        return self.probe if kind is CgroupLimitProbe else None

    def latest(self, name):
        return self.values.get(name)


@pytest.fixture(params=[1, 2])
def cgroups(tmp_path, request):
    return FakeCgroups(tmp_path, request.param)


@pytest.fixture
def now(monkeypatch):
    """The monotonic clock of the watch, in seconds."""
    clock = [1000.0]
    monkeypatch.setattr(
        "pprofplus.recording.trigger_watch.monotonic_ns", lambda: round(clock[0] * 1e9)
    )
    return clock


class Watched:
    """A watch whose polls return the names of what fires."""

    def __init__(self, probe_set, now, when=None, interval_s=1.0):
        self.warnings = {}
        expression = None if when is None else TriggerExpression(when)
        self.watch = TriggerWatch(expression, self.warnings.setdefault)
        self.probe_set, self.now, self.interval_s = probe_set, now, interval_s
        self.last = []

    def poll(self, after_s=1.0, *, sampled=True):
        self.now[0] += after_s
        self.last = self.watch.poll(self.probe_set, self.interval_s, sampled=sampled)
        return [fired.why for fired in self.last]

    @property
    def waits_s(self):
        return self.watch.due_ns / 1e9 - self.now[0]


def test_the_memory_of_the_cgroup_that_has_the_limit_is_watched(cgroups, now):
    cgroups.set("pod", used=500 * MIB, limit=1000 * MIB)
    watched = Watched(FakeProbeSet(cgroups), now)
    assert watched.poll() == []
    cgroups.set("pod/app", used=999 * MIB)  # it has no limit of its own
    assert watched.poll() == []
    cgroups.set("pod", used=800 * MIB)
    assert watched.poll() == ["limit-75"]
    assert watched.last[0].directory == str(cgroups.directory("pod"))
    assert str(800 * MIB) in watched.last[0].comment


def test_each_level_with_a_limit_fires(cgroups, now):
    cgroups.set("pod", used=500 * MIB, limit=1000 * MIB)
    cgroups.set("pod/app", used=100 * MIB, limit=400 * MIB)
    watched = Watched(FakeProbeSet(cgroups), now)
    watched.poll()
    cgroups.set("pod/app", used=310 * MIB)
    assert watched.poll() == ["limit-75"]
    cgroups.set("pod", used=910 * MIB)
    assert sorted(watched.poll()) == ["limit-75", "limit-90"]


def test_page_cache_that_can_be_reclaimed_is_not_memory_in_use(cgroups, now):
    cgroups.set("pod/app", used=500 * MIB, limit=1000 * MIB)
    watched = Watched(FakeProbeSet(cgroups), now)
    watched.poll()
    for share in (0.7, 0.8, 0.95, 1.0):
        used = round(share * 1000) * MIB
        cgroups.set("pod/app", used=used, reclaimable=used - 500 * MIB)
        assert watched.poll() == []
    cgroups.set("pod/app", used=1000 * MIB, reclaimable=90 * MIB)
    assert watched.poll() == ["limit-75", "limit-90"]


def test_sums_over_the_hierarchy_are_used_where_there_are_some():
    assert reclaimable_bytes(b"inactive_file 5\nactive_file 6\nslab_reclaimable 7\n") == 18
    assert reclaimable_bytes(b"inactive_file 5\ntotal_inactive_file 50\n") == 50
    assert reclaimable_bytes(b"anon 5\nxinactive_file 6\nactive_file x\n") == 0


def test_a_limit_that_is_set_later_is_watched_when_a_sample_has_read_it(cgroups, now):
    watched = Watched(FakeProbeSet(cgroups), now)
    cgroups.set("pod/app", used=500 * MIB, limit=1000 * MIB)
    assert watched.poll() == []
    watched.probe_set.read()
    assert watched.poll() == []
    cgroups.set("pod/app", used=800 * MIB)
    assert watched.poll() == ["limit-75"]
    cgroups.set("pod/app", limit=2000 * MIB)
    watched.probe_set.read()
    cgroups.set("pod/app", used=1200 * MIB)
    assert watched.poll() == []
    cgroups.set("pod/app", used=1900 * MIB)
    assert watched.poll() == ["limit-75", "limit-90"]


def test_with_rare_samples_the_limits_are_read_every_fifteen_seconds(cgroups, now):
    watched = Watched(FakeProbeSet(cgroups), now, interval_s=3600.0)
    watched.poll()
    reads = watched.probe_set.reads
    for _ in range(60):
        watched.poll(1.0, sampled=False)
    assert watched.probe_set.reads - reads == 4


def test_a_cgroup_that_vanishes_is_looked_for_again(cgroups, now):
    cgroups.set("pod/app", used=500 * MIB, limit=1000 * MIB)
    watched = Watched(FakeProbeSet(cgroups), now)
    watched.poll()
    used = cgroups.directory("pod/app") / cgroups.used_name
    used.write_text("")  # as a removed file of the kernel, it has no number
    assert watched.poll() == []
    assert watched.poll() == []
    cgroups.set("pod/app", used=800 * MIB)
    assert watched.poll() == ["limit-75"]
    assert watched.warnings == {}
    for path in (cgroups.path / "self").iterdir():
        path.unlink()
    used.write_text("")
    assert watched.poll() == []
    assert watched.poll() == []
    assert "cannot be read" in watched.warnings["limits"]
    assert watched.waits_s == pytest.approx(MAX_POLL_S)


def test_without_a_limit_nothing_is_read_more_often_than_requests_are(cgroups, now):
    watched = Watched(FakeProbeSet(cgroups), now, when="rss > 1GiB", interval_s=3600.0)
    watched.poll()
    assert watched.waits_s == pytest.approx(2.0)


def test_no_descriptor_is_left_open_after_the_end(cgroups, now):
    cgroups.set("pod/app", used=500 * MIB, limit=1000 * MIB)
    before = os.listdir("/proc/self/fd")
    watched = Watched(FakeProbeSet(cgroups), now, when="threads > 5000", interval_s=60.0)
    watched.poll(sampled=False)
    assert len(os.listdir("/proc/self/fd")) > len(before)
    watched.watch.close()
    assert os.listdir("/proc/self/fd") == before


def test_an_expression_fires_when_it_begins_to_hold_and_not_while_it_holds(cgroups, now):
    probe_set = FakeProbeSet(cgroups, {"threads": 5})
    watched = Watched(probe_set, now, when="threads > 50")
    assert watched.poll() == []
    probe_set.values["threads"] = 51
    assert watched.poll() == ["when"]
    assert watched.last[0].comment == "when: threads > 50"
    assert [watched.poll() for _ in range(5000)] == [[]] * 5000
    probe_set.values["threads"] = 5
    watched.poll()
    probe_set.values["threads"] = 51
    assert watched.poll() == ["when"]


def test_an_expression_that_comes_and_goes_fires_twice_an_hour_at_most(cgroups, now):
    probe_set = FakeProbeSet(cgroups)
    watched = Watched(probe_set, now, when="threads > 50")
    fired = []
    for second in range(4 * 3600):
        probe_set.values["threads"] = 100 * (second // 10 % 2)
        fired += watched.poll()
    assert len(fired) == 4 * MOST_PER_HOUR


def test_an_expression_can_use_the_memory_that_the_limit_applies_to(cgroups, now):
    cgroups.set("pod", used=500 * MIB, limit=1000 * MIB)
    probe_set = FakeProbeSet(cgroups, {"cgroup_limit": 1000 * MIB})
    watched = Watched(probe_set, now, when="limit_used > 60%")
    assert watched.poll() == []
    cgroups.set("pod", used=650 * MIB, reclaimable=100 * MIB)
    assert watched.poll() == []
    cgroups.set("pod", used=650 * MIB)
    assert watched.poll() == ["when"]


def test_with_rare_samples_cheap_metrics_are_read_between_them(cgroups, now):
    probe_set = FakeProbeSet(cgroups, {"rss": 0, "uss": 0})
    watched = Watched(probe_set, now, when="rss > 1MiB and uss < 1MiB", interval_s=60.0)
    assert watched.poll(sampled=True) == []
    assert watched.poll(sampled=False) == ["when"]  # this process has more


def test_a_cgroup_is_opened_only_once(cgroups, now, monkeypatch):
    cgroups.set("pod/app", used=500 * MIB, limit=1000 * MIB)
    watched = Watched(FakeProbeSet(cgroups), now)
    watched.poll()
    opened = []
    monkeypatch.setattr(LimitedCgroup, "__init__", lambda *arguments: opened.append(arguments))
    for _ in range(5):
        watched.probe_set.read()
        watched.poll()
    assert opened == []
