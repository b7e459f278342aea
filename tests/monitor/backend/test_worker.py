"""The feed with real logs and real threads: requests in, frames and charts out."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from kit.run_logs import open_run
from kit.units import MIB
from kit.waiting import wait_until
from kit.written_logs import LiveRun
from pprofplus_tui.backend import session, worker
from pprofplus_tui.backend.worker import BackendThread
from pprofplus_tui.model.messages import ChartRequest, Frame, Shape
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.verdict import GROWING, LAYERS
from pprofplus_tui.model.window import Window
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.open import open_source

SHAPES = (Shape("memory", 80, 16), Shape("cpu", 80, 12))


class Screen:
    """Takes what a feed posts, as the application would, and waits for it."""

    def __init__(self, place, **options):
        self.frames = []
        self.drawn = []
        self._came = threading.Condition()
        opened = partial(open_source, [str(place)])
        self.feed = BackendThread(Options(**options), self._frame, self._chart, open_source=opened)

    def _frame(self, frame):
        with self._came:
            self.frames.append(frame)
            self._came.notify_all()

    def _chart(self, drawn):
        with self._came:
            self.drawn.append(drawn)
            self._came.notify_all()

    def until(self, found, seconds=15):
        """Wait until `found()`, which may look at what came, is true; return that."""
        with self._came:
            assert self._came.wait_for(found, seconds), (self.frames[-1:], len(self.drawn))
            return found()

    def quiet(self, seconds):
        """Return whether nothing comes for so long."""
        with self._came:
            count = len(self.frames) + len(self.drawn)
            more = self._came.wait_for(lambda: len(self.frames) + len(self.drawn) > count, seconds)
            return not more

    def charts(self, name):
        return [drawn for drawn in self.drawn if drawn.chart == name]

    @property
    def frame(self):
        """The last frame that came."""
        return self.frames[-1] if self.frames else Frame()

    @property
    def runs(self):
        return self.frame.runs


@pytest.fixture
def open_screen(monkeypatch):
    """Start feeds that look at the logs ten times a second, so that a test need not wait."""
    monkeypatch.setattr(worker, "TICK_S", 0.1)
    opened = []

    def make(place, **options):
        opened.append(Screen(place, **options))
        opened[-1].feed.start()
        return opened[-1]

    yield make
    for screen in opened:
        screen.feed.close()


@pytest.fixture
def service(tmp_path):
    """A run that a test writes sample by sample, now."""
    return LiveRun(tmp_path / "live")


def window_of(service):
    return Window.fit(service.begin_ms - 10_000, service.begin_ms + 600_000)


def whole(path):
    run = open_run(path)
    return Window.fit(run.begin_ms, run.end_ms + 1000)


def legend(drawn):
    return "\n".join("".join(run.text for run in row) for row in drawn.rows)


def test_the_runs_are_told_without_being_asked_for(home, open_screen):
    home.run("api", 1, count=60)
    home.run("worker", 2, count=60, state="exited")
    screen = open_screen(home.path)
    screen.until(lambda: screen.runs)
    assert [(run.service, run.pid, run.state) for run in screen.runs] == [
        ("api", 1, "died"),
        ("worker", 2, "exited"),
    ]
    assert screen.drawn == []


def test_a_request_is_answered_with_every_chart_at_its_size_and_the_figures(home, open_screen):
    path = home.run(count=600)
    screen = open_screen(home.path)
    screen.feed.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: {drawn.chart for drawn in screen.drawn} == {"memory", "cpu"})
    for shape in SHAPES:
        (drawn,) = screen.charts(shape.chart)
        assert (drawn.width, drawn.height) == (shape.width, shape.height)
        assert len(drawn.rows) == shape.height
    screen.until(lambda: screen.frame.facts.layers)
    frame = screen.frame
    assert frame.run == path
    assert [layer.kind.id for layer in frame.facts.layers] == [
        kind.id for kind in LAYERS if kind.resident
    ]
    assert frame.facts.rss.verdict.kind == GROWING
    assert frame.facts.responsible.kind.id == "objects"
    assert frame.facts.layers[0].now_bytes == 70 * MIB + 599 * 65_536


def test_of_many_requests_the_last_has_the_last_word(home, open_screen):
    paths = [home.run("api", pid, count=120) for pid in (1, 2, 3)]
    screen = open_screen(home.path)
    screen.until(lambda: len(screen.runs) == 3)
    for width in range(60, 120):
        shapes = (Shape("memory", width, 16),)
        screen.feed.show(ChartRequest(paths[width % 3], whole(paths[width % 3]), shapes))
    screen.until(lambda: screen.drawn and screen.drawn[-1].width == 119)
    screen.until(lambda: screen.frame.run == paths[119 % 3])
    assert screen.quiet(0.4)
    assert screen.drawn[-1].width == 119
    assert screen.frame.run == paths[119 % 3]


def test_the_same_request_again_draws_nothing_again(home, open_screen):
    path = home.run(count=120)
    screen = open_screen(home.path)
    request = ChartRequest(path, whole(path), SHAPES)
    screen.feed.show(request)
    screen.until(lambda: len(screen.drawn) == 2 and screen.frame.facts.layers)
    for _ in range(20):
        screen.feed.show(request)
    assert screen.quiet(0.4)


def test_nothing_is_posted_while_nothing_changes(home, open_screen):
    path = home.run(count=120)
    screen = open_screen(home.path)
    screen.feed.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: len(screen.drawn) == 2 and screen.frame.facts.layers)
    assert screen.quiet(0.6)


def test_no_frame_equals_the_one_before(service, open_screen):
    screen = open_screen(service.log_directory)
    screen.feed.show(ChartRequest(service.path, window_of(service), SHAPES))
    for _ in range(3):
        count = len(screen.frames)
        service.add()
        screen.until(lambda count=count: len(screen.frames) > count)
    assert all(one != two for one, two in zip(screen.frames, screen.frames[1:], strict=False))


def test_new_samples_are_drawn_without_being_asked_for(service, open_screen):
    screen = open_screen(service.log_directory)
    screen.feed.show(ChartRequest(service.path, window_of(service), SHAPES))
    screen.until(lambda: any("100 MiB" in legend(drawn) for drawn in screen.charts("memory")))
    service.add(5, rss=333 * MIB)
    screen.until(lambda: "333 MiB" in legend(screen.charts("memory")[-1]))
    screen.until(
        lambda: screen.frame.facts.layers[:1] and screen.frame.facts.rss.now_bytes == 333 * MIB
    )


def test_a_verdict_waits_until_there_is_enough_new_and_the_resident_set_does_not(
    service, open_screen
):
    screen = open_screen(service.log_directory)
    hour = Window.live(time.time_ns() // 1_000_000, 3_600_000)
    screen.feed.show(ChartRequest(service.path, hour, SHAPES))
    screen.until(lambda: screen.frame.facts.layers)
    judged = screen.frame.facts
    service.add(2, rss=333 * MIB)
    screen.until(lambda: screen.frame.facts.rss.now_bytes == 333 * MIB)
    assert screen.frame.facts.span_ms == judged.span_ms
    service.add(6, rss=334 * MIB)
    screen.until(lambda: screen.frame.facts.span_ms > judged.span_ms)


def test_a_frozen_picture_stands_still_while_the_list_goes_on(service, open_screen):
    screen = open_screen(service.log_directory)
    frozen = window_of(service).freeze()
    screen.feed.show(ChartRequest(service.path, frozen, SHAPES))
    screen.until(lambda: len(screen.drawn) == 2 and screen.frame.facts.layers)
    facts, count = screen.frame.facts, len(screen.drawn)
    service.add(5, rss=333 * MIB)
    screen.until(lambda: screen.runs[0].rss_bytes == 333 * MIB)
    assert len(screen.drawn) == count
    assert screen.frame.facts == facts
    screen.feed.show(ChartRequest(service.path, window_of(service), SHAPES))
    screen.until(lambda: "333 MiB" in legend(screen.charts("memory")[-1]))


def test_the_last_samples_before_a_death_are_drawn(service, open_screen):
    screen = open_screen(service.log_directory)
    screen.feed.show(ChartRequest(service.path, window_of(service), SHAPES))
    screen.until(lambda: screen.runs and screen.runs[0].state == "live" and screen.drawn)
    service.add(1, rss=512 * MIB)
    service.writer.abandon()  # the lock goes with the process
    screen.until(lambda: screen.runs[0].state == "died")
    screen.until(lambda: "512 MiB" in legend(screen.charts("memory")[-1]))


SERVICE = """
import sys, pprofplus
collector = pprofplus.start("api", directory=sys.argv[1], interval_s=0.1)
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_death_of_a_process_that_is_watched_appears_by_itself(tmp_path, open_screen):
    place = tmp_path / "logs"
    place.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        try:
            assert service.stdout.readline() == "ready\n"
            screen = open_screen(place)
            screen.until(lambda: screen.runs and screen.runs[0].state == "live")
            (run,) = screen.runs
            window = Window.fit(run.begin_ms - 1000, run.begin_ms + 60_000)
            screen.feed.show(ChartRequest(run.id, window, SHAPES))
            screen.until(lambda: screen.frame.run == run.id and screen.drawn)
            assert screen.frame.death is None
            service.kill()
            # nobody has waited for it yet, so that the kernel still tells by which signal it ended
            screen.until(lambda: screen.frame.death is not None)
            screen.until(lambda: screen.frame.death.cause.kind == "killed")
            assert screen.frame.death.rss_bytes > MIB
            screen.until(lambda: "Died SIGKILL" in legend(screen.charts("memory")[-1]))
        finally:
            service.kill()


