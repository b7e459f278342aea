"""Verdicts on real logs: the history before the window, and the cost of reading it."""

import gc
import io
from pathlib import Path
from weakref import ref

import numpy as np
import pytest

from kit.units import HOUR_MS, MIB, MINUTE_MS
from pprofplus_tui.analysis import whole_run
from pprofplus_tui.analysis.verdict_tracker import VerdictTracker, window_verdicts
from pprofplus_tui.backend.session import Session
from pprofplus_tui.commands.report import write_report
from pprofplus_tui.model.explanations import window_sentences
from pprofplus_tui.model.messages import ChartRequest, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.verdict import (
    EARLIER_RUN,
    EVERY_DAY,
    GROWING,
    LAYERS,
    MAYBE_WAVE,
    NOT_SURE,
    STEADY,
    Verdicts,
)
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.run_log import open_log
from pprofplus_tui.sources.open import open_source

BEGIN_MS = 1_800_000_000_000


def log_of(path):
    return LocalRun(open_log(path))


def wandering(count, size, memory, seed):
    rng = np.random.default_rng(seed)
    keep, level, out = np.exp(-1 / memory), 0.0, np.empty(count)
    for i in range(count):
        level = keep * level + rng.normal() * size * np.sqrt(1 - keep * keep)
        out[i] = level
    return out


def wave(hours, height):
    return height * np.exp(-((((hours % 24) - 14.5) / 4.2) ** 2))


def sample_of(c_used_mib):
    """Return a sample function with the given sizes of the C heap."""

    def sample(i):
        used, other = int(c_used_mib[i] * MIB), 22 * MIB
        c_sys = used + 2 * MIB
        return {
            "rss": c_sys + 62 * MIB + other,
            "uss": c_sys,
            "vms": 3 * c_sys,
            "heap_sys": 62 * MIB,
            "heap_used": 60 * MIB,
            "heap_idle": MIB,
            "malloc_sys": c_sys,
            "malloc_used": used,
            "malloc_free": 2 * MIB,
            "gc_pause_max": 900,
            "gc_runs_0": i,
            "cpu_user": i,
            "cpu_system": i,
            "threads": 4,
        }

    return sample


def write(home, c_used_mib, **how):
    how.setdefault("interval_ms", MINUTE_MS)
    return home.run(count=len(c_used_mib), sample=sample_of(c_used_mib), **how)


@pytest.fixture
def slow_leak(home):
    """Two days of 2 MiB/h in the C heap, under the noise of jobs and of the days' load."""
    hours = np.arange(48 * 60) / 60
    noise = wandering(len(hours), 9, 40, 3) + 8 * np.random.default_rng(3).exponential(
        1, len(hours)
    )
    return write(home, 200 + 2 * hours + wave(hours, 30) + noise)


def test_a_slow_leak_of_the_c_heap_is_found_and_named(slow_leak):
    log = log_of(slow_leak)
    for begin_ms in (log.begin_ms, log.end_ms - 12 * HOUR_MS):
        found = window_verdicts(log, begin_ms, log.end_ms + 1)
        assert found.rss.verdict.kind == GROWING
        assert found.layer("c_heap").verdict.kind == GROWING
        assert found.layer("c_heap").verdict.per_hour == pytest.approx(2 * MIB, rel=0.25)
        assert found.responsible.kind.id == "c_heap"
        assert not any("No layer alone" in line for line in window_sentences(found))


@pytest.mark.usefixtures("slow_leak")
def test_the_report_has_the_same_verdict_with_its_reason(home):
    out = io.StringIO()
    options = Options(directories=(str(home.path),))
    assert write_report(options, [], None, out, io.StringIO()) == 0
    page = out.getvalue()
    assert "RSS: growing +" in page
    assert "Confidence: high; the floor rises over all" in page
    assert "The layer that grows most is C heap" in page


def test_the_edge_of_a_day_is_steady_after_nine_days_and_not_sure_after_six_hours(home):
    hours = np.arange(9 * 24 * 60 + 12 * 60) / 60
    days = log_of(write(home, 300 + wave(hours, 60) + wandering(len(hours), 2, 20, 1), pid=1))
    found = window_verdicts(days, days.end_ms - 5 * HOUR_MS, days.end_ms + 1).rss.verdict
    assert (found.kind, found.reason) == (STEADY, EVERY_DAY)
    young = 300 + wave(hours[: 6 * 60] + 6, 60) + wandering(360, 1, 20, 2)
    log = log_of(write(home, young, service="other", pid=2))
    found = window_verdicts(log, log.begin_ms, log.end_ms + 1).rss.verdict
    assert (found.kind, found.reason) == (NOT_SURE, MAYBE_WAVE)


# -- the earlier run


