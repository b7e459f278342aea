"""The renderer thread: its order, its errors and its end."""

import dataclasses
import threading
from contextlib import closing

import numpy as np
import pytest

from kit.series import points_of
from pprofplus_tui.charts import renderer as renderer_module
from pprofplus_tui.charts.renderer import Renderer
from pprofplus_tui.charts.spec import ChartSpec, Line
from pprofplus_tui.model.ticks import fit_axis

WAIT_S = 30


def picture(title="memory", top=9.0):
    points = points_of(np.linspace(0, top, 10))
    return ChartSpec(
        title, 40, 8, 0, 10, fit_axis(None, 0, 9, "count", 6), lines=(Line("a", 0, points),)
    )


class Delivered:
    """Records what a renderer delivers, and can hold its thread in the first delivery."""

    def __init__(self, *, held=False):
        self.calls = []
        self.threads = set()
        self.entered = threading.Event()
        self.gate = threading.Event()
        if not held:
            self.gate.set()

    def __call__(self, key, wanted, rows):
        self.calls.append((key, wanted, rows))
        self.threads.add(threading.current_thread())
        self.entered.set()
        self.gate.wait(WAIT_S)


def test_rows_are_delivered_on_one_thread_other_than_the_callers():
    delivered = Delivered()
    with closing(Renderer(delivered)) as renderer:
        for key in range(5):
            assert renderer.submit(key, picture())
        assert renderer.wait_idle(WAIT_S)
    assert [key for key, _, _ in delivered.calls] == list(range(5))
    assert len(delivered.threads) == 1
    assert threading.current_thread() not in delivered.threads
    assert all(len(rows) == 8 for _, _, rows in delivered.calls)


def test_an_outdated_chart_is_dropped():
    delivered = Delivered(held=True)
    with closing(Renderer(delivered)) as renderer:
        renderer.submit("a", picture(top=1))
        assert delivered.entered.wait(WAIT_S)
        for top in (2, 3, 4):
            renderer.submit("a", picture(top=top))
        delivered.gate.set()
        assert renderer.wait_idle(WAIT_S)
    assert [wanted.lines[0].points.hi[-1] for _, wanted, _ in delivered.calls] == [1, 4]


def test_a_busy_chart_does_not_starve_another():
    delivered = Delivered(held=True)
    with closing(Renderer(delivered)) as renderer:
        renderer.submit("first", picture())
        assert delivered.entered.wait(WAIT_S)
        renderer.submit("quiet", picture())
        renderer.submit("busy", picture(top=1))
        renderer.submit("busy", picture(top=2))
        delivered.gate.set()
        assert renderer.wait_idle(WAIT_S)
    assert [key for key, _, _ in delivered.calls] == ["first", "quiet", "busy"]


def test_an_equal_chart_is_not_drawn_again():
    delivered = Delivered()
    with closing(Renderer(delivered)) as renderer:
        assert renderer.submit("a", picture())
        assert renderer.wait_idle(WAIT_S)
        assert not renderer.submit("a", picture())
        assert renderer.wait_idle(WAIT_S)
    assert len(delivered.calls) == 1


def test_a_forgotten_key_is_drawn_again():
    delivered = Delivered()
    with closing(Renderer(delivered)) as renderer:
        renderer.submit("a", picture())
        assert renderer.wait_idle(WAIT_S)
        renderer.forget("a")
        assert renderer.submit("a", picture())
        assert renderer.wait_idle(WAIT_S)
    assert len(delivered.calls) == 2


def test_a_chart_that_cannot_be_drawn_shows_why_and_the_next_is_drawn(monkeypatch):
    real = renderer_module.compose

    def broken(wanted, canvas):
        if wanted.title == "bad":
            raise RuntimeError("out of dots")
        return real(wanted, canvas)

    monkeypatch.setattr(renderer_module, "compose", broken)
    delivered = Delivered()
    with closing(Renderer(delivered)) as renderer:
        renderer.submit("a", dataclasses.replace(picture("bad"), width=90))
        renderer.submit("b", picture("good"))
        assert renderer.wait_idle(WAIT_S)
        assert renderer.errors == ("bad: cannot draw this chart: RuntimeError: out of dots",)
    (_, _, bad), (_, _, good) = delivered.calls
    assert any("RuntimeError: out of dots" in run.text for row in bad for run in row)
    assert any(run.style == "line0" for row in good for run in row)


def test_a_receiver_that_fails_does_not_end_the_thread():
    seen = []

    def failing(key, _wanted, _rows):
        seen.append(key)
        raise RuntimeError("app is gone")

    with closing(Renderer(failing)) as renderer:
        renderer.submit("a", picture())
        renderer.submit("b", picture())
        assert renderer.wait_idle(WAIT_S)
        assert len(renderer.errors) == 2
    assert seen == ["a", "b"]


def test_closing_joins_the_thread_and_draws_nothing_more():
    delivered = Delivered()
    renderer = Renderer(delivered)
    renderer.close()
    renderer.close()
    assert not renderer._thread.is_alive()
    assert not renderer.submit("a", picture())
    assert delivered.calls == []


def test_the_receiver_can_close_the_renderer():
    done = threading.Event()

    def receive(_key, _wanted, _rows):
        renderer.close()
        done.set()

    renderer = Renderer(receive)
    renderer.submit("a", picture())
    assert done.wait(WAIT_S)
    renderer.close()
    assert not renderer._thread.is_alive()


def test_waiting_ends_after_its_timeout():
    delivered = Delivered(held=True)
    with closing(Renderer(delivered)) as renderer:
        renderer.submit("a", picture())
        assert delivered.entered.wait(WAIT_S)
        assert not renderer.wait_idle(0.01)
        delivered.gate.set()


@pytest.mark.parametrize("key", ["memory", 3, ("a", 1)])
def test_any_hashable_is_a_key(key):
    delivered = Delivered()
    with closing(Renderer(delivered)) as renderer:
        renderer.submit(key, picture())
        assert renderer.wait_idle(WAIT_S)
    assert delivered.calls[0][0] == key