def test_what_came_after_the_last_sample_is_at_the_end_of_the_charts(home, open_screen):
    path = home.run("api", 1, count=60, state="exited")
    screen = open_screen(home.path)
    window = Window.fit(1_800_000_000_000, 1_800_000_059_001)
    screen.feed.show(ChartRequest(path, window, SHAPES))
    screen.until(lambda: screen.charts("memory"))
    assert legend(screen.charts("memory")[-1]).splitlines()[-1].endswith("E┘")


def test_a_cause_that_comes_after_the_death_is_shown_when_it_comes(service, open_screen):
    screen = open_screen(service.log_directory)
    screen.feed.show(ChartRequest(service.path, window_of(service), SHAPES))
    screen.until(lambda: screen.runs and screen.runs[0].state == "live" and screen.drawn)
    service.writer.abandon()
    screen.until(lambda: screen.frame.death is not None)
    assert screen.frame.death.cause.certainty == "unknown"
    outcome = {"by": "systemd", "signal": 9, "oom_killed": True}
    Path(service.path, "outcome").write_text(json.dumps(outcome))
    screen.until(lambda: screen.frame.death.cause.kind == "oom")
    screen.until(lambda: "Died OOM" in legend(screen.charts("memory")[-1]))


def test_a_service_that_appears_is_told_and_so_is_another_that_is_not_asked_for(home, open_screen):
    screen = open_screen(home.path, service="worker")
    screen.until(lambda: screen.frames)
    home.run("api", 1, count=5)
    screen.until(lambda: screen.frame.other_services == ("api",))
    assert screen.runs == ()
    home.run("worker", 2, count=5)
    screen.until(lambda: [run.service for run in screen.runs] == ["worker"])