@pytest.fixture
def restarted(home):
    """Four days of a service, and the first six hours after its restart: the day's edge."""
    hours = np.arange(4 * 24 * 60) / 60
    before = write(home, 280 + wave(hours + 6, 60) + wandering(len(hours), 1, 20, 1), pid=1)
    after = write(
        home,
        300 + wave(hours[: 6 * 60] + 6, 60) + wandering(360, 1, 20, 2),
        pid=2,
        begin_ms=BEGIN_MS + 4 * 24 * HOUR_MS,
    )
    return before, after


def test_the_previous_run_explains_a_young_one(restarted):
    log = log_of(restarted[1])
    found = window_verdicts(log, log.begin_ms, log.end_ms + 1).rss.verdict
    assert (found.kind, found.reason) == (STEADY, EARLIER_RUN)


def test_the_earlier_run_is_the_last_one_that_was_long_enough(home, restarted):
    before, after = restarted
    crashed_ms = BEGIN_MS + 4 * 24 * HOUR_MS - 600_000
    write(home, np.full(5, 300.0), pid=3, begin_ms=crashed_ms)
    write(home, np.full(3000, 300.0), pid=4, begin_ms=BEGIN_MS + 5 * 24 * HOUR_MS)
    assert log_of(after).earlier().id == before
    assert log_of(before).earlier() is None


def test_the_earlier_run_is_read_once_and_only_if_it_is_needed(restarted, monkeypatch):
    queried = []
    earlier = LocalRun.earlier
    monkeypatch.setattr(LocalRun, "earlier", lambda run: queried.append(run.id) or earlier(run))
    tracker = VerdictTracker()
    for path in restarted:
        log = log_of(path)
        tracker.forget()
        for _ in range(3):
            whole = Window.fit(log.begin_ms, log.end_ms + 1)
            assert tracker.verdicts(log, whole, Verdicts()).rss.verdict.kind == STEADY
    assert queried == [restarted[1]]


def test_an_unreadable_earlier_run_changes_nothing(restarted):
    before, after = restarted
    for segment in Path(before).iterdir():
        segment.write_bytes(b"\xff" * 100)
    log = log_of(after)
    assert window_verdicts(log, log.begin_ms, log.end_ms + 1).rss.verdict.kind == NOT_SURE


# -- cost


def test_the_whole_run_is_queried_once_for_all_windows(slow_leak, monkeypatch):
    queried = []
    trends_of = whole_run.trends_of
    monkeypatch.setattr(
        whole_run, "trends_of", lambda *arguments: queried.append(1) or trends_of(*arguments)
    )
    tracker, log = VerdictTracker(), log_of(slow_leak)
    for hours in range(1, 20):
        window = Window.fit(log.end_ms - hours * HOUR_MS, log.end_ms + 1)
        tracker.verdicts(log, window, Verdicts())
    assert len(queried) == 1
    other = log_of(slow_leak)
    tracker.verdicts(other, Window.fit(log.begin_ms, log.end_ms + 1), Verdicts())
    assert len(queried) == 2


def test_the_history_of_a_log_is_released_with_it(slow_leak):
    log = log_of(slow_leak)
    kept = ref(whole_run.whole_run_of(log))
    window_verdicts(log, log.begin_ms, log.end_ms + 1)
    assert kept() is not None
    del log
    gc.collect()
    assert kept() is None


def test_if_only_the_end_of_a_log_is_read_the_verdict_uses_only_the_window(slow_leak):
    end = LocalRun(open_log(slow_leak, last_slots=2))
    assert end.begin_ms > BEGIN_MS + 10 * HOUR_MS
    assert whole_run.whole_run_of(end).trends(end, LAYERS) == {}
    assert window_verdicts(end, end.begin_ms, end.end_ms + 1).rss.verdict.reason == ""


def test_no_verdict_is_computed_before_the_first_charts_are_drawn(slow_leak, home, monkeypatch):
    drawn, drawn_then = [], []
    trends_of = whole_run.trends_of
    monkeypatch.setattr(
        whole_run,
        "trends_of",
        lambda *arguments: drawn_then.append(len(drawn)) or trends_of(*arguments),
    )
    session = Session(Options(), open_source([str(home.path)]), drawn.append)
    try:
        session.refresh()
        shapes = (Shape("memory", 91, 13), Shape("python_heap", 45, 8))
        request = ChartRequest(slow_leak, Window.fit(BEGIN_MS, BEGIN_MS + 48 * HOUR_MS), shapes)
        first = session.answer(request, fresh=True, before=None)
        assert (first.verdicts.layers, drawn_then) == ((), [])
        assert session.has_more  # so the worker calls it again immediately
        second = session.answer(request, fresh=False, before=first)
        assert second.verdicts.rss.verdict.kind == GROWING
        assert drawn_then == [len(shapes)]
        assert not session.has_more
    finally:
        session.close()
