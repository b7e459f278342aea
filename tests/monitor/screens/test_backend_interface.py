"""The screens on a backend in memory: the requests that they send, and what they show."""

import threading
from pathlib import Path

import pytest

from kit.pilot import text_of, wait_until_async
from pprofplus.errors import PprofplusError
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.export_job import Exported
from pprofplus_tui.model.messages import Drawn, Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run, ordered
from pprofplus_tui.screens import event_list

BEGIN_MS = 1_800_000_000_000
END_MS = BEGIN_MS + 600_000


def run(pid, *, service="api", begin_ms=BEGIN_MS, end_ms=END_MS):
    return Run(f"/{service}/{pid}", service, pid, "exited", begin_ms, end_ms, 100 << 20)


class MemoryBackend:
    """Records the requests of the screens; a test sends the answers."""

    def __init__(self, options, on_frame, on_drawn):
        self.options, self.on_frame, self.on_drawn = options, on_frame, on_drawn
        self.started = self.closed = False
        self.requests, self.comparisons, self.first = [], [], []
        self.run_events = (RunEvent(BEGIN_MS + 5000, "mark", 0, "deploy 7"),)
        self.pinned = self.cancelled = False
        self.pin_error = self.export_error = None
        self.jobs, self.runs_read, self.runs_pinned = [], [], []
        self.threads = set()
        self.resume = threading.Event()
        self.resume.set()

    def start(self):
        self.started = True

    def close(self):
        self.closed = True

    def show(self, request):
        self.requests.append(request)

    def compare(self, comparison):
        self.comparisons.append(comparison)

    def read_first(self, paths, *, with_growth=False):
        self.first.append((paths, with_growth))

    def events(self, run, limit):
        self.threads.add(threading.current_thread())
        self.runs_read.append((run.id, limit))
        return self.run_events

    def toggle_pin(self, run):
        self.threads.add(threading.current_thread())
        self.runs_pinned.append(run.id)
        if self.pin_error:
            raise self.pin_error
        self.pinned = not self.pinned
        return self.pinned

    def suggest_export_path(self, job, directory):
        return Path(directory, f"{job.run.service}.csv")

    def export(self, job, path, progress, cancelled):
        self.threads.add(threading.current_thread())
        self.jobs.append((job, path))
        if self.export_error:
            raise self.export_error
        progress(0.5)
        while not self.resume.wait(0.01):
            if cancelled():
                self.cancelled = True
                raise PprofplusError("cancelled, nothing was written")
        return Exported(path, 42, 4200, 0)


async def until(pilot, found, seconds=30):
    """Wait until `found()` is true; a text is searched for on the screen."""
    look = found if callable(found) else lambda: found in text_of(pilot.app)
    await wait_until_async(look, seconds, pause=pilot.pause, describe=lambda: text_of(pilot.app))


@pytest.fixture
def app():
    return MonitorApp(Options(directories=("/nowhere",)), MemoryBackend)


def show(app, *runs, **more):
    app.backend.on_frame(Frame(ordered(runs), **more))


async def test_the_backend_is_started_and_closed_by_the_app(app):
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.backend.started)
        assert not app.backend.closed
    assert app.backend.closed


async def test_the_first_frame_opens_a_run_and_requests_its_charts(app):
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, run(1))
        await until(pilot, "api 1")
        request = app.backend.requests[-1]
        assert request.run == "/api/1"
        assert request.window.begin_ms <= BEGIN_MS < END_MS <= request.window.end_ms
        assert request.shapes[0].chart == "memory"
        assert app.backend.first[-1] == (("/api/1",), False)


async def test_drawn_charts_are_shown_together(app):
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, run(1))
        await until(pilot, lambda: app.backend.requests and app.backend.requests[-1].shapes)
        shape, other = app.backend.requests[-1].shapes[:2]
        for one, text, more in ((shape, "FIRST", True), (other, "SECOND", False)):
            rows = ((Cellrun(text.ljust(one.width), "text"),),) * one.height
            app.backend.on_drawn(Drawn(one.chart, one.width, one.height, rows, more=more))
        await until(pilot, lambda: "FIRST" in text_of(app) and "SECOND" in text_of(app))


async def test_the_order_by_growth_requests_the_growth_of_runs(app):
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, run(1))
        await until(pilot, "by newest")
        await pilot.press("o", "o")
        await until(pilot, "by growth")
        assert app.backend.first[-1][1]


async def test_events_are_listed_with_the_next_run_and_enter_goes_there(app):
    later = run(2, begin_ms=END_MS + 1000, end_ms=END_MS + 9000)
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, run(1), later)
        await until(pilot, "api 2")
        app.monitor.select_run("/api/1")
        await pilot.press("m")
        await until(pilot, "deploy 7")
        await until(pilot, "2 events")
        await pilot.press("end", "enter")
        await until(pilot, lambda: app.screen is app.monitor)
        assert app.monitor.view.run == "/api/2"
    assert app.backend.runs_read == [("/api/1", event_list.MAX_EVENTS)]
    assert threading.main_thread() not in app.backend.threads


async def test_enter_on_an_event_puts_the_cursor_on_it(app):
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, run(1))
        await until(pilot, "api 1")
        await pilot.press("m")
        await until(pilot, "1 event:")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.monitor)
        assert app.monitor.view.cursor_ms == BEGIN_MS + 5000


async def test_a_pin_is_toggled_and_a_failure_is_shown_in_one_line(app):
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        show(app, run(1))
        await until(pilot, "api 1")
        await pilot.press("p")
        await until(pilot, "api 1 pinned")
        await pilot.press("p")
        await until(pilot, "api 1 unpinned")
        app.backend.pin_error = PprofplusError("the run belongs to uid 0")
        await pilot.press("p")
        await until(pilot, "the run belongs to uid 0")
    assert app.backend.runs_pinned == ["/api/1"] * 3
    assert threading.main_thread() not in app.backend.threads


async def test_an_export_of_the_visible_window_is_one_job(app):
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        show(app, run(1))
        await until(pilot, "api 1")
        window = app.monitor.view.window
        await pilot.press("e")
        await until(pilot, "export to CSV")
        await pilot.press("enter")
        await until(pilot, "42 samples")
    ((job, path),) = app.backend.jobs
    assert (job.run.id, job.begin_ms, job.end_ms) == ("/api/1", window.begin_ms, window.end_ms)
    assert path.name == "api.csv"


async def test_an_export_shows_its_progress_and_escape_cancels_it(app):
    app.backend.resume.clear()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, run(1))
        await until(pilot, "api 1")
        await pilot.press("e")
        await until(pilot, "export to CSV")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one("#progress").progress == 500)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.monitor)
        await until(pilot, lambda: app.backend.cancelled)


async def test_marked_runs_are_compared_and_escape_returns_to_the_main_screen(app):
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, run(1), run(2))
        await until(pilot, "api 2")
        await pilot.press("c", "down", "c", "C")
        await until(pilot, "2 runs compared")
        comparison = app.backend.comparisons[-1]
        assert set(comparison.runs) == {"/api/1", "/api/2"}
        assert comparison.shapes
        show(app, run(1), run(2), run(3))
        await pilot.press("escape")
        await until(pilot, "1 service")
        assert app.backend.comparisons[-1] is None
        # the frame that arrived while the comparison was open
        assert {one.pid for one in app.monitor.frame.runs} == {1, 2, 3}
        assert {one.pid for one in app.monitor.picker.listed} == {1, 2, 3}