def test_a_run_whose_directory_is_deleted_goes_and_the_rest_stays(home, open_screen):
    path, other = home.run("api", 1, count=60), home.run("api", 2, count=60)
    screen = open_screen(home.path)
    screen.feed.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: len(screen.runs) == 2 and screen.drawn)
    shutil.rmtree(path)
    screen.until(lambda: [run.id for run in screen.runs] == [other])
    assert screen.frame.problem == ""
    screen.feed.show(ChartRequest(other, whole(other), (Shape("memory", 90, 16),)))
    screen.until(lambda: screen.drawn[-1].width == 90)


def test_a_log_that_shrinks_while_shown_is_read_anew(home, open_screen):
    path = home.run(count=4000)
    screen = open_screen(home.path)
    window = whole(path)
    screen.feed.show(ChartRequest(path, window, SHAPES))
    screen.until(lambda: len(screen.drawn) == 2)
    for segment in Path(path).iterdir():
        os.truncate(segment, segment.stat().st_size // 2)
    screen.until(lambda: screen.runs and screen.runs[0].end_ms < window.end_ms - 60_000)
    screen.until(lambda: screen.frame.facts.layers[0].now_bytes < 70 * MIB + 3000 * 65_536)


class Breaking:
    """Makes a method of the reader fail as long as `broken`."""

    def __init__(self, monkeypatch, owner, name):
        self.broken = False
        real = getattr(owner, name)

        def maybe(*args, **kwargs):
            if self.broken:
                raise OSError(5, "Input/output error")
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, maybe)


