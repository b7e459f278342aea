"""Which other runs are evidence of an OOM kill: those with the values of the same cgroup."""

import os
import time

import pytest

from kit.run_logs import open_run
from kit.units import GIB
from pprofplus.log.format import RunHeader
from pprofplus.log.writer import Writer
from pprofplus_tui.model.death import OomKills
from pprofplus_tui.sources.local import cgroup_siblings
from pprofplus_tui.sources.local.cgroup_siblings import Sibling, Siblings
from pprofplus_tui.sources.local.machine import this_machine

METRICS = (
    ("rss", "B", "gauge"),
    ("cgroup_used", "B", "gauge"),
    ("cgroup_limit", "B", "gauge"),
    ("cgroup_oom_kills", "count", "counter"),
)
NOW_MS = time.time_ns() // 1_000_000


@pytest.fixture
def write(tmp_path):
    """Write a run of one sample a second; return its path."""
    home = tmp_path / "logs"
    home.mkdir(mode=0o700)

    def run(  # noqa: PLR0913 - the properties of a run
        pid, *, age_s=3600, count=60, used=GIB // 2, limit=GIB, kills=lambda _: 3, boot_id=None
    ):
        begin_ms = NOW_MS - int(age_s * 1000)
        header = RunHeader(
            service="api",
            pid=pid,
            start_ms=begin_ms,
            metrics=METRICS,
            host=os.uname().nodename,
            boot_id=this_machine().boot_id if boot_id is None else boot_id,
            interval_ms=1000,
        )
        writer = Writer(str(home), header)
        for i in range(count):
            at = i * 1000
            used_now = used(at + begin_ms) if callable(used) else used
            writer.add(at, begin_ms + at, [100, used_now, limit, kills(at + begin_ms)])
        writer.abandon()
        return writer.directory

    return run


@pytest.fixture(autouse=True)
def _quiet_cgroup(monkeypatch):
    """Hide the cgroup of the tests."""
    monkeypatch.setattr(cgroup_siblings, "oom_kills_now", lambda _: None)


def seen(path, *others):
    """Return the evidence of the other runs about the end of a run."""
    logs = []
    for one in (path, *others):
        log = open_run(one)
        logs.append(log)
    died = logs[0]
    found = [Sibling(log.path, log.begin_ms, log.end_ms, log.pid) for log in logs[1:]]
    return Siblings().kills(died, died.last(), found, same_host=True)


END_MS = NOW_MS - 3600 * 1000 + 59_000  # of the run of a minute


def after(ms):
    """Return the count of a cgroup with a fourth kill at a time after the end."""
    return lambda at: 4 if at > ms else 3


def test_a_rise_of_the_count_in_another_run_right_after_the_end_counts(write):
    path = write(1)
    assert seen(path, write(2, count=120, kills=after(END_MS))) == OomKills(siblings=1)


def test_a_rise_long_after_the_end_does_not_count(write):
    path = write(1)
    assert seen(path, write(2, count=120, kills=after(END_MS + 40_000))) == OomKills()


def test_a_rise_counts_in_a_run_that_began_soon_after_with_the_memory_freed(write):
    path = write(1, used=GIB)
    later = write(2, age_s=3600 - 63, count=30, used=GIB // 8, kills=after(END_MS))
    assert seen(path, later) == OomKills(siblings=1)


def test_use_that_grows_to_the_limit_between_two_samples_is_that_of_one_cgroup(write):
    def used(at):
        """Return the use of a cgroup that fills up in two seconds and is free after the kill."""
        return GIB // 8 if at > END_MS else GIB * max(0, 2000 + at - END_MS) // 2000

    path = write(1, used=used)
    other = write(2, age_s=3600.5, count=120, used=used, kills=after(END_MS))
    assert seen(path, other) == OomKills(siblings=1)


@pytest.mark.parametrize(
    "other", [{"limit": 2 * GIB}, {"used": GIB // 8}, {"boot_id": "another"}, {"count": 60}]
)
def test_a_run_of_another_cgroup_or_boot_or_that_ended_too_does_not_count(write, other):
    path = write(1)
    assert seen(path, write(2, **{"count": 120, "kills": after(END_MS), **other})) == OomKills()


def test_a_new_cgroup_that_counts_from_zero_does_not_count(write):
    path = write(1)
    assert seen(path, write(2, age_s=3600 - 63, kills=lambda _: 0)) == OomKills()


def test_a_rise_in_the_last_samples_of_the_run_counts(write):
    assert seen(write(1, kills=after(END_MS - 10_000))) == OomKills(own=1)


def test_an_early_rise_in_the_run_does_not_count(write):
    assert seen(write(1, kills=after(END_MS - 50_000))) == OomKills()


def test_the_current_count_of_the_cgroup_counts_if_the_death_is_recent(write, monkeypatch):
    monkeypatch.setattr(cgroup_siblings, "oom_kills_now", lambda _: (5, GIB))
    assert seen(write(1, age_s=70)) == OomKills(now=2)
    assert seen(write(2)) == OomKills()  # the death was an hour ago
    monkeypatch.setattr(cgroup_siblings, "oom_kills_now", lambda _: (5, 2 * GIB))
    assert seen(write(3, age_s=70)) == OomKills()  # the limit differs
