"""The backend thread on real logs: requests in, frames and charts out."""

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
    """Receives what the backend posts, as the application does, and waits for it."""

    def __init__(self, log_directory, **options):
        self.frames = []
        self.drawn = []
        self._posted = threading.Condition()
        opened = partial(open_source, [str(log_directory)])
        self.backend = BackendThread(
            Options(**options), self._frame, self._chart, open_source=opened
        )

    def _frame(self, frame):
        with self._posted:
            self.frames.append(frame)
            self._posted.notify_all()

    def _chart(self, drawn):
        with self._posted:
            self.drawn.append(drawn)
            self._posted.notify_all()

    def until(self, found, seconds=15):
        """Return the first true value of `found()`, which is called after each post."""
        with self._posted:
            assert self._posted.wait_for(found, seconds), (self.frames[-1:], len(self.drawn))
            return found()

    def quiet(self, seconds):
        """Return whether nothing is posted for this time."""
        with self._posted:
            count = len(self.frames) + len(self.drawn)
            more = self._posted.wait_for(
                lambda: len(self.frames) + len(self.drawn) > count, seconds
            )
            return not more

    def charts(self, name):
        return [drawn for drawn in self.drawn if drawn.chart == name]

    @property
    def frame(self):
        """The last frame posted."""
        return self.frames[-1] if self.frames else Frame()

    @property
    def runs(self):
        return self.frame.runs


@pytest.fixture
def open_screen(monkeypatch):
    """Start backends that refresh ten times a second, so that a test waits less."""
    monkeypatch.setattr(worker, "TICK_S", 0.1)
    opened = []

    def make(log_directory, **options):
        opened.append(Screen(log_directory, **options))
        opened[-1].backend.start()
        return opened[-1]

    yield make
    for screen in opened:
        screen.backend.close()


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


def test_the_runs_are_posted_without_a_request(home, open_screen):
    home.run("api", 1, count=60)
    home.run("worker", 2, count=60, state="exited")
    screen = open_screen(home.path)
    screen.until(lambda: screen.runs)
    assert [(run.service, run.pid, run.state) for run in screen.runs] == [
        ("api", 1, "died"),
        ("worker", 2, "exited"),
    ]
    assert screen.drawn == []


def test_a_request_is_answered_with_every_chart_at_its_size_and_the_verdicts(home, open_screen):
    path = home.run(count=600)
    screen = open_screen(home.path)
    screen.backend.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: {drawn.chart for drawn in screen.drawn} == {"memory", "cpu"})
    for shape in SHAPES:
        (drawn,) = screen.charts(shape.chart)
        assert (drawn.width, drawn.height) == (shape.width, shape.height)
        assert len(drawn.rows) == shape.height
    screen.until(lambda: screen.frame.verdicts.layers)
    frame = screen.frame
    assert frame.run == path
    assert [layer.kind.id for layer in frame.verdicts.layers] == [
        kind.id for kind in LAYERS if kind.resident
    ]
    assert frame.verdicts.rss.verdict.kind == GROWING
    assert frame.verdicts.responsible.kind.id == "objects"
    assert frame.verdicts.layers[0].now_bytes == 70 * MIB + 599 * 65_536


def test_of_many_requests_the_last_one_is_shown(home, open_screen):
    paths = [home.run("api", pid, count=120) for pid in (1, 2, 3)]
    screen = open_screen(home.path)
    screen.until(lambda: len(screen.runs) == 3)
    for width in range(60, 120):
        shapes = (Shape("memory", width, 16),)
        screen.backend.show(ChartRequest(paths[width % 3], whole(paths[width % 3]), shapes))
    screen.until(lambda: screen.drawn and screen.drawn[-1].width == 119)
    screen.until(lambda: screen.frame.run == paths[119 % 3])
    assert screen.quiet(0.4)
    assert screen.drawn[-1].width == 119
    assert screen.frame.run == paths[119 % 3]