def test_what_cannot_be_read_is_a_problem_told_and_the_feed_lives_on(
    home, open_screen, monkeypatch
):
    reader = Breaking(monkeypatch, Catalog, "refresh")
    home.run("api", 1, count=60)
    screen = open_screen(home.path)
    screen.until(lambda: len(screen.runs) == 1)
    reader.broken = True
    screen.until(lambda: "Input/output error" in screen.frame.problem)
    assert len(screen.runs) == 1
    reader.broken = False
    home.run("api", 2, count=60)
    screen.until(lambda: len(screen.runs) == 2)
    assert screen.frame.problem == ""


def test_a_request_that_failed_is_tried_again_though_nothing_new_is_written(
    home, open_screen, monkeypatch
):
    reader = Breaking(monkeypatch, LocalRun, "query")
    path = home.run(count=60)
    screen = open_screen(home.path)
    screen.feed.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: len(screen.drawn) == 2)
    reader.broken = True
    wider = (Shape("memory", 100, 16),)
    screen.feed.show(ChartRequest(path, whole(path), wider))
    screen.until(lambda: "Input/output error" in screen.frame.problem)
    reader.broken = False
    screen.until(lambda: screen.drawn[-1].width == 100)
    screen.until(lambda: screen.frame.problem == "")


def test_a_directory_that_may_not_be_read_is_told(home, open_screen, monkeypatch):
    home.run("api", 1, count=60)
    real = os.scandir

    def refuse(path="."):
        if str(path).endswith("logs"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    screen = open_screen(home.path)
    screen.until(lambda: screen.frames and "Permission denied" in screen.frame.problem)
    assert str(home.path) in screen.frame.problem


def ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("pprofplus-")]


def test_closing_joins_both_threads_and_closing_twice_is_nothing(home, open_screen):
    path = home.run(count=600)
    screen = open_screen(home.path)
    screen.feed.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: screen.frames)
    assert {thread.name for thread in ours()} == {"pprofplus-backend", "pprofplus-charts"}
    screen.feed.close()
    assert ours() == []
    count = len(screen.frames) + len(screen.drawn)
    screen.feed.close()
    screen.feed.show(ChartRequest(path, whole(path), SHAPES[:1]))
    assert len(screen.frames) + len(screen.drawn) == count


def test_closing_at_once_joins_too(home):
    for _ in range(5):
        screen = Screen(home.path)
        screen.feed.start()
        screen.feed.close()
        assert ours() == []


def test_a_feed_that_never_started_closes(home):
    Screen(home.path).feed.close()


def spied(monkeypatch, *names):
    """Return what the session is asked to do, in its order."""
    done = []
    for name in names:
        plain = getattr(session.Session, name)

        def noted(self, *args, _name=name, _plain=plain, **kwargs):
            done.append(_name)
            return _plain(self, *args, **kwargs)

        monkeypatch.setattr(session.Session, name, noted)
    return done


def test_a_key_is_answered_before_the_list_is_read_on(home, monkeypatch):
    path = home.run(count=600)
    monkeypatch.setattr(worker, "TICK_S", 60.0)
    screen = Screen(home.path)
    screen.feed.start()
    try:
        screen.until(lambda: screen.runs)
        time.sleep(0.2)  # until it waits
        done = spied(monkeypatch, "read_more", "answer")
        screen.feed.show(ChartRequest(path, whole(path), SHAPES))
        wait_until(lambda: "read_more" in done, 15)
    finally:
        screen.feed.close()
    assert done[:2] == ["answer", "read_more"]


def test_keys_that_go_on_and_on_do_not_keep_new_runs_from_being_told(home, open_screen):
    path = home.run(count=600)
    screen = open_screen(home.path)
    screen.until(lambda: screen.runs)
    home.run("late", 2, count=5)
    until = time.monotonic() + 15
    window = whole(path)
    while not any(run.service == "late" for run in screen.runs):
        assert time.monotonic() < until
        window = window.pan(0.01)
        screen.feed.show(ChartRequest(path, window, SHAPES))
        time.sleep(0.005)
