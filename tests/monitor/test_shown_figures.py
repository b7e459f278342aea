"""Shown figures against the kernel's figures of real processes and against the log."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from kit.memory_cgroup import small_cgroup
from kit.units import MIB
from kit.waiting import wait_until
from pprofplus.probes.cgroup import Cgroup
from pprofplus_tui.analysis.verdict_tracker import window_verdicts
from pprofplus_tui.backend.session import Session
from pprofplus_tui.model.comparison_request import SERVICE, SUM, ComparisonRequest
from pprofplus_tui.model.messages import ChartRequest, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.run_filter import GROWTH, Arranger
from pprofplus_tui.model.verdict import GROWING, SAW_TOOTH, TOO_LITTLE
from pprofplus_tui.model.window import Window
from pprofplus_tui.reports.collect import report_run
from pprofplus_tui.reports.content import Report
from pprofplus_tui.reports.html_page import write_page
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.run_log import open_log
from pprofplus_tui.sources.open import open_source
from pprofplus_tui.widgets.verdict_line import verdict_row

PAGE = os.sysconf("SC_PAGE_SIZE")
WORKERS = 8
LAZY_MIB = 64

# Eight workers of one service with different sizes; the last one has memory that it never touches.
SERVICE_CODE = """
import os, sys, time
import pprofplus

def worker(number):
    kept = bytearray(os.urandom(1024)) * 1024 * (8 + 4 * number)
    lazy = bytes({lazy} << 20) if number == {workers} - 1 else b""
    while True:
        time.sleep(0.1)

if len(sys.argv) > 2:
    with open(sys.argv[2] + "/cgroup.procs", "w") as file:
        file.write(str(os.getpid()))
pprofplus.start("web", interval_s=0.2, directory=sys.argv[1])
pids = []
for number in range({workers}):
    pid = os.fork()
    if not pid:
        worker(number)
    pids.append(pid)
print(*pids, flush=True)
while True:
    time.sleep(1)