def test_an_equal_request_draws_nothing(home, open_screen):
    path = home.run(count=120)
    screen = open_screen(home.path)
    request = ChartRequest(path, whole(path), SHAPES)
    screen.backend.show(request)
    screen.until(lambda: len(screen.drawn) == 2 and screen.frame.verdicts.layers)
    for _ in range(20):
        screen.backend.show(request)
    assert screen.quiet(0.4)


def test_nothing_is_posted_while_nothing_changes(home, open_screen):
    path = home.run(count=120)
    screen = open_screen(home.path)
    screen.backend.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: len(screen.drawn) == 2 and screen.frame.verdicts.layers)
    assert screen.quiet(0.6)


def test_no_frame_equals_the_one_before(service, open_screen):
    screen = open_screen(service.log_directory)
    screen.backend.show(ChartRequest(service.path, window_of(service), SHAPES))
    for _ in range(3):
        count = len(screen.frames)
        service.add()
        screen.until(lambda count=count: len(screen.frames) > count)
    assert all(one != two for one, two in zip(screen.frames, screen.frames[1:], strict=False))


def test_new_samples_are_drawn_without_a_request(service, open_screen):
    screen = open_screen(service.log_directory)
    screen.backend.show(ChartRequest(service.path, window_of(service), SHAPES))
    screen.until(lambda: any("100 MiB" in legend(drawn) for drawn in screen.charts("memory")))
    service.add(5, rss=333 * MIB)
    screen.until(lambda: "333 MiB" in legend(screen.charts("memory")[-1]))
    screen.until(
        lambda: (
            screen.frame.verdicts.layers[:1] and screen.frame.verdicts.rss.now_bytes == 333 * MIB
        )
    )


