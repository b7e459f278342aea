"""The run that the monitor opens on, while runs are still read."""

import pytest

from pprofplus_tui.model.first_run import FirstRun
from pprofplus_tui.model.messages import Frame
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run, ordered
from pprofplus_tui.model.view import View

NOW_MS = 1_800_000_000_000


def run(pid, state="exited"):
    return Run(f"/api/{pid}", "api", pid, state, NOW_MS - pid * 1000 - 60_000, NOW_MS - pid * 1000)


def frame(*runs, unread=0):
    return Frame(ordered(runs), unread=unread)


@pytest.fixture
def opened():
    """Return a chooser and its view, opened on the run of a first frame."""

    def make(first, wanted=None):
        chooser = FirstRun(Options(run=wanted), View())
        view = chooser.open(View(), chooser.choose(first, Frame(), View()), NOW_MS)
        return chooser, view

    return make


def test_without_runs_there_is_no_first_run():
    assert FirstRun(Options(), View()).choose(frame(), Frame(), View()) is None


def test_the_requested_run_is_opened(opened):
    _, view = opened(frame(run(1), run(2)), wanted="/api/2")
    assert view.run == "/api/2"


def test_a_live_run_that_is_read_late_replaces_an_ended_one(opened):
    before = frame(run(1), unread=5)
    chooser, view = opened(before)
    assert view.run == "/api/1"
    assert chooser.choose(frame(run(1), run(2, "live")), before, view).pid == 2


def test_a_requested_run_that_is_read_late_replaces_another(opened):
    before = frame(run(1, "live"), unread=5)
    chooser, view = opened(before, wanted="/api/2")
    assert chooser.choose(frame(run(1, "live"), run(2)), before, view).pid == 2


def test_nothing_replaces_a_view_that_the_user_changed(opened):
    before = frame(run(1), unread=5)
    chooser, view = opened(before)
    moved = view.zoom(-1, run(1), NOW_MS)
    assert chooser.choose(frame(run(1), run(2, "live")), before, moved) is None


def test_nothing_replaces_a_run_once_all_runs_are_read(opened):
    before = frame(run(1))
    chooser, view = opened(before)
    assert chooser.choose(frame(run(1), run(2, "live")), before, view) is None


def test_the_window_of_the_command_line_is_opened():
    options = Options(begin_ms=NOW_MS - 50_000, end_ms=NOW_MS - 20_000)
    view = FirstRun(options, View()).open(View(), run(1), NOW_MS)
    assert (view.window.begin_ms, view.window.end_ms) == (NOW_MS - 50_000, NOW_MS - 20_000)