"""


def rss_of(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


class Workers:
    """The processes, and the kernel's figures of them."""

    def __init__(self, home, *arguments):
        code = SERVICE_CODE.format(workers=WORKERS, lazy=LAZY_MIB)
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(home), *arguments], stdout=subprocess.PIPE, text=True
        )
        self.pids = [int(word) for word in self.process.stdout.readline().split()]
        self.killed = set()

    @property
    def all_pids(self):
        return [self.process.pid, *self.pids]

    def rss_together(self):
        return sum(rss_of(pid) for pid in self.all_pids if pid not in self.killed)

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        self.killed.add(pid)

    def close(self):
        for pid in (*self.pids, self.process.pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class Watcher:
    """A session on a log directory, and the charts that it submits to the renderer."""

    def __init__(self, home):
        self.session = Session(Options(), open_source([str(home)]), lambda _: None)
        self.pictures = {}
        submit_all = self.session._renderer.submit_all

        def keep(pictures):
            pictures = list(pictures)
            self.pictures.update(pictures)
            submit_all(pictures)

        self.session._renderer.submit_all = keep
        self.frame = None
        self.request = None

    @property
    def runs(self):
        return self.session._runs

    def run(self, pid):
        return next(run for run in self.runs if run.pid == pid)

    def refresh(self, **options):
        self.session.refresh(tuple(run.id for run in self.runs), **options)

    def refresh_until_found(self, pids):
        self.refresh_until(
            lambda: {run.pid for run in self.runs if run.rss_bytes} >= set(pids), 0.2
        )

    def refresh_until(self, condition, pause_s):
        def found():
            return condition() or self.refresh()

        wait_until(found, pause_s=pause_s, describe=lambda: self.runs)

    def service(self, name, **changes):
        """Answer the comparison of a service until all its runs are read; return the findings."""
        self.request = replace(
            ComparisonRequest(SERVICE, service=name, chart="memory"),
            shapes=(Shape(SERVICE, 100, 20), Shape(SUM, 100, 10)),
            **changes,
        )
        if self.request.window is None:
            now_ms = time.time_ns() // 1_000_000
            self.request = self.request.fitted(self.request.members(self.runs), now_ms)
        return self.again()

    def again(self, *, fresh=True):
        pending = True
        while pending:
            self.frame, pending = self.session.answer_comparison(
                self.request, fresh=fresh, before=self.frame
            )
            fresh = False
        return self.frame.findings

    def answer(self, pid, window, *shapes):
        request = ChartRequest(self.run(pid).id, window, shapes)
        self.frame = self.session.answer(request, fresh=True, before=self.frame)
        if not self.frame.verdicts.layers:  # the first charts of a run are drawn before its verdict
            self.frame = self.session.answer(request, fresh=False, before=self.frame)
        return self.frame.verdicts


@pytest.fixture
def watch():
    made = []

    def make(home):
        made.append(Watcher(home))
        return made[-1]

    yield make
    for watcher in made:
        watcher.session.close()


@pytest.fixture
def workers(tmp_path):
    made = Workers(tmp_path)
    yield made
    made.close()


# -- totals


def test_the_drawn_total_ends_at_the_sum_of_all_live_processes(workers, watch):
    watcher = watch(workers.home)
    watcher.refresh_until_found(workers.all_pids)
    time.sleep(1.0)  # all runs begin before the newest bucket
    for _ in range(6):
        # a minute in buckets shorter than the interval: the newest bucket is never complete
        now_ms = time.time_ns() // 1_000_000
        watcher.refresh()
        findings = watcher.service("web", window=Window.live(now_ms, 60_000))
        truth = workers.rss_together()
        points = watcher.pictures[SUM].lines[0].points
        assert points.hi[-1] == pytest.approx(truth, rel=0.03)
        assert points.lo[-1] == pytest.approx(truth, rel=0.03)
        assert findings.total == pytest.approx(truth, rel=0.03)
        assert findings.rss_bytes == findings.total
        time.sleep(0.37)


def test_a_killed_worker_is_in_no_total_after_its_last_sample(workers, watch):
    watcher = watch(workers.home)
    watcher.refresh_until_found(workers.all_pids)
    time.sleep(1.0)  # all runs overlap
    victim = workers.pids[3]
    size = rss_of(victim)
    workers.kill(victim)
    watcher.refresh_until(lambda: watcher.run(victim).state == "died", 0.3)
    time.sleep(1.0)
    watcher.refresh()
    findings = watcher.service("web", by_size=True)
    truth = workers.rss_together()
    assert findings.total == findings.rss_bytes == pytest.approx(truth, rel=0.03)
    assert findings.summed == WORKERS
    points = watcher.pictures[SUM].lines[0].points
    assert points.hi[-1] == pytest.approx(truth, rel=0.03)
    assert points.hi.max() == pytest.approx(truth + size, rel=0.03)
    # the table just before its death and just after it
    life_ms = watcher.run(victim).end_ms
    for moment_ms, value in ((life_ms - 1, size), (life_ms + 1, None)):
        watcher.request = replace(watcher.request, cursor_ms=moment_ms)
        found = watcher.again()
        members = {member.pid: member for member in found.members}
        if victim in members:
            member = members[victim]
            assert member.value == (None if value is None else pytest.approx(value, rel=0.03))
            assert member.missing_reason == ("ended" if value is None else "")
        sizes = [rss_of(pid) for pid in workers.all_pids if pid != victim]
        assert found.total == pytest.approx(sum(sizes) + (value or 0), rel=0.03)


@pytest.mark.slow
def test_a_stopped_worker_leaves_the_totals_when_its_last_sample_is_stale(workers, watch):
    watcher = watch(workers.home)
    watcher.refresh_until_found(workers.all_pids)
    stopped = workers.pids[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        watcher.refresh()
        assert watcher.service("web").silent == 0
        watcher.refresh_until(lambda: watcher.run(stopped).state == "stalled", 0.5)
        findings = watcher.service("web")
        assert (findings.running, findings.silent) == (WORKERS + 1, 1)
        truth = workers.rss_together() - rss_of(stopped)
        assert findings.total == findings.rss_bytes == pytest.approx(truth, rel=0.03)
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_a_restart_is_not_counted_twice_in_buckets_of_any_width(home, watch):
    flat = dict.fromkeys(
        ("uss", "vms", "heap_sys", "heap_used", "heap_idle", "malloc_sys", "malloc_used",
         "malloc_free", "gc_pause_max", "gc_runs_0", "cpu_user", "cpu_system", "threads"), MIB,
    )  # fmt: skip

    def sized(mib):
        return lambda _: {**flat, "rss": mib * MIB}

    begin_ms = 1_800_000_000_000
    for number in range(10):
        home.run(
            "web", 100 + number, begin_ms=begin_ms + number * 110_000, count=100, sample=sized(50)
        )
    watcher = watch(home.path)
    watcher.refresh()
    # a month: all ten runs are in one bucket
    window = Window.fit(begin_ms - 86_400_000 * 15, begin_ms + 86_400_000 * 15)
    watcher.service("web", window=window)
    points = watcher.pictures[SUM].lines[0].points
    assert len(points) <= 2
    assert {*(points.lo / MIB).tolist(), *(points.hi / MIB).tolist()} == {50}


def test_by_age_a_run_of_two_minutes_has_no_value_at_forty_and_there_is_no_total(home, watch):
    begin_ms = 1_800_000_000_000
    home.run("web", 1, begin_ms=begin_ms, count=2400)
    home.run("web", 2, begin_ms=begin_ms + 3_000_000, count=120)
    watcher = watch(home.path)
    watcher.refresh()
    findings = watcher.service("web", aligned=True)
    values = {member.pid: (member.value, member.missing_reason) for member in findings.members}
    assert findings.moment_ms == 2_399_000
    assert values[1][0] == pytest.approx(70 * MIB + 2399 * 65_536, rel=0.01)
    assert values[2] == (None, "ended")
    assert findings.total is None
    labels = {line.label: line.value for line in watcher.pictures[SERVICE].lines}
    assert labels["B web 2"] == "ended" or labels.get("A web 2") == "ended"


# -- memory that is not resident


def test_untouched_memory_is_shown_as_not_resident_and_no_layer_is_negative(workers, watch):
    watcher = watch(workers.home)
    lazy = workers.pids[-1]
    watcher.refresh_until_found(workers.all_pids)
    now_ms = time.time_ns() // 1_000_000
    facts = watcher.answer(lazy, Window.live(now_ms, 60_000), Shape("layers", 100, 20))
    absent = facts.layer("absent").now_bytes
    sizes = {layer.kind.id: layer.now_bytes for layer in facts.layers}
    assert min(sizes.values()) >= 0
    # the size allocated; malloc has a few other untouched pages
    assert absent == pytest.approx(LAZY_MIB * MIB, abs=12 * MIB)
    assert sizes["rss"] == pytest.approx(rss_of(lazy), rel=0.03)
    # the parts add up to RSS plus the memory that is not resident
    parts = ("objects", "fragmentation", "c_heap", "c_free", "other")
    assert sum(sizes[name] for name in parts) - absent == pytest.approx(sizes["rss"], rel=0.02)
    assert re.search(r"\d+(\.\d)? MiB not resident", watcher.pictures["layers"].note)
    assert "not resident" in "".join(run.text for run in verdict_row(facts, 200))
    (info,) = [info for info in watcher.session._catalog.runs if info.pid == lazy]
    log = LocalRun(open_log(info.id, in_blocks=True))
    page = report_page(info, log, info.begin_ms, info.end_ms + 1)
    assert "of the allocated memory is not resident" in page
    assert "-" not in re.sub(r".*<td>other memory</td>(.*?)</td>.*", r"\1", page, flags=re.DOTALL)


def report_page(info, log, begin_ms, end_ms):
    found = report_run(info, log, (begin_ms, end_ms), None)
    return write_page(Report("t", begin_ms, end_ms, 0, (found,)))


# -- changes


def turning(i):
    """Return a sample: constant for five minutes, then 1 MiB/s more, mostly Python objects."""
    used = (40 + max(0, i - 300)) * MIB
    return {
        **dict.fromkeys(("vms", "gc_pause_max", "gc_runs_0", "cpu_user", "cpu_system"), 1),
        "rss": used + 30 * MIB,
        "uss": used + 20 * MIB,
        "heap_sys": used + 2 * MIB,
        "heap_used": used,
        "heap_idle": MIB,
        "malloc_sys": 12 * MIB,
        "malloc_used": 9 * MIB,
        "malloc_free": 3 * MIB,
        "threads": 4,
    }


def test_the_report_shows_the_same_change_as_the_export(home):
    path = home.run(count=600, sample=turning)
    catalog = Catalog([str(home.path)])
    catalog.refresh(frozenset([path]))
    (info,) = catalog.runs
    page = report_page(
        info, LocalRun(open_log(path, in_blocks=True)), info.begin_ms, info.end_ms + 1
    )
    csv = subprocess.run(
        [sys.executable, "-m", "pprofplus_tui", "--dir", str(home.path), "export",
         "--metrics", "rss"],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    rows = [int(line.rsplit(",", 1)[1]) for line in csv[1:]]
    assert (rows[-1] - rows[0]) / MIB == 299
    assert "+299 MiB in 9m59s (70 MiB to 369 MiB)" in page


def test_the_change_of_a_layer_is_between_its_first_and_last_sample(home):
    path = home.run(count=3000)
    log = LocalRun(open_log(path, in_blocks=True))
    begin_ms = log.begin_ms
    facts = window_verdicts(log, begin_ms + 10_000, begin_ms + 2_900_000)
    for name, step in (("rss", 65_536), ("objects", 65_536), ("c_heap", 0)):
        change = facts.layer(name).change
        assert change.amount == 2889 * step
        assert (change.first_ms, change.last_ms) == (begin_ms + 10_000, begin_ms + 2_899_000)
    assert facts.rss.now_bytes == 70 * MIB + 2899 * 65_536


# -- titles


def test_the_longest_pause_in_a_title_is_the_longest_of_the_window(home, watch):
    def pausing(i):
        return {**turning(0), "gc_pause_max": 41_000 if i == 100 else 0}

    home.run(count=600, sample=pausing)
    watcher = watch(home.path)
    watcher.refresh()
    run = watcher.run(4711)
    watcher.answer(4711, Window.fit(run.begin_ms, run.end_ms + 1), Shape("gc", 80, 12))
    (line,) = watcher.pictures["gc"].lines
    assert (line.label, line.value) == ("longest", "41 ms")
    drawn = subprocess.run(
        [sys.executable, "-m", "pprofplus_tui", "--dir", str(home.path), "plot", "--chart", "gc"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "longest 41 ms" in drawn


# -- one verdict


def saw(i):
    """Return a sample: 1 MiB more each, reset after 40; nearly every window has a slope."""
    return {**turning(0), "rss": (100 + i % 40) * MIB}


def test_a_saw_tooth_and_a_short_run_have_the_same_verdict_in_both_views(home, watch):
    now_ms = time.time_ns() // 1_000_000
    home.run("web", 1, begin_ms=now_ms - 900_000, count=900, sample=saw, state="live")
    home.run("web", 2, begin_ms=now_ms - 900_000, count=900, state="live")
    home.run("web", 3, begin_ms=now_ms - 100_000, count=16)
    watcher = watch(home.path)
    watcher.refresh()
    window = Window.fit(now_ms - 900_000, now_ms)
    findings = watcher.service("web", window=window)
    kinds = {member.pid: member.verdict.kind for member in findings.members}
    assert kinds == {1: SAW_TOOTH, 2: GROWING, 3: TOO_LITTLE}
    assert [member.pid for member in findings.members] == [2, 1, 3]
    for member in findings.members:
        facts = watcher.answer(member.pid, window, Shape("memory", 100, 20))
        assert facts.rss.verdict == member.verdict


def test_the_order_by_growth_uses_the_verdict_and_lists_live_runs_first(home, watch):
    now_ms = time.time_ns() // 1_000_000
    home.run("web", 1, begin_ms=now_ms - 900_000, count=900, sample=saw, state="live")
    home.run("web", 2, begin_ms=now_ms - 900_000, count=900, state="live")
    home.run("web", 3, begin_ms=now_ms - 16_000, count=16, state="live")
    home.run("web", 4, begin_ms=now_ms - 900_000, count=600)
    watcher = watch(home.path)
    watcher.refresh(ranking=True)
    while watcher.session.has_more:
        watcher.session.read_more((), ranking=True)
    arranged = Arranger().arranged(watcher.runs, GROWTH, 0.0)
    assert [run.pid for run in arranged] == [2, 1, 3, 4]
    kinds = [run.growth.kind for run in arranged[:3]]
    assert kinds == [GROWING, SAW_TOOTH, TOO_LITTLE]
    assert arranged[3].growth is None
    for run in arranged[:2]:
        window = Window.fit(now_ms - 900_000, now_ms)
        assert watcher.answer(run.pid, window).rss.verdict.kind == run.growth.kind


# -- the cgroup


@pytest.fixture
def cgroup():
    """A memory cgroup with a limit, of either version."""
    with small_cgroup("pprofplus-test", 512 * MIB) as made:
        yield made, made / Cgroup().used


def test_the_share_of_the_limit_is_that_of_the_cgroup_and_its_runs_are_counted(
    cgroup, tmp_path, watch
):
    made, used = cgroup
    inside = Workers(tmp_path, str(made))
    # other processes of this host, in another cgroup
    outside = Workers(tmp_path)
    try:
        watcher = watch(tmp_path)
        watcher.refresh_until_found((*inside.all_pids, *outside.all_pids))
        time.sleep(1.0)
        watcher.refresh()
        now_ms = time.time_ns() // 1_000_000
        window = Window.live(now_ms, 60_000)
        facts = watcher.answer(inside.pids[0], window, Shape("memory", 100, 20))
        truth = int(used.read_text())
        assert facts.limit_bytes == 512 * MIB
        assert facts.used_bytes == pytest.approx(truth, rel=0.05)
        assert facts.used_bytes != pytest.approx(facts.rss.now_bytes, rel=0.5)
        assert facts.sharers == WORKERS + 1
        text = "".join(run.text for run in verdict_row(facts, 80))
        share = round(100 * facts.used_bytes / facts.limit_bytes)
        assert re.search(rf"cgroup \d+ MiB, {share} % of (its limit )?512 MiB, 9 runs", text), text
    finally:
        inside.close()
        outside.close()