def test_a_verdict_waits_for_enough_new_data_and_the_resident_set_does_not(service, open_screen):
    screen = open_screen(service.log_directory)
    hour = Window.live(time.time_ns() // 1_000_000, 3_600_000)
    screen.backend.show(ChartRequest(service.path, hour, SHAPES))
    screen.until(lambda: screen.frame.verdicts.layers)
    judged = screen.frame.verdicts
    service.add(2, rss=333 * MIB)
    screen.until(lambda: screen.frame.verdicts.rss.now_bytes == 333 * MIB)
    assert screen.frame.verdicts.span_ms == judged.span_ms
    service.add(6, rss=334 * MIB)
    screen.until(lambda: screen.frame.verdicts.span_ms > judged.span_ms)


def test_a_frozen_window_does_not_change_while_the_list_is_updated(service, open_screen):
    screen = open_screen(service.log_directory)
    frozen = window_of(service).freeze()
    screen.backend.show(ChartRequest(service.path, frozen, SHAPES))
    screen.until(lambda: len(screen.drawn) == 2 and screen.frame.verdicts.layers)
    facts, count = screen.frame.verdicts, len(screen.drawn)
    service.add(5, rss=333 * MIB)
    screen.until(lambda: screen.runs[0].rss_bytes == 333 * MIB)
    assert len(screen.drawn) == count
    assert screen.frame.verdicts == facts
    screen.backend.show(ChartRequest(service.path, window_of(service), SHAPES))
    screen.until(lambda: "333 MiB" in legend(screen.charts("memory")[-1]))


def test_the_last_samples_before_a_death_are_drawn(service, open_screen):
    screen = open_screen(service.log_directory)
    screen.backend.show(ChartRequest(service.path, window_of(service), SHAPES))
    screen.until(lambda: screen.runs and screen.runs[0].state == "live" and screen.drawn)
    service.add(1, rss=512 * MIB)
    service.writer.abandon()  # releases the lock, as the end of a process does
    screen.until(lambda: screen.runs[0].state == "died")
    screen.until(lambda: "512 MiB" in legend(screen.charts("memory")[-1]))


SERVICE = """
import sys, pprofplus
collector = pprofplus.start("api", directory=sys.argv[1], interval_s=0.1)
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_death_of_a_live_process_appears_without_a_request(tmp_path, open_screen):
    log_directory = tmp_path / "logs"
    log_directory.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(log_directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        try:
            assert service.stdout.readline() == "ready\n"
            screen = open_screen(log_directory)
            screen.until(lambda: screen.runs and screen.runs[0].state == "live")
            (run,) = screen.runs
            window = Window.fit(run.begin_ms - 1000, run.begin_ms + 60_000)
            screen.backend.show(ChartRequest(run.id, window, SHAPES))
            screen.until(lambda: screen.frame.run == run.id and screen.drawn)
            assert screen.frame.death is None
            service.kill()
            # the process is not reaped yet, so the kernel still has the signal that ended it
            screen.until(lambda: screen.frame.death is not None)
            screen.until(lambda: screen.frame.death.cause.kind == "killed")
            assert screen.frame.death.rss_bytes > MIB
            screen.until(lambda: "Died SIGKILL" in legend(screen.charts("memory")[-1]))
        finally:
            service.kill()


def test_an_event_after_the_last_sample_is_at_the_end_of_the_charts(home, open_screen):
    path = home.run("api", 1, count=60, state="exited")
    screen = open_screen(home.path)
    window = Window.fit(1_800_000_000_000, 1_800_000_059_001)
    screen.backend.show(ChartRequest(path, window, SHAPES))
    screen.until(lambda: screen.charts("memory"))
    assert legend(screen.charts("memory")[-1]).splitlines()[-1].endswith("E┘")


def test_a_cause_that_is_found_after_the_death_is_shown(service, open_screen):
    screen = open_screen(service.log_directory)
    screen.backend.show(ChartRequest(service.path, window_of(service), SHAPES))
    screen.until(lambda: screen.runs and screen.runs[0].state == "live" and screen.drawn)
    service.writer.abandon()
    screen.until(lambda: screen.frame.death is not None)
    assert screen.frame.death.cause.certainty == "unknown"
    outcome = {"by": "systemd", "signal": 9, "oom_killed": True}
    Path(service.path, "outcome").write_text(json.dumps(outcome))
    screen.until(lambda: screen.frame.death.cause.kind == "oom")
    screen.until(lambda: "Died OOM" in legend(screen.charts("memory")[-1]))


def test_new_runs_of_the_chosen_service_and_names_of_other_services_appear(home, open_screen):
    screen = open_screen(home.path, service="worker")
    screen.until(lambda: screen.frames)
    home.run("api", 1, count=5)
    screen.until(lambda: screen.frame.other_services == ("api",))
    assert screen.runs == ()
    home.run("worker", 2, count=5)
    screen.until(lambda: [run.service for run in screen.runs] == ["worker"])


def test_a_run_whose_directory_is_deleted_disappears_and_the_rest_stays(home, open_screen):
    path, other = home.run("api", 1, count=60), home.run("api", 2, count=60)
    screen = open_screen(home.path)
    screen.backend.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: len(screen.runs) == 2 and screen.drawn)
    shutil.rmtree(path)
    screen.until(lambda: [run.id for run in screen.runs] == [other])
    assert screen.frame.problem == ""
    screen.backend.show(ChartRequest(other, whole(other), (Shape("memory", 90, 16),)))
    screen.until(lambda: screen.drawn[-1].width == 90)


def test_a_log_that_shrinks_while_shown_is_read_again(home, open_screen):
    path = home.run(count=4000)
    screen = open_screen(home.path)
    window = whole(path)
    screen.backend.show(ChartRequest(path, window, SHAPES))
    screen.until(lambda: len(screen.drawn) == 2)
    for segment in Path(path).iterdir():
        os.truncate(segment, segment.stat().st_size // 2)
    screen.until(lambda: screen.runs and screen.runs[0].end_ms < window.end_ms - 60_000)
    screen.until(lambda: screen.frame.verdicts.layers[0].now_bytes < 70 * MIB + 3000 * 65_536)


class Breaking:
    """Makes a method of the reader fail while `broken` is true."""

    def __init__(self, monkeypatch, owner, name):
        self.broken = False
        real = getattr(owner, name)

        def may_fail(*args, **kwargs):
            if self.broken:
                raise OSError(5, "Input/output error")
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, may_fail)


def test_a_read_error_is_shown_as_a_problem_and_the_backend_recovers(
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


def test_a_failed_request_is_retried_without_new_samples(home, open_screen, monkeypatch):
    reader = Breaking(monkeypatch, LocalRun, "query")
    path = home.run(count=60)
    screen = open_screen(home.path)
    screen.backend.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: len(screen.drawn) == 2)
    reader.broken = True
    wider = (Shape("memory", 100, 16),)
    screen.backend.show(ChartRequest(path, whole(path), wider))
    screen.until(lambda: "Input/output error" in screen.frame.problem)
    reader.broken = False
    screen.until(lambda: screen.drawn[-1].width == 100)
    screen.until(lambda: screen.frame.problem == "")


def test_a_directory_without_read_permission_is_shown_as_a_problem(home, open_screen, monkeypatch):
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


def backend_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("pprofplus-")]


def test_closing_joins_both_threads_and_a_second_close_does_nothing(home, open_screen):
    path = home.run(count=600)
    screen = open_screen(home.path)
    screen.backend.show(ChartRequest(path, whole(path), SHAPES))
    screen.until(lambda: screen.frames)
    assert {thread.name for thread in backend_threads()} == {
        "pprofplus-backend",
        "pprofplus-charts",
    }
    screen.backend.close()
    assert backend_threads() == []
    count = len(screen.frames) + len(screen.drawn)
    screen.backend.close()
    screen.backend.show(ChartRequest(path, whole(path), SHAPES[:1]))
    assert len(screen.frames) + len(screen.drawn) == count


def test_closing_right_after_the_start_joins_too(home):
    for _ in range(5):
        screen = Screen(home.path)
        screen.backend.start()
        screen.backend.close()
        assert backend_threads() == []


def test_a_backend_that_never_started_can_be_closed(home):
    Screen(home.path).backend.close()


def recorded_calls(monkeypatch, *names):
    """Return a list of the calls of these methods of the session, in order."""
    done = []
    for name in names:
        plain = getattr(session.Session, name)

        def recorded(self, *args, _name=name, _plain=plain, **kwargs):
            done.append(_name)
            return _plain(self, *args, **kwargs)

        monkeypatch.setattr(session.Session, name, recorded)
    return done


def test_a_key_is_answered_before_more_runs_are_read(home, monkeypatch):
    path = home.run(count=600)
    monkeypatch.setattr(worker, "TICK_S", 60.0)
    screen = Screen(home.path)
    screen.backend.start()
    try:
        screen.until(lambda: screen.runs)
        time.sleep(0.2)  # until the thread waits
        done = recorded_calls(monkeypatch, "read_more", "answer")
        screen.backend.show(ChartRequest(path, whole(path), SHAPES))
        wait_until(lambda: "read_more" in done, 15)
    finally:
        screen.backend.close()
    assert done[:2] == ["answer", "read_more"]


def test_continuous_key_presses_do_not_delay_new_runs(home, open_screen):
    path = home.run(count=600)
    screen = open_screen(home.path)
    screen.until(lambda: screen.runs)
    home.run("late", 2, count=5)
    until = time.monotonic() + 15
    window = whole(path)
    while not any(run.service == "late" for run in screen.runs):
        assert time.monotonic() < until
        window = window.pan(0.01)
        screen.backend.show(ChartRequest(path, window, SHAPES))
        time.sleep(0.005)
